"""Has the provider closed, or is it only slow? Has it fallen ill?

Rules owned here:

1. Some refusals in a row that make up most of the calls between the first and the last of them: it has closed. While few calls
   were ever admitted, one is enough: nothing is known that would speak against it.
2. Some fast faults in a row: the same.
3. Faults among more than a fifth of the latest calls that ended: it is ill, and is to be spared. Only calls that started after
   the last such measure count, so that one illness is answered once.

When may anything start at all, after a provider refused everything?

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
from collections import deque

import attrs

from ..fault import positive_number

_REFUSALS, _SHARE = 3, 0.6
_FEW = 20  # calls ever admitted
_FAULTS = 5
_LATEST, _ENOUGH, _ILL = 50, 20, 0.2


@attrs.define(eq=False)
class Streaks:
    """Refusals and faults in a row."""

    refused_since: float = math.inf
    """When the first refused call of the row had started."""
    failed_since: float = math.inf
    """The same of the faults."""
    _refusals: int = 0
    _first: int = 0
    _last: int = 0
    _faults: int = 0
    _latest: deque[bool] = attrs.field(factory=lambda: deque(maxlen=_LATEST))
    _ill: int = 0
    _spared_at: float = -math.inf

    def admitted(self, started: float) -> None:
        """Hear of an admission: a row of refusals ends."""
        if self._refusals and started >= self.refused_since:
            self._refusals = 0

    def refused(self, order: int, started: float) -> None:
        """Hear of a refusal."""
        if not self._refusals:
            self._first = self._last = order
            self.refused_since = started
        self._refusals += 1
        self._first, self._last = min(self._first, order), max(self._last, order)
        self.refused_since = min(self.refused_since, started)

    def has_closed(self, ever_admitted: int) -> bool:
        """Whether the refusals say that nothing is served."""
        enough = _REFUSALS if ever_admitted >= _FEW else 1
        return self._refusals >= enough and self._refusals >= _SHARE * (self._last - self._first + 1)

    def served(self, started: float) -> None:
        """Hear of an answer: a row of faults ends."""
        if self._faults and started >= self.failed_since:
            self._faults = 0
        self._note(failed=False)

    def failed(self, started: float, *, counts: bool) -> None:
        """Hear of a fault; it `counts` for the illness unless the provider has closed."""
        if not self._faults:
            self.failed_since = started
        self._faults += 1
        if counts and started >= self._spared_at:
            self._note(failed=True)

    def has_failed(self) -> bool:
        """Whether the faults say that nothing is served."""
        return self._faults >= _FAULTS

    def is_ill(self, started: float) -> bool:
        """Whether many of the latest calls failed; asked at an answer to a call that `started` then."""
        return bool(self._ill) and self._ill > _ILL * max(_ENOUGH, len(self._latest)) and started > self._spared_at

    def spare(self, now: float) -> None:
        """Start anew: it has been answered."""
        self._latest.clear()
        self._ill, self._spared_at = 0, now

    def restart(self) -> None:
        """The provider has opened."""
        self._refusals = self._faults = 0

    def _note(self, *, failed: bool) -> None:
        latest = self._latest
        if len(latest) == _LATEST:
            self._ill -= latest[0]
        latest.append(failed)
        self._ill += failed


TRUST = 75.0  # seconds: a window of a minute, and some
_PART, _FIRST_PART = 0.6, 1.5  # of the time closed; while little is known
_LONG = 30.0  # seconds
_CALLS = 50.0  # that a wait may cost
_FALSE = 1.5  # times what was asked for: it was not the truth
_LEAST = 0.05  # seconds: whatever answers faster is no provider far away, and need not be asked more often
_TICK = 1e-3  # seconds: after the moment in which a probe counts as admitted


@attrs.define(eq=False)
class Breaker:
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
    wait = positive_number(asked)
    return wait if wait is not None and wait <= TRUST else 0.0
