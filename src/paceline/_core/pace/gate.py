"""When may anything start at all, after a provider refused everything?

Rules owned here:

1. A lane closes when nearly all calls of late were refused. Nothing starts before the gate; there is one probe at each gate.
2. The wait is a part of the time closed so far, so it grows geometrically; at least a round trip, and never more than a
   number of calls would have taken: a probe costs one refusal, a wait what was not called meanwhile.
3. What the provider asks for counts, but for no longer than trust allows: a minute at first, then twice as long each time.
   A wait that proved too short is only a minimum.
4. If it asked for nothing, one probe may start with the first completion: a cap shows there.
"""

from __future__ import annotations

import math

import attrs

_PART = 0.6  # of the time closed
_CALLS = 50.0  # that a wait may cost
_FIRST_TRUST = 75.0  # seconds: a window of a minute, and some
_FALSE = 1.5  # times what was asked for: it was not the truth


@attrs.define(eq=False)
class Gate:
    """Open or closed."""

    closed: bool = False
    by_faults: bool = False
    """Whether faults closed it, not refusals."""
    since: float = math.inf
    """When the first call had started that was refused."""
    opens: float = -math.inf
    """When the next probe may start."""
    probe: float | None = None
    """When the probe started; None: none is on its way."""
    _at_completion: bool = False
    _trust: float = _FIRST_TRUST

    def close(self, since: float, *, by_faults: bool, hinted: bool) -> None:
        """Close; `wait` says until when."""
        self.closed, self.by_faults, self.since = True, by_faults, since
        self._at_completion = not hinted and not by_faults
        self._trust = _FIRST_TRUST

    def wait(self, now: float, hint: float | None, *, round_trip: float, gap: float, gaps: float, part: float = _PART) -> None:
        """Set the next gate.

        Args:
            now: seconds.
            hint: seconds that the provider asked for.
            round_trip: seconds a refusal takes.
            gap: seconds between two calls at the known pace.
            gaps: the same, on average since the last opening; it bounds what a wait may cost.
        """
        closed = now - self.since
        least = max(round_trip, gap)
        wait = min(max(least, part * closed), max(least, _CALLS * gaps))
        asked = 0.0
        if hint:
            asked = min(hint, self._trust)
            if hint > self._trust:
                self._trust *= 2
        self.opens = now + (max(wait, asked) if not hint or closed > _FALSE * hint else asked)
        self.probe = None

    def asked(self, now: float, hint: float) -> None:
        """Hear of another hint while closed."""
        if self.probe is None:
            self.opens = max(self.opens, now + min(hint, self._trust))

    def completion(self, now: float) -> None:
        """Hear that a call was answered."""
        if self.closed and self._at_completion and self.probe is None:
            self._at_completion = False
            self.opens = min(self.opens, now)

    def admit_at(self, now: float, age: float) -> float:
        """Return when the next call may start, while closed."""
        if self.probe is None:
            return self.opens
        return max(now, self.probe + age) + 1e-3

    def open(self) -> float:
        """Open; return since when it had been closed."""
        since = self.since
        self.closed, self.since, self.opens, self.probe = False, math.inf, -math.inf, None
        return since
