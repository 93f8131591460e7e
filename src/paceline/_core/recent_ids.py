"""Recent ids: which ids came lately, in bounded memory, so that a stream may be endless.

Only hashes are kept, in two sets: once the newer one is full it becomes the older one, and what was in that is forgotten.
"""

from __future__ import annotations

REMEMBERED = 65_536
"""Ids that are remembered at least; at most twice as many, which takes 12 MB."""


class RecentIds:
    """The latest ids of a batch.

    Args:
        remembered: The number of ids that are remembered at least; at most, they are twice as many.
    """

    __slots__ = ("_newer", "_older", "_remembered")

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._newer: set[int] = set()
        self._older: set[int] = set()

    def add(self, item_id: str) -> bool:
        """Remember an id; return whether it is new, as far as is remembered."""
        key = hash(item_id)
        if key in self._newer or key in self._older:
            return False
        if len(self._newer) >= self._remembered:
            self._older, self._newer = self._newer, set()
        self._newer.add(key)
        return True
