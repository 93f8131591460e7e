"""Denials: the strategies whose provider does not know the caller (401), and when the next single call of each is made.

Rules owned here:

1. After a denial no call of that strategy is made for a while. A call that was made before, and is denied too, changes nothing.
2. Then calls are made again. A further denial closes the strategy for twice as long; an answer of it, or `clear`, ends this.
3. A denial concerns one instance: another one has another key, or is asked for by another user.
"""

from __future__ import annotations

import math

import attrs

from ..fault import Fault, FaultKind

_FIRST, _LAST = 5.0, 60.0  # seconds; doubled each time: a key that is valid again serves within a minute
_MOST = 1_000  # strategies that are remembered, the latest: each may hold a client


@attrs.frozen(eq=False)
class _Denial:
    strategy: object
    """Kept, so that no other object gets its identity."""
    fault: Fault
    until: float
    seconds: float


class Denials:
    """The strategies that were denied, by identity. Times are seconds of one clock."""

    def __init__(self) -> None:
        self._by_id: dict[int, _Denial] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def record(self, strategy: object, fault: Fault, now: float) -> bool:
        """Record that a call of a strategy was denied; return whether it is the first since one was answered."""
        known = self._by_id.get(id(strategy))
        if known is not None and now < known.until:
            return False
        seconds = _FIRST if known is None else min(2 * known.seconds, _LAST)
        self._by_id.pop(id(strategy), None)
        if len(self._by_id) >= _MOST:
            del self._by_id[next(iter(self._by_id))]
        self._by_id[id(strategy)] = _Denial(strategy, fault, now + seconds, seconds)
        return known is None

    def record_answer(self, strategy: object) -> bool:
        """Record that a call of a strategy was answered; return whether the last one before was denied."""
        return bool(self._by_id) and self._by_id.pop(id(strategy), None) is not None

    def clear(self) -> None:
        """Let calls of every strategy be made again at once."""
        for key, denial in self._by_id.items():  # still known as denied until a call is answered
            self._by_id[key] = attrs.evolve(denial, until=-math.inf, seconds=_FIRST / 2)

    def reason(self, strategy: object, now: float) -> Fault | None:
        """Return the fault of a call of a strategy that is not made, with the seconds until one is; None: it is made."""
        denial = self._by_id.get(id(strategy)) if self._by_id else None
        if denial is None or now >= denial.until:
            return None
        message = f"not called, because the last call was denied: {denial.fault.message.rstrip('.')}"
        return Fault(FaultKind.PENDING, message, denial.until - now)
