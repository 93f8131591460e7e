"""What did the controller do, and why? The latest changes, explained.

Steps of one climb are one entry: the same handle, the same reason, one after the other.
"""

from __future__ import annotations

import math
from collections import deque

from .signals import PaceChange

WORKERS, CALLS, TOKENS, GATE = "workers", "calls a second", "tokens a second", "gate"

_LENGTH = 200  # entries
_STEP = 1.05  # times: smaller climbs are not told


class History:
    """Bounded."""

    def __init__(self) -> None:
        self.changes: deque[PaceChange] = deque(maxlen=_LENGTH)
        self.told: dict[str, float] = {}
        """Where each handle was when it was last told."""

    def start(self, handle: str, value: float) -> None:
        """Set where a handle begins."""
        self.told[handle] = value

    def add(self, now: float, handle: str, new: float, reason: str) -> None:
        """Tell a change."""
        old = self.told.get(handle, new)
        self.told[handle] = new
        if new != old:
            self.changes.append(PaceChange(now, old, new, reason, handle))

    def climb(self, now: float, handle: str, new: float, reason: str) -> None:
        """Tell a change that comes in many small steps, if it has become a large one."""
        told = self.told.get(handle, new)
        if told == new or (told < math.inf and told / _STEP < new < told * _STEP):
            return
        self.told[handle] = new
        changes = self.changes
        if changes and changes[-1].handle == handle and changes[-1].reason == reason:
            told = changes.pop().old
        changes.append(PaceChange(now, told, new, reason, handle))
