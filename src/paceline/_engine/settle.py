"""What follows from the end of a call: the retry machine decides about the item, and this carries it out."""

from __future__ import annotations

from typing import Any

import attrs
from anyio import current_time

from .._core import events, retry
from .._core.fault import Fault, FaultKind, pending
from .._core.outcome import Attempt, WorkItemResult
from ..abc import LLMCallStrategy
from .attempt import Verdict, judge, signal_of
from .batch import Batch
from .guard import unwrapped
from .job import Job, Lane


async def settle_call(batch: Batch, job: Job, value: Any, error: BaseException | None) -> None:
    """Decide about an item from what its call returned or raised."""
    strategy = job.strategy or job.item.strategy
    await _decide(batch, job, judge(strategy, value, error), error, final=False)


async def settle_cut(batch: Batch, job: Job) -> None:
    """Decide about an item whose call was cancelled because time was up: the call's, the item's or the batch's."""
    now, config = current_time(), batch.config
    final = True
    if now >= batch.deadline:
        fault = pending(f"the batch's deadline of {config.deadline:g} s passed during the call")
    elif now >= job.deadline:
        fault = overdue(config.deadline_per_item)
    else:
        fault = Fault(FaultKind.TIMEOUT, f"the call took longer than {config.timeout_per_item:g} s")
        final = False
    await _decide(batch, job, Verdict(None, fault=fault), TimeoutError(fault.message), final=final)


async def give_up(batch: Batch, job: Job, fault: Fault) -> None:
    """Settle an item that something other than a call has ended."""
    job.state, _ = retry.step(batch.config.retry, job.state, retry.ENDED)
    await _publish(batch, job, job.settled(None, fault))


def overdue(seconds: float) -> Fault:
    """Return the fault of an item whose own time is up."""
    return Fault(FaultKind.TIMEOUT, f"the item was not settled within its deadline of {seconds:g} s")


async def _decide(batch: Batch, job: Job, verdict: Verdict, error: BaseException | None, *, final: bool) -> None:
    lane, attempt, now, fault = job.lane_or_raise, job.attempt, current_time(), verdict.fault
    limit = lane.pace.limit
    batch.finish_call(job, lane, now, signal_of(fault))
    if fault is not None and fault.kind is FaultKind.THROTTLED:
        job.refusals += 1
    else:
        job.attempts += (
            Attempt(attempt, job.started - batch.began, now - job.started, lane.quota, verdict.usage, fault),
        )
    if fault is None:
        event: retry.Event = retry.ANSWERED
    elif final:
        event = retry.ENDED
    else:
        event = retry.event_of(fault, starved=lane.starved(now), chance=batch.draw())
    job.state, effect = retry.step(batch.config.retry, job.state, event)
    if error is not None:
        await _tell_strategy(batch, job, error, attempt)
    if batch.hooks.listening and lane.pace.limit != limit:
        await batch.hooks.tell(_pace_changed(lane, limit))
    await _carry_out(batch, job, effect, verdict, error)


async def _carry_out(
    batch: Batch, job: Job, effect: retry.Effect, verdict: Verdict, error: BaseException | None
) -> None:
    fault = verdict.fault
    if fault is None:
        await _publish(batch, job, job.settled(verdict.output, None))
        return
    match effect:
        case retry.CallAgain(delay):
            await _call_again(batch, job, delay, fault, error)
            return
        case retry.StopBatch():
            batch.stop(pending(f"the batch was stopped: {fault}"))
        case retry.CloseLane():
            lane = job.lane_or_raise
            batch.close_lane(lane, pending(f"the quota {lane.quota} is closed: {fault}"))
        case retry.GiveUp() | retry.Accept():
            pass
    await _publish(batch, job, job.settled(None, fault))


async def _call_again(batch: Batch, job: Job, delay: float, fault: Fault, error: BaseException | None) -> None:
    lane = job.lane_or_raise
    not_before = current_time() + delay
    if not_before >= job.deadline:
        await give_up(batch, job, attrs.evolve(overdue(batch.config.deadline_per_item), retry_after=fault.retry_after))
        return
    throttled = fault.kind is FaultKind.THROTTLED
    if batch.hooks.wrapping and not throttled:
        await batch.hooks.retry(job.item, job.attempts[-1].number, error or RuntimeError(fault.message))
    if batch.hooks.listening:
        await batch.hooks.tell(
            events.RateLimitHit(item_id=job.item.item_id, quota=lane.quota, retry_after=fault.retry_after)
            if throttled
            else events.ItemRetried(
                item_id=job.item.item_id,
                quota=lane.quota,
                attempt=job.attempts[-1].number,
                delay=delay,
                kind=fault.kind,
                error=fault.message,
            )
        )
    batch.put_back(job, lane, not_before)


async def _publish(batch: Batch, job: Job, result: WorkItemResult[Any]) -> None:
    """Deliver an item's result. It is known to the ledger before any hook is awaited, so that it cannot be lost."""
    job.result = result
    if batch.hooks.wrapping:
        job.result = await batch.hooks.after(result)
    batch.deliver(job)
    if batch.hooks.listening:
        await batch.hooks.tell(_settled(job.result, job.lane.quota if job.lane else ""))


async def _tell_strategy(batch: Batch, job: Job, error: BaseException, attempt: int) -> None:
    error = unwrapped(error)
    strategy = job.strategy
    if strategy is None or type(strategy).on_error is LLMCallStrategy.on_error or not isinstance(error, Exception):
        return
    await batch.hooks.harmless(strategy.on_error, error, attempt)


def _pace_changed(lane: Lane, old: int) -> events.Event:
    history = lane.pace.history
    return events.PaceChanged(
        quota=lane.quota, old=old, new=lane.pace.limit, reason=history[-1].reason if history else ""
    )


def _settled(result: WorkItemResult[Any], quota: str) -> events.Event:
    told: dict[str, Any] = {
        "item_id": result.item_id,
        "quota": quota,
        "attempts": len(result.attempts),
        "seconds": result.seconds,
        "tokens": attrs.asdict(result.usage),
    }
    if result.error is None:
        return events.ItemCompleted(**told)
    return events.ItemFailed(**told, kind=result.error.kind, error=result.error.message)
