"""History: the latest changes of a pace with their reasons, and which of them were not read yet.

Rules owned here:

1. Steps of one climb, of the same handle for the same reason one after the other, are one entry.
2. A reader gets each change once, in the order of time. An entry that was replaced, as by a climb that continues, is a new change.
3. Only the latest changes are kept. A reader does not get those that were dropped before it read them.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence

from .signals import PaceChange

WORKERS, CALLS, TOKENS, GATE = "workers", "calls a second", "tokens a second", "gate"
"""The handles: values of `PaceChange.handle`, which journals store."""
BUSY = "all workers are busy, and no call is refused"
DELAYED = "the pace delays calls, and none is refused"
CLIMBS = frozenset({BUSY, DELAYED})
"""The reasons of changes that come in many small steps; any other change is a decision."""

_LENGTH = 200  # entries
_STEP = 1.05  # factor: smaller climbs are not recorded


class History:
    """The latest changes, the oldest first."""

    def __init__(self) -> None:
        self.changes: deque[PaceChange] = deque(maxlen=_LENGTH)
        self.recorded: dict[str, float] = {}
        """Value of each handle when it was last recorded."""

    def start(self, handle: str, value: float) -> None:
        """Set the value with which a handle starts."""
        self.recorded[handle] = value

    def add(self, now: float, handle: str, new: float, reason: str) -> None:
        """Record a handle's new value, if it has changed."""
        old = self.recorded.get(handle, new)
        self.recorded[handle] = new
        if new != old:
            self.changes.append(PaceChange(now, old, new, reason, handle))

    def climb(self, now: float, handle: str, new: float, reason: str) -> None:
        """Record a change that comes in many small steps, once it has become a large one."""
        old = self.recorded.get(handle, new)
        if old == new or (old < math.inf and old / _STEP < new < old * _STEP):
            return
        self.recorded[handle] = new
        changes = self.changes
        if changes and changes[-1].handle == handle and changes[-1].reason == reason:
            old = changes.pop().old
        changes.append(PaceChange(now, old, new, reason, handle))


class UnreadChanges:
    """One reader's position in a controller's history. Polling an unchanged history costs one comparison."""

    def __init__(self) -> None:
        self._read: Sequence[PaceChange] = ()  # those of the latest time that was read, the latest first

    def read(self, history: Sequence[PaceChange]) -> Sequence[PaceChange]:
        """Return the changes that earlier calls did not return, the oldest first; `history` is in the order of time."""
        if not history or (self._read and history[-1] is self._read[0]):
            return ()
        since = self._read[0].time if self._read else -math.inf
        unread = [change for change in _down_to(since, history) if change not in self._read]
        self._read = list(_down_to(history[-1].time, history))
        return unread[::-1]


def _down_to(time: float, history: Sequence[PaceChange]) -> Iterator[PaceChange]:
    """Yield the changes of this time and later, the latest first."""
    for change in reversed(history):
        if change.time < time:
            return
        yield change
