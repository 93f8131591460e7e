"""What follows from the end of a call: the retry machine decides about the item, and this carries it out."""

from __future__ import annotations

import time
from typing import Any

import attrs
from anyio import current_time

from .._core import escalation, events, retry
from .._core.fault import Fault, FaultKind, closed_lane_fault, overdue, pending
from .._core.pace import PaceChange
from .._core.results import Attempt, WorkItemResult
from .._core.usage import NO_USAGE
from ..abc import LLMCallStrategy
from .attempt import Verdict, heard, judge, signal_of
from .batch import Batch
from .guard import unwrapped
from .intake import arrive
from .job import Job, Lane, model_of, price_of


async def settle_call(batch: Batch, job: Job, reply: tuple[Any, BaseException | None], now: float) -> None:
    """Decide about an item from what its call returned or raised."""
    value, error = reply
    verdict = judge(job.called, value, error)
    await _decide(batch, job, _Ended(now, verdict, error))


async def settle_cut(batch: Batch, job: Job, now: float) -> None:
    """Decide about an item whose call was cancelled because time was up: the call's, the item's or the batch's."""
    config = batch.config
    final = True
    if job.strategy is not None:
        heard(job.strategy)  # of a call that came to nothing
    if now >= batch.deadline:
        fault = pending(f"the batch's deadline of {config.deadline:g} s passed during the call")
    elif now >= job.deadline:
        fault = overdue(config.deadline_per_item)
    else:
        fault = Fault(FaultKind.TIMEOUT, f"the call took longer than {config.timeout_per_item:g} s")
        final = False
    await _decide(batch, job, _Ended(now, Verdict(None, fault=fault), TimeoutError(fault.message), final))


async def give_up(batch: Batch, job: Job, fault: Fault) -> None:
    """Settle an item that something other than a call has ended."""
    job.step(batch.config.retry, retry.ENDED)
    job.result = job.settled(None, fault)
    await _publish(batch, job)


@attrs.frozen
class _Ended:
    """A call that ended."""

    at: float
    verdict: Verdict
    error: BaseException | None
    """What it raised."""
    final: bool = False
    """Whether the item's or the batch's time is up with it."""


async def _decide(batch: Batch, job: Job, call: _Ended) -> None:
    lane, attempt, fault = job.lane_or_raise, job.attempt, call.verdict.fault
    batch.finish_call(job, lane, call.at, signal_of(call.verdict, lane.costs))
    if call.verdict.usage is not NO_USAGE:
        lane.costs.learn(job.characters, call.verdict.usage)
    if fault is not None and fault.kind is FaultKind.THROTTLED:
        job.refusals += 1
    else:
        _book(batch, job, lane, call)
    effect = job.step(batch.config.retry, _event(batch, lane, call))
    if not isinstance(effect, (retry.CallAgain, escalation.MoveUp)):
        job.result = job.settled(call.verdict.output, fault)
    _end_more(batch, lane, effect, fault)
    # Nothing is awaited before here: no result can be lost, and nothing more is paid for, over a slow hook.
    if call.error is not None:
        await _tell_strategy(batch, job, call.error, attempt)
    if batch.hooks.listening:
        for change in lane.news():
            await batch.hooks.tell(_pace_changed(lane, change))
    match effect:
        case retry.CallAgain(delay):
            await _call_again(batch, job, delay, call)
        case escalation.MoveUp(step):
            await _move_up(batch, job, step, call)
        case _:
            await _publish(batch, job)


def _book(batch: Batch, job: Job, lane: Lane, call: _Ended) -> None:
    """Note an attempt, and what it cost."""
    fault, usage, called = call.verdict.fault, call.verdict.usage, job.called
    model = model_of(called)
    began, seconds = job.started - batch.began, call.at - job.started
    job.attempts += (Attempt(job.attempt, began, seconds, lane.quota, usage, fault, model),)
    account, accepted, name = batch.tally.account, fault is None, model or lane.quota
    account.book(name, usage, None if name in account else price_of(called), accepted=accepted)
    if accepted and job.ladder is not None:
        top = job.ladder.steps[-1]
        account.book_alone(model_of(top) or type(top).__qualname__, usage, price_of(top))


def _event(batch: Batch, lane: Lane, call: _Ended) -> retry.Event:
    if call.verdict.fault is None:
        return retry.ANSWERED
    if call.final:
        return retry.ENDED
    return retry.event_of(call.verdict.fault, starved=lane.starved(call.at), chance=batch.draw())


def _end_more(batch: Batch, lane: Lane, effect: escalation.Effect, fault: Fault | None) -> None:
    """End what else a fault ends: the batch, or its lane."""
    if fault is None:
        return
    match effect:
        case retry.StopBatch():
            batch.stop(pending(f"the batch was stopped: {fault}"))
        case retry.CloseLane():
            batch.close_lane(lane, closed_lane_fault(lane.quota, fault, wall_time=time.time()))
        case retry.Accept() | retry.CallAgain() | retry.GiveUp() | escalation.MoveUp():
            pass


async def _call_again(batch: Batch, job: Job, delay: float, call: _Ended) -> None:
    lane, fault = job.lane_or_raise, call.verdict.fault
    not_before = current_time() + delay
    if not_before >= job.deadline:
        await give_up(batch, job, overdue(batch.config.deadline_per_item))
        return
    if fault is not None and fault.kind is not FaultKind.THROTTLED:
        attempt = job.attempts[-1].number
        if batch.hooks.wrapping:
            await batch.hooks.retry(job.item, attempt, call.error or RuntimeError(fault.message))
        if batch.hooks.listening:
            await batch.hooks.tell(
                events.ItemRetried(
                    item_id=job.item.item_id,
                    quota=lane.quota,
                    attempt=attempt,
                    delay=delay,
                    kind=fault.kind,
                    error=fault.message,
                )
            )
    elif fault is not None and batch.hooks.listening:
        await batch.hooks.tell(
            events.RateLimitHit(item_id=job.item.item_id, quota=lane.quota, retry_after=fault.retry_after)
        )
    batch.put_back(job, not_before)


async def _move_up(batch: Batch, job: Job, step: int, call: _Ended) -> None:
    """Let an item wait for its first call on the next step of its ladder."""
    lane, fault = job.lane_or_raise, call.verdict.fault
    job.move_up(step)
    if fault is not None and batch.hooks.wrapping:
        await batch.hooks.retry(job.item, job.attempts[-1].number, call.error or RuntimeError(fault.message))
    if fault is not None and batch.hooks.listening:
        await batch.hooks.tell(
            events.ItemEscalated(
                item_id=job.item.item_id,
                quota=lane.quota,
                attempt=job.attempts[-1].number,
                step=step,
                model=model_of(job.origin),
                kind=fault.kind,
                error=fault.message,
            )
        )
    arrive(batch, job)


async def _publish(batch: Batch, job: Job) -> None:
    """Show an item's result to the middlewares, deliver it, and tell the observers."""
    result = job.result
    if result is None:
        raise AssertionError(f"item {job.item.item_id!r} has no result to publish")
    if batch.hooks.wrapping:
        job.result = result = await batch.hooks.after(result)
    batch.deliver(job)
    if batch.hooks.listening:
        await batch.hooks.tell(_settled(result, job.lane.quota if job.lane else ""))


async def _tell_strategy(batch: Batch, job: Job, error: BaseException, attempt: int) -> None:
    error = unwrapped(error)
    strategy = job.strategy
    if strategy is None or type(strategy).on_error is LLMCallStrategy.on_error or not isinstance(error, Exception):
        return
    await batch.hooks.harmless(strategy.on_error, error, attempt)


def _pace_changed(lane: Lane, change: PaceChange) -> events.Event:
    return events.PaceChanged(
        quota=lane.quota, handle=change.handle, old=change.old, new=change.new, reason=change.reason
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
