"""Single calls: each is made by the task that asks for it, with its context variables and inside its cancel scopes.

The scheduler decides when; the task waits for its turn, makes the call, and settles it.

Rules owned here:

1. Cancelling the task withdraws an item that waits, and cancels a call in flight.
2. A fault ends one call, or the calls of its lane for a while; never the others. A denial (401) is about the key, so it ends those of its
   strategy instance, and no item of a batch: the batch's own calls tell about its key.
3. A call that would wait too long is refused at once, and so is one of a strategy or a lane that makes no calls for a while; so are those that
   wait when a lane shuts for too long. One whose turn comes too late for an answer is not sent.
4. A call that is cut off by its own timeout is evidence against its provider only if hardly any call takes so long.
5. With a journal, calls at the same time have different ids, as the journal has one result for each.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

import attrs
from anyio import CancelScope, Event, current_time, get_cancelled_exc_class

from .._core import pace, retry
from .._core.answer_times import PART, AnswerTimes
from .._core.batch_state import BatchEvent, BatchState, step
from .._core.config import ProcessorConfig
from .._core.denials import Denials
from .._core.exceptions import Busy, JournalError, MisuseError
from .._core.fault import Fault, FaultKind, pending_fault
from .._core.prompt import size_of
from .._core.results import BatchResult, UnsavedError, WorkItemResult
from .._core.waiting_room import Refusal, RoomLimits, closed_refusal, refusal, shut_refusal
from ..abc import LLMCallStrategy, LLMWorkItem
from .commits import CommitQueue
from .foreign import CallersTask, close_leaks, logger, open_nurseries
from .job import Job
from .settle import give_up, pass_middlewares
from .strategy_values import model_of
from .submitter import AcceptedItems
from .turns import Turn, Turns
from .worker import NoReply, Reply, leaked_scope, make_call, settle

if TYPE_CHECKING:
    from .lane import Lane
    from .services import Services


@attrs.define(eq=False)
class _Waiting:
    """The calls of one tenant and priority, which wait together."""

    priority: int
    tenant: str
    may_start: bool = True


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
        self._limits = limits
        self._commits = None if services.journal is None else CommitQueue(self, services)
        self._customers: dict[tuple[int, str], _Waiting] = {}
        self._denials = Denials()
        self._shut: WeakSet[Lane[Job]] = WeakSet()
        """Lanes that were exhausted and have not answered a call since."""
        self._times: WeakKeyDictionary[Lane[Job], AnswerTimes] = WeakKeyDictionary()
        """How long calls of each lane took; batches are not counted, as their prompts may be of another kind."""
        self._said_shut: WeakKeyDictionary[Lane[Job], float] = WeakKeyDictionary()
        """Since when each lane was shut that the log says is shut."""
        self._ids: set[str] = set()
        """Ids of the open calls, where there is a journal."""
        self._state = BatchState.OPEN
        self._active = 0
        """Tasks that are in `call`."""
        self._left = Event()
        self._cut_off: Fault | None = None

    # ------------------------------------------------------------------------------------------ one call

    async def call(
        self, item: LLMWorkItem[Any], *, timeout: float | None, priority: int, tenant: str
    ) -> WorkItemResult[Any]:
        """Make a call and return its result. The arguments and exceptions are those of `Pool.call`."""
        customer = self._customer(priority, tenant)
        self._check_room(item, timeout, customer)
        if self._commits is None and (refused := self._refusal_while_shut(item.strategy)) is not None:
            raise busy(refused)
        job = self.ledger.accept(self, item, known_unique=True)
        job.wait_as(customer)
        turn = self._turns.open(job, current_time())
        if self._commits is not None:
            self._ids.add(item.item_id)
        self._active += 1
        try:
            if timeout is not None:
                job.end_by(turn.asked + timeout)
                self._services.scheduler.deadlines.add(job, len(self.ledger))
                self._services.scheduler.alarm.ring_by(job.deadline)
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
            if turn.is_new:
                turn.is_new = False
                if await pass_middlewares(self._services, job):
                    self._services.strategies.route(job)
            elif turn.fault is not None:
                fault, turn.fault = turn.fault, None
                await give_up(self._services, job, fault)
            elif turn.may_call:
                turn.may_call = False
                await self._call(job, turn)
            if caller.is_cancelled and turn.result is None:
                raise get_cancelled_exc_class()  # a strategy or a hook has caught it

    async def _call(self, job: Job, turn: Turn) -> None:
        hopeless = self._hopeless_fault(job, turn)
        if hopeless is None:
            reply = await self._reply(job)
            now = current_time()
        else:
            reply, now = hopeless, job.started
        if job.result is None:
            self._turns.wait(turn)
        rest = settle(self._services, job, reply, now)
        if job.result is not None and job.result.success:
            self._record_answer(job, now)
        if rest is not None:
            await rest
        if job.waiting:
            self._refuse_late(job, now)

    def _record_answer(self, job: Job, now: float) -> None:
        lane = job.lane_or_raise
        self._times_of(lane).record(now, now - job.started)
        if self._denials.record_answer(job.origin):
            logger.warning("calls of %s are answered again", _name(job.origin))
        if self._shut and lane in self._shut:
            self._shut.remove(lane)
            logger.warning("%s answers calls again", lane.quota)

    async def _reply(self, job: Job) -> Reply:
        reply: Reply = NoReply.TIMED_OUT
        scope, nurseries = CancelScope(), open_nurseries()
        try:
            with scope:
                reply = await make_call(self._services, job, scope)
        except RuntimeError as error:
            leak = leaked_scope(job, error)
            if not leak:
                raise
            close_leaks(scope, nurseries)
            reply = None, RuntimeError(leak)
        return reply

    def _hopeless_fault(self, job: Job, turn: Turn) -> Fault | None:
        """Return the fault of a started job that could not be answered in the time that is left; None: it may be."""
        times, now = self._times_of(job.lane_or_raise), job.started
        left, passed = job.deadline - now, now - turn.asked
        others = self.waiting > 0 and self._turns.latest >= turn.asked + passed / 2  # not only those that came with it
        if not times.is_hopeless(now, passed, left, others=others):
            return None
        needed = times.needed(now, others=others)
        why = "others wait that have more" if needed is None else f"by the latest answers a call needs {needed:.1f} s"
        message = f"of its timeout only {left:.1f} s were left when its turn came, and {why}; it was not sent"
        return Fault(FaultKind.TIMEOUT, message)

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

    def _customer(self, priority: int, tenant: str) -> _Waiting:
        key = priority, tenant
        customer = self._customers.get(key)
        if customer is None:
            if len(self._customers) >= _MOST_CUSTOMERS:
                self._customers.clear()  # those in use live on in their lanes
            customer = self._customers[key] = _Waiting(priority, tenant)
        return customer

    def _check_room(self, item: LLMWorkItem[Any], timeout: float | None, customer: _Waiting) -> None:
        if self._commits is not None and self._commits.failure is not None:
            raise JournalError(f"{self._commits.failure}")
        if self._state is not BatchState.OPEN:
            raise busy(closed_refusal(f"{self.stopped or 'it is closed'}", self._services.draw()))
        if self._commits is not None and item.item_id in self._ids:
            raise MisuseError(
                f"a call with the item_id {item.item_id!r} is in progress, and the journal has one result for each id; wait for it, "
                "or name another id"
            )
        now, lane = current_time(), self._services.scheduler.lane_of(item.strategy)
        ahead = 0 if lane is None else lane.queue.ahead_of(customer)
        shut = 0.0 if lane is None else max(0.0, lane.shut_until - now)
        refused = refusal(
            self._limits,
            calls=self.waiting,
            size=self._turns.waiting_size + size_of(item.prompt),
            ahead=ahead,
            rate=None if lane is None else lane.starts_per_second(now),
            shut=shut,
            slow=0.0
            if lane is None or timeout is None or not (ahead or shut)
            else self._slow_seconds(lane, now, timeout),
            timeout=timeout,
            chance=self._services.draw(),
        )
        if refused is not None:
            raise busy(refused)

    def _refusal_while_shut(self, strategy: LLMCallStrategy[Any]) -> Refusal | None:
        """Return why no call of a strategy is made for a while; None: it is made."""
        now, scheduler = current_time(), self._services.scheduler
        reason, lane = self._denials.reason(strategy, now), scheduler.lane_of(strategy)
        if reason is None and lane is not None and lane.exhausted is not None and lane.is_exhausted(now):
            reason = _until_reopened(lane, lane.exhausted, now)
        return None if reason is None else shut_refusal(reason, self._services.draw())

    def _slow_seconds(self, lane: Lane[Job], now: float, timeout: float) -> float:
        """Return how many seconds a call of this timeout may take in flight, by those measured lately; 0: it is not known."""
        times = self._times.get(lane)
        slow = None if times is None else times.slow(now, timeout)
        return min(_SLOW * lane.call_seconds(now), PART * timeout) if slow is None else slow

    def _times_of(self, lane: Lane[Job]) -> AnswerTimes:
        times = self._times.get(lane)
        if times is None:
            times = self._times[lane] = AnswerTimes()
        return times

    # ------------------------------------------------------------------------------------------ a lane that is shut

    def heed_shut(self, lane: Lane[Job], now: float) -> None:
        """Refuse the calls that wait in a lane which opens too late for them; log once that it is shut."""
        wait = lane.shut_until - now
        if wait >= _LONG_SHUT and self._said_shut.get(lane) != lane.shut_since:
            self._said_shut[lane] = lane.shut_since
            logger.warning(
                "%s is shut until %s, for %.0f s: its provider refused or failed all calls lately",
                lane.quota,
                time.strftime("%H:%M:%S", time.localtime(time.time() + wait)),
                wait,
            )
        for job in [job for job in lane.queue if job.submitter is self and job.deadline < math.inf]:
            self._refuse_late(job, now)

    def _refuse_late(self, job: Job, now: float) -> None:
        """Refuse a waiting call whose lane opens too late for it."""
        lane, turn = job.lane_or_raise, self._turns.of(job)
        if turn is None or not job.waiting or lane.shut_until <= now:
            return
        refused = refusal(
            self._limits,
            calls=0,
            size=0,
            ahead=0,
            rate=None,
            shut=lane.shut_until - now,
            slow=self._slow_seconds(lane, now, job.deadline - now),
            timeout=job.deadline - now,
            chance=self._services.draw(),
        )
        if refused is None:
            return
        self._services.scheduler.leave_queue(job)
        if job.was_called:
            self.dismiss(job, Fault(FaultKind.TIMEOUT, f"{refused.reason}; it was not repeated"))
        else:
            turn.failure = busy(refused)
            turn.set()

    def cut_off_signal(self, job: Job, now: float) -> pace.Signal:
        """Return what a call says about its provider that was cut off by its own timeout."""
        times, seconds = self._times_of(job.lane_or_raise), now - job.started
        is_blamed = times.blames_provider(now, seconds)
        times.record_cut_off(seconds)
        if is_blamed is None:
            return super().cut_off_signal(job, now)
        return pace.TIMED_OUT if is_blamed else pace.ABANDONED

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
        if self._commits is not None and (refused := self._refusal_while_shut(job.origin)) is not None:
            self._refuse(job, refused)  # its result is not in the journal
        elif not self._services.hooks.rewrite_items:
            self._services.strategies.route(job)
        elif (turn := self._turns.of(job)) is not None:
            turn.is_new = True
            turn.set()

    def _refuse(self, job: Job, refused: Refusal) -> None:
        """Raise in the task of a job that it is not called."""
        turn = self._turns.of(job)
        if turn is not None:
            turn.failure = busy(refused)
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
            turn.fault = fault if lane is None else _until_reopened(lane, fault, current_time())
            turn.set()

    def hand_over(self, job: Job) -> None:
        """Hand a job's result over to its task."""
        self._ids.discard(job.item.item_id)
        super().hand_over(job)

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
        now, strategy = current_time(), job.origin
        if self._denials.record(strategy, fault, now):
            message = "calls of %s are refused, and one is tried again after 5 s or longer: %s; once the key is valid, call pool.reopen()"
            logger.warning(message, _name(strategy), str(fault).rstrip("."))
        reason = self._denials.reason(strategy, now)
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
        self._shut.discard(lane)

    def give_up_lane(self, lane: Lane[Job], reason: Fault) -> None:
        """Say once that calls of a lane are refused; it is tried again."""
        if lane not in self._shut:
            self._shut.add(lane)
            logger.warning("calls of %s are refused until it is tried again: %s", lane.quota, reason.message)

    def reopen(self) -> None:
        """Call again at once what is shut."""
        self._denials.clear()

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


def busy(refused: Refusal) -> Busy:
    """Return the exception of a refusal."""
    return Busy(refused.reason, retry_after=refused.retry_after, ahead=refused.ahead)


def _until_reopened(lane: Lane[Job], fault: Fault, now: float) -> Fault:
    """Return a fault with the seconds until a lane that makes no calls is tried again."""
    left = lane.reopens_at - now
    return attrs.evolve(fault, retry_after=left) if fault.kind is FaultKind.PENDING and 0 < left < math.inf else fault


def _name(strategy: LLMCallStrategy[Any]) -> str:
    return model_of(strategy) or type(strategy).__qualname__


_MOST_CUSTOMERS = 10_000
"""Tenants whose names are remembered."""
_SLOW = 1.25
"""Times the usual duration, while it was not measured how calls spread: seven of eight take less, as they commonly spread (sigma 0.2)."""
_LONG_SHUT = 5.0
"""Seconds for which a lane is shut that are worth a line in the log."""
