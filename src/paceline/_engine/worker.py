"""Worker: a task that makes calls, one after the other, as long as one may start.

A worker lives in one cancel scope, which is replaced only after it was cancelled: one for each call would cost too much (see
`calls`). The supervisor cancels the scope of a call that has expired. It may do so in the same step of the event loop in which the
call returned; then the reply counts, and the worker leaves the scope before it awaits anything else.
"""

from __future__ import annotations

import copy
import enum
from typing import Any, TypeAlias

from anyio import CancelScope, current_time, lowlevel

from .._core import events, pace
from .._core.fault import Fault, FaultKind, overdue_fault, pending_fault
from .._core.provider_answers.classify import describe
from .._core.request import Request
from .._core.systematic_failure import Ended
from ..abc import LLMCallStrategy
from .attempt import execute
from .batch import Batch
from .guard import guarded, is_leak
from .intake import route
from .job import Job
from .settle import give_up, settle_reply, settle_timeout

_INSTANT = 5e-4  # seconds: a call that took less may not have let any other task run


class NoReply(enum.Enum):
    """Why a call has no reply."""

    TIMED_OUT = enum.auto()
    """It was cancelled at its timeout or at a deadline."""
    MOVED = enum.auto()
    """It was not made: a middleware gave the item to another strategy."""


Reply: TypeAlias = tuple[Any, BaseException | None] | Fault | NoReply
"""What a call returned or raised; or the fault because of which it was not made; or why there is neither."""


async def work(batch: Batch, first: Job) -> None:
    """Make the call of the job `first`, then others as long as one may start."""
    job: Job | None = first
    try:
        while job is not None:
            reply: Reply = NoReply.TIMED_OUT
            with CancelScope() as scope:
                while job is not None:
                    reply = NoReply.TIMED_OUT
                    reply = await _call(batch, job, scope)
                    if scope.cancel_called:
                        break
                    job = await _settle(batch, job, reply)
            if job is not None:
                job = await _settle(batch, job, reply)
    except BaseException:
        batch.halt()  # any exception that gets here ends the batch
        raise
    finally:
        batch.retire_worker()


async def _call(batch: Batch, job: Job, scope: CancelScope) -> Reply:
    """Make one call; before the first of an item, pass the item through the middlewares."""
    strategy = job.strategy
    if strategy is None:
        copied = await _copy_strategy(batch, job)
        if not isinstance(copied, LLMCallStrategy):
            return copied
        strategy = job.strategy = copied
    attempt = job.attempt
    if batch.hooks.has_observers:
        quota = job.lane_or_raise.quota
        await batch.hooks.notify(events.ItemStarted(item_id=job.item.item_id, quota=quota, attempt=attempt))
    if (fault := _too_late(batch, job)) is not None:
        return fault
    timeout = batch.start_call(job, scope)
    reply: Reply | None = None
    try:
        if isinstance(job.item.prompt, Request):
            reply = await guarded(execute, strategy, job.item.prompt, attempt, timeout)
        else:
            reply = await guarded(strategy.execute, job.item.prompt, attempt, timeout)
        return reply
    finally:
        batch.calls.finish(job)
        if reply is None:
            batch.tally.cut_off += 1


def _too_late(batch: Batch, job: Job) -> Fault | None:
    """Return why a started job must not be called any more, as time passed while hooks were awaited; None: it may."""
    now = current_time()
    if now >= batch.deadline:
        return pending_fault(f"the batch's deadline of {batch.config.deadline:g} s passed")
    if now >= job.deadline:
        return overdue_fault(batch.config.deadline_per_item)
    return batch.stopped or job.lane_or_raise.exhausted


async def _copy_strategy(batch: Batch, job: Job) -> LLMCallStrategy[Any] | Fault | NoReply:
    """Return the item's own copy of its strategy; or why the item is not called by it."""
    if batch.hooks.has_middlewares and not job.seen_by_middlewares:
        item, fault = await batch.hooks.before_process(job.item)
        job.seen_by_middlewares = True
        if fault is not None:
            return fault
        if item.strategy is not job.item.strategy:
            job.replace_item(item)
            return NoReply.MOVED
        job.item = item
    try:
        own: object = copy.copy(job.origin)
    except Exception as error:  # noqa: BLE001 - a foreign __copy__ may raise anything
        return Fault(FaultKind.BUG, f"the strategy could not be copied: {describe(error)}")
    if not isinstance(own, LLMCallStrategy):
        return Fault(FaultKind.BUG, f"the copy of a strategy must be an LLMCallStrategy, not {type(own).__qualname__}")
    if job.previous is not None:
        try:
            own.take_over(job.previous)
        except Exception as error:  # noqa: BLE001 - as above
            return Fault(FaultKind.BUG, f"{type(own).__qualname__}.take_over: {describe(error)}")
    return own


async def _settle(batch: Batch, job: Job, reply: Reply) -> Job | None:
    """Settle a call, and return the worker's next job; None: the worker ends."""
    now = current_time()
    if reply is NoReply.TIMED_OUT:
        await settle_timeout(batch, job, now)
    elif isinstance(reply, tuple):
        await settle_reply(batch, job, reply, now)
        if is_leak(reply[1]):
            return None  # in a task whose cancellation was tampered with, no further call is made
    else:
        lane = job.lane_or_raise
        batch.settle_call(job, lane, now, pace.ABANDONED)
        batch.watch(lane, Ended(now, lane.in_flight))
        if isinstance(reply, Fault):
            await give_up(batch, job, reply)
        else:
            route(batch, job)
    following = batch.next_job()
    batch.start_workers()
    if following is not None and now - job.started < _INSTANT:
        await guarded(lowlevel.checkpoint)
    return following
