"""Worker: a task that makes calls, one after the other; and the call itself, which single calls make in the caller's task.

A worker lives in one cancel scope, which is replaced only after it was cancelled: one for each call would cost too much (see
`timers`). The supervisor cancels the scope of a call that has expired. It may do so in the same step of the event loop in which the
call returned; then the reply counts, and the worker leaves the scope before it awaits anything else.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from anyio import CancelScope, Event

from ..._core import events, pace
from ..._core.fault import Fault
from ..._core.health.systematic_failure import Ended
from ..._core.request import Request
from ..lanes.job import Job
from ..lanes.submitter import Submitter
from ..loop.foreign import caught, close_leaks, guarded, is_leak, logger, open_nurseries
from .calls import execute
from .own_copies import own_copy
from .settle import settle_reply, settle_timeout, settle_without_call
from .watch import watch_lane

if TYPE_CHECKING:
    from .services import Services


_LOOK_EVERY = 0.5  # seconds between two looks for a cancel scope that a strategy left open: one costs 5 us, and deadlines are longer


class NoReply(enum.Enum):
    """Why a call has no reply."""

    TIMED_OUT = enum.auto()
    """It was cancelled at its timeout or at a deadline."""


_TIMED_OUT = NoReply.TIMED_OUT  # looking up a member of an enumeration costs more than comparing it
Reply: TypeAlias = tuple[Any, BaseException | None] | Fault | NoReply
"""What a call returned or raised; or the fault because of which it was not made; or why there is neither."""


class Colleagues(Protocol):
    """What a worker knows of its batch's crew."""

    @property
    def batch(self) -> Submitter[Job]:
        """Whose calls it makes."""
        ...

    def halt(self) -> None:
        """Start no more calls: a worker has failed."""
        ...

    def park(self, worker: Worker) -> bool:
        """Let a worker wait for its next job; return whether it may."""
        ...

    def retire(self) -> None:
        """Count a worker as ended."""
        ...


class Worker:
    """A task of a batch that makes calls.

    Args:
        services: What the pool lends.
        crew: Where it belongs: the tasks of a batch.
    """

    def __init__(self, services: Services, crew: Colleagues) -> None:
        self._services = services
        self._crew = crew
        self._resumed: Event | None = None
        """Set once a parked worker goes on."""
        self._next: Job | None = None
        self._looked = 0.0
        """When it has looked last for what a strategy left open, in seconds."""

    def resume(self, job: Job | None) -> None:
        """Give a parked worker its next job; None: it ends."""
        self._next = job
        if self._resumed is not None:
            self._resumed.set()

    async def work(self, first: Job) -> None:
        """Make the call of the job `first`, which was started in its lane, then others until the batch is closed."""
        job: Job | None = first
        try:
            while job is not None:
                job = await self._work_in_scope(job)
        except BaseException:
            self._crew.halt()  # any exception that gets here ends the batch
            raise
        finally:
            self._crew.retire()

    async def _work_in_scope(self, job: Job) -> Job | None:
        """Make calls until one is cancelled; return the worker's next job; None: it ends."""
        reply: Reply = _TIMED_OUT
        leak, clock = "", self._services.clock
        following: Job | None = job
        scope = CancelScope()
        try:
            with scope:
                usual = clock.deadline()
                while following is not None:
                    job, reply = following, _TIMED_OUT
                    reply = await make_call(self._services, job, scope)
                    if job.was_cancelled or _is_leaked(reply):
                        break
                    now = clock.now()
                    if now - self._looked >= _LOOK_EVERY:
                        self._looked = now
                        if clock.deadline() != usual:
                            break
                    following = None  # should a cancellation come, and the scope be in disorder: it is settled
                    following = await self._settle(job, reply, now)
        except RuntimeError as error:
            leak = leaked_scope(job, error)
            if not leak:
                raise
        if leak:
            close_leaks(scope, 0)
        if following is None:
            return None
        if leak or _is_leaked(reply):
            await self._settle_last(job, reply, again=bool(leak))
            return None
        return await self._settle(job, reply, clock.now())

    async def _settle_last(self, job: Job, reply: Reply, *, again: bool) -> None:
        """Settle a call in a task whose cancellation was tampered with: it makes no further one.

        Args:
            job: Its job.
            reply: What became of it.
            again: Whether it is made again, in another task, if it was cancelled: its cancel scopes are in disorder.
        """
        services, now = self._services, self._services.clock.now()
        if again and _is_leaked(reply):
            services.scheduler.settle_call(job, job.lane_or_raise, now, pace.ABANDONED)
            services.scheduler.put_back(job, now)
        else:
            rest = settle(services, job, reply, now)
            if rest is not None:
                await rest
        services.scheduler.start_calls()

    async def _settle(self, job: Job, reply: Reply, ended: float) -> Job | None:
        """Settle a call that ended at `ended`, and return the worker's next job; None: the worker ends."""
        services, batch = self._services, self._crew.batch
        scheduler = services.scheduler
        has_let_others_run = scheduler.calls.latest is not job
        rest = settle(services, job, reply, ended)
        if rest is not None:
            await rest
        now = None if services.hooks.has_middlewares else ended  # they take time
        following = scheduler.next_job(now)
        while following is not None and following.submitter is not batch:
            following.submitter.run(following)
            following = scheduler.next_job(now)
        if following is None:
            return await self._park()
        if scheduler.may_start_more(ended):
            scheduler.start_calls(now)
        if not has_let_others_run:
            await guarded(services.clock.checkpoint)
        return following

    async def _park(self) -> Job | None:
        """Wait for the next job; None: the batch is closed."""
        self._resumed = Event()
        if not self._crew.park(self):
            return None
        await self._resumed.wait()
        self._resumed = None
        following, self._next = self._next, None
        return following


def _is_leaked(reply: Reply) -> bool:
    """Whether a call was cancelled, though not by us."""
    return isinstance(reply, tuple) and reply[1] is not None and is_leak(reply[1])


def leaked_scope(job: Job, error: RuntimeError) -> str:
    """Return what a strategy did wrong that left a cancel scope or a nursery open; empty if the exception says nothing of it."""
    text = str(error)
    if "cancel scope" not in text.lower():
        return ""
    name = type(job.active_strategy).__qualname__
    message = (
        f"{name}.execute left a cancel scope or a nursery open; an async generator that yields inside one must be closed, "
        "with contextlib.aclosing, before execute returns"
    )
    logger.error("%s", message)
    return message


async def make_call(services: Services, job: Job, scope: CancelScope) -> Reply:
    """Make the call of a started job; `scope` is the innermost cancel scope around it."""
    submitter, scheduler = job.submitter, services.scheduler
    strategy = job.strategy
    if strategy is None:
        copied = own_copy(job)
        if isinstance(copied, Fault):
            return copied
        strategy = copied
        job.set_strategy(copied)
    attempt = job.number
    prompt: Any = job.item.prompt
    if services.hooks.has_observers:
        quota = job.lane_or_raise.quota
        services.hooks.publish(events.ItemStarted(item_id=job.item.item_id, quota=quota, attempt=attempt))
    if job.over_budget is not None:
        submitter.heed_budget(job, job.over_budget)
        return job.over_budget.fault
    deadline = submitter.deadline
    if job.started >= deadline or job.started >= job.deadline or submitter.stopped is not None:
        fault = submitter.deadline_fault or submitter.stopped
        return fault or submitter.overdue_fault(services.config)
    timeout = scheduler.start_call(job, scope, deadline)
    reply: Reply = _TIMED_OUT
    try:
        if job.trace is not None:
            job.trace.start_call(strategy, job.lane_or_raise.quota, attempt, prompt)
        if isinstance(prompt, Request):
            reply = await execute(strategy, prompt, attempt, timeout), None
        else:
            reply = await strategy.execute(prompt, attempt, timeout), None
    except BaseException as error:  # noqa: BLE001 - as in `guarded`
        reply = None, await caught(error)
    finally:
        job.finish_call(is_cut_off=reply is _TIMED_OUT)
    return reply


async def make_call_in_callers_task(services: Services, job: Job) -> Reply:
    """Make the call of a started job in a task that is not a worker, in a cancel scope of its own."""
    reply: Reply = _TIMED_OUT
    scope, nurseries = CancelScope(), open_nurseries()
    try:
        with scope:
            reply = await make_call(services, job, scope)
    except RuntimeError as error:
        leak = leaked_scope(job, error)
        if not leak:
            raise
        close_leaks(scope, nurseries)
        reply = None, RuntimeError(leak)
    return reply


def settle(services: Services, job: Job, reply: Reply, now: float) -> Awaitable[None] | None:
    """Settle a call, however it ended; return what remains to be awaited, if anything does."""
    if isinstance(reply, tuple):
        return settle_reply(services, job, reply, now)
    if reply is _TIMED_OUT:
        return settle_timeout(services, job, now)
    lane = job.lane_or_raise
    services.scheduler.settle_call(job, lane, now, pace.ABANDONED)
    watch_lane(services, lane, Ended(now, lane.in_flight))
    return settle_without_call(services, job, reply)
