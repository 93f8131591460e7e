"""When may anything start at all, after a provider refused everything?

Rules owned here:

1. While the gate is shut nothing starts; when it opens, one call does, the probe. An admitted probe ends the closure, a refused
   one sets the next gate. A probe that ended without evidence is followed by another.
2. The wait is a part of the time closed so far, so it grows geometrically; at least a round trip, and never longer than a
   number of calls would have taken: a probe costs one refusal, a wait all that was not called meanwhile.
3. What the provider asks for counts if it asks for no more than TRUST seconds; a wait that proved too short is only a minimum.
   A longer one is not waited for: if it was true, finding out costs a probe now and then; if not, it would cost all the time.
4. Unless it asked for a wait that counts, one probe may start with the first answer that comes in: a cap shows there.
"""

from __future__ import annotations

import math

import attrs

from ..fault import hint

TRUST = 75.0  # seconds: a window of a minute, and some
_PART, _FIRST_PART = 0.6, 1.5  # of the time closed; while little is known
_LONG = 30.0  # seconds
_CALLS = 50.0  # that a wait may cost
_FALSE = 1.5  # times what was asked for: it was not the truth
_LEAST = 0.05  # seconds: whatever answers faster is no provider far away, and need not be asked more often
_TICK = 1e-3  # seconds: after the moment in which a probe counts as admitted


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
    _at_answer: bool = False

    def close(self, since: float, *, by_faults: bool, asked: float | None) -> None:
        """Close; `wait` says until when."""
        self.closed, self.by_faults, self.since = True, by_faults, since
        self._at_answer = not by_faults and not trusted(asked)

    def wait(  # noqa: PLR0913 - what a wait is weighed against
        self, now: float, asked: float | None, *, round_trip: float, gap: float, gaps: float, young: bool
    ) -> None:
        """Set the next gate.

        Args:
            now: seconds.
            asked: seconds that the provider asked for.
            round_trip: seconds a refusal takes.
            gap: seconds between two calls at the known pace.
            gaps: the same, on average since the last opening; it bounds what a wait may cost.
            young: whether little is known yet.
        """
        closed = now - self.since
        least = max(_LEAST, round_trip, gap)
        part = _FIRST_PART if young and closed < _LONG else _PART
        wait = min(max(least, part * closed), max(least, _CALLS * gaps))
        told = trusted(asked)
        self.opens = now + (max(wait, told) if not told or closed > _FALSE * told else told)
        self.probe = None

    def leave_out(self, seconds: float) -> None:
        """Leave out a time in which nobody would have called: it is none of the time closed."""
        self.since += seconds

    def asked(self, now: float, asked: float | None) -> None:
        """Hear of another refusal while closed, and what it asked for."""
        if self.probe is None:
            self.opens = max(self.opens, now + trusted(asked))

    def answer(self, now: float) -> None:
        """Hear that a call was answered."""
        if self.closed and self._at_answer and self.probe is None:
            self._at_answer = False
            self.opens = min(self.opens, now)

    def started(self, now: float) -> None:
        """The probe starts."""
        self.probe = now

    def lost(self, now: float) -> None:
        """The probe ended without evidence."""
        self.probe, self.opens = None, now

    def is_probe(self, started: float) -> bool:
        """Whether a call that `started` then is the probe on its way."""
        return self.probe is not None and started >= self.probe

    def admit_at(self, age: float) -> float:
        """Return when the next call may start, while closed; calls older than `age` count as admitted."""
        return self.opens if self.probe is None else self.probe + age + _TICK

    def open(self) -> None:
        """Open."""
        self.closed, self.since, self.opens, self.probe = False, math.inf, -math.inf, None


def trusted(asked: float | None) -> float:
    """Return the seconds that are waited because a provider asked for them; 0: none."""
    wait = hint(asked)
    return wait if wait is not None and wait <= TRUST else 0.0
