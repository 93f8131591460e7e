"""Shedding: whether refusals depend on the pace at all.

A gateway that sheds load refuses a share of all calls by chance. A slower pace ends none of these refusals, so they are no reason for one.
Under a limit, also one that others share, refusals come when it is exhausted, and then it refuses nearly all that is added.

Rules owned here:

1. Refusals that come early in a growth cycle, before growth could have caused them, are suspected once there were more of them than of others.
   From then on each refusal that lowers the rate is followed by a burst: a few calls at once. An exhausted limit refuses most of them,
   shedding only its share. A sequential probability ratio test (Wald, 1945) decides between the two. After a verdict for a limit
   the next suspicion takes twice as many refusals.
2. Where calls are shed, refusals are not charged as long as chance explains them. A cumulative sum (Page, 1954) shows when there are too
   many: then there is a limit besides or instead. That refusal is charged, and the belief ends.
"""

from __future__ import annotations

import math

import attrs

BURST = 4  # calls
_MIN_EARLY, _MAX_EARLY = 4, 64  # refusals until they are suspected
_EXHAUSTED = 0.6  # share of a burst that an exhausted limit refuses, at least
_SHED, _LIMITED = 9.0, -3.0  # log-likelihood ratio of shedding to a limit: one mistake in e^9, and in e^3, bursts
_MAX_SHARE = 0.25  # a provider that refuses more should be called less, whatever the cause
_KEEP = 0.98  # of the sums that the share is measured by, at the next refusal: they cover some 50
_TIMES, _MORE = 2.0, 0.05  # times the share, and beside it: refusals that are too many
_TOO_MANY = 6.0  # log-likelihood ratio of these to the share


@attrs.define(eq=False)
class Shedding:
    """The share of calls that is refused by chance, and the tests for it."""

    share: float = 0.0
    """Share of the calls that are refused by chance, as far as is believed; 0: refusals depend on the pace."""
    _calls: float = 0.0  # calls that followed an admitted one, and the refused ones of these; sums that forget
    _refused: float = 0.0
    _was_refused: bool = False
    _excess: float = 0.0  # cumulative sum
    _early: int = 0  # early refusals, less the others
    _enough: int = _MIN_EARLY
    _suspected: float = 0.0  # the share that is tested; 0: no test is in progress
    _score: float = 0.0
    _burst_until: float = -math.inf

    @property
    def measured(self) -> float:
        """Share of the calls that were refused lately."""
        return (self._refused + 1.0) / (self._calls + 2.0)

    def record_admission(self) -> None:
        """Record that a call was admitted that was no part of a burst."""
        if not self._was_refused:
            self._calls += 1.0
        self._was_refused = False
        if self.share:
            self._weigh_excess(refused=False)

    def record_refusal(self) -> bool:
        """Record that a call was refused that was no part of a burst; return whether chance explains it."""
        if not self._was_refused:
            self._calls = _KEEP * self._calls + 1.0
            self._refused = _KEEP * self._refused + 1.0
        self._was_refused = True
        if not self.share:
            return False
        self._weigh_excess(refused=True)
        if self._excess < _TOO_MANY:
            return True
        self.share = 0.0
        return False

    def _weigh_excess(self, *, refused: bool) -> None:
        more = max(_TIMES * self.share, self.share + _MORE)
        self._excess = max(0.0, self._excess + _log_ratio(more, self.share, refused=refused))

    def record_cut(self, started: float, until: float, *, early: bool) -> bool:
        """Record that a refusal lowers the rate; return whether it is to be followed by a burst.

        Args:
            started: When the refused call had started, in seconds.
            until: Until when the calls of a burst would have to start.
            early: Whether growth cannot have caused the refusal.
        """
        self._early = max(0, self._early + (1 if early else -1))
        if not self._suspected and self._early >= self._enough and self.measured <= _MAX_SHARE:
            self._suspected, self._score = self.measured, 0.0
        if not self._suspected or started <= self._burst_until:
            return False
        self._burst_until = until
        return True

    def record_burst(self, *, refused: bool) -> bool:
        """Record whether a call of a burst was refused; return whether that proves that calls are shed."""
        if not self._suspected:
            return False
        self._score += _log_ratio(self._suspected, _EXHAUSTED, refused=refused)
        if _LIMITED < self._score < _SHED:
            return False
        is_proof = self._score >= _SHED
        if is_proof:
            self.share, self._excess, self._enough = self.measured, 0.0, _MIN_EARLY
        else:
            self._enough = min(_MAX_EARLY, 2 * self._enough)
        self._suspected, self._early = 0.0, 0
        return is_proof


def _log_ratio(one: float, other: float, *, refused: bool) -> float:
    """Return the log-likelihood ratio of two shares of refused calls, given that a call was refused or admitted."""
    return math.log(one / other) if refused else math.log((1.0 - one) / (1.0 - other))
