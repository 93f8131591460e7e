"""Overloads: whether a provider that answers "overloaded" (503, 529) limits its callers, fails at random, or is ill.

Many servers refuse calls above a limit with 503: nginx and Envoy by default, HAProxy when its queue is full. Others fail so now and
then, whatever their load, or because they are down.

Rules owned here:

1. An overload is a *refusal* if it came sooner than an answer usually does, while the lane served others: a call was answered since the
   item's previous overload, or one is in flight that had started earlier by as much as the refusal took. Any other overload is illness.
2. Some refusals are errors by chance. Too many of them for that show a limit. The log-likelihood ratio of "three in ten are
   refused" to "one in twenty fails at random" is summed up over the calls in the order of their starts, and is never below zero (a CUSUM
   test: E. S. Page, "Continuous Inspection Schemes", Biometrika 41, 1954).
3. Once a lane has shown a limit, all its fast overloads are refusals, and evidence for the pace. Before, they are no evidence.
"""

from __future__ import annotations

import math

import attrs

# Share of refused calls above a limit: half in the slow start, fewer where the caller itself cannot start more;
# of failures by chance, at most.
_LIMITED, _RANDOM = 0.3, 0.05
_FOR, _AGAINST = math.log(_LIMITED / _RANDOM), math.log((1 - _RANDOM) / (1 - _LIMITED))
_ENOUGH = math.log(
    1e5
)  # one false alarm in 100,000 calls or more where one in twenty fails at random; in ten millions at 3 %
_LATEST = 1 / 16  # weight of the latest answer in the usual time: it follows the load within some answers


@attrs.define(eq=False)
class LaneOverloads:
    """The overloads of one lane, whose calls are numbered as they start; times are seconds of one clock."""

    is_limit: bool = False
    """Whether they are the refusals of a limit."""
    usual: float = math.inf
    """Seconds that an answer takes, a moving average; inf: it is not known."""
    _answered: float = -math.inf  # when the latest answer came
    _started: int = 0  # calls
    _refused: int = 0  # number of the latest call that was refused
    _score: float = 0.0  # log-likelihood ratio

    def record_start(self) -> int:
        """Record the start of a call; return its number, from 1."""
        self._started += 1
        return self._started

    def record_answer(self, started: float, now: float, *, accepted: bool) -> None:
        """Record the answer to a call that had started at `started`; `accepted`: it is of use, and not a rejection, which may be fast."""
        self._answered = now
        if accepted:
            seconds = now - started
            self.usual = seconds if self.usual == math.inf else self.usual + _LATEST * (seconds - self.usual)

    def record_overload(self, order: int, started: float, now: float, *, before: float | None, oldest: float) -> bool:
        """Record the overload of call number `order`; return whether it was a refusal.

        Args:
            order: The number of the call.
            started: When it had started.
            now: Current time.
            before: When the item's previous overload was; None: it had none.
            oldest: When the oldest of the calls had started that were in flight until now.
        """
        if now - started >= self.usual:
            return False
        if not self.is_limit:
            if not self._serves_others(started, now, before, oldest):
                return False
            self._weigh(order)
        return True

    def _serves_others(self, started: float, now: float, before: float | None, oldest: float) -> bool:
        if self._answered > (started if before is None else before):
            return True
        return oldest < started - (now - started)  # a refusal would have come by then

    def _weigh(self, order: int) -> None:
        """Weigh the refusal of call number `order`."""
        admitted = order - self._refused - 1  # as far as is known: of those in flight some may be refused yet
        if admitted >= 0:
            self._score = max(0.0, self._score - admitted * _AGAINST) + _FOR
            self._refused = order
        else:
            self._score += _FOR + _AGAINST  # it had counted as admitted
        self.is_limit = self._score >= _ENOUGH
