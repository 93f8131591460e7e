"""Which changes of a pace has nobody been told of yet?

Rules owned here:

1. Each change is told once, in the order of their times.
2. A controller may put one change in the place of its latest, a climb that went on, say: that is a change to be told.
3. A controller remembers only its latest changes. What it has forgotten is not told.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from .pace import PaceChange


class News:
    """What is new in the history of one controller. Looking, where nothing is, costs no more than one comparison."""

    def __init__(self) -> None:
        self._told: list[PaceChange] = []  # the latest: of one time, the very last of them first

    def of(self, history: Sequence[PaceChange]) -> Sequence[PaceChange]:
        """Return the changes that were not among those it returned before, the oldest first; `history` is in order of time."""
        if not history or (self._told and history[-1] == self._told[0]):
            return ()
        since = self._told[0].time if self._told else -math.inf
        new = [change for change in _down_to(since, history) if change not in self._told]
        self._told = list(_down_to(history[-1].time, history))
        return new[::-1]


def _down_to(time: float, history: Sequence[PaceChange]) -> Iterator[PaceChange]:
    """Yield the changes of this time and later, the latest first."""
    for change in reversed(history):
        if change.time < time:
            return
        yield change
