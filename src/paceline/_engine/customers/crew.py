"""Crew: the tasks of one batch: its workers, and those that pass its items through hooks or settle them without a call.

Rules owned here:

1. A worker makes one call after the other. If no call may start, it waits for the next one: to end it and start another would cost more
   than the call. No call is cancelled because there are too many workers.
2. Every task has the context variables of whoever started the batch.
3. Tasks are few where hooks are slow: the items wait in queues, not each in a task of its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from anyio import lowlevel

from ..._core.fault import Fault
from ..calls.settle import give_up, pass_middlewares
from ..calls.worker import Worker
from ..lanes.job import Job
from ..loop.steps import STEP, let_go
from .intake import Intake, ReadItems

if TYPE_CHECKING:
    from ..calls.services import Services

_MAX_TASKS = 64  # tasks that settle dismissed jobs, and as many that pass new ones through the middlewares
_MAX_IN_HOOKS = 4_000  # workers whose hooks are slow; no more calls start until one has ended
_INTRODUCED_EVERY = 16  # items that one of these tasks passes on between two checkpoints


class Crew:
    """The tasks of one batch.

    Args:
        services: What the pool lends.
        batch: Whose tasks they are.
        intake: Its reader, which is woken when little is left to do.
    """

    def __init__(self, services: Services, batch: ReadItems, intake: Intake) -> None:
        self.batch = batch
        self.context = copy_context()
        """The context variables of whoever started the batch."""
        self._services = services
        self._intake = intake
        self._start_soon: Any = None
        """Starts a task in the batch's nursery; None while the batch has no nursery."""
        self._unstarted: list[tuple[Any, ...]] = []
        """Tasks that wait for the nursery."""
        self._parked: list[Worker] = []
        self._workers = 0
        self._dismissed: deque[tuple[Job, Fault]] = deque()
        self._settlers = 0
        self._new: deque[Job] = deque()
        self._introducers = 0

    # ------------------------------------------------------------------------------------------ tasks

    def open(self, start_soon: Callable[..., object]) -> None:
        """Start the tasks that wait for the batch's nursery, and from now on each at once."""
        self._start_soon = start_soon
        for function, *args in self._unstarted:
            self.context.run(start_soon, function, *args)
        self._unstarted.clear()

    def close(self) -> None:
        """Start no more tasks; let the workers that wait for a job end."""
        self._start_soon = None
        for worker in self._parked:
            worker.resume(None)
        self._parked.clear()

    def start(self, function: Callable[..., Awaitable[None]], *args: Any) -> None:
        """Start a task in the batch's nursery, which may not be open yet; after it was closed, do nothing."""
        if self._start_soon is not None:
            self.context.run(self._start_soon, function, *args)
        elif not self.batch.is_halted:
            self._unstarted.append((function, *args))

    async def leave_queues(self) -> None:
        """Forget what waits for a task: the nursery was closed."""
        for queue in (self._new, self._dismissed):
            await let_go(queue)

    # ------------------------------------------------------------------------------------------ workers

    def run(self, job: Job) -> None:
        """Let a worker make the call of a started job."""
        if self._parked:
            self._parked.pop().resume(job)
        else:
            self._workers += 1
            self.start(Worker(self._services, self).work, job)

    @property
    def is_busy(self) -> bool:
        """Whether a worker makes a call, or settles one."""
        return self._workers > len(self._parked)

    @property
    def has_room(self) -> bool:
        """Whether hooks are fast enough for another call: few workers' calls have ended whose hooks have not."""
        workers = self._workers
        return workers < _MAX_IN_HOOKS or workers - len(self._parked) - self.batch.in_flight < _MAX_IN_HOOKS

    @property
    def is_introducing(self) -> bool:
        """Whether new jobs wait for the middlewares, or are in them."""
        return self._introducers > 0

    def park(self, worker: Worker) -> bool:
        """Let a worker wait for its next job; return whether it may."""
        if self.batch.is_closed or self.batch.is_halted:
            return False
        had_room = self.has_room
        self._parked.append(worker)
        if not had_room:
            self._services.scheduler.release(self.batch)
        if not self.is_busy:
            self._intake.wake()
        return True

    def retire(self) -> None:
        """Count a worker as ended."""
        self._workers -= 1
        if not self.is_busy:
            self._intake.wake()

    def halt(self) -> None:
        """Start no more calls: a worker has failed."""
        self.batch.halt()

    # ------------------------------------------------------------------------------------------ hooks

    def introduce(self, job: Job) -> None:
        """Pass a new job through the middlewares, then to its strategy's lane."""
        self._new.append(job)
        if self._introducers < _MAX_TASKS:
            self._introducers += 1
            self.start(self._introduce)

    async def _introduce(self) -> None:
        seen = 0
        try:
            while self._new:
                job = self._new.popleft()
                seen += 1
                if seen % _INTRODUCED_EVERY == 0:
                    await lowlevel.checkpoint()
                if await pass_middlewares(self._services, job):
                    self._services.strategies.route(job)
                    self._services.scheduler.start_calls()
                self._intake.wake_if_low()
        finally:
            self._introducers -= 1

    def dismiss(self, job: Job, fault: Fault) -> None:
        """Settle a job with a fault that did not come from a call."""
        self._dismissed.append((job, fault))
        if self._settlers < (_MAX_TASKS if self._services.hooks.has_middlewares else 1):
            self._settlers += 1
            self.start(self._settle_dismissed)

    async def _settle_dismissed(self) -> None:
        settled = 0
        try:
            while self._dismissed:
                await give_up(self._services, *self._dismissed.popleft())
                settled += 1
                if settled % STEP == 0:
                    await lowlevel.checkpoint()
        finally:
            self._settlers -= 1
        self._intake.wake()
