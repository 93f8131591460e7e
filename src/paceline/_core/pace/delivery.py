"""Delivery: how many answers come per second, counted in calls that take as long as those the knee's latency L was measured of.

By Little's law, calls in flight = answers per second x latency. Some answers are of no use to the caller: the provider rejected the
request, refused to answer, or answered invalidly. It served those calls all the same, often much faster than the others. So that the
product with L stays the number of calls in flight, such an answer counts as the part of a call that its latency is of the others'.
"""

from __future__ import annotations

import math
from collections import deque

from .admissions import MIN_RATE_CALLS

_BEST_SPAN, _BEST_SPAN_CALLS = 10.0, 2.0  # seconds, or times L: the best rate of that time counts
_WEIGHT = 0.1  # of an answer's latency in the moving average of its class
_HEAVIEST = 20.0  # times a call: what an answer may count as, at most
_EVERY = 8  # answers: the rate is measured with each eighth one, and earlier once time has passed:
_FINEST = 1 / 256  # of the time that it is measured over


class Delivery:
    """The rate of answers, and the best rate of the latest time; both in calls per second."""

    def __init__(self) -> None:
        self.best = 0.0
        self._answers = self._others = 0  # so far; those of the other class, whose latency L is not measured of
        self._measures: deque[tuple[float, int, int]] = (
            deque()
        )  # times, and the answers and others before the one that came then
        self._mean = self._other_mean = 0.0  # seconds that an answer takes lately; 0: none came
        self._rates: deque[tuple[float, float]] = deque()  # times and rates, descending: a running maximum
        self._unmeasured = 0  # answers since the rate was measured, and when it was
        self._measured_at = -math.inf

    def record(self, now: float, latency: float, *, by_l: bool, span: float, unloaded: float) -> bool:
        """Record an answer; return whether the rate was measured.

        Args:
            now: Current time, in seconds.
            latency: Seconds that it took.
            by_l: Whether it is of the class of answers that L was measured of.
            span: Seconds, at least, that the rate is measured over.
            unloaded: L, in seconds; 0: not known.
        """
        if by_l:
            self._mean += (latency - self._mean) * (_WEIGHT if self._mean else 1.0)
        else:
            self._other_mean += (latency - self._other_mean) * (_WEIGHT if self._other_mean else 1.0)
            self._others += 1
        self._answers += 1
        self._unmeasured += 1
        if self._unmeasured < _EVERY and now - self._measured_at < _FINEST * span:
            return False
        self._measures.append((now, self._answers - 1, self._others - (not by_l)))
        self._measure(now, span, unloaded)
        return True

    def _measure(self, now: float, span: float, unloaded: float) -> None:
        measures, rates, answers = self._measures, self._rates, self._answers
        self._unmeasured, self._measured_at = 0, now
        while measures[0][0] < now - span and answers - measures[1][1] >= MIN_RATE_CALLS:
            measures.popleft()
        since, before, others_before = measures[0]
        rate = (answers - before - 1) / max(span, now - since)
        if others := self._others - others_before:
            rate *= 1.0 - others * (1.0 - self._part) / (answers - before)
        while rates and rates[-1][1] <= rate:
            rates.pop()
        rates.append((now, rate))
        while rates[0][0] < now - max(_BEST_SPAN, _BEST_SPAN_CALLS * unloaded):
            rates.popleft()
        self.best = rates[0][1]

    @property
    def _part(self) -> float:
        """The part of a call that an answer of the other class counts as."""
        return min(_HEAVIEST, self._other_mean / self._mean) if self._mean and self._other_mean else 1.0

    def swap(self) -> None:
        """Swap the two classes of answers: L is measured of the other one from now on."""
        self._measures = deque((time, answers, answers - others) for time, answers, others in self._measures)
        self._others = self._answers - self._others
        self._mean, self._other_mean = self._other_mean, self._mean
        self._rates.clear()
        self.best, self._measured_at = 0.0, -math.inf
