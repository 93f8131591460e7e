"""Has the provider closed, or is it only slow? Has it fallen ill?

Rules owned here:

1. Some refusals in a row that make up most of the calls between the first and the last of them: it has closed. While few calls
   were ever admitted, one is enough: nothing is known that would speak against it.
2. Some fast faults in a row: the same.
3. Faults among more than a fifth of the latest calls that ended: it is ill, and is to be spared. Only calls that started after
   the last such measure count, so that one illness is answered once.
"""

from __future__ import annotations

import math
from collections import deque

import attrs

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
