"""What a worker does: makes calls, one after the other, for as long as there are any that may start.

A worker lives in one cancel scope, made anew only when it has fired: one for each call would cost too much (see `calls`).
The supervisor cancels the scope of a call whose time is up. It may do so in the very tick in which the call
returned; then the answer counts, and the worker leaves the scope before it awaits anything else.
"""

from __future__ import annotations

import copy
import enum
from typing import Any, TypeAlias

from anyio import CancelScope, current_time, lowlevel

from .._core import events, pace
from .._core.classify import describe
from .._core.fault import Fault, FaultKind, overdue, pending
from .._core.request import Request
from ..abc import LLMCallStrategy
from .attempt import execute
from .batch import Batch
from .guard import guarded, is_leak
from .intake import arrive
from .job import Job
from .settle import give_up, settle_call, settle_cut

_AT_ONCE = 5e-4  # seconds: what took less may not have let any other task run


class NoReply(enum.Enum):
    """Why a call has no reply."""

    CUT = enum.auto()
    """Its time was up."""
    MOVED = enum.auto()
    """Before it, a middleware gave the item to another strategy."""


Reply: TypeAlias = tuple[Any, BaseException | None] | Fault | NoReply
"""What a call returned or raised; the fault that came before it; or why there is neither."""


async def work(batch: Batch, first: Job) -> None:
    """Make the call of the job `first`, and others as long as there are any."""
    job: Job | None = first
    try:
        while job is not None:
            reply: Reply = NoReply.CUT
            with CancelScope() as scope:
                while job is not None:
                    reply = NoReply.CUT
                    reply = await _call(batch, job, scope)
                    if scope.cancel_called:
                        break
                    job = await _conclude(batch, job, reply)
            if job is not None:
                job = await _conclude(batch, job, reply)
    except BaseException:
        batch.halt()  # whatever it is, it ends the batch
        raise
    finally:
        batch.retire()


async def _call(batch: Batch, job: Job, scope: CancelScope) -> Reply:
    """Make one call; before the first of an item, show the item to the middlewares."""
    strategy = job.strategy
    if strategy is None:
        begun = await _begin(batch, job)
        if not isinstance(begun, LLMCallStrategy):
            return begun
        strategy = job.strategy = begun
    attempt = job.attempt
    if batch.hooks.listening:
        quota = job.lane_or_raise.quota
        await batch.hooks.tell(events.ItemStarted(item_id=job.item.item_id, quota=quota, attempt=attempt))
    if (late := _too_late(batch, job)) is not None:
        return late
    timeout = batch.begin_call(job, scope)
    try:
        if isinstance(job.item.prompt, Request):
            return await guarded(execute, strategy, job.item.prompt, attempt, timeout)
        return await guarded(strategy.execute, job.item.prompt, attempt, timeout)
    finally:
        batch.calls.end(job)


def _too_late(batch: Batch, job: Job) -> Fault | None:
    """Return why an admitted job must not be called after all: much may have happened while hooks were awaited."""
    now = current_time()
    if now >= batch.deadline:
        return pending(f"the batch's deadline of {batch.config.deadline:g} s passed")
    if now >= job.deadline:
        return overdue(batch.config.deadline_per_item)
    return batch.stopped or job.lane_or_raise.closed


async def _begin(batch: Batch, job: Job) -> LLMCallStrategy[Any] | Fault | NoReply:
    """Return the item's own copy of its strategy, if it is to be called."""
    if batch.hooks.wrapping and not job.seen:
        item, fault = await batch.hooks.before(job.item)
        job.seen = True
        if fault is not None:
            return fault
        moved = item.strategy is not job.item.strategy
        if moved:
            job.aim(item)
            return NoReply.MOVED
        job.item = item
    try:
        twin: object = copy.copy(job.origin)
    except Exception as error:  # noqa: BLE001 - a foreign __copy__ may raise anything
        return Fault(FaultKind.BUG, f"the strategy could not be copied: {describe(error)}")
    if not isinstance(twin, LLMCallStrategy):
        return Fault(FaultKind.BUG, f"the copy of a strategy must be one, not {type(twin).__qualname__}")
    if job.previous is not None:
        try:
            twin.take_over(job.previous)
        except Exception as error:  # noqa: BLE001 - as above
            return Fault(FaultKind.BUG, f"{type(twin).__qualname__}.take_over: {describe(error)}")
    return twin


async def _conclude(batch: Batch, job: Job, reply: Reply) -> Job | None:
    """See to what follows from a call; return the worker's next job."""
    now = current_time()
    if reply is NoReply.CUT:
        await settle_cut(batch, job, now)
    elif isinstance(reply, tuple):
        await settle_call(batch, job, reply, now)
        if is_leak(reply[1]):
            return None  # a task whose cancellation somebody has tampered with makes no further call
    else:
        batch.finish_call(job, job.lane_or_raise, now, pace.ABANDONED)
        if isinstance(reply, Fault):
            await give_up(batch, job, reply)
        else:
            arrive(batch, job)
    following = batch.next_job()
    batch.grow()
    if following is not None and now - job.started < _AT_ONCE:
        await guarded(lowlevel.checkpoint)
    return following
