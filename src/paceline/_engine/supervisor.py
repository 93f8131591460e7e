"""Supervisor: the one task of a pool that keeps its time.

It wakes at the earliest of all awaited times: the deadline of a call, an item or a batch, a not-before time, a controller's permission, the
end of a lane's patience. No call and no wait has a timer of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import attrs
from anyio import current_time

from .._core.fault import Fault, FaultKind
from .._core.queue.priority_band import Customer
from .lanes.job import Job
from .lanes.lane import Lane
from .lanes.lane_job import own_refusal_fault
from .loop.steps import STEP

if TYPE_CHECKING:
    from .calls.services import Services
    from .customers.batch import Batch


async def supervise(services: Services, batches: Sequence[Batch]) -> None:
    """Do what is due, and wait for what is due next, until the task is cancelled."""
    scheduler = services.scheduler
    while True:
        scheduler.alarm.reset()
        await services.strategies.release_idle(current_time())
        at = _do_due(services, batches)
        if scheduler.stopped_lanes.has_unreachable:
            await services.clock.checkpoint()
        else:
            await scheduler.alarm.wait(at)


def _do_due(services: Services, batches: Sequence[Batch]) -> float:
    """Do everything that is due; return when something is due next."""
    scheduler, now, patience = services.scheduler, current_time(), services.config.retry.patience
    due = min((batch.check_deadline() for batch in batches), default=math.inf)
    scheduler.calls.cancel_expired(now)
    for job in scheduler.deadlines.pop_passed(now):
        if services.strategies.withdraw(job):
            job.submitter.dismiss(job, job.submitter.overdue_fault(services.config))
        elif job.waiting:  # one in a call expires with it
            scheduler.leave_queue(job)
            job.submitter.dismiss(job, job.submitter.overdue_fault(services.config))
        elif job.result is None:
            job.submitter.expire(job)
    starving = () if scheduler.is_paused else scheduler.stopped_lanes.starving
    for lane in starving:
        if now >= lane.patience_ends_at(patience):
            _end_patience(services, lane, now)
    _dismiss_unreachable(services)
    scheduler.drop_idle_lanes(now)
    scheduler.start_calls()
    for batch in batches:
        batch.wake_reader()
    times = [
        due,
        scheduler.next_start,
        scheduler.calls.next_expiry,
        scheduler.deadlines.next,
        scheduler.next_sweep,
        services.strategies.next_release,
    ]
    times += [lane.patience_ends_at(patience) for lane in starving]
    return min(times)


def _end_patience(services: Services, lane: Lane[Job], now: float) -> None:
    """Give up the jobs of a lane that serves no calls; if they are refused for their own sake, only them."""
    if lane.has_only_suspects:
        for job in _waiting(lane):
            job.submitter.dismiss(job, own_refusal_fault(lane.quota, job))
        return
    message = f"the quota {lane.quota} has served nothing for {lane.health.starved(now):g} s; run its items again later"
    starved = Fault(FaultKind.THROTTLED, message)
    if all(job.was_called for job in lane.queue):  # of a slow source, the next item may be served
        for job in _waiting(lane):
            job.submitter.dismiss(job, starved)
        return
    services.scheduler.stopped_lanes.exhaust(lane, starved)


def _dismiss_unreachable(services: Services) -> None:
    """Dismiss jobs of lanes that are exhausted, and those of submitters that have stopped; lanes with more of them are next in turn."""
    left = STEP  # to settle them takes longer, and is done in a task of their batch
    while left > 0 and (lane := services.scheduler.stopped_lanes.take_unreachable()) is not None:
        for customer in lane.queue.customers:
            left -= _dismiss_jobs_of(customer, lane, left)
        if left <= 0:
            services.scheduler.stopped_lanes.look_at(lane)


def _dismiss_jobs_of(customer: Customer, lane: Lane[Job], most: int) -> int:
    """Dismiss at most so many jobs of a customer, if a lane has no more calls for it; return how many."""
    first = next(lane.queue.jobs_of(customer), None) if most > 0 else None
    if first is None:
        return 0
    submitter = first.submitter
    reason = lane.exhausted or submitter.exhausted.get(lane.quota) or submitter.stopped
    if reason is None:
        return 0
    jobs = lane.queue.clear(customer, most)
    uncalled = attrs.evolve(reason, kind=FaultKind.PENDING)  # one for all of them
    for job in jobs:
        if job.waiting:
            job.leave_queue()
            submitter.dismiss(job, reason if job.was_called else uncalled)
    return len(jobs)


def _waiting(lane: Lane[Job]) -> Iterator[Job]:
    """Remove and yield the jobs that wait in a lane."""
    for job in lane.queue.clear():
        if job.waiting:
            job.leave_queue()
            yield job
