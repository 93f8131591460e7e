"""When may the next call start, if calls are to start at an even pace?

A bucket that is filled at the rate and emptied by each call. It is shallow, a call and a few milliseconds deep: a deep one
would let a burst through that a strict provider refuses. A call waits until its whole cost is there.
"""

from __future__ import annotations

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
