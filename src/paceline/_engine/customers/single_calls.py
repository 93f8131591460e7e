"""Single calls: each is made by the task that asks for it, with its context variables and inside its cancel scopes.

The scheduler decides when; the task waits for its turn, makes the call, and settles it.

Rules owned here:

1. Cancelling the task withdraws an item that waits, and cancels a call in flight.
2. A fault ends one call, or the calls of its lane for a while; never the others. A denial (401) is about the key, so it ends those of its
   strategy instance, and no item of a batch: the batch's own calls tell about its key.
3. A call is refused at once if it would come too late (`call_refusals`); so are those that wait when their lane shuts for too long.
4. With a journal, calls at the same time have different ids, as the journal has one result for each.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from anyio import Event, current_time, get_cancelled_exc_class

from ..._core import pace, retry
from ..._core.batch_state import BatchEvent, BatchState, step
from ..._core.config import ProcessorConfig
from ..._core.exceptions import BudgetError, JournalError, MisuseError
from ..._core.fault import Fault, FaultKind, pending_fault
from ..._core.queue.waiting_room import Refusal, RoomLimits, closed_refusal
from ..._core.results import BatchResult, UnsavedError, WorkItemResult
from ...abc import LLMWorkItem
from ..calls.settle import give_up, pass_middlewares
from ..calls.worker import make_call_in_callers_task, settle
from ..lanes.job import Job
from ..loop.foreign import CallersTask
from ..results.accepted_items import AcceptedItems
from ..results.commits import CommitQueue
from .call_refusals import CallRefusals, busy, until_reopened
from .turns import CallCustomers, Step, Turn, Turns

if TYPE_CHECKING:
    from ..calls.services import Services
    from ..lanes.lane import Lane


class SingleCalls(AcceptedItems):
    """The single calls of one pool.

    Args:
        services: What the pool lends.
        limits: Bounds of the waiting room.
    """

    starts_afresh = False
    when_journal_fails = "not called, because the journal failed"
    priority = 0
    tenant = ""

    def __init__(self, services: Services, limits: RoomLimits) -> None:
        self._turns = Turns()
        super().__init__(self._turns, current_time())
        self._services = services
        if services.hooks.tracer is not None:
            self.ledger.trace_with(services.hooks.tracer.single_calls())
        self._commits = None if services.journal is None else CommitQueue(self, services)
        self._customers = CallCustomers()
        self._refusals = CallRefusals(services, limits, self._turns)
        self._ids: set[str] = set()
        """Ids of the open calls, where there is a journal."""
        self._state = BatchState.OPEN
        self._active = 0
        """Tasks that are in `call`."""
        self._left = Event()
        self._cut_off: Fault | None = None

    # ------------------------------------------------------------------------------------------ one call

    def call(
        self, item: LLMWorkItem[Any], *, timeout: float | None, priority: int, tenant: str
    ) -> Awaitable[WorkItemResult[Any]]:
        """Accept an item; return what makes its call. The arguments and exceptions are those of `Pool.call`.

        Not a coroutine itself: a hundred thousand may wait, and each would keep the arguments.
        """
        customer = self._customers.of(priority, tenant)
        self._check_open(item)
        self._refusals.check(item, timeout, customer, waiting=self.waiting, has_journal=self._commits is not None)
        job = self.ledger.accept(self, item, known_unique=True)
        job.wait_as(customer)
        if self._commits is not None:
            self._ids.add(item.item_id)
        turn = self._turns.open(job, current_time())
        if timeout is not None:
            job.end_by(turn.asked + timeout)
            self._services.scheduler.deadlines.add(job, len(self.ledger))
            self._services.scheduler.alarm.ring_by(job.deadline)
        return self._result_of(job, turn)

    async def _result_of(self, job: Job, turn: Turn) -> WorkItemResult[Any]:
        """Wait for each turn of an accepted item and use it; return its result."""
        self._active += 1
        try:
            if self._commits is not None:
                await self._commits.recall_or_raise(job)
            else:
                self.admit(job)
            while turn.result is None:
                if turn.failure is not None:
                    raise turn.failure
                self._services.scheduler.start_calls()
                await turn.changed.wait()  # here, and in no coroutine of its own: a hundred thousand may wait
                turn.changed = Event()
                await self._go_on(job, turn)
            self._services.scheduler.start_calls()  # its end made room for another one
            return turn.result
        finally:
            self._active -= 1
            self._turns.close(job)
            if job.result is None or turn.result is None:
                self._withdraw(job)
            if not self._active:
                self._left.set()

    async def _go_on(self, job: Job, turn: Turn) -> None:
        """Do what is to be done next about an item."""
        with CallersTask() as caller:
            if turn.step is Step.PASS_MIDDLEWARES:
                turn.step = None
                if await pass_middlewares(self._services, job):
                    self._services.strategies.route(job)
            elif turn.fault is not None:
                fault, turn.fault = turn.fault, None
                await give_up(self._services, job, fault)
            elif turn.step is Step.CALL:
                turn.step = None
                await self._call(job, turn)
            if caller.is_cancelled and turn.result is None:
                raise get_cancelled_exc_class()  # a strategy or a hook has caught it

    async def _call(self, job: Job, turn: Turn) -> None:
        if job.over_budget is not None:
            raise BudgetError(job.over_budget.fault.message)
        hopeless = self._refusals.of_hopeless(job, turn, waiting=self.waiting)
        if hopeless is None:
            reply = await make_call_in_callers_task(self._services, job)
            now = current_time()
        else:
            reply, now = hopeless, job.started
        if job.result is None:
            self._turns.wait(turn)
        rest = settle(self._services, job, reply, now)
        if job.result is not None and job.result.success:
            self._refusals.record_answer(job, now)
        if rest is not None:
            await rest
        if job.waiting:
            self._refuse_late(job, now)

    def _withdraw(self, job: Job) -> None:
        """Take back an item whose task was cancelled; a result that waits for its commit is stored all the same."""
        if job.result is not None:
            if not job.is_delivered:
                self.deliver(job)
            return
        self._services.strategies.withdraw(job)
        self._services.scheduler.withdraw(job)
        if self._commits is not None:
            self._commits.withdraw(job)
        job.settle(None, pending_fault("the call was cancelled"))
        self.hand_over(job)

    def _check_open(self, item: LLMWorkItem[Any]) -> None:
        if self._commits is not None and self._commits.failure is not None:
            raise JournalError(f"{self._commits.failure}")
        if self._state is not BatchState.OPEN:
            raise busy(closed_refusal(f"{self.stopped or 'it is closed'}", self._services.draw()))
        if self._commits is not None and item.item_id in self._ids:
            raise MisuseError(
                f"a call with the item_id {item.item_id!r} is in progress, and the journal has one result for each id; wait for it, "
                "or name another id"
            )

    def _refuse_late(self, job: Job, now: float) -> None:
        """Refuse a waiting call whose lane opens too late for it."""
        refused = self._refusals.of_waiting(job, now)
        if refused is None or self._turns.of(job) is None:
            return
        self._services.scheduler.leave_queue(job)
        if job.was_called:
            self.dismiss(job, Fault(FaultKind.TIMEOUT, f"{refused.reason}; it was not repeated"))
        else:
            self._refuse(job, refused)

    def _refuse(self, job: Job, refused: Refusal) -> None:
        """Raise in the task of a job that it is not called."""
        turn = self._turns.of(job)
        if turn is not None:
            turn.failure = busy(refused)
            turn.set()

    # ------------------------------------------------------------------------------------------ as a submitter

    @property
    def commits(self) -> CommitQueue | None:
        """Commits results to the journal; None without a journal."""
        return self._commits

    @property
    def may_start(self) -> bool:
        """Return True: a task waits for each result."""
        return True

    @property
    def is_open(self) -> bool:
        """Whether calls may start."""
        return self._state is BatchState.OPEN

    @property
    def is_closed(self) -> bool:
        """Whether every item has its result and no more can come."""
        return self._state is BatchState.CLOSED

    @property
    def is_busy(self) -> bool:
        """Whether a task has not got its result yet."""
        return self._active > 0

    @property
    def has_failed(self) -> bool:
        """Whether the journal has failed, so that no more calls are made here."""
        return self._commits is not None and self._commits.failure is not None

    def admit(self, job: Job) -> None:
        """Let the task pass the item through the middlewares, or let the item wait for its first call."""
        if self._commits is not None and (refused := self._refusals.while_shut(job.origin)) is not None:
            self._refuse(job, refused)  # its result is not in the journal
        elif not self._services.hooks.rewrite_items:
            self._services.strategies.route(job)
        elif (turn := self._turns.of(job)) is not None:
            turn.step = Step.PASS_MIDDLEWARES
            turn.set()

    def use_lane(self, lane: Lane[Job], max_workers: int) -> None:
        """Record that calls go to a lane."""
        lane.allow_bursts()
        super().use_lane(lane, max_workers)

    def run(self, job: Job) -> None:
        """Let the task of a started job make its call."""
        turn = self._turns.of(job)
        if turn is not None:
            self._turns.start(turn)

    def dismiss(self, job: Job, fault: Fault) -> None:
        """Let the task of a job settle it with a fault."""
        turn, lane = self._turns.of(job), job.lane
        if turn is not None:
            turn.fault = fault if lane is None else until_reopened(lane, fault, current_time())
            turn.set()

    def hand_over(self, job: Job) -> None:
        """Hand a job's result over to its task."""
        self._ids.discard(job.item.item_id)
        super().hand_over(job)
        self._turns.give(job)

    def withhold(self, job: Job) -> None:
        """Raise in the task of a job that its result could not be stored."""
        self._ids.discard(job.item.item_id)
        super().withhold(job)
        turn = self._turns.of(job)
        if turn is not None and self._commits is not None and job.result is not None:
            turn.failure = UnsavedError(str(self._commits.failure), BatchResult(), [job.result])
            turn.set()

    def expire(self, job: Job) -> None:
        """End a job whose timeout has passed while it waits for the result of another."""
        if self._commits is not None and self._commits.follows(job):
            self._commits.withdraw(job)
            self.dismiss(job, self.overdue_fault(self._services.config))

    def may_share_result(self, job: Job) -> bool:
        """Whether a result is also that of the calls with the same prompt: a timeout of its own is not."""
        error = None if job.result is None else job.result.error
        return error is None or error.kind is not FaultKind.TIMEOUT or current_time() < job.deadline

    def leave_unprepared(self, job: Job, fault: Fault, effect: retry.Effect) -> None:
        """Settle a job whose strategy could not be prepared with the fault of that."""
        del effect
        self.dismiss(job, fault)

    def deny(self, job: Job, fault: Fault, lane: Lane[Job]) -> None:
        """Make no more calls of a job's strategy for a while, as its provider does not know the caller."""
        strategy = job.origin
        reason = self._refusals.record_denial(strategy, fault, current_time())
        for other in [other for other in lane.queue if other.submitter is self and other.origin is strategy]:
            if other.waiting and reason is not None:
                self._services.scheduler.leave_queue(other)
                self.dismiss(other, reason)

    def stop(self, reason: Fault) -> None:
        """Take no more calls; waiting items are settled with `reason`."""
        if self.is_open:
            self.stopped = reason
            self._state = step(self._state, BatchEvent.STOP)
            self._services.strategies.dismiss_jobs_of(self, reason)
            for job in self.ledger.jobs():
                if job.waiting:
                    self._services.scheduler.leave_queue(job)
                    self.dismiss(job, reason)

    def leave_lane(self, lane: Lane[Job]) -> None:
        """Forget a lane that is dropped."""
        super().leave_lane(lane)
        self._refusals.forget(lane)

    def give_up_lane(self, lane: Lane[Job], reason: Fault) -> None:
        """Say once that calls of a lane are refused; it is tried again."""
        self._refusals.record_exhausted(lane, reason)

    def heed_shut(self, lane: Lane[Job], now: float) -> None:
        """Refuse the calls that wait in a lane which opens too late for them."""
        self._refusals.record_shut(lane, now)
        for job in [job for job in lane.queue if job.submitter is self and job.deadline < math.inf]:
            self._refuse_late(job, now)

    def cut_off_signal(self, job: Job, now: float) -> pace.Signal:
        """Return what a call says about its provider that was cut off by its own timeout."""
        signal = self._refusals.record_cut_off(job, now)
        return super().cut_off_signal(job, now) if signal is None else signal

    def reopen(self) -> None:
        """Call again at once what is shut."""
        self._refusals.reopen()

    @property
    def deadline_fault(self) -> Fault | None:
        """The fault of calls that were in flight when the pool was cancelled; None: it was not."""
        return self._cut_off

    def overdue_fault(self, config: ProcessorConfig) -> Fault:  # noqa: ARG002 - of a base class
        """Return the fault of a call whose timeout has passed."""
        return Fault(FaultKind.TIMEOUT, "the call was not answered within its timeout")

    def settle_at_end(self, job: Job, fault: Fault) -> None:
        """Give a job a result, `fault` where none is decided."""
        if job.result is None:
            job.settle(None, fault)

    def close_if_empty(self) -> None:
        """Do nothing: more calls may come; see `close`."""

    async def close(self, reason: Fault | None) -> None:
        """Wait until every task has its result. With a reason, waiting items are settled with it and calls in flight are cancelled."""
        if reason is not None:
            self.stop(reason)
            self._cut_off = reason
            self._services.scheduler.calls.cancel_all(self)
        while self._active:
            self._left = Event()
            await self._left.wait()
        self.finish()

    def finish(self) -> None:
        """Record that every task has its result and no more can come."""
        if not self.is_closed:
            self._state = step(self._state, BatchEvent.EMPTY)
        if self._commits is not None:
            self._commits.wake()
