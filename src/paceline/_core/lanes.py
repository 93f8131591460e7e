"""Lanes: the backlog of one lane, and the choice of the lane that starts the next call.

Rules owned here:

1. In a lane, a job that was called before goes first: started work is finished first.
2. Otherwise jobs go in the order of arrival; a job that must wait arrives when its not-before time does.
3. A job is never handed out before its not-before time.
4. While a lane refuses every call, new jobs go from both ends of the backlog in turn: its first jobs may be refused for their own
   sake. If the other end was served, some more jobs go from there.
5. A job that steps back goes after all others, until the lane has served as many calls as it lets pass. Where no other job waits, it
   goes once no call is in flight, or after some seconds. So the probes of a lane that refuses rotate over its jobs, and one that is
   always refused delays none of the others.
6. Among the lanes that may start a call, the least loaded goes first; the load is the used share of the lane's own limit. So lanes
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
_FROM_END = 16  # jobs
_ASIDE = 5.0  # seconds that a job which stepped back waits at most for the calls in flight, as these may take long


class Backlog(Generic[T]):
    """The waiting jobs of one lane. Owned by one task tree; no method awaits."""

    __slots__ = ("_aside", "_delayed", "_from_end", "_new", "_order", "_returned", "_served", "idle")

    def __init__(self) -> None:
        self._new: deque[T] = deque()
        self._returned: deque[T] = deque()
        self._delayed: list[tuple[float, int, int, T]] = []  # not-before time, order, when it steps forward, job
        # when it steps forward, as the number of calls served; order; when it stepped back; job
        self._aside: list[tuple[int, int, float, T]] = []
        self._served = 0
        self._from_end = 0  # new jobs to take from the end
        self._order = count()
        self.idle: bool = True
        """Whether the lane has no call in flight."""

    def __len__(self) -> int:
        return self.in_turn + len(self._aside)

    def __iter__(self) -> Iterator[T]:
        yield from self._returned
        yield from self._new
        for *_, job in self._delayed:
            yield job
        for *_, job in self._aside:
            yield job

    @property
    def in_turn(self) -> int:
        """Number of waiting jobs that have not stepped back."""
        return len(self._new) + len(self._returned) + len(self._delayed)

    def add(self, job: T) -> None:
        """Add a job that was never called."""
        self._new.append(job)

    def put_back(self, job: T, not_before: float, now: float, step_back: int = 0) -> None:
        """Put back a job that was called, to be handed out at `not_before` or later; times are in seconds of one clock.

        Args:
            job: The job.
            not_before: Earliest time at which it may be handed out.
            now: Current time.
            step_back: Calls that the lane serves before the job goes ahead of others again.
        """
        self._promote(now)  # jobs whose time has come arrived before this one
        forward_at = self._served + step_back if step_back else 0
        if not_before <= now:
            self._arrive(forward_at, now, job)
        else:
            heapq.heappush(self._delayed, (not_before, next(self._order), forward_at, job))

    def record_served(self) -> None:
        """Record that the lane has served a call: jobs that stepped back for it step forward."""
        self._served += 1
        while self._aside and self._aside[0][0] <= self._served:
            self._returned.append(heapq.heappop(self._aside)[3])

    def record_closed(self) -> None:
        """Record that the lane has refused a call, as it did all others lately: the next one comes from the other end."""
        self._from_end = 0 if self._from_end else _FROM_END

    def ready_at(self, now: float) -> float:
        """Return when the next job may start: `now`, a later time, or infinity for an empty backlog."""
        if self._returned or self._new:
            return now
        delayed = self._delayed[0][0] if self._delayed else math.inf
        return max(now, min(delayed, self._aside_until))

    @property
    def _aside_until(self) -> float:
        """When the next job that has stepped back may start, if no other job may."""
        if not self._aside:
            return math.inf
        return -math.inf if self.idle else self._aside[0][2] + _ASIDE

    def peek(self, now: float) -> T | None:
        """Return the next job that may start now, without removing it; None if no job may."""
        if self._delayed:
            self._promote(now)
        if self._returned:
            return self._returned[0]
        if self._new:
            return self._new[-1 if self._from_end else 0]
        return self._aside[0][3] if self._aside and self._aside_until <= now else None

    def take(self, now: float) -> T | None:
        """Remove and return the next job that may start now; None if no job may."""
        self._promote(now)
        if self._returned:
            return self._returned.popleft()
        if self._new:
            if not self._from_end:
                return self._new.popleft()
            self._from_end -= 1
            return self._new.pop()
        return heapq.heappop(self._aside)[3] if self._aside and self._aside_until <= now else None

    def discard(self, job: T) -> None:
        """Remove a job that waits here."""
        for jobs in (self._new, self._returned):
            if job in jobs:
                jobs.remove(job)
                return
        self._delayed = [row for row in self._delayed if row[3] is not job]
        self._aside = [row for row in self._aside if row[3] is not job]
        heapq.heapify(self._delayed)
        heapq.heapify(self._aside)

    def clear(self) -> list[T]:
        """Remove and return all jobs, also those that must wait."""
        jobs = list(self)
        self._new.clear()
        self._returned.clear()
        self._delayed.clear()
        self._aside.clear()
        return jobs

    def _promote(self, now: float) -> None:
        while self._delayed and self._delayed[0][0] <= now:
            not_before, _, forward_at, job = heapq.heappop(self._delayed)
            self._arrive(forward_at, not_before, job)

    def _arrive(self, forward_at: int, at: float, job: T) -> None:
        if forward_at <= self._served:
            self._returned.append(job)
        else:
            heapq.heappush(self._aside, (forward_at, next(self._order), at, job))


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
