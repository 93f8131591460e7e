"""Timers: the alarm that wakes the supervisor of a pool, the calls in flight with their time limits, and the deadlines of items.

A cancel scope with a deadline for each call would add 13 us on trio to what the engine needs for an item. Time limits of calls are mostly
equal and seldom reached, so one time is kept, before which none can pass; the calls are examined one by one only when it has come.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from anyio import CancelScope, Event

if TYPE_CHECKING:
    from .job import Job
    from .lane import Lane
    from .submitter import Submitter

_MAX_STALE = 8_000  # entries of settled items that are kept before it pays to remove them


class Alarm:
    """Set by all tasks of a pool; its supervisor waits for it."""

    def __init__(self) -> None:
        self._rung = Event()
        self._at = math.inf
        """The time at which the supervisor wakes by itself."""

    def ring(self) -> None:
        """Wake the supervisor at once."""
        self._rung.set()

    def ring_by(self, at: float) -> None:
        """Wake the supervisor at `at` or earlier."""
        if at < self._at:
            self._rung.set()

    def reset(self) -> None:
        """Forget earlier rings. Called before the supervisor does what is due: rings from here on are not missed."""
        self._rung = Event()
        self._at = -math.inf  # the supervisor itself sees the times that become known until it waits

    async def wait(self, at: float) -> None:
        """Wait until `at`, or until it rings."""
        self._at = at
        with CancelScope(deadline=at):
            await self._rung.wait()


class CallsInFlight:
    """The calls in flight of one pool, in its lanes."""

    def __init__(self, lanes: Mapping[str, Lane[Job]]) -> None:
        self._lanes = lanes
        self.next_expiry: float = math.inf
        """No call expires before this time."""
        self.latest: Job | None = None
        """The job whose call began last."""

    def _jobs(self) -> Iterator[Job]:
        for lane in self._lanes.values():
            yield from lane.calls

    def start(self, job: Job, scope: CancelScope, expires: float) -> bool:
        """Let a call in flight be ended from `expires` on, by cancelling `scope`; return whether it is the first to expire."""
        job.start_call(scope, expires)
        self.latest = job
        if expires >= self.next_expiry:
            return False
        self.next_expiry = expires
        return True

    def cancel_all(self, submitter: Submitter[Job]) -> None:
        """Cancel every call of a submitter."""
        for job in self._jobs():
            if job.submitter is submitter:
                job.cancel_call()

    def cancel_expired(self, now: float) -> None:
        """Cancel the calls that have expired."""
        if now < self.next_expiry:
            return
        self.next_expiry = math.inf
        for job in self._jobs():
            if not job.may_be_cancelled:
                continue
            if job.expires > now:
                self.next_expiry = min(self.next_expiry, job.expires)
            else:
                job.cancel_call()


class ItemDeadlines:
    """The deadlines of the items that have one; an item's waits count."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Job]] = []
        self._added = 0

    @property
    def next(self) -> float:
        """The earliest deadline; inf: no item has one."""
        return self._heap[0][0] if self._heap else math.inf

    def add(self, job: Job, unsettled: int) -> None:
        """Add the deadline of a job; `unsettled` is the number of its submitter's items without a result."""
        self._added += 1
        heapq.heappush(self._heap, (job.deadline, self._added, job))
        if len(self._heap) > 2 * unsettled + _MAX_STALE:  # mostly items that were settled long ago
            self._heap = [entry for entry in self._heap if entry[2].result is None]
            heapq.heapify(self._heap)

    def pop_passed(self, now: float) -> Iterator[Job]:
        """Remove and yield the jobs whose deadline has passed."""
        while self._heap and self._heap[0][0] <= now:
            yield heapq.heappop(self._heap)[2]
