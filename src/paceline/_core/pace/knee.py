"""Knee: how many calls in flight are useful where a busy server refuses nothing but grows slow.

By Little's law a server that delivers x calls per second, each in L seconds when unloaded, is kept busy by the bandwidth-delay
product of x L calls. More calls only wait inside it. BBR keeps TCP's flows near that product in the same way.

Rules owned here:

1. L is the median of the first calls, in the order of their starts, times 1.2, because a mean is above a median: they met the least
   load from here. If nearly each of them took longer than the one before, they were a load already, and L is that of the first few. Until L is known, calls in flight grow with those that were answered, so that a small server is not buried
   before it could be measured.
2. During start-up up to 3 times x L calls are useful, unless the latest calls took long; otherwise 1.5 times. At least 8.
3. Start-up ends when the delivery rate is flat for three rounds while the latency rose, or when many calls fail. A round is 40
   completions, and at least L.
4. Where calls take longer than 1.5 times L, a round lowers the limit towards the useful calls by a fifth at most; by half at most where they
   take longer than 3 times L, as then they are about to time out.
5. If the limit fell by a third and the delivery rate with it, the calls had been useful: the work has changed, not the load. The
   limit is restored, and L follows.
6. Where the bound delays calls and they take steadily longer than L, half as many more are tried for a while (a trial). If each
   call still takes as long, the load was not to blame, and L follows. If not, the next trial waits twice as long. L follows at
   once where calls become faster, unless the limit grows: then the fast ones are merely the first to be answered.
7. L and the rounds are of accepted answers. Those that were rejected, refused or invalid count in the delivery rate alone (`delivery`).
   While few calls were accepted, L is of those others.
"""

from __future__ import annotations

import math
import operator
from bisect import bisect_left, bisect_right, insort
from collections import deque

import attrs

from .delivery import Delivery

_FIRST = 20  # calls of which L is the median
_RISING, _LEAST_LOADED = 0.6, 5  # rank correlation above which they show a load; calls of which L is the median then
_SKEW, _SKEW_WEIGHT = 1.2, 0.3  # mean over median, at first; weight of a round's in its moving average
_ROUND = 40  # completions
_IN_A_ROW = 3  # rounds

_FEW, _PER_ANSWER = 20.0, 4.0  # calls in flight while L is not known; more of them for each answer
_MIN = 8.0  # useful calls, at least
_START_GAIN, _GAIN = 3.0, 1.5  # times x L: during start-up, and later
_CALM_CALLS = 16  # latest calls
_CALM = 1.6  # times L: where the latest calls take longer on average, start-up uses the later gain

_FLAT = 1.25  # times the best delivery rate: less does not count as growth
_LOADED, _BURIED = 1.5, 3.0  # times L: the server is loaded; it is overloaded by far
_SLOW = 2.0  # times L: a round of start-up in which calls take longer counts as flat
_ABOVE = 1.02  # times the useful calls: a higher limit is lowered
_LOWER, _LOWER_BURIED = 0.8, 0.5  # times the limit: the deepest cut in a round
_FELL = 0.65  # times the limit before a cut: enough to see whether the calls had been useful

_TRIAL, _AS_FAST = 1.5, 1.2  # times the limit; times the latency: sqrt(1.5), midway to what load would explain
_FIRST_WAIT, _LONGEST_WAIT = 2, 32  # rounds between trials
_FILLED_WITHIN = 6  # rounds: otherwise something other than the knee limits the calls
_FASTER = 0.8  # times L: more than chance would make of a round

_SPAN_STARTING, _SPAN = (1.0, 0.25), (2.0, 2.0)  # seconds, and times L, at least, that a delivery rate is measured over
_SHORT_SPAN = 4.0  # times L: in start-up, if that is less than these seconds
_GUESS = 2.0  # seconds: for L, while it is not known


@attrs.define(eq=False)
class _Cut:
    """Limit, and completions per second, before the limit was lowered."""

    limit: float
    delivered: float


@attrs.define(eq=False)
class _Trial:
    """More calls than seem useful, to see whether each then takes longer."""

    limit: float
    """Limit before the trial."""
    latency: float
    """Mean seconds of a call before the trial."""
    target: float
    """Calls in flight to try."""
    rounds: int = 0
    loaded: bool = False
    """Whether the current round runs with all of them in flight."""


class Knee:
    """The useful number of calls in flight: `bound`."""

    def __init__(self, ceiling: float) -> None:
        self.ceiling = ceiling
        self.bound = min(ceiling, _FEW)
        self.latency = 0.0
        """L, in seconds; 0: not known."""
        self.starting = True
        self._median = 0.0  # seconds: L without the skew
        self._recent: deque[float] = deque(maxlen=_CALM_CALLS)  # latencies, in start-up
        self._skew = _SKEW  # mean over median, a moving average
        self._latencies: list[float] = []  # of the round
        self._first: dict[int, float] = {}  # starts of the first calls that are still in flight
        self._first_latencies: list[tuple[int, float]] = []  # with the number of each call
        self._answered = 0
        self._other_latencies: list[float] = []  # of the first answers that were not accepted
        self._of_others = False  # whether L is of those
        self._delivery = Delivery()
        self._best_before = 0.0  # the best delivery rate of the rounds before
        self._flat_rounds = 0
        self._round_began = 0.0  # in the future where a round waits for the effect of a change
        self._cut: _Cut | None = None
        self._has_changed = True  # what the bound and the span are set by, beside the delivery rate
        self._span = _GUESS  # seconds
        self._previous_limit = 0.0  # a round ago
        self._previous_latency = 0.0  # mean seconds of a call of the latest round
        self._trial: _Trial | None = None
        self._trial_due = self._trial_wait = _FIRST_WAIT

    @property
    def _useful(self) -> float:
        calm = self.starting and sum(self._recent) < _CALM * self.latency * len(self._recent)
        return min(self.ceiling, max(_MIN, (_START_GAIN if calm else _GAIN) * self._delivery.best * self.latency))

    def record_start(self, now: float, order: int) -> None:
        """Record the start of call number `order`, while L is not known."""
        if len(self._first) + len(self._first_latencies) < _FIRST:
            self._first[order] = now

    def drop(self, order: int) -> None:
        """Drop a call that was not answered from the measurement of L: a later one takes its place."""
        self._first.pop(order, None)

    def warm_start(self, latency: float, limit: int) -> None:
        """Start at a latency, in seconds, and a limit that were learned earlier."""
        self.latency, self._median = latency, latency / self._skew
        self.bound = min(self.ceiling, max(_MIN, float(limit)))

    def end_start_up(self, now: float) -> None:
        """End the start-up because many calls fail: an overloaded server lets them time out, and start-up may be the cause."""
        self.starting, self._has_changed = False, True
        self._latencies, self._round_began = [], now + self.latency  # earlier calls say nothing about what follows

    @property
    def is_measuring(self) -> bool:
        """Whether the first accepted calls are still being measured."""
        return self._of_others or not self.latency

    def _measure_first(self, now: float, order: int, latency: float, *, accepted: bool) -> None:
        self._answered += 1
        is_first = self._first.pop(order, None) is not None
        if not accepted:
            if len(self._other_latencies) < _FIRST:
                insort(self._other_latencies, latency)
                if len(self._other_latencies) == _FIRST:
                    self._of_others = True
                    self._start_rounds(now, self._other_latencies[_FIRST // 2])
                    self._delivery.swap()
            return
        if not is_first:
            return
        self._first_latencies.append((order, latency))
        if len(self._first_latencies) <= _FIRST // 2:
            return
        median = sorted(each for _, each in self._first_latencies)[_FIRST // 2]
        if all(now - started >= median for started in self._first.values()):
            if self._of_others:
                self._of_others, self.starting = False, True
                self._flat_rounds, self._best_before, self._cut, self._trial = 0, 0.0, None, None
                self._latencies = []
                self._delivery.swap()
            unanswered = [(number, now - started) for number, started in self._first.items()]
            in_order = [each for _, each in sorted(self._first_latencies + unanswered)]
            if _rise(in_order) > _RISING:
                median = sorted(in_order[:_LEAST_LOADED])[_LEAST_LOADED // 2]
            self._start_rounds(now, median)

    def _start_rounds(self, now: float, median: float) -> None:
        """Start the first round, with L known, whose median is `median` seconds."""
        self._median, self._round_began, self._has_changed = median, now, True
        self.latency = self._skew * median

    def record_answer(self, now: float, order: int, started: float, *, accepted: bool = True) -> bool:
        """Record the answer to call number `order` that started at `started`; return whether a round has ended."""
        latency = now - started
        if self._has_changed:
            self._set_span()
        span, by_l = self._span, accepted is not self._of_others
        is_measured = self._delivery.record(now, latency, by_l=by_l, span=span, unloaded=self.latency)
        if self._of_others or not self.latency:
            self._measure_first(now, order, latency, accepted=accepted)
        if not self.latency:
            self.bound = min(self.ceiling, _FEW + _PER_ANSWER * self._answered)
            return False
        if self.starting and by_l:
            self._recent.append(latency)
        if is_measured or self._has_changed:
            self._set_bound()
        if now < self._round_began or not by_l:
            return False
        self._latencies.append(latency)
        seconds = now - self._round_began
        return seconds >= span and seconds >= self.latency and len(self._latencies) >= _ROUND

    def _set_span(self) -> None:
        """Set the seconds that a delivery rate is measured over by L."""
        least, times = _SPAN_STARTING if self.starting else _SPAN
        if self.starting and self.latency:
            least = min(least, _SHORT_SPAN * self.latency)
        self._span = max(least, times * (self.latency or _GUESS))

    def _set_bound(self) -> None:
        """Set the bound by the delivery rate."""
        if self._has_changed:
            self._has_changed = False
            self._set_span()
        self.bound = self._useful
        if self._trial is not None:
            self.bound = min(self.ceiling, max(self.bound, self._trial.target))

    def end_round(self, now: float, limit: float, *, alone: bool, binding: bool) -> float:
        """End a round; return the limit that is useful now.

        Args:
            now: Current time, in seconds.
            limit: Calls that may be in flight.
            alone: Whether nothing else limits the calls: no rate, no concurrency cap.
            binding: Whether the limit delayed calls lately.
        """
        self._has_changed = True
        latencies = sorted(self._latencies)
        delivered = len(latencies) / max(1e-9, now - self._round_began)
        self._latencies, self._round_began = [], now
        latency = sum(latencies) / len(latencies)
        skew = latency / max(1e-9, latencies[len(latencies) // 2])
        self._skew += _SKEW_WEIGHT * (max(1.0, skew) - self._skew)
        self.latency = self._skew * self._median
        if limit <= self._previous_limit and latency < _FASTER * self.latency:
            self._learn(latency)  # while the limit grows, the fast calls are the first to be answered
        self._previous_limit = limit
        limit = self._try_more(now, limit, latency, binding=binding)
        if self._trial is not None:
            return limit
        if alone and self.starting:
            is_flat = self._delivery.best < _FLAT * self._best_before or latency > _SLOW * self.latency
            self._flat_rounds = self._flat_rounds + 1 if is_flat else 0
            self._best_before = max(self._best_before, self._delivery.best)
            if self._flat_rounds >= _IN_A_ROW and latency > _LOADED * self.latency:
                self.starting, self._cut = False, None
        if self.starting:
            return limit
        return self._lower(now, limit, latency, delivered, binding=binding)

    def _learn(self, latency: float) -> None:
        """Take this for the latency of an unloaded server."""
        self._median = latency / self._skew
        self.latency = latency

    def _try_more(self, now: float, limit: float, latency: float, *, binding: bool) -> float:
        """Start or continue a trial of more calls than seem useful; return the limit."""
        trial = self._trial
        if trial is None:
            steady = self._previous_latency / _AS_FAST < latency < self._previous_latency * _AS_FAST
            self._previous_latency = latency
            is_delayed = binding and limit >= int(self.bound) and latency > _LOADED * self.latency
            self._trial_due = self._trial_due - 1 if is_delayed and steady else self._trial_wait
            if self._trial_due <= 0:
                self._trial = _Trial(limit, latency, _TRIAL * limit)
            return limit
        trial.rounds += 1
        if trial.loaded:
            self._trial = None
            if latency < _AS_FAST * trial.latency:
                self._learn(latency)
                self._cut, self._trial_wait = None, _FIRST_WAIT
            else:
                self._trial_wait = min(_LONGEST_WAIT, 2 * self._trial_wait)
                limit = self.bound = trial.limit
            self._trial_due = self._trial_wait
        elif limit >= int(trial.target) and binding:
            trial.loaded, self._round_began = True, now + latency
        elif trial.rounds > _FILLED_WITHIN:
            self._trial = None
        return limit

    def _lower(self, now: float, limit: float, latency: float, delivered: float, *, binding: bool) -> float:
        """Lower a limit that is above the useful calls, or take such a cut back; return the limit."""
        cut, useful = self._cut, self._useful
        if cut is not None and limit <= _FELL * cut.limit:
            self._cut = None
            if (
                binding and delivered < math.sqrt(limit / cut.limit) * cut.delivered
            ):  # midway to what useful calls would explain
                self._median = max(self._median, latency / self._skew)
                self.latency = self._skew * self._median
                return cut.limit
        if limit > _ABOVE * useful and latency > _LOADED * self.latency:
            if self._cut is None:
                self._cut = _Cut(limit, delivered)
            self._round_began = now + latency  # the effect of the cut shows when the calls from before it have ended
            return max(useful, limit * (_LOWER_BURIED if latency > _BURIED * self.latency else _LOWER))
        return limit


def _rise(values: list[float]) -> float:
    """Return the rank correlation (Spearman's) of values with their positions: 1 if each is more than the one before, about 0 by chance."""
    middle, ordered = (len(values) - 1) / 2, sorted(values)
    ranks = [(bisect_left(ordered, value) + bisect_right(ordered, value) - 1) / 2 - middle for value in values]
    positions = [position - middle for position in range(len(values))]
    variance = sum(rank * rank for rank in ranks) * sum(position * position for position in positions)
    return sum(map(operator.mul, ranks, positions)) / math.sqrt(variance) if variance else 0.0
