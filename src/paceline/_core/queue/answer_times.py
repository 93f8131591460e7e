"""Answer times: how long the calls of one lane took lately, which call has too little time left, and which cut-off blames the provider.

Rules owned here:

1. A call that its caller's timeout cut off took longer than that; how much is not known. Such times are censored, so the share of calls that
   take longer is Kaplan and Meier's estimate. Without them, callers with short timeouts would make a provider look fast.
2. Where nothing is answered any more, cut-offs say nothing about the usual time: they count only once a later answer has come.
3. A call may wait for as long as nearly every call ends in the rest of its timeout. Where the timeout is so short that this allows hardly any
   wait, it may wait for a tenth of it, if that costs few of the answers that it would get without a wait.
4. A call is hopeless if less time is left for it than even the fastest of the latest answers took, with a margin. If other calls wait,
   which have more time, it is hopeless if one call in ten takes longer than it has left: it would be paid for and cut off. Before some were
   answered lately it is hopeless only if such others wait.
5. No call is hopeless while more of its time is left than has passed. So a call that need not wait is always made: whoever asks for it knows
   best how long it may take, and a provider that has become faster is noticed.
6. A cut-off blames the provider if hardly any call takes so long.
7. What is older than two minutes is forgotten.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque

import attrs

_KEPT, _LONGEST = 100, 120.0  # latest calls; seconds
_ENOUGH = 8  # answers: of so few, one in nine takes less time than the fastest, and one in twenty or so the margin less
_MARGIN = 0.8  # times the fastest answer
_SLOW, _RISKY = 0.99, 0.9  # shares of the calls that take no longer: what a call may need; what it should have left
PART = 0.9  # of a timeout that a call needs at most: the rest of it may be spent on waiting
_NEARLY = 0.95  # of the answers without a wait
_RARE, _MANY = 0.05, 20  # share of calls that take so long that the provider is to blame; answers that show it


@attrs.define
class _Summary:
    """What the latest calls say."""

    answers: list[float]
    """Seconds of the answers, in order."""
    longer: list[float]
    """For each of them: the share of calls that take longer."""

    def within(self, share: float) -> float:
        """Return the seconds within which this share of the calls ends; at most those of the slowest answer."""
        rest = 1.0 - share
        return next(
            (seconds for seconds, longer in zip(self.answers, self.longer, strict=True) if longer <= rest),
            self.answers[-1],
        )

    def share_longer(self, seconds: float) -> float:
        """Return the share of calls that take at least so long."""
        place = bisect_left(self.answers, seconds)
        return self.longer[place - 1] if place else 1.0


@attrs.define
class AnswerTimes:
    """The seconds that the latest calls of one lane took. Times are seconds of one clock."""

    _latest: deque[tuple[float, float, bool]] = attrs.field(factory=lambda: deque(maxlen=_KEPT))
    """When each was recorded, its seconds, and whether it was cut off."""
    _cut_off: deque[float] = attrs.field(factory=lambda: deque(maxlen=_KEPT))
    """Seconds of the calls that were cut off since the latest answer."""
    _summary: _Summary | None = None

    def record(self, now: float, seconds: float) -> None:
        """Record that a call was answered after this many seconds."""
        if self._cut_off:
            self._latest.extend((now, each, True) for each in self._cut_off)
            self._cut_off.clear()
        self._latest.append((now, seconds, False))
        self._summary = None

    def record_cut_off(self, seconds: float) -> None:
        """Record that a call was cut off by its caller's timeout after this many seconds."""
        self._cut_off.append(seconds)

    def _known(self, now: float) -> _Summary | None:
        """Return what the calls say that are not too old; None: too few were answered."""
        latest = self._latest
        while latest and latest[0][0] < now - _LONGEST:
            latest.popleft()
            self._summary = None
        if self._summary is None:
            self._summary = _summary(latest)
        return self._summary if len(self._summary.answers) >= _ENOUGH else None

    def usual(self, now: float) -> float | None:
        """Return the mean seconds of an answer; None: too few are known."""
        known = self._known(now)
        return None if known is None else sum(known.answers) / len(known.answers)

    def slow(self, now: float, timeout: float) -> float | None:
        """Return the seconds that a call of this timeout may take (rule 3); None: too few are known."""
        known = self._known(now)
        if known is None:
            return None
        without_wait = 1.0 - known.share_longer(timeout)
        return min(known.within(_SLOW), max(PART * timeout, known.within(_NEARLY * without_wait)))

    def needed(self, now: float, *, others: bool) -> float | None:
        """Return the seconds that a call must have left when it starts; None: too few answers are known.

        Args:
            now: Current time.
            others: Whether other calls wait that have more time.
        """
        known = self._known(now)
        if known is None:
            return None
        least = _MARGIN * known.answers[0]
        return max(least, known.within(_RISKY)) if others else least

    def is_hopeless(self, now: float, passed: float, left: float, *, others: bool = False) -> bool:
        """Return whether a call is not worth making in the time that is left for it.

        Args:
            now: Current time.
            passed: Seconds since it was asked for.
            left: Seconds until its timeout.
            others: Whether other calls wait that have more time.
        """
        if left >= passed:
            return False
        needed = self.needed(now, others=others)
        return others if needed is None else left < needed

    def blames_provider(self, now: float, seconds: float) -> bool | None:
        """Return whether a call that was cut off after so many seconds had clearly more time than calls take; None: it is not known."""
        known = self._known(now)
        if known is None or len(known.answers) < _MANY:
            return None
        return known.share_longer(seconds) <= _RARE


def _summary(calls: deque[tuple[float, float, bool]]) -> _Summary:
    answers: list[float] = []
    longer: list[float] = []
    share, left = 1.0, len(calls)
    for seconds, is_cut_off in sorted((seconds, is_cut_off) for _, seconds, is_cut_off in calls):
        if not is_cut_off:
            share *= 1.0 - 1.0 / left
            answers.append(seconds)
            longer.append(share)
        left -= 1
    return _Summary(answers, longer)
