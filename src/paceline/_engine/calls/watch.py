"""Watch: what the end of a call says about its lane, beside its pace: that the lane is exhausted, down, or fails every call alike."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import attrs

from ..._core import escalation, retry
from ..._core.fault import Fault, FaultKind, pending_fault
from ..._core.fault_groups import provider_words
from ..._core.health.exhausted_lane import exhausted_lane_fault, reopens_in
from ..._core.health.systematic_failure import PASSING_KINDS, Ended, stop_message
from ..._core.quota import QuotaHint
from ..._core.usage import MOST_TOKENS, UNKNOWN_USAGE, TokenUsage
from ..lanes.job import Job
from ..lanes.lane import Lane
from ..lanes.strategy_values import model_of
from ..loop.foreign import IN_SUMMARY, logger
from .calls import FailedCall, log_bug

if TYPE_CHECKING:
    from .services import Services

_MOST_TRACEBACKS = 3  # of bugs that are alike: a million items may fail so


def stop_others(services: Services, job: Job, lane: Lane[Job], effect: escalation.Effect, fault: Fault) -> None:
    """Stop the submitter or exhaust the lane, if that is the effect of a fault."""
    match effect:
        case retry.StopBatch():
            job.submitter.deny(job, fault, lane)
        case retry.ExhaustLane():
            services.scheduler.stopped_lanes.exhaust(
                lane, exhausted_lane_fault(lane.quota, fault, wall_time=time.time())
            )
        case retry.Accept() | retry.CallAgain() | retry.GiveUp() | escalation.MoveUp():
            pass


def heed_long_hint(services: Services, lane: Lane[Job], now: float, fault: Fault) -> None:
    """Exhaust a lane whose refusals agree that it reopens only after a time that no batch waits for."""
    asked = fault.retry_after or reopens_in(fault)
    if lane.health.believes_long_hint(now, asked, services.config.retry.patience):
        hint = attrs.evolve(fault.quota or QuotaHint(), reopens_in=asked)
        spent = attrs.evolve(fault, quota=hint)
        services.scheduler.stopped_lanes.exhaust(lane, exhausted_lane_fault(lane.quota, spent, wall_time=time.time()))


def believed(job: Job, usage: TokenUsage) -> TokenUsage:
    """Return the usage of a call; if no call has so many tokens an unknown one, with one warning for its lane."""
    if usage.is_plausible:
        return usage
    lane = job.lane_or_raise
    if lane.doubts_usage():
        logger.warning(
            "%s: a call is said to have used more than %s tokens, which no call does: the tokens of such calls are not counted, "
            "and their cost is unknown",
            model_of(job.active_strategy) or lane.quota,
            f"{MOST_TOKENS:,}",
        )
    return UNKNOWN_USAGE


def heed_answer(services: Services, job: Job, lane: Lane[Job], now: float) -> None:
    """Report an answer to the lane's watch for calls that all fail alike."""
    event = Ended.of(None, at=now, in_flight=lane.in_flight, is_final=job.result is not None)
    watch_lane(services, lane, event, model_of(job.active_strategy))


def heed_fault(services: Services, job: Job, lane: Lane[Job], call: FailedCall) -> None:
    """Report a failed call to the lane's watch for calls that all fail alike, and for outages."""
    fault = call.fault
    if call.final:  # the deadline is the item's or the batch's, and says nothing about the provider
        event = Ended(call.at, lane.in_flight)
    else:
        event = Ended.of(fault, at=call.at, in_flight=lane.in_flight, is_final=job.result is not None)
    if not call.is_refusal and not call.final:
        alike = job.submitter.tally.record_fault(fault)
        if fault.kind is FaultKind.BUG and call.error is not None and alike <= _MOST_TRACEBACKS:
            log_bug(job.active_strategy, call.error)
    watch_lane(services, lane, event, model_of(job.active_strategy))
    _heed_outage(services, job, lane, call)


def watch_lane(services: Services, lane: Lane[Job], event: Ended, name: str | None = None) -> None:
    """Exhaust a lane whose calls all fail alike; stop the batches that have no other lane left.

    Args:
        services: What the pool lends.
        lane: Lane[Job] of a call that has ended.
        event: How it ended.
        name: Name of the model; None: that of the lane is used.
    """
    if lane.health.is_worth_a_warning(event) and event.fault is not None:
        words = provider_words(event.fault.message).rstrip(".")
        logger.warning("%s; calls of %s are tried again", words, name or lane.quota)
    config, scheduler = services.config, services.scheduler
    evidence = lane.health.record_end(event, patience=config.retry.patience, keep_going=config.keep_going)
    if evidence is None or lane.exhausted is not None:
        return
    reason = pending_fault(stop_message(evidence, name or lane.quota))
    logger.warning("stopped: %s", reason.message, extra={IN_SUMMARY: True})
    scheduler.stopped_lanes.exhaust(lane, reason)
    for submitter in scheduler.submitters:
        if submitter.lanes.get(lane.quota) is lane:
            submitter.record_systematic(evidence.group, reason)


def _heed_outage(services: Services, job: Job, lane: Lane[Job], call: FailedCall) -> None:
    """Exhaust a lane whose provider has been down for so long that its next call would start only after a time that no batch waits for."""
    fault = call.fault
    if fault.kind not in PASSING_KINDS or call.final or lane.exhausted is not None:
        return
    if lane.record_passing_fault(job, call.at, services.config.retry.patience):
        reason = pending_fault(
            f"{lane.quota} has served nothing for {call.at - lane.health.failing_since:.0f} s: {fault.kind}: "
            f"{provider_words(fault.message).rstrip('.')}; run its items again later"
        )
        logger.warning("stopped: %s", reason.message, extra={IN_SUMMARY: True})
        services.scheduler.stopped_lanes.exhaust(lane, reason)
