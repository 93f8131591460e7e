"""When may the next call start, if calls are to start at an even pace?

A bucket that is filled at the rate and emptied by each call. It is shallow, a call and a few milliseconds deep: a deep one
would let a burst through that a strict provider refuses. A call waits until its whole cost is there.

One thing that a provider may count, requests or tokens: the rate of it, and the even spacing of calls at that rate.

While the rate is unknown the pace doubles with what is being admitted, from a few calls a second; it halves while a refusal
waits for its judgement, or the whole flood of that time would be refused. A claim (what the provider says
of its limits, or what was learned of them long ago) can make the start quicker or hold it back; but it is no measure, so it
doubles every so often until a limit is met, and a false one does no harm for long.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ..quota import QuotaLimit
from .admissions import Call
from .rate import AIM, LEAST, Rate

LONGEST = 600.0  # seconds: no call waits longer for its turn, whatever it costs
_DEBT = 60.0  # seconds of the rate: what calls may have cost more than was expected, and the next ones wait for
_SLACK = 0.005  # seconds of the rate: what timers and event loops are late by


class Spacing:
    """The bucket."""

    def __init__(self) -> None:
        self._level = 0.0
        self._time = 0.0

    def restart(self, now: float, level: float = 0.0) -> None:
        """Hold just this much from now on."""
        self._time, self._level = now, level

    def fill(self, now: float, rate: float, largest: float) -> float:
        """Fill the bucket, deep enough for a cost of `largest`; return the seconds for which it overflowed."""
        depth = largest + _SLACK * rate
        level = self._level
        if level < 0:
            level = max(level, -_DEBT * rate)
        if LONGEST * rate < largest:
            level = max(level, largest - LONGEST * rate)
        level += (now - self._time) * rate
        self._time = now
        if level <= depth:
            self._level = level
            return 0.0
        overflow = level - max(depth, self._level)
        self._level = depth
        return max(0.0, overflow) / rate

    def wait(self, rate: float, cost: float) -> float:
        """Return the seconds until a call of this cost may start; 0: now."""
        missing = cost - self._level
        return missing / rate if missing > 1e-9 * cost else 0.0

    def spend(self, cost: float) -> None:
        """Take a started call's cost."""
        self._level = self._level - cost if self._level > 0 else -cost

    def correct(self, excess: float) -> None:
        """Take what a call cost more than was expected, or give back what it cost less."""
        self._level -= excess


START = 5.0  # calls a second, at the very first
_SLOW_START, _IN_DOUBT = 2.0, 0.5  # times what is being admitted; while a refusal is not yet judged
_CLAIM_DOUBLES = 15.0  # seconds
_LONGEST_DOUBLING = 8.0  # seconds, after a closure
_TRIES = 8.0  # doublings in a time as long as the closure was, at least
_ESTIMATED_LEAST = 5.0  # units used: fewer tell no rate, as the remaining ones are rounded
_PLAUSIBLE = 1000.0  # calls of the usual size: no single call costs more than that beyond what was expected of it
_DAY = 86_400.0


class Pacer:
    """One pace."""

    def __init__(self, cost: Callable[[Call], float], recent: Callable[[], float]) -> None:
        self.rate = Rate()
        self.spacing = Spacing()
        self.cost = cost
        self.recent = recent
        self.start = START
        self._claim = math.inf
        self._claimed_at = -math.inf
        self._doubles = _CLAIM_DOUBLES
        self._doubts_until = -math.inf

    @property
    def known(self) -> bool:
        """Whether a limit is known."""
        return self.rate.value < math.inf

    @property
    def holds(self) -> bool:
        """Whether there is anything to be held back by, beside the start."""
        return self.rate.value < math.inf or self._claim < math.inf

    @property
    def limit(self) -> float:
        """Units a second that are known, or claimed, to be the limit; inf: none."""
        return self.rate.value if self.known else self._claim

    def pace(self, now: float) -> float:
        """Return the units a second that may start now."""
        if self.known:
            return self.rate.value
        growth = _SLOW_START if now >= self._doubts_until else _IN_DOUBT
        slow = max(self.start * self.rate.mean, growth * self.recent())
        if self._claim == math.inf:
            return slow
        return min(slow, self._claim * math.pow(2.0, min(60.0, (now - self._claimed_at) / self._doubles)))

    def wait(self, now: float, cost: float) -> float:
        """Return the seconds until a call of this cost may start; 0: now."""
        rate, spacing = self.rate, self.spacing
        if (pace := rate.value) < math.inf:
            if unused := spacing.fill(now, pace, max(cost, rate.mean)):
                rate.pause(unused)
            return spacing.wait(pace, cost)
        pace = self.pace(now)
        spacing.fill(now, pace, max(cost, rate.mean))
        wait = spacing.wait(pace, cost)
        return wait if self._claim == math.inf else min(wait, self._doubles)  # and ask again: it has doubled by then

    def correct(self, excess: float) -> None:
        """Take what a call cost more than was expected, or give back what it cost less."""
        excess = min(excess, _PLAUSIBLE * self.rate.mean)
        self.spacing.correct(excess)
        self.rate.admitted += excess

    def doubt(self, until: float) -> None:
        """Hear that a call was refused, which will be judged at `until`: do not double into a limit meanwhile."""
        self._doubts_until = max(self._doubts_until, until)

    def claim(self, now: float, limit: QuotaLimit) -> None:
        """Hear what the provider says of its limit."""
        rate = _rate_of(limit)
        if rate is not None and rate > 0 and self.rate.value == math.inf and self._claim == math.inf:
            self._claim, self._claimed_at, self._doubles = max(AIM * rate, LEAST * self.rate.mean), now, _CLAIM_DOUBLES

    def recall(self, now: float, rate: float) -> None:
        """Begin at a rate that was learned long ago."""
        rate = max(rate, LEAST * self.rate.mean)
        self._claim, self._claimed_at, self._doubles = AIM * rate, now, _CLAIM_DOUBLES
        self.start = max(self.start, self._claim / self.rate.mean)

    def begin_again(self, now: float, closed: float) -> None:
        """Begin anew, after a closure of so many seconds that tells nothing of the limit.

        It may have been an outage, or a limit of one call in such a time: the pace starts there, and doubles every so often.
        """
        self.rate.refund(math.inf)
        self._claim, self._claimed_at = self.rate.mean * max(LEAST, 1.0 / closed), now
        self._doubles = min(_LONGEST_DOUBLING, max(1.0, closed / _TRIES))

    def forget_claim(self) -> None:
        """The limit was met: from here on it is measured."""
        self._claim = math.inf


def _rate_of(limit: QuotaLimit) -> float | None:
    """Return the units a second of a limit, if it says enough; None also for a day's, which nobody spreads over the day."""
    if limit.limit is None or limit.limit <= 0:
        return None
    if limit.period is not None:
        return limit.limit / limit.period if 0 < limit.period < _DAY else None
    if limit.remaining is None or not limit.reset or limit.reset >= _DAY:
        return None
    used = limit.limit - limit.remaining
    return used / limit.reset if used >= _ESTIMATED_LEAST else None
