"""Backlog: the waiting jobs of one customer in one lane.

Rules owned here:

1. A job that was called before goes first: started work is finished first.
2. Otherwise jobs go in the order of arrival; a job that must wait arrives when its not-before time does.
3. A job is never handed out before its not-before time.
4. While a lane refuses every call, new jobs go from both ends of the backlog in turn: its first jobs may be refused for their own
   sake. If the other end was served, some more jobs go from there.
5. A job that steps back goes after all others, until the lane has served as many calls as it lets pass. Where no other job waits, it
   goes once no call is in flight, or after some seconds. So the probes of a lane that refuses rotate over its jobs, and one that is
   always refused delays none of the others.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeVar

from .heap import Heap

T = TypeVar("T")
_FROM_END = 16  # jobs
_ASIDE = 5.0  # seconds that a job which stepped back waits at most for the calls in flight, as these may take long
_FEW = 64  # discarded jobs that are not worth the search for them
# what most backlogs never use, as there may be thousands of lanes; nothing is ever put into these
_NO_JOBS: deque[Any] = deque()
_NO_HEAP: Heap[Any] = Heap()


class Backlog(Generic[T]):
    """The waiting jobs of one customer; a job is hashable, and waits here once. Owned by one task tree; no method awaits."""

    __slots__ = ("_aside", "_delayed", "_discarded", "_from_end", "_new", "_returned", "_served", "idle")

    def __init__(self) -> None:
        self._new: deque[T] = deque()
        self._returned: deque[T] = _NO_JOBS
        self._discarded: set[T] = set()
        """Jobs that are in `_new` or `_returned` and do not wait any more; none of them is the first or last there."""
        self._delayed: Heap[T] = _NO_HEAP
        """By not-before time; the value is when the job steps forward."""
        self._aside: Heap[T] = _NO_HEAP
        """By when the job steps forward, as the number of calls served; the value is the time at which it stepped back."""
        self._served = 0
        self._from_end = 0  # new jobs to take from the end
        self.idle: bool = True
        """Whether the lane has no call in flight."""

    def __len__(self) -> int:
        return self.in_turn + len(self._aside)

    def __iter__(self) -> Iterator[T]:
        for jobs in (self._returned, self._new):
            yield from (job for job in jobs if job not in self._discarded) if self._discarded else jobs
        yield from self._delayed
        yield from self._aside

    @property
    def is_empty(self) -> bool:
        """Whether no job waits."""
        # a discarded job is never alone
        return not (self._new or self._returned or self._delayed.rows or self._aside.rows)

    @property
    def ready(self) -> int:
        """Number of jobs that wait for nothing but their turn."""
        return len(self._new) + len(self._returned) - len(self._discarded)

    @property
    def in_turn(self) -> int:
        """Number of waiting jobs that have not stepped back."""
        return self.ready + len(self._delayed)

    @property
    def may_step_forward(self) -> bool:
        """Whether a job may have stepped back."""
        return bool(self._aside.rows or self._delayed.rows)

    def add(self, job: T) -> None:
        """Add a job that was never called."""
        self.add_all((job,))

    def add_all(self, jobs: Sequence[T]) -> None:
        """Add jobs that were never called."""
        if self._discarded:
            for job in jobs:
                self._forget(job)
        self._new.extend(jobs)

    def put_back(self, job: T, not_before: float, now: float, step_back: int = 0) -> None:
        """Put back a job that was called, to be handed out at `not_before` or later; times are in seconds of one clock.

        Args:
            job: The job.
            not_before: Earliest time at which it may be handed out.
            now: Current time.
            step_back: Calls that the lane serves before the job goes ahead of others again.
        """
        if self._discarded:
            self._forget(job)
        self._promote(now)  # jobs whose time has come arrived before this one
        forward_at = self._served + step_back if step_back else 0
        if not_before <= now:
            self._arrive(forward_at, now, job)
        else:
            if self._delayed is _NO_HEAP:
                self._delayed = Heap()
            self._delayed.push(not_before, job, forward_at)

    def record_served(self) -> None:
        """Record that the lane has served a call: jobs that stepped back for it step forward."""
        self._served += 1
        while self._aside.is_due(self._served):
            self._return(self._aside.pop())

    def record_closed(self) -> None:
        """Record that the lane has refused a call, as it did all others lately: the next one comes from the other end."""
        self._from_end = 0 if self._from_end else _FROM_END

    def ready_at(self, now: float) -> float:
        """Return when the next job may start: `now`, a later time, or infinity for an empty backlog."""
        if self._returned or self._new:
            return now
        if self._delayed.rows:
            self._promote(now)  # a job whose time has come may step back
            if self._returned:
                return now
        elif not self._aside.rows:
            return math.inf
        return max(now, min(self._delayed.key, self._aside_until))

    @property
    def _aside_until(self) -> float:
        """When the next job that has stepped back may start, if no other job may."""
        if not self._aside.rows:
            return math.inf
        return -math.inf if self.idle else self._aside.value + _ASIDE

    def peek(self, now: float) -> T | None:
        """Return the next job that may start now, without removing it; None if no job may."""
        if self._delayed.rows:
            self._promote(now)
        if self._returned:
            return self._returned[0]
        if self._new:
            return self._new[-1 if self._from_end else 0]
        return self._aside.first if self._aside.rows and self._aside_until <= now else None

    def take(self, now: float) -> T | None:
        """Remove and return the next job that may start now; None if no job may."""
        if self._delayed.rows:
            self._promote(now)
        if self._returned:
            job = self._returned.popleft()
        elif self._new:
            if self._from_end:
                self._from_end -= 1
                job = self._new.pop()
            else:
                job = self._new.popleft()
        else:
            return self._aside.pop() if self._aside.rows and self._aside_until <= now else None
        if self._discarded:
            self._trim()
        return job

    def discard(self, job: T) -> None:
        """Remove a job that waits here. The time that this takes does not grow with the number of jobs."""
        if self._delayed.discard(job) or self._aside.discard(job):
            return
        self._discarded.add(job)
        self._trim()
        if len(self._discarded) > self.ready + _FEW:
            self._remove_discarded()

    def clear(self, most: float = math.inf) -> list[T]:
        """Remove and return all jobs, also those that must wait; at most so many of them."""
        cleared: list[T] = []
        for jobs in (self._returned, self._new):
            while jobs and len(cleared) < most:
                cleared.append(jobs.popleft())
                if self._discarded:
                    self._trim()
        for heap in (self._delayed, self._aside):
            while heap.rows and len(cleared) < most:
                cleared.append(heap.pop())
        return cleared

    def _promote(self, now: float) -> None:
        delayed = self._delayed
        while delayed.is_due(now):
            not_before, forward_at = delayed.key, delayed.value
            self._arrive(forward_at, not_before, delayed.pop())

    def _arrive(self, forward_at: float, at: float, job: T) -> None:
        if forward_at <= self._served:
            self._return(job)
            return
        if self._aside is _NO_HEAP:
            self._aside = Heap()
        self._aside.push(forward_at, job, at)

    def _return(self, job: T) -> None:
        if self._returned is _NO_JOBS:
            self._returned = deque()
        self._returned.append(job)

    def _trim(self) -> None:
        """Remove discarded jobs from the ends."""
        for jobs in (self._returned, self._new):
            while jobs and jobs[0] in self._discarded:
                self._discarded.remove(jobs.popleft())
            while jobs and jobs[-1] in self._discarded:
                self._discarded.remove(jobs.pop())

    def _forget(self, job: T) -> None:
        """Prepare for the return of a job that may have been discarded."""
        if job in self._discarded:
            self._remove_discarded()

    def _remove_discarded(self) -> None:
        for jobs in (self._returned, self._new):
            kept = [job for job in jobs if job not in self._discarded]
            jobs.clear()
            jobs.extend(kept)
        self._discarded.clear()
