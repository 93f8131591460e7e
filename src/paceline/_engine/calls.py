"""Which calls are in flight, and which of them have reached their deadline.

A timer for each call would cost more than the rest of the engine. Deadlines are mostly equal and seldom reached, so one
time is kept, before which none can pass; only then are the calls looked at one by one.
"""

from __future__ import annotations

import math

from anyio import CancelScope

from .job import Job


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
