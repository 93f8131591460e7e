"""Settlement: reports the end of a call to the retry machine, and carries out its decision about the item."""

from __future__ import annotations

import time
from typing import Any

import attrs
from anyio import current_time

from .._core import escalation, events, pace, retry
from .._core.exhausted_lane import exhausted_lane_fault, reopens_in
from .._core.fault import Fault, FaultKind, overdue_fault, pending_fault, too_large_fault
from .._core.fault_groups import provider_words
from .._core.pace import PaceChange
from .._core.quota import QuotaHint
from .._core.refusals import Blame
from .._core.results import Attempt, WorkItemResult
from .._core.systematic_failure import PASSING_KINDS, Ended
from .._core.usage import NO_USAGE
from ..abc import LLMCallStrategy
from .attempt import Verdict, judge, log_bug, signal_of, take_quota_hint
from .batch import Batch
from .guard import IN_SUMMARY, logger, unwrap
from .intake import route
from .job import Job, Lane, model_of, own_refusal_fault, price_of

_MOST_TRACEBACKS = 3  # of bugs that are alike: a million items may fail so


async def settle_reply(batch: Batch, job: Job, reply: tuple[Any, BaseException | None], now: float) -> None:
    """Decide about an item whose call returned or raised."""
    value, error = reply
    verdict = judge(job.active_strategy, value, error)
    await _decide(batch, job, _EndedCall(now, verdict, error))


async def settle_timeout(batch: Batch, job: Job, now: float) -> None:
    """Decide about an item whose call was cancelled at its own timeout, or at the deadline of the item or the batch."""
    config = batch.config
    final = True
    if job.strategy is not None:
        take_quota_hint(job.strategy)  # the hint of a call without a reply is discarded
    if now >= batch.deadline:
        fault = pending_fault(f"the batch's deadline of {config.deadline:g} s passed during the call")
    elif now >= job.deadline:
        fault = overdue_fault(config.deadline_per_item)
    else:
        fault = Fault(FaultKind.TIMEOUT, f"the call took longer than {config.timeout_per_item:g} s")
        final = False
    await _decide(batch, job, _EndedCall(now, Verdict(None, fault=fault), TimeoutError(fault.message), final))


async def give_up(batch: Batch, job: Job, fault: Fault) -> None:
    """Settle an item with a fault that did not come from a call."""
    job.step(batch.config.retry, retry.ENDED)
    job.result = job.make_result(None, fault)
    await _publish(batch, job)


@attrs.frozen
class _EndedCall:
    """A call that has ended."""

    at: float
    """The time of its end."""
    verdict: Verdict
    error: BaseException | None
    """The exception of `execute`, if any."""
    final: bool = False
    """Whether the deadline of the item or the batch has passed, so that no other call may follow."""


async def _decide(batch: Batch, job: Job, call: _EndedCall) -> None:
    lane, attempt = job.lane_or_raise, job.attempt
    call, own = _report(batch, job, lane, call)
    fault = call.verdict.fault
    effect = job.step(batch.config.retry, _event(batch, lane, call, own=own))
    if not isinstance(effect, (retry.CallAgain, escalation.MoveUp)):
        job.result = job.make_result(call.verdict.output, fault)
    _stop_others(batch, lane, effect, fault)
    _watch(batch, job, lane, call)
    _heed_outage(batch, job, lane, call)
    # Nothing is awaited before here: a slow hook can neither lose a result nor delay the end of paid calls.
    if call.error is not None:
        await _notify_strategy(batch, job, call.error, attempt)
    if batch.hooks.has_observers:
        for change in lane.unreported_changes():
            await batch.hooks.notify(_pace_changed(lane, change))
    match effect:
        case retry.CallAgain(delay):
            await _call_again(batch, job, delay, call)
        case escalation.MoveUp(step):
            await _move_up(batch, job, step, call)
        case _:
            await _publish(batch, job)


def _report(batch: Batch, job: Job, lane: Lane, call: _EndedCall) -> tuple[_EndedCall, bool]:
    """Report a call to the controller and the accounts; return it, and whether its item is refused for its own sake."""
    fault, own = call.verdict.fault, False
    if fault is not None and fault.kind is FaultKind.THROTTLED:
        batch.tally.refusals += 1
        _heed_long_hint(batch, lane, call.at, fault)
        call, signal, own = _refused(job, lane, call, fault, batch.config.retry.patience)
        fault = call.verdict.fault
    else:
        signal = signal_of(call.verdict, lane.costs)
    batch.settle_call(job, lane, call.at, signal)
    if call.verdict.usage is not NO_USAGE:
        lane.costs.record(job.characters, call.verdict.usage)
    if fault is not None and fault.kind is FaultKind.THROTTLED:
        job.refusals += 1
    else:
        job.clear_refusals()
        _record_attempt(batch, job, lane, call)
    return call, own


def _refused(
    job: Job, lane: Lane, call: _EndedCall, fault: Fault, patience: float
) -> tuple[_EndedCall, pace.Signal, bool]:
    """Record a refused call; return it, its signal to the controller, and whether the item is refused for its own sake."""
    job.refused, blame = lane.refusals.record_refusal(job.refused, job.order, call.at, patience)
    if lane.refusals.is_closed:
        lane.backlog.record_closed()
    if blame is Blame.LANE:
        job.charged += (job.ticket,)
        return call, signal_of(call.verdict, lane.costs), False
    signal, job.charged = pace.Excused(job.charged), ()
    if lane.is_too_large(job, fault.quota):
        fault = too_large_fault(fault.message)
    elif blame is Blame.FINAL:
        fault = own_refusal_fault(lane, job, fault.message)
    else:
        return call, signal, False
    return attrs.evolve(call, verdict=attrs.evolve(call.verdict, fault=fault)), signal, True


def _heed_long_hint(batch: Batch, lane: Lane, now: float, fault: Fault) -> None:
    """Exhaust a lane whose refusals agree that it reopens only after a time that no batch waits for."""
    asked = fault.retry_after or reopens_in(fault)
    lane.long_hints = lane.long_hints.after(now, asked, batch.config.retry.patience)
    if lane.long_hints.are_believed:
        hint = attrs.evolve(fault.quota or QuotaHint(), reopens_in=asked)
        spent = attrs.evolve(fault, quota=hint)
        batch.exhaust_lane(lane, exhausted_lane_fault(lane.quota, spent, wall_time=time.time()))


def _record_attempt(batch: Batch, job: Job, lane: Lane, call: _EndedCall) -> None:
    """Record an attempt and its cost."""
    fault, usage, strategy = call.verdict.fault, call.verdict.usage, job.active_strategy
    model = model_of(strategy)
    started, seconds = job.started - batch.started_at, call.at - job.started
    job.attempts += (Attempt(job.attempt, started, seconds, lane.quota, usage, fault, model),)
    account, accepted, name = batch.tally.account, fault is None, model or lane.quota
    account.book(name, usage, None if name in account else price_of(strategy), accepted=accepted)
    if accepted and job.ladder is not None:
        top = job.ladder.steps[-1]
        account.book_alone(model_of(top) or type(top).__qualname__, usage, price_of(top))


def _event(batch: Batch, lane: Lane, call: _EndedCall, *, own: bool) -> retry.Event:
    if call.verdict.fault is None:
        return retry.ANSWERED
    if call.final:
        return retry.ENDED
    return retry.event_of(call.verdict.fault, starved=lane.starved(call.at), chance=batch.draw(), own=own)


def _stop_others(batch: Batch, lane: Lane, effect: escalation.Effect, fault: Fault | None) -> None:
    """Stop the batch or exhaust the lane, if that is the effect of a fault."""
    if fault is None:
        return
    match effect:
        case retry.StopBatch():
            batch.stop(pending_fault(f"the batch was stopped: {fault}"))
        case retry.ExhaustLane():
            batch.exhaust_lane(lane, exhausted_lane_fault(lane.quota, fault, wall_time=time.time()))
        case retry.Accept() | retry.CallAgain() | retry.GiveUp() | escalation.MoveUp():
            pass


def _watch(batch: Batch, job: Job, lane: Lane, call: _EndedCall) -> None:
    """Report the end of a call to the lane's watch for calls that all fail alike."""
    fault = call.verdict.fault
    if call.final:  # the deadline is the item's or the batch's, and says nothing about the provider
        event = Ended(call.at, lane.in_flight)
    else:
        event = Ended.of(fault, at=call.at, in_flight=lane.in_flight, is_final=job.result is not None)
    if fault is not None and fault.kind is not FaultKind.THROTTLED and not call.final:
        alike = batch.tally.record_fault(fault)
        if fault.kind is FaultKind.BUG and call.error is not None and alike <= _MOST_TRACEBACKS:
            log_bug(job.active_strategy, call.error)
    batch.watch(lane, event, model_of(job.active_strategy))


def _heed_outage(batch: Batch, job: Job, lane: Lane, call: _EndedCall) -> None:
    """Exhaust a lane whose provider has been down for so long that its next call would start only after a time that no batch waits for."""
    fault = call.verdict.fault
    if fault is None or fault.kind not in PASSING_KINDS or call.final or lane.exhausted is not None:
        return
    if lane.record_passing_fault(job, call.at, batch.config.retry.patience):
        reason = pending_fault(
            f"{lane.quota} has served nothing for {call.at - lane.failing_since:.0f} s: {fault.kind}: "
            f"{provider_words(fault.message).rstrip('.')}; run its items again later"
        )
        logger.warning("stopped: %s", reason.message, extra={IN_SUMMARY: True})
        batch.exhaust_lane(lane, reason)


async def _call_again(batch: Batch, job: Job, delay: float, call: _EndedCall) -> None:
    """Report that an item will be called again, and let it wait for that call in its lane."""
    lane, fault = job.lane_or_raise, call.verdict.fault
    not_before = current_time() + delay
    if not_before >= job.deadline:
        await give_up(batch, job, overdue_fault(batch.config.deadline_per_item))
        return
    if fault is not None and fault.kind is not FaultKind.THROTTLED:
        attempt = job.attempts[-1].number
        if batch.hooks.has_middlewares:
            await batch.hooks.on_retry(job.item, attempt, call.error or RuntimeError(fault.message))
        if batch.hooks.has_observers:
            await batch.hooks.notify(
                events.ItemRetried(
                    item_id=job.item.item_id,
                    quota=lane.quota,
                    attempt=attempt,
                    delay=delay,
                    kind=fault.kind,
                    error=fault.message,
                )
            )
    elif fault is not None and batch.hooks.has_observers:
        await batch.hooks.notify(
            events.RateLimitHit(item_id=job.item.item_id, quota=lane.quota, retry_after=fault.retry_after)
        )
    batch.put_back(job, not_before)


async def _move_up(batch: Batch, job: Job, step: int, call: _EndedCall) -> None:
    """Let an item wait for its first call on a higher step of its ladder."""
    lane, fault = job.lane_or_raise, call.verdict.fault
    job.move_up(step)
    if fault is not None and batch.hooks.has_middlewares:
        await batch.hooks.on_retry(job.item, job.attempts[-1].number, call.error or RuntimeError(fault.message))
    if fault is not None and batch.hooks.has_observers:
        await batch.hooks.notify(
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
    route(batch, job)


async def _publish(batch: Batch, job: Job) -> None:
    """Pass an item's result through the middlewares, deliver it, and report it to the observers."""
    result = job.result
    if result is None:
        raise AssertionError(f"item {job.item.item_id!r} has no result to publish")
    if batch.hooks.has_middlewares:
        job.result = result = await batch.hooks.after_process(result)
    batch.deliver(job)
    if batch.hooks.has_observers:
        await batch.hooks.notify(_item_settled(result, job.lane.quota if job.lane else ""))


async def _notify_strategy(batch: Batch, job: Job, error: BaseException, attempt: int) -> None:
    """Call `on_error` of the item's own copy, if its class overrides it."""
    error = unwrap(error)
    strategy = job.strategy
    if strategy is None or type(strategy).on_error is LLMCallStrategy.on_error or not isinstance(error, Exception):
        return
    await batch.hooks.call(strategy.on_error, error, attempt)


def _pace_changed(lane: Lane, change: PaceChange) -> events.Event:
    return events.PaceChanged(
        quota=lane.quota, handle=change.handle, old=change.old, new=change.new, reason=change.reason
    )


def _item_settled(result: WorkItemResult[Any], quota: str) -> events.Event:
    fields: dict[str, Any] = {
        "item_id": result.item_id,
        "quota": quota,
        "attempts": len(result.attempts),
        "seconds": result.seconds,
        "tokens": attrs.asdict(result.usage),
    }
    if result.error is None:
        return events.ItemCompleted(**fields)
    return events.ItemFailed(**fields, kind=result.error.kind, error=result.error.message)
