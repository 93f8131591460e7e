"""Settlement: reports the end of a call to the retry machine, and carries out its decision about the item.

Rules owned here:

1. Everything that a call's end decides is decided before anything is awaited: a slow hook can neither lose a result, nor delay the end
   of paid calls, nor hold the controller's ticket. So these functions are not coroutines. Where hooks are to be awaited, they return
   what remains to be done as an awaitable; else they have done it, and return None.
2. Other calls start while hooks run.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

import attrs

from ..._core import escalation, events, pace, retry
from ..._core.exceptions import CallError
from ..._core.fault import Fault, FaultKind, too_large_fault
from ..._core.health.refusals import Blame
from ..._core.pace import PaceChange
from ..._core.quick_records import quick
from ..._core.quota import QuotaHint
from ..._core.results import Attempt, WorkItemResult
from ..._core.usage import NO_USAGE, TokenUsage, usage_data
from ...abc import LLMCallStrategy
from ..lanes.job import Job
from ..lanes.lane import Lane
from ..lanes.lane_job import is_too_large, own_refusal_fault
from ..lanes.strategy_values import model_of, price_of
from ..loop.foreign import unwrap
from .calls import (
    FailedCall,
    answer_signal,
    fault_signal,
    fault_without_answer,
    is_answer,
    take_quota_hint,
    usage_of,
)
from .watch import believed, heed_answer, heed_fault, heed_long_hint, stop_others

if TYPE_CHECKING:
    from .services import Services


_attempt = quick(Attempt)
_GOES_ON = (retry.CallAgain, escalation.MoveUp)
"""Effects after which an item is called again."""


async def pass_middlewares(services: Services, job: Job) -> bool:
    """Pass an item through the middlewares before its first call; return whether it is to be called. If not, settle it."""
    if job.seen_by_middlewares or job.result is not None:
        return job.result is None
    item, fault = await services.hooks.before_process(job.item)
    job.pass_middlewares(item)
    if fault is not None and job.result is None:
        await give_up(services, job, fault)
    return job.result is None


def settle_reply(
    services: Services, job: Job, reply: tuple[Any, BaseException | None], now: float
) -> Awaitable[None] | None:
    """Decide about an item whose call returned or raised."""
    value, error = reply
    strategy = job.active_strategy
    quota = take_quota_hint(strategy)
    if error is None and is_answer(value):
        output, tokens = value
        usage = NO_USAGE if tokens is None else believed(job, usage_of(strategy, tokens))
        return _settle_answer(services, job, output, usage, quota, now)
    usage = NO_USAGE
    if isinstance(error, CallError):
        usage = believed(job, usage_of(strategy, getattr(error, "usage", None)))
    fault = fault_without_answer(strategy, value, error, quota)
    return _settle_fault(services, job, FailedCall(now, job.number, fault, usage, error))


def settle_timeout(services: Services, job: Job, now: float) -> Awaitable[None] | None:
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
    call = FailedCall(now, job.number, fault, error=TimeoutError(fault.message), final=final)
    return _settle_fault(services, job, call)


def settle_without_call(services: Services, job: Job, fault: Fault) -> Awaitable[None] | None:
    """Settle an item with a fault that did not come from a call."""
    job.step(services.config.retry, retry.ENDED)
    job.settle(None, fault)
    if services.hooks.has_middlewares:
        return _publish_after_hooks(services, job)
    _publish(services, job)
    return None


async def give_up(services: Services, job: Job, fault: Fault) -> None:
    """Settle an item with a fault that did not come from a call, and call its hooks."""
    rest = settle_without_call(services, job, fault)
    if rest is not None:
        await rest


def _settle_answer(  # noqa: PLR0913, PLR0917 - what an answer is
    services: Services, job: Job, output: Any, usage: TokenUsage, quota: QuotaHint | None, now: float
) -> Awaitable[None] | None:
    """Settle an item with the answer to its call. Most calls end here, so it is short."""
    lane, hooks = job.lane_or_raise, services.hooks
    services.scheduler.settle_call(job, lane, now, answer_signal(usage, quota, lane.costs))
    if usage is not NO_USAGE:
        lane.costs.record(job.characters, usage)
    job.clear_refusals()
    _record_attempt(services, job, lane, now, usage, None)
    job.step(services.config.retry, retry.ANSWERED)
    job.settle(output, None)
    if not lane.health.is_good:
        heed_answer(services, job, lane, now)
    if hooks.reports_pace:
        _report_pace(services, lane)
    if hooks.has_middlewares:
        services.scheduler.start_calls()  # rule 2
        return _publish_after_hooks(services, job)
    _publish(services, job)
    return None


def _settle_fault(services: Services, job: Job, call: FailedCall) -> Awaitable[None] | None:
    """Decide about an item whose call failed."""
    call, effect = _decide(services, job, call)
    hooks, error = services.hooks, call.error
    if not hooks.has_middlewares and (error is None or not _hears_of(job, error)):
        _carry_out(services, job, effect, call)
        return None
    services.scheduler.start_calls()  # rule 2
    return _carry_out_after_hooks(services, job, effect, call)


def _decide(services: Services, job: Job, call: FailedCall) -> tuple[FailedCall, escalation.Effect]:
    """Report a call to all that learn from it, and return it with the effect to carry out; an item that ends has its result then."""
    lane = job.lane_or_raise
    call, own = _report(services, job, lane, call)
    effect = job.step(services.config.retry, _event(services, lane, call, own=own))
    if not isinstance(effect, _GOES_ON):
        job.settle(None, call.fault)
    stop_others(services, job, lane, effect, call.fault)
    heed_fault(services, job, lane, call)
    if services.hooks.reports_pace:
        _report_pace(services, lane)
    return call, effect


def _report_pace(services: Services, lane: Lane[Job]) -> None:
    """Report the changes of a lane's pace to the observers."""
    for change in lane.unreported_changes():
        if services.hooks.tracer is not None:
            services.hooks.tracer.change_pace(lane.quota, change)
        if services.hooks.has_observers:
            services.hooks.publish(_pace_changed(lane, change))


def _carry_out(services: Services, job: Job, effect: escalation.Effect, call: FailedCall) -> None:
    """Publish the result of an item, or let it wait for its next call."""
    if job.result is not None:
        _publish(services, job)
    elif isinstance(effect, retry.CallAgain):
        _call_again(services, job, effect.delay, call)
    elif isinstance(effect, escalation.MoveUp):
        _move_up(services, job, effect.step, call)


async def _carry_out_after_hooks(services: Services, job: Job, effect: escalation.Effect, call: FailedCall) -> None:
    """Do the same, after the hooks that receive it."""
    hooks, fault, error = services.hooks, call.fault, call.error
    if error is not None and _hears_of(job, error):
        strategy, error = job.active_strategy, unwrap(error)
        await hooks.call(strategy.on_error, error, call.number)
    if job.result is not None:
        if hooks.has_middlewares:
            job.set_result(await hooks.after_process(job.result))
    elif not call.is_refusal and hooks.has_middlewares:
        await hooks.on_retry(job.item, call.number, call.error or RuntimeError(fault.message))
    _carry_out(services, job, effect, call)


def _hears_of(job: Job, error: BaseException) -> bool:
    """Whether the item's own copy of its strategy is to receive an exception."""
    strategy = job.strategy
    if strategy is None or type(strategy).on_error is LLMCallStrategy.on_error:
        return False
    return isinstance(unwrap(error), Exception)


def _report(services: Services, job: Job, lane: Lane[Job], call: FailedCall) -> tuple[FailedCall, bool]:
    """Report a failed call to the controller and the accounts; return it, and whether its item is refused for its own sake."""
    kind, own, was_refused = call.fault.kind, False, True
    if kind is FaultKind.OVERLOADED:
        call = _judge_overload(job, lane, call)
    elif kind is FaultKind.THROTTLED:
        heed_long_hint(services, lane, call.at, call.fault)
    if call.is_refusal:
        job.submitter.tally.record_refusal()
    if kind is FaultKind.THROTTLED or call.is_spared:
        call, signal, own = _refused(job, lane, call, services.config.retry.patience)
    elif call.final:
        signal, was_refused = job.submitter.cut_off_signal(job, call.at), False
    else:
        signal, was_refused = fault_signal(call.fault, call.usage, lane.costs), False
    services.scheduler.settle_call(job, lane, call.at, signal)
    if call.usage is not NO_USAGE:
        lane.costs.record(job.characters, call.usage)
    if call.is_refusal:
        job.record_refusal()
        if job.trace is not None:
            job.trace.end_call(call.usage, None, call.fault)
        return call, own
    if not was_refused:
        job.clear_refusals()
    _record_attempt(services, job, lane, call.at, call.usage, call.fault)
    return call, own


def _judge_overload(job: Job, lane: Lane[Job], call: FailedCall) -> FailedCall:
    """Record a call whose provider was overloaded; return it with what that means for its item."""
    is_spared = lane.record_overload(job, call.at, job.record_overload(call.at))
    return attrs.evolve(call, is_spared=is_spared, by_limit=is_spared and lane.overloads.is_limit)


def _refused(job: Job, lane: Lane[Job], call: FailedCall, patience: float) -> tuple[FailedCall, pace.Signal, bool]:
    """Record a refused call; return it, its signal to the controller, and whether the item is refused for its own sake."""
    fault, blame = call.fault, lane.blame(job, call.at, patience)
    signal: pace.Signal = pace.ABANDONED  # it may have failed by chance, which is no evidence
    if blame is Blame.LANE:
        if call.is_refusal:
            job.charge()
            signal = pace.Throttled(fault.retry_after, lane.costs.as_total_tokens(fault.quota))
        return call, signal, False
    if call.is_refusal:
        signal = pace.Excused(job.take_back_charges())
    if is_too_large(job, lane.costs, fault.quota):
        fault = too_large_fault(fault.message)
    elif blame is Blame.FINAL:
        fault = own_refusal_fault(lane.quota, job, fault.message)
    else:
        return call, signal, False
    return attrs.evolve(call, fault=fault, by_limit=False), signal, True


def _record_attempt(  # noqa: PLR0913, PLR0917 - what an attempt is
    services: Services, job: Job, lane: Lane[Job], ended: float, usage: TokenUsage, fault: Fault | None
) -> None:
    """Record an attempt and its cost."""
    strategy, submitter = job.active_strategy, job.submitter
    model = model_of(strategy)
    started, seconds = job.started - submitter.started_at, ended - job.started
    account, accepted = submitter.tally.account, fault is None
    cost = account.book(model or lane.quota, usage, price_of(strategy), accepted=accepted)
    job.record_attempt(_attempt(job.number, started, seconds, lane.quota, usage, fault, model, cost))
    if job.trace is not None:
        job.trace.end_call(usage, cost, fault)
    if services.scheduler.spending.budget is not None:
        services.scheduler.spending.spend(job, model or lane.quota, cost, usage)
    if accepted and job.ladder is not None:
        top = job.ladder.steps[-1]
        account.book_alone(model_of(top) or type(top).__qualname__, usage, price_of(top))


def _event(services: Services, lane: Lane[Job], call: FailedCall, *, own: bool) -> retry.Event:
    if call.final:
        return retry.ENDED
    return retry.event_of(
        call.fault, starved=lane.health.starved(call.at), chance=services.draw(), own=own, refused=call.is_spared
    )


def _call_again(services: Services, job: Job, delay: float, call: FailedCall) -> None:
    """Report that an item will be called again, and let it wait for that call in its lane."""
    lane, fault, hooks = job.lane_or_raise, call.fault, services.hooks
    not_before = services.clock.now() + delay
    if not_before >= job.deadline:
        job.submitter.dismiss(job, job.submitter.overdue_fault(services.config))
        return
    if hooks.has_observers:
        if call.is_refusal:
            hooks.publish(
                events.RateLimitHit(item_id=job.item.item_id, quota=lane.quota, retry_after=fault.retry_after)
            )
        else:
            hooks.publish(
                events.ItemRetried(
                    item_id=job.item.item_id,
                    quota=lane.quota,
                    attempt=call.number,
                    delay=delay,
                    kind=fault.kind,
                    error=fault.message,
                )
            )
    services.scheduler.put_back(job, not_before)


def _move_up(services: Services, job: Job, step: int, call: FailedCall) -> None:
    """Let an item wait for its first call on a higher step of its ladder."""
    lane, fault, hooks = job.lane_or_raise, call.fault, services.hooks
    job.move_up(step)
    if hooks.has_observers:
        hooks.publish(
            events.ItemEscalated(
                item_id=job.item.item_id,
                quota=lane.quota,
                attempt=call.number,
                step=step,
                model=model_of(job.origin),
                kind=fault.kind,
                error=fault.message,
            )
        )
    services.strategies.route(job)


def _publish(services: Services, job: Job) -> None:
    """Deliver an item's result, and report it to the observers."""
    result, hooks = job.result, services.hooks
    if result is None:
        raise AssertionError(f"item {job.item.item_id!r} has no result to publish")
    job.submitter.deliver(job)
    if hooks.has_observers:
        hooks.publish(_item_settled(result, job.lane.quota if job.lane else ""))


async def _publish_after_hooks(services: Services, job: Job) -> None:
    """Pass an item's result through the middlewares, then publish it."""
    if job.result is not None:
        job.set_result(await services.hooks.after_process(job.result))
    _publish(services, job)


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
        "tokens": usage_data(result.usage),
    }
    if result.error is None:
        return events.ItemCompleted(**fields)
    return events.ItemFailed(**fields, kind=result.error.kind, error=result.error.message)
