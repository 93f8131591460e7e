"""Ready lanes: the choice of the lane that starts the next call.

Rules owned here:

1. Among the lanes that may start a call, the least loaded goes first; the load is the used share of the lane's own limit. So lanes
   share the common ceiling in proportion to what their providers allow, and a lane that must wait never delays another.
2. A lane is looked at only when its turn comes, and then again only when it has changed, or its time has come. So the work for a call
   grows with the logarithm of the number of lanes.
3. What holds a lane back, such as a customer that takes no more results, usually holds back others too. They are kept together,
   and are not looked at one by one when it releases them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from .heap import Heap


class LaneView(Protocol):
    """What the choice needs to know of a lane. Lanes are compared by identity."""

    @property
    def load(self) -> float:
        """Calls in flight divided by the limit: 0 is idle, 1 is full."""
        ...

    @property
    def has_jobs(self) -> bool:
        """Whether jobs wait here."""
        ...

    @property
    def only_customer(self) -> object | None:
        """The customer of all jobs that wait here; None: there are several, or none."""
        ...

    def ready_at(self, now: float) -> float:
        """Return when its next call may start: `now` or earlier, a later time, or infinity if an event must come first."""
        ...

    def held_by(self, now: float) -> Sequence[object]:
        """Return what holds it back that may hold back other lanes too: once one of these releases it, its next call may start earlier.

        It is not asked where all jobs are one customer's and the next call starts at a known time: that one waits for nothing else.
        """
        ...


L = TypeVar("L", bound=LaneView)


class ReadyLanes(Generic[L]):
    """The lanes that may start a call, the least loaded first, and those whose time comes later.

    A lane must be added whenever its load has changed, or something has happened to it after which its next call may start earlier;
    where what held it back releases it, `release` is enough. That it may only start later is noticed when its turn comes.
    """

    def __init__(self) -> None:
        self._changed: dict[L, None] = {}
        self._ready: Heap[L] = Heap()
        """By load: lanes with jobs that are not known to be held back."""
        self._held: dict[object, Heap[L]] = {}
        """By load: the lanes that each holder holds back, or did before it released them."""
        self._released: set[object] = set()
        """The holders of the latter."""
        self._later: Heap[L] = Heap()
        """By the time at which they are ready."""
        self._set_aside: dict[L, Sequence[object]] = {}
        """The holders of each lane in another heap than `_ready`."""

    def add(self, lane: L) -> None:
        """Look at a lane again."""
        self._changed[lane] = None

    def discard(self, lane: L) -> None:
        """Forget a lane."""
        self._changed.pop(lane, None)
        self._remove(lane)

    def release(self, holder: object) -> None:
        """Look again at the lanes that a holder holds back, when their turns come."""
        if holder in self._held:
            self._released.add(holder)

    def next(self, now: float) -> L | None:
        """Return the least loaded lane that may start a call now; None: no lane may before `next_time`.

        A lane that is returned has changed: it starts a call, or refuses to.
        """
        if self._later.rows:
            while self._later.is_due(now):
                self._changed[self._later.pop()] = None
        changed = self._changed
        if len(changed) == 1 and not (self._ready.rows or self._held):
            (lane,) = changed
            at = lane.ready_at(now)
            if self._set_aside:
                self._remove(lane)
            if at <= now:
                return lane
            if at < math.inf or self._set_aside:
                changed.clear()
                self._wait(lane, at, now)
            return None  # the only lane there is stays among the changed ones: it need not be sorted
        while (heap := self._sorted_heap_of_next()) is not None:
            lane = heap.first
            at = lane.ready_at(now)
            self._remove(lane)
            if at <= now:
                self._changed[lane] = None
                return lane
            self._wait(lane, at, now)
        return None

    def has_others(self, now: float) -> bool:
        """Whether a lane beside the one that was returned last may be ready."""
        return bool(self._ready.rows or self._released) or len(self._changed) > 1 or self._later.is_due(now)

    @property
    def next_time(self) -> float:
        """When the next lane may start a call, or earlier, once `next` has found none for now; infinity: after an event."""
        return self._later.key

    def _sorted_heap_of_next(self) -> Heap[L] | None:
        """Return the heap whose first lane goes first, whatever has changed; None: no lane may be ready.

        An idle lane goes first in any case. So where there are many, those that have changed are sorted once they come back to them, not
        for the start of each call and for its end.
        """
        heap = self._heap_of_next()
        if self._changed and (heap is None or heap.key > 0.0):
            self._sort()
            heap = self._heap_of_next()
        return heap

    def _sort(self) -> None:
        """Let the changed lanes that have jobs take their turns, among those that their only customer holds back if it does."""
        changed, self._changed = self._changed, {}
        ready, held = self._ready, self._held
        for lane in changed:
            load, heap, holder = lane.load, ready, None
            if held:
                holder = lane.only_customer
                heap = held.get(holder, ready)
            if heap.key_of(lane) == load:
                continue
            self._remove(lane)
            if lane.has_jobs:
                heap.push(load, lane)
                if heap is not ready:
                    self._set_aside[lane] = (holder,)

    def _heap_of_next(self) -> Heap[L] | None:
        """Return the heap whose first lane goes first; None: no lane may be ready."""
        first = self._ready if self._ready.rows else None
        if self._released:
            for holder in tuple(self._released):
                heap = self._held[holder]
                if not heap.rows:
                    del self._held[holder]
                    self._released.remove(holder)
                elif first is None or heap.rows[0] < first.rows[0]:
                    first = heap
        return first

    def _wait(self, lane: L, at: float, now: float) -> None:
        """Look at a lane again at `at`, or once it has changed or is released."""
        waits_for_time = at < math.inf and lane.only_customer is not None
        holders = self._set_aside[lane] = () if waits_for_time else lane.held_by(now)
        if at < math.inf:
            self._later.push(at, lane)
        for holder in holders:
            heap = self._held.get(holder)
            if heap is None:
                heap = self._held[holder] = Heap()
            heap.push(lane.load, lane)
            self._released.discard(holder)  # it holds all of its lanes back again

    def _remove(self, lane: L) -> None:
        """Take a lane out of all heaps."""
        if self._ready.discard(lane) or (holders := self._set_aside.pop(lane, None)) is None:
            return
        if self._later.rows:
            self._later.discard(lane)
        for holder in holders:
            if holder in self._held:
                self._held[holder].discard(lane)
