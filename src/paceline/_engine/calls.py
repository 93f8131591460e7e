"""Which calls are in flight, and which calls and items have reached their deadline.

A scope with a deadline for each call would add half to what the engine costs (on trio 13 us, to 22 for all of an item).
Deadlines of calls are mostly equal and seldom reached, so one time is kept, before which none can pass; only then are the calls looked at one by one.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator

from anyio import CancelScope

from .job import Job

_SPARE = 8_000  # entries that are kept without need before it pays to look through them


class Calls:
    """The calls in flight of one batch."""

    def __init__(self) -> None:
        self._jobs: set[Job] = set()
        self.next_expiry = math.inf
        """No call's time is up before this."""

    def __len__(self) -> int:
        return len(self._jobs)

    def begin(self, job: Job, scope: CancelScope, now: float, expires: float) -> None:
        """Count a call as in flight; from `expires` on it is cut by cancelling `scope`."""
        job.scope, job.started, job.expires = scope, now, expires
        self._jobs.add(job)
        self.next_expiry = min(self.next_expiry, expires)

    def end(self, job: Job) -> None:
        """Count a call as over: its scope is not cancelled any more."""
        job.scope = None
        self._jobs.discard(job)

    def cut_all(self) -> None:
        """Cancel every call."""
        for job in self._jobs:
            if job.scope is not None:
                job.scope.cancel()

    def cut(self, now: float) -> None:
        """Cancel the calls whose time is up."""
        if now < self.next_expiry:
            return
        self.next_expiry = math.inf
        for job in self._jobs:
            if job.expires > now:
                self.next_expiry = min(self.next_expiry, job.expires)
            elif job.scope is not None:
                job.scope.cancel()


class ItemDeadlines:
    """When the time of each item that was ever called is up, its waits included."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Job]] = []

    @property
    def next(self) -> float:
        """The earliest deadline; inf: there is none."""
        return self._heap[0][0] if self._heap else math.inf

    def note(self, job: Job, unsettled: int) -> None:
        """Keep the deadline of a job; `unsettled` is how many of the batch's jobs still need theirs."""
        heapq.heappush(self._heap, (job.deadline, job.index, job))
        if len(self._heap) > 2 * unsettled + _SPARE:  # mostly of items that were settled long before
            self._heap = [entry for entry in self._heap if entry[2].result is None]
            heapq.heapify(self._heap)

    def passed(self, now: float) -> Iterator[Job]:
        """Remove and yield the jobs whose time is up."""
        while self._heap and self._heap[0][0] <= now:
            yield heapq.heappop(self._heap)[2]
