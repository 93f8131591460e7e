"""Settlement: reports the end of a call to the retry machine, and carries out its decision about the item.

Rules owned here:

1. Everything that a call's end decides is decided before anything is awaited: a slow hook can neither lose a result, nor delay the end
   of paid calls, nor hold the controller's ticket.
2. Hooks come afterwards. Other calls start meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
from anyio import current_time

from .._core import escalation, events, pace, retry
from .._core.fault import Fault, FaultKind, too_large_fault
from .._core.pace import PaceChange
from .._core.refusals import Blame
from .._core.results import Attempt, WorkItemResult
from .._core.usage import NO_USAGE
from ..abc import LLMCallStrategy
from .calls import EndedCall, Verdict, judge, signal_of, take_quota_hint
from .foreign import unwrap
from .job import Job
from .lane import Lane, own_refusal_fault
from .strategy_values import model_of, price_of
from .watch import heed_end, heed_long_hint, stop_others

if TYPE_CHECKING:
    from .services import Services


async def pass_middlewares(services: Services, job: Job) -> bool:
    """Pass an item through the middlewares before its first call; return whether it is to be called. If not, settle it."""
    if job.seen_by_middlewares or job.result is not None:
        return job.result is None
    item, fault = await services.hooks.before_process(job.item)
    job.pass_middlewares(item)
    if fault is not None and job.result is None:
        await give_up(services, job, fault)
    return job.result is None


async def settle_reply(services: Services, job: Job, reply: tuple[Any, BaseException | None], now: float) -> None:
    """Decide about an item whose call returned or raised."""
    value, error = reply
    verdict = judge(job.active_strategy, value, error)
    await _decide(services, job, EndedCall(now, verdict, error))


async def settle_timeout(services: Services, job: Job, now: float) -> None:
    """Decide about an item whose call was cancelled at its own timeout, or at the deadline of the item or the batch."""
    config, final = services.config, True
    if job.strategy is not None:
        take_quota_hint(job.strategy)  # the hint of a call without a reply is discarded
    fault = job.submitter.deadline_fault
    if fault is not None:
        fault = attrs.evolve(fault, message=f"{fault.message} during the call")
    elif now >= job.deadline:
        fault = job.submitter.overdue_fault(config)
    else:
        fault = Fault(FaultKind.TIMEOUT, f"the call took longer than {config.timeout_per_item:g} s")
        final = False
    await _decide(services, job, EndedCall(now, Verdict(None, fault=fault), TimeoutError(fault.message), final))


async def give_up(services: Services, job: Job, fault: Fault) -> None:
    """Settle an item with a fault that did not come from a call."""
    job.step(services.config.retry, retry.ENDED)
    job.settle(None, fault)
    await _publish(services, job)


async def _decide(services: Services, job: Job, call: EndedCall) -> None:
    lane, attempt = job.lane_or_raise, job.attempt
    call, own = _report(services, job, lane, call)
    fault = call.verdict.fault
    effect = job.step(services.config.retry, _event(services, lane, call, own=own))
    if not isinstance(effect, (retry.CallAgain, escalation.MoveUp)):
        job.settle(call.verdict.output, fault)
    if fault is not None or not lane.is_healthy:
        stop_others(services, job, lane, effect, fault)
        heed_end(services, job, lane, call)
    hooks = services.hooks
    if hooks.has_observers:
        for change in lane.unreported_changes():
            hooks.publish(_pace_changed(lane, change))
    if hooks.has_middlewares or call.error is not None:
        services.scheduler.start_calls()  # rule 2
    if call.error is not None:
        await _notify_strategy(services, job, call.error, attempt)
    match effect:
        case retry.CallAgain(delay):
            await _call_again(services, job, delay, call)
        case escalation.MoveUp(step):
            await _move_up(services, job, step, call)
        case _:
            await _publish(services, job)


def _report(services: Services, job: Job, lane: Lane[Job], call: EndedCall) -> tuple[EndedCall, bool]:
    """Report a call to the controller and the accounts; return it, and whether its item is refused for its own sake."""
    fault, own = call.verdict.fault, False
    if fault is not None and fault.kind is FaultKind.THROTTLED:
        job.submitter.tally.record_refusal()
        heed_long_hint(services, lane, call.at, fault)
        call, signal, own = _refused(job, lane, call, fault, services.config.retry.patience)
        fault = call.verdict.fault
    else:
        signal = signal_of(call.verdict, lane.costs)
    services.scheduler.settle_call(job, lane, call.at, signal)
    if call.verdict.usage is not NO_USAGE:
        lane.costs.record(job.characters, call.verdict.usage)
    if fault is not None and fault.kind is FaultKind.THROTTLED:
        job.record_refusal()
    else:
        job.clear_refusals()
        _record_attempt(job, lane, call)
    return call, own


def _refused(
    job: Job, lane: Lane[Job], call: EndedCall, fault: Fault, patience: float
) -> tuple[EndedCall, pace.Signal, bool]:
    """Record a refused call; return it, its signal to the controller, and whether the item is refused for its own sake."""
    blame = lane.blame(job, call.at, patience)
    if blame is Blame.LANE:
        job.charge()
        return call, signal_of(call.verdict, lane.costs), False
    signal = pace.Excused(job.take_back_charges())
    if lane.is_too_large(job, fault.quota):
        fault = too_large_fault(fault.message)
    elif blame is Blame.FINAL:
        fault = own_refusal_fault(lane, job, fault.message)
    else:
        return call, signal, False
    return attrs.evolve(call, verdict=attrs.evolve(call.verdict, fault=fault)), signal, True


def _record_attempt(job: Job, lane: Lane[Job], call: EndedCall) -> None:
    """Record an attempt and its cost."""
    fault, usage, strategy, tally = call.verdict.fault, call.verdict.usage, job.active_strategy, job.submitter.tally
    model = model_of(strategy)
    started, seconds = job.started - job.submitter.started_at, call.at - job.started
    job.record_attempt(Attempt(job.attempt, started, seconds, lane.quota, usage, fault, model))
    account, accepted, name = tally.account, fault is None, model or lane.quota
    account.book(name, usage, None if name in account else price_of(strategy), accepted=accepted)
    if accepted and job.ladder is not None:
        top = job.ladder.steps[-1]
        account.book_alone(model_of(top) or type(top).__qualname__, usage, price_of(top))


def _event(services: Services, lane: Lane[Job], call: EndedCall, *, own: bool) -> retry.Event:
    if call.verdict.fault is None:
        return retry.ANSWERED
    if call.final:
        return retry.ENDED
    return retry.event_of(call.verdict.fault, starved=lane.starved(call.at), chance=services.draw(), own=own)


async def _call_again(services: Services, job: Job, delay: float, call: EndedCall) -> None:
    """Report that an item will be called again, and let it wait for that call in its lane."""
    lane, fault, hooks = job.lane_or_raise, call.verdict.fault, services.hooks
    not_before = current_time() + delay
    if not_before >= job.deadline:
        await give_up(services, job, job.submitter.overdue_fault(services.config))
        return
    if fault is not None and fault.kind is not FaultKind.THROTTLED:
        attempt = job.attempts[-1].number
        if hooks.has_middlewares:
            await hooks.on_retry(job.item, attempt, call.error or RuntimeError(fault.message))
        if hooks.has_observers:
            hooks.publish(
                events.ItemRetried(
                    item_id=job.item.item_id,
                    quota=lane.quota,
                    attempt=attempt,
                    delay=delay,
                    kind=fault.kind,
                    error=fault.message,
                )
            )
    elif fault is not None and hooks.has_observers:
        hooks.publish(events.RateLimitHit(item_id=job.item.item_id, quota=lane.quota, retry_after=fault.retry_after))
    services.scheduler.put_back(job, not_before)


async def _move_up(services: Services, job: Job, step: int, call: EndedCall) -> None:
    """Let an item wait for its first call on a higher step of its ladder."""
    lane, fault, hooks = job.lane_or_raise, call.verdict.fault, services.hooks
    job.move_up(step)
    if fault is not None and hooks.has_middlewares:
        await hooks.on_retry(job.item, job.attempts[-1].number, call.error or RuntimeError(fault.message))
    if fault is not None and hooks.has_observers:
        hooks.publish(
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
    services.strategies.route(job)


async def _publish(services: Services, job: Job) -> None:
    """Pass an item's result through the middlewares, deliver it, and report it to the observers."""
    result, hooks = job.result, services.hooks
    if result is None:
        raise AssertionError(f"item {job.item.item_id!r} has no result to publish")
    if hooks.has_middlewares:
        result = await hooks.after_process(result)
        job.set_result(result)
    job.submitter.deliver(job)
    if hooks.has_observers:
        hooks.publish(_item_settled(result, job.lane.quota if job.lane else ""))


async def _notify_strategy(services: Services, job: Job, error: BaseException, attempt: int) -> None:
    """Call `on_error` of the item's own copy, if its class overrides it."""
    error = unwrap(error)
    strategy = job.strategy
    if strategy is None or type(strategy).on_error is LLMCallStrategy.on_error or not isinstance(error, Exception):
        return
    await services.hooks.call(strategy.on_error, error, attempt)


def _pace_changed(lane: Lane[Job], change: PaceChange) -> events.Event:
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
