"""Lanes: the backlog of one lane, and the choice of the lane that starts the next call.

Rules owned here:

1. In a lane, a job that was called before goes first: started work is finished first.
2. Otherwise jobs go in the order of arrival; a job that must wait arrives when its not-before time does.
3. A job is never handed out before its not-before time.
4. Among the lanes that may start a call, the least loaded goes first; the load is the used share of the lane's own limit. So lanes
   share the common ceiling in proportion to what their providers allow, and a lane that must wait never delays another.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import count
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")


class Backlog(Generic[T]):
    """The waiting jobs of one lane. Owned by one task tree; no method awaits."""

    __slots__ = ("_delayed", "_new", "_order", "_returned")

    def __init__(self) -> None:
        self._new: deque[T] = deque()
        self._returned: deque[T] = deque()
        self._delayed: list[tuple[float, int, T]] = []
        self._order = count()

    def __len__(self) -> int:
        return len(self._new) + len(self._returned) + len(self._delayed)

    def __iter__(self) -> Iterator[T]:
        yield from self._returned
        yield from self._new
        for _, _, job in self._delayed:
            yield job

    def add(self, job: T) -> None:
        """Add a job that was never called."""
        self._new.append(job)

    def put_back(self, job: T, not_before: float, now: float) -> None:
        """Put back a job that was called, to be handed out at `not_before` or later; times are in seconds of one clock."""
        self._promote(now)  # jobs whose time has come arrived before this one
        if not_before <= now:
            self._returned.append(job)
        else:
            heapq.heappush(self._delayed, (not_before, next(self._order), job))

    def ready_at(self, now: float) -> float:
        """Return when the next job may start: `now`, a later time, or infinity for an empty backlog."""
        if self._returned or self._new:
            return now
        return max(now, self._delayed[0][0]) if self._delayed else math.inf

    def peek(self, now: float) -> T | None:
        """Return the next job that may start now, without removing it; None if no job may."""
        if self._delayed:
            self._promote(now)
        if self._returned:
            return self._returned[0]
        return self._new[0] if self._new else None

    def take(self, now: float) -> T | None:
        """Remove and return the next job that may start now; None if no job may."""
        self._promote(now)
        if self._returned:
            return self._returned.popleft()
        return self._new.popleft() if self._new else None

    def clear(self) -> list[T]:
        """Remove and return all jobs, also those that must wait."""
        jobs = list(self)
        self._new.clear()
        self._returned.clear()
        self._delayed.clear()
        return jobs

    def _promote(self, now: float) -> None:
        while self._delayed and self._delayed[0][0] <= now:
            self._returned.append(heapq.heappop(self._delayed)[2])


class LaneView(Protocol):
    """What the choice needs to know of a lane."""

    @property
    def load(self) -> float:
        """Calls in flight divided by the limit: 0 is idle, 1 is full."""
        ...

    def ready_at(self, now: float) -> float:
        """Return when its next call may start: `now` or earlier, a later time, or infinity if an event must come first."""
        ...


L = TypeVar("L", bound=LaneView)


def next_lane(lanes: Iterable[L], now: float) -> tuple[L | None, float]:
    """Return the lane to start a call in, and `now`; or None, and when to ask again (infinity: after the next event)."""
    chosen: L | None = None
    earliest = math.inf
    for lane in lanes:
        at = lane.ready_at(now)
        if at > now:
            earliest = min(earliest, at)
        elif chosen is None or lane.load < chosen.load:
            chosen = lane
    return (chosen, now) if chosen is not None else (None, earliest)
