"""Batch: the items of one source, from the first that is read to the last result.

Rules owned here:

1. A batch is a task of its pool, with the context variables of whoever started it; reading, calling, settling and committing are tasks
   of its own nursery.
2. However the nursery ends, every accepted item has its result afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextvars import Context
from typing import TYPE_CHECKING, Any

from anyio import CancelScope, Event, create_task_group, current_time, lowlevel

from ..._core import pace, retry
from ..._core.batch_state import BatchEvent, BatchState, step
from ..._core.config import ProcessorConfig
from ..._core.events import BatchStarted
from ..._core.fault import Fault, FaultKind, pending_fault
from ..._core.fault_groups import FaultGroup
from ..._core.health.systematic_failure import unprepared_fault
from ..._core.results import BatchResult
from ..lanes.job import Job
from ..lanes.spending import OverBudget
from ..lanes.strategy_values import model_of
from ..loop.foreign import interrupt_of, is_cancelled
from ..loop.steps import STEP, in_steps
from ..results.accepted_items import AcceptedItems
from ..results.commits import CommitQueue
from ..results.delivery import Outlet
from ..tracing import BatchTrace
from .batch_progress import BatchProgress
from .crew import Crew
from .intake import Intake, ReadItems

if TYPE_CHECKING:
    from ..calls.services import Services
    from ..lanes.lane import Lane


_OPEN = BatchState.OPEN  # looking up a member of an enumeration costs more than comparing it


class Batch(ReadItems):
    """One batch of a pool.

    Args:
        services: What the pool lends to its batches.
        intake: Source of the items.
        outlet: Destination of the results.
        priority: Higher goes first in a lane.
        tenant: For whom the calls are made.
    """

    starts_afresh = True
    when_journal_fails = "the batch was stopped"

    def __init__(
        self, services: Services, intake: Intake, outlet: Outlet, *, priority: int = 0, tenant: str = ""
    ) -> None:
        super().__init__(outlet, current_time())
        self.priority, self.tenant = priority, tenant
        self.ended: Event = Event()
        """Set once every item has its result and no task runs."""
        self.progress: BatchProgress | None = None
        """Hands over its figures; None: it has no hook."""
        self._services = services
        self._intake = intake
        self._crew = Crew(services, self, intake)
        self._commits = None if services.journal is None else CommitQueue(self, services)
        self._state = BatchState.OPEN
        self._is_halted = False
        self._is_read = False
        self._source_error: BaseException | None = None
        self._crash: BaseException | None = None
        self.closed: Event = Event()
        """Set once every item has its result and no more can come."""
        self._scope = CancelScope()
        self._unprepared: dict[str, Fault] = {}
        """Why strategies could not be prepared, by message."""
        self._result: BatchResult[Any] = BatchResult()
        self._failure: BaseException | None = None
        self._trace: BatchTrace | None = None

    # ------------------------------------------------------------------------------------------ phase

    @property
    def commits(self) -> CommitQueue | None:
        """Commits results to the journal; None without a journal."""
        return self._commits

    @property
    def config(self) -> ProcessorConfig:
        """The pool's settings."""
        return self._services.config

    @property
    def is_open(self) -> bool:
        """Whether calls may start."""
        return self._state is _OPEN and not self._is_halted

    @property
    def context(self) -> Context:
        """The context variables of whoever started the batch."""
        return self._crew.context

    @property
    def is_halted(self) -> bool:
        """Whether no more calls start, because the batch's tasks are being cancelled."""
        return self._is_halted

    @property
    def may_start(self) -> bool:
        """Whether one of its waiting jobs may start a call."""
        return (
            self._outlet.has_room
            and self._state is _OPEN
            and not self._is_halted
            and (self._commits is None or self._commits.has_room)
            and self._crew.has_room
        )

    @property
    def is_closed(self) -> bool:
        """Whether every item has its result and no more items can come."""
        return self._state is BatchState.CLOSED

    @property
    def is_finished_calling(self) -> bool:
        """Whether no item can be called any more, including items that are not read yet."""
        lanes = self.lanes
        exhausted = self._intake.has_one_strategy and bool(lanes) and len(self.exhausted) == len(lanes)
        return exhausted or not self.is_open

    @property
    def length(self) -> int | None:
        """Items that its source declares; None: it has no length."""
        return self._intake.length

    @property
    def is_reading(self) -> bool:
        """Whether more items may come from the source."""
        return not self._is_read

    @property
    def hooks_are_late(self) -> bool:
        """Whether hooks are slower than the calls: too many workers wait for theirs, or no item waits for a call, but some for a middleware."""
        return not self._crew.has_room or (
            self._crew.is_introducing and not any(lane.has_jobs for lane in self.lanes.values())
        )

    @property
    def deadline(self) -> float:
        """The time of the batch's deadline."""
        return self.started_at + self._services.config.deadline

    @property
    def deadline_fault(self) -> Fault | None:
        """The fault of items that are not settled at the deadline; None: it has not passed."""
        if current_time() < self.deadline:
            return None
        return pending_fault(f"the batch's deadline of {self.config.deadline:g} s passed")

    @property
    def crash(self) -> BaseException | None:
        """The exception that ended the batch, such as a KeyboardInterrupt; None: it ended in the usual way."""
        return self._crash

    @property
    def source_error(self) -> BaseException | None:
        """The exception that the source raised; None: it raised none."""
        return self._source_error

    def deny(self, job: Job, fault: Fault, lane: Lane[Job]) -> None:
        """Make no more calls: the provider of a lane does not know the caller."""
        del job, lane  # the key of another lane is likely to be from the same hand
        self.stop(pending_fault(f"the batch was stopped: {fault}"))

    def stop(self, reason: Fault) -> None:
        """Start no more calls; waiting items are settled with `reason`."""
        if self.is_open:
            self.stopped = reason
        if not self.is_closed:
            self._state = step(self._state, BatchEvent.STOP)
        self._services.strategies.dismiss_jobs_of(self, self.stopped or reason)
        self._services.scheduler.stopped_lanes.look_at_lanes_of(self)
        self._wake_reader()

    def halt(self) -> None:
        """Start no more calls, because the batch's tasks are being cancelled: it ends without `stop`."""
        self._is_halted = True

    def cancel(self) -> None:
        """Cancel the calls in flight; items that are not settled are pending."""
        self.halt()
        self._scope.cancel()

    def give_up_lane(self, lane: Lane[Job], reason: Fault) -> None:
        """Start no more calls in a lane."""
        super().give_up_lane(lane, reason)
        self._wake_reader()

    def heed_budget(self, job: Job, over: OverBudget) -> None:
        """Make no more calls, or none of a model whose own budget is used up."""
        lane = job.lane_or_raise
        if over.of_model:
            self.give_up_lane(lane, over.fault)
            self._services.scheduler.stopped_lanes.look_at(lane)
            self.stop_if_exhausted(over.fault)
        else:
            self.stop(over.fault)

    def stop_if_exhausted(self, reason: Fault) -> None:
        """Stop if no lane is left in which a call may start."""
        if len(self.exhausted) == len(self.lanes) and not self._services.strategies.is_preparing_for(self):
            self.stop(reason)

    def record_systematic(self, group: FaultGroup, reason: Fault) -> None:
        """Record that all calls of a lane failed alike."""
        self.tally.record_systematic(group)
        self.stop_if_exhausted(reason)

    def _wake_reader(self) -> None:
        """Wake the reader, which may wait for calls that do not start any more."""
        self._intake.wake()
        if self.is_finished_calling:
            self._intake.stop_reading()

    def wake_reader(self) -> None:
        """Wake the reader, to check whether to read on."""
        self._intake.wake()

    def finish_source(self, error: BaseException | None) -> None:
        """Record that no more items come from the source, because it has ended or raised `error`."""
        self._source_error = error
        self._is_read = True
        self.close_if_empty()

    def close_if_empty(self) -> None:
        """Close once every item has its result and no more can come."""
        if self._is_read and not len(self.ledger) and not self.is_closed:
            self._state = step(self._state, BatchEvent.EMPTY)
            self.closed.set()
            if self._commits is not None:
                self._commits.wake()

    # ------------------------------------------------------------------------------------------ items

    def admit(self, job: Job) -> None:
        """Pass an accepted job through the middlewares, and let it wait for its first call."""
        if self._services.hooks.rewrite_items:
            self._crew.introduce(job)
        else:
            self._services.strategies.route(job)

    def admit_all(self, jobs: Sequence[Job]) -> None:
        """Do with each of these accepted jobs what `admit` does."""
        if self._services.hooks.rewrite_items:
            for job in jobs:
                self._crew.introduce(job)
        else:
            self._services.strategies.route_all(jobs)

    async def recall(self, job: Job) -> None:
        """Recall or admit a job that another task brought, in a task of the batch, as that other one may be cancelled."""
        done = Event()
        self._crew.start(self._recall, job, done)
        await done.wait()

    async def _recall(self, job: Job, done: Event) -> None:
        try:
            if self._commits is not None:
                await self._commits.recall_or_admit([job])
        finally:
            done.set()
            self._services.scheduler.start_calls()

    def run(self, job: Job) -> None:
        """Let a worker make the call of a started job."""
        self._crew.run(job)

    def record_start(self) -> None:
        """Count a call that starts; once one has, the reader may be wanted."""
        AcceptedItems.record_start(self)  # at half the cost of super(), as this runs for each call
        if self._intake.is_waiting:
            self._intake.wake_if_low()

    @property
    def is_busy(self) -> bool:
        """Whether a worker makes a call, or settles one."""
        return self._crew.is_busy

    def dismiss(self, job: Job, fault: Fault) -> None:
        """End a job that is neither in a lane nor with a worker: it will be settled with `fault`, in a task of its own."""
        self._crew.dismiss(job, fault)

    def leave_unprepared(self, job: Job, fault: Fault, effect: retry.Effect) -> None:
        """End a job whose strategy could not be prepared: if it was not called, it can run again."""
        reason = unprepared_fault(fault, model_of(job.origin) or type(job.origin).__qualname__)
        self._unprepared.setdefault(reason.message, reason)
        self.tally.record_systematic(FaultGroup(fault.kind, 1, fault.message, reason=fault.reason))
        self.dismiss(job, fault if job.was_called else reason)  # on a lower step of its ladder it may have been
        if isinstance(effect, retry.StopBatch) or (self._intake.has_one_strategy and not job.was_called):
            self.stop(reason)

    @property
    def reasons(self) -> list[Fault]:
        """Why it left work undone, beside being stopped: lanes that are exhausted, and strategies that could not be prepared."""
        exhausted = [reason for reason in self.exhausted.values() if reason.kind is FaultKind.PENDING]
        return [*exhausted, *self._unprepared.values()]

    # ------------------------------------------------------------------------------------------ its life

    async def check(self) -> None:
        """Raise InvalidWorkItemError if the source is a sequence with an item that cannot be run."""
        await self._intake.check()

    async def run_to_end(self) -> None:
        """Run until every item has its result. The task of the batch; it is cancelled by `cancel`."""
        self._start_trace()
        try:
            with self._scope:
                await self._run()
        except BaseException as error:
            if is_cancelled():
                raise
            self._crash = interrupt_of(error)
        finally:
            self._services.strategies.forget_jobs_of(self)
            self._services.scheduler.unregister(self)

    def finish(self, result: BatchResult[Any], failure: BaseException | None) -> None:
        """Record what has become of it: no task of it runs any more."""
        self._result, self._failure = result, failure
        if self._trace is not None:
            self._trace.end(None if self._scope.cancel_called or failure is not None else result)
        self.ended.set()

    def _start_trace(self) -> None:
        tracer = self._services.hooks.tracer
        if tracer is not None:
            self._trace = tracer.start_batch()
            self.ledger.trace_with(self._trace)

    @property
    def result(self) -> BatchResult[Any]:
        """Its figures, once it has ended; empty before."""
        return self._result

    @property
    def failure(self) -> BaseException | None:
        """The exception to raise where it was started, once it has ended; None: it has not failed."""
        return self._failure

    async def _run(self) -> None:
        scheduler = self._services.scheduler
        scheduler.register(self)
        scheduler.alarm.ring_by(self.deadline)
        try:
            try:
                async with create_task_group() as nursery:
                    self._crew.open(nursery.start_soon)
                    nursery.start_soon(self._read)
                    if self._commits is not None:
                        nursery.start_soon(self._commits.run)
                    try:
                        await self.closed.wait()
                    except BaseException:
                        self.halt()
                        raise
                    finally:
                        self._crew.close()
            finally:
                self.halt()
        except BaseException:
            await self._settle_rest()
            raise
        await self._settle_rest()

    async def _read(self) -> None:
        self._services.hooks.publish(BatchStarted(total_items=self._intake.length))
        await self._intake.feed(self, self._services)

    async def _settle_rest(self) -> None:
        """Settle the open items, and those that must be accepted, after the tasks have ended."""
        fault = pending_fault("the batch was cancelled")
        try:
            with CancelScope(shield=True):
                await self._leave_queues()
                if self._commits is not None:
                    await self._commits.finish(fault)
                await in_steps(self.ledger.jobs(), self._settle_open, fault)
                while self._intake.accept_rest(self, STEP):
                    await in_steps(self.ledger.jobs(), self._settle_open, fault)
                await in_steps(self.ledger.jobs(), self._settle_open, fault)
        finally:  # asyncio's own cancellation passes every shield: then without waiting
            while self._intake.accept_rest(self, STEP):
                pass
            for job in self.ledger.jobs():
                self._settle_open(job, fault)

    async def _leave_queues(self) -> None:
        """Take its jobs out of the lanes and its own queues: what happens to them does not depend on these any more."""
        for lane in tuple(self.lanes.values()):
            while lane.queue.clear(self, STEP):
                await lowlevel.checkpoint()
        await self._crew.leave_queues()

    def _settle_open(self, job: Job, fault: Fault) -> None:
        self.settle_at_end(job, fault)
        self.ledger.deliver(job)

    def settle_at_end(self, job: Job, fault: Fault) -> None:
        """Give a job a result, `fault` where none is decided: the batch's tasks have ended."""
        if job.result is None:
            job.settle(None, fault)
        if job.in_flight:
            self._services.scheduler.settle_call(job, job.lane_or_raise, current_time(), pace.ABANDONED)

    def check_deadline(self) -> float:
        """End the batch if its deadline has passed; return the time of the deadline, or infinity if it has passed."""
        fault = self.deadline_fault
        if fault is None:
            return self.deadline
        if self.is_open:
            self.stop(fault)
        self._services.scheduler.calls.cancel_all(self)
        return math.inf
