"""Denials: the strategies whose provider does not know the caller (401), and when the next single call of each is made.

Rules owned here:

1. After a denial no call of that strategy is made for a while. A call that was made before, and is denied too, changes nothing.
2. Then calls are made again. A further denial closes the strategy for twice as long; an answer of it ends this.
3. A denial concerns one instance: another one has another key, or is asked for by another user.
"""

from __future__ import annotations

import attrs

from .fault import Fault, pending_fault

_FIRST, _LAST = 5.0, 300.0  # seconds; doubled each time
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

    def record(self, strategy: object, fault: Fault, now: float) -> None:
        """Record that a call of a strategy was denied."""
        known = self._by_id.get(id(strategy))
        if known is not None and now < known.until:
            return
        seconds = _FIRST if known is None else min(2 * known.seconds, _LAST)
        self._by_id.pop(id(strategy), None)
        if len(self._by_id) >= _MOST:
            del self._by_id[next(iter(self._by_id))]
        self._by_id[id(strategy)] = _Denial(strategy, fault, now + seconds, seconds)

    def record_answer(self, strategy: object) -> None:
        """Record that a call of a strategy was answered."""
        if self._by_id:
            self._by_id.pop(id(strategy), None)

    def reason(self, strategy: object, now: float) -> Fault | None:
        """Return the fault of a call of a strategy that is not made; None: it is made."""
        denial = self._by_id.get(id(strategy)) if self._by_id else None
        if denial is None or now >= denial.until:
            return None
        return pending_fault(
            f"not called for {denial.until - now:.0f} s, because the last call was denied: {denial.fault}"
        )
