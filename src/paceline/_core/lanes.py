"""Which of a lane's waiting jobs is next.

Rules owned here:

1. A job that was called before goes before one that was not: work begun is finished first.
2. Within each of the two, first come, first served; a job that must wait comes when its time does.
3. A job is never given out before its not-before time.

Which lane may start a call next.

The least loaded lane that may start goes first, where the load is the share of its own limit that it uses. So lanes share
a common ceiling in proportion to what their providers allow, and a lane that may not start never holds up another.
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
    """The jobs that wait in one lane. Owned by one task tree; nothing here awaits."""

    __slots__ = ("_again", "_fresh", "_later", "_order")

    def __init__(self) -> None:
        self._fresh: deque[T] = deque()
        self._again: deque[T] = deque()
        self._later: list[tuple[float, int, T]] = []
        self._order = count()

    def __len__(self) -> int:
        return len(self._fresh) + len(self._again) + len(self._later)

    def __iter__(self) -> Iterator[T]:
        yield from self._again
        yield from self._fresh
        for _, _, job in self._later:
            yield job

    def add(self, job: T) -> None:
        """Append a job that was never called."""
        self._fresh.append(job)

    def put_back(self, job: T, not_before: float, now: float) -> None:
        """Take back a job that was called, to be given out again at `not_before` or later."""
        self._promote(now)  # those whose time has come were first
        if not_before <= now:
            self._again.append(job)
        else:
            heapq.heappush(self._later, (not_before, next(self._order), job))

    def ready_at(self, now: float) -> float:
        """Return when the next job may start: `now`, a later time, or inf if none waits."""
        if self._again or self._fresh:
            return now
        return max(now, self._later[0][0]) if self._later else math.inf

    def peek(self, now: float) -> T | None:
        """Return the next job that may start now, and leave it there; None if there is none."""
        if self._later:
            self._promote(now)
        if self._again:
            return self._again[0]
        return self._fresh[0] if self._fresh else None

    def take(self, now: float) -> T | None:
        """Remove and return the next job that may start now; None if there is none."""
        self._promote(now)
        if self._again:
            return self._again.popleft()
        return self._fresh.popleft() if self._fresh else None

    def clear(self) -> list[T]:
        """Remove and return all jobs, whatever their times."""
        jobs = list(self)
        self._fresh.clear()
        self._again.clear()
        self._later.clear()
        return jobs

    def _promote(self, now: float) -> None:
        while self._later and self._later[0][0] <= now:
            self._again.append(heapq.heappop(self._later)[2])


class LaneView(Protocol):
    """What must be known of a lane to choose."""

    @property
    def load(self) -> float:
        """Calls in flight over the limit: 0 idle, 1 full."""
        ...

    def ready_at(self, now: float) -> float:
        """Return when its next call may start: `now` or before, a later time, or inf: not before something happens."""
        ...


L = TypeVar("L", bound=LaneView)


def next_lane(lanes: Iterable[L], now: float) -> tuple[L | None, float]:
    """Return the lane to start a call in, and `now`; or None, and when to look again (inf: when something happens)."""
    chosen: L | None = None
    earliest = math.inf
    for lane in lanes:
        at = lane.ready_at(now)
        if at > now:
            earliest = min(earliest, at)
        elif chosen is None or lane.load < chosen.load:
            chosen = lane
    return (chosen, now) if chosen is not None else (None, earliest)
