"""Overloads: whether a provider that answers "overloaded" (503, 529) limits its callers, fails at random, or is ill.

Many servers refuse calls above a limit with 503: nginx and Envoy by default, HAProxy when its queue is full. Others fail so now and
then, whatever their load, or because they are down.

Rules owned here:

1. An overload is a *refusal* if it came sooner than an answer usually does, while the lane served others: a call was answered since the
   item's previous overload, or one that had started earlier is still in flight. Any other overload is illness.
2. Some refusals are errors by chance. Too many of them for that show a limit. The log-likelihood ratio of "every second call is
   refused" to "one in ten fails at random" is summed up over the ends of calls, and is never below zero (a CUSUM test, E. S. Page, "Continuous
   Inspection Schemes", Biometrika 41, 1954). It is looked at when a call is answered that had started before the latest refusal:
   then the provider was at work in between.
3. Once a lane has shown a limit, its fast overloads are refusals, and evidence for the pace.
"""

from __future__ import annotations

import math

import attrs

_LIMITED, _RANDOM = (
    0.5,
    0.1,
)  # share of refused calls above a limit, as slow start doubles what is admitted; of failures by chance, at most
_FOR, _AGAINST = math.log(_LIMITED / _RANDOM), math.log((1 - _RANDOM) / (1 - _LIMITED))
# As much as five refusals in a row, after which the breaker opens: odds of 3,000, so one false alarm in as many calls where one in ten fails
# at random, and in millions at 3 %.
_ENOUGH = 5 * _FOR
_LATEST = 1 / 16  # weight of the latest answer in the usual time: it follows the load within some answers


@attrs.define(eq=False)
class LaneOverloads:
    """The overloads of one lane. A call is any object that is compared by identity; times are seconds of one clock."""

    is_limit: bool = False
    """Whether they are the refusals of a limit."""
    usual: float = math.inf
    """Seconds that an answer takes, a moving average; inf: there was none."""
    _score: float = 0.0  # log-likelihood ratio
    _refused: float = -math.inf  # when the latest refused call had started
    _answered: float = -math.inf  # when the latest answer came
    _in_flight: dict[object, float] = attrs.field(factory=dict)  # starts of the calls in flight, in their order

    def record_start(self, call: object, now: float) -> None:
        """Record the start of a call."""
        self._in_flight[call] = now

    def record_end(self, call: object) -> None:
        """Record the end of a call."""
        del self._in_flight[call]

    def record_answer(self, started: float, now: float, *, accepted: bool) -> None:
        """Record the answer to a call that had started at `started`; `accepted`: it is of use, and not a rejection, which may be fast."""
        self._answered = now
        if accepted:
            seconds = now - started
            self.usual = seconds if self.usual == math.inf else self.usual + _LATEST * (seconds - self.usual)
        if self._score:
            if self._score >= _ENOUGH and started < self._refused:
                self.is_limit = True
            self._score = max(0.0, self._score - _AGAINST)

    def record_overload(self, started: float, now: float, since: float | None) -> bool:
        """Record an overload of a call that is still counted as in flight; return whether it was a refusal.

        Args:
            started: When the call had started.
            now: Current time.
            since: When the item's previous call ended, if that was an overload, too; else None.
        """
        seconds = now - started
        if seconds > self.usual or not (self.is_limit or self._serves_others(started, seconds, since)):
            return False
        self._score += _FOR
        self._refused = max(self._refused, started)
        return True

    def _serves_others(self, started: float, seconds: float, since: float | None) -> bool:
        if self._answered > (started if since is None else since):
            return True
        return next(iter(self._in_flight.values())) < started - seconds  # a refusal would have come by then
