"""Nursery: runs a batch: starts its workers, and keeps its time in one supervisor.

Rules owned here:

1. A worker makes one call after the other as long as one may start, then it ends. There are no idle workers, and no call is
   cancelled because there are too many workers.
2. The supervisor wakes at the earliest of all awaited times: the deadline of a call, an item or the batch, a not-before time, a
   controller's permission, the end of a lane's patience. No call and no wait has a timer of its own.
3. However the nursery ends, every accepted item has its result afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import attrs
from anyio import create_task_group, current_time, lowlevel

from .._core.events import BatchStarted
from .._core.fault import Fault, FaultKind, overdue_fault, pending_fault
from .batch import Batch
from .intake import Intake
from .job import Job, Lane, own_refusal_fault
from .settle import give_up
from .worker import work

_CHECKPOINT_EVERY = 64  # items settled between two checkpoints
_MAX_SETTLERS = 64  # tasks that settle dismissed jobs


async def run(batch: Batch, intake: Intake) -> None:
    """Run a batch until every item has its result.

    Cancelling it cancels the calls in flight; items that are not settled then are pending.
    """
    unsubscribe = batch.config.subscribe(batch.alarm.ring)
    try:
        async with create_task_group() as nursery:
            batch.start_soon = nursery.start_soon
            batch.start_worker = lambda job: nursery.start_soon(work, batch, job)
            nursery.start_soon(_read, batch, intake)
            if batch.keeper is not None:
                nursery.start_soon(batch.keeper.run)
            try:
                await _supervise(batch)
            except BaseException:
                batch.halt()
                raise
    finally:
        unsubscribe()
        batch.start_soon = _start_nothing
        intake.accept_rest(batch)
        cancelled = pending_fault("the batch was cancelled")
        try:
            if batch.keeper is not None:
                await batch.keeper.finish(cancelled)
        finally:
            batch.deliver_rest(cancelled)


async def _read(batch: Batch, intake: Intake) -> None:
    if batch.hooks.has_observers:
        await batch.hooks.notify(BatchStarted(total_items=intake.length))
    await intake.feed(batch)


async def _supervise(batch: Batch) -> None:
    while not batch.is_closed:
        batch.alarm.reset()
        at = _do_due(batch)
        await batch.alarm.wait(at)


def _do_due(batch: Batch) -> float:
    """Do everything that is due; return when something is due next."""
    now, config = current_time(), batch.config
    if now >= batch.deadline:
        if batch.is_open:
            batch.stop(pending_fault(f"the batch's deadline of {config.deadline:g} s passed"))
        batch.calls.cancel_all()
    batch.calls.cancel_expired(now)
    _dismiss_overdue(batch, now)
    _dismiss_unreachable(batch, now)
    while batch.settlers < min(_MAX_SETTLERS if batch.hooks.exist else 1, len(batch.dismissed)):
        batch.settlers += 1
        batch.start_soon(_settle_dismissed, batch)
    batch.start_workers()
    batch.ahead.wake()
    return _next_due(batch)


def _next_due(batch: Batch) -> float:
    """Return the earliest awaited time."""
    patience = batch.config.retry.patience
    deadline = batch.deadline if current_time() < batch.deadline else math.inf
    times = [batch.next_start, batch.calls.next_expiry, batch.deadlines.next, deadline]
    times += [lane.patience_ends_at(patience) for lane in batch.lanes.values() if not lane.exhausted]
    return min(times)


def _dismiss_overdue(batch: Batch, now: float) -> None:
    """Dismiss waiting jobs whose deadline has passed; those in a call expire with it."""
    for job in batch.deadlines.pop_passed(now):
        if job.waiting:
            job.waiting = False  # `next_job` skips it
            batch.dismiss(job, overdue_fault(batch.config.deadline_per_item))


def _dismiss_unreachable(batch: Batch, now: float) -> None:
    """Dismiss the jobs of lanes that are exhausted or out of patience; of all lanes if the batch is stopped."""
    for lane in batch.lanes.values():
        if not lane.exhausted and now >= lane.patience_ends_at(batch.config.retry.patience):
            if lane.has_only_suspects:
                for job in _waiting(lane):
                    batch.dismiss(job, own_refusal_fault(lane, job))
                continue
            message = (
                f"the quota {lane.quota} has served nothing for {lane.starved(now):g} s; run its items again later"
            )
            starved = Fault(FaultKind.THROTTLED, message)
            if all(job.was_called for job in lane.backlog):  # of a slow source, the next item may be served
                for job in _waiting(lane):
                    batch.dismiss(job, starved)
                continue
            batch.exhaust_lane(lane, starved)
        reason = lane.exhausted or batch.stopped
        if reason is not None:
            for job in _waiting(lane):
                batch.dismiss(job, reason if job.was_called else attrs.evolve(reason, kind=FaultKind.PENDING))


def _waiting(lane: Lane) -> Iterator[Job]:
    """Remove and yield the jobs that wait in a lane."""
    for job in lane.backlog.clear():
        if job.waiting:
            job.waiting = False
            yield job


async def _settle_dismissed(batch: Batch) -> None:
    """Settle dismissed jobs, in a task of its own: their hooks are awaited, and may be slow."""
    settled = 0
    try:
        while batch.dismissed:
            await give_up(batch, *batch.dismissed.popleft())
            settled += 1
            if settled % _CHECKPOINT_EVERY == 0:
                await lowlevel.checkpoint()
    finally:
        batch.settlers -= 1
    batch.ahead.wake()


def _start_nothing(*_: object) -> None:
    """Replace the `start_soon` of a nursery that has ended: items whose strategy it would prepare are delivered as pending."""
