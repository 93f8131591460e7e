"""Ready lanes: the choice of the lane that starts the next call.

Rules owned here:

1. Among the lanes that may start a call, the least loaded goes first; the load is the used share of the lane's own limit. So lanes
   share the common ceiling in proportion to what their providers allow, and a lane that must wait never delays another.
2. A lane is looked at again only when it has changed, or its time has come: two thousand lanes cost no more than one.
"""

from __future__ import annotations

import math
from typing import Generic, Protocol, TypeVar

from .heap import Heap


class LaneView(Protocol):
    """What the choice needs to know of a lane. Lanes are compared by identity."""

    @property
    def load(self) -> float:
        """Calls in flight divided by the limit: 0 is idle, 1 is full."""
        ...

    def ready_at(self, now: float) -> float:
        """Return when its next call may start: `now` or earlier, a later time, or infinity if an event must come first."""
        ...


L = TypeVar("L", bound=LaneView)


class ReadyLanes(Generic[L]):
    """The lanes that may start a call, the least loaded first, and those whose time comes later.

    A lane must be added whenever its load has changed, or something has happened after which its next call may start earlier. That it may
    only start later is noticed when its turn comes.
    """

    def __init__(self) -> None:
        self._changed: dict[L, None] = {}
        self._ready: Heap[L] = Heap()
        """By load."""
        self._later: Heap[L] = Heap()
        """By the time at which they are ready."""

    def add(self, lane: L) -> None:
        """Look at a lane again."""
        self._changed[lane] = None

    def discard(self, lane: L) -> None:
        """Forget a lane."""
        self._changed.pop(lane, None)
        self._ready.discard(lane)
        self._later.discard(lane)

    def next(self, now: float) -> L | None:
        """Return the least loaded lane that may start a call now; None: no lane may before `next_time`.

        A lane that starts a call, or refuses to, has changed.
        """
        while self._later.is_due(now):
            self._changed[self._later.pop()] = None
        sorted_now: dict[L, None] = {}
        while True:
            if self._changed:
                if len(self._changed) == 1 and not self._ready.rows:
                    (lane,) = self._changed
                    at = lane.ready_at(now)
                    if at <= now:
                        return lane
                    self._changed.clear()
                    self._wait(lane, at)
                    return None
                sorted_now = self._sort(now)
            if not self._ready.rows:
                return None
            lane = self._ready.first
            if lane in sorted_now or lane.ready_at(now) <= now:
                return lane
            self._changed[lane] = None

    def _sort(self, now: float) -> dict[L, None]:
        """Put each changed lane where it belongs now, and return them."""
        changed, self._changed = self._changed, {}
        for lane in changed:
            self._ready.discard(lane)
            at = lane.ready_at(now)
            if at <= now:
                self._later.discard(lane)
                self._ready.push(lane.load, lane)
            else:
                self._wait(lane, at)
        return changed

    def has_others(self, now: float) -> bool:
        """Whether a lane beside the one that started a call last may start one now."""
        return len(self._ready) > len(self._changed) or len(self._changed) > 1 or self._later.is_due(now)

    def _wait(self, lane: L, at: float) -> None:
        """Look at a lane again at `at`; infinity: once it has changed."""
        self._later.discard(lane)
        if at < math.inf:
            self._later.push(at, lane)

    @property
    def next_time(self) -> float:
        """When the next lane may start a call, or earlier, once `next` has found none for now; infinity: after an event."""
        return self._later.key
