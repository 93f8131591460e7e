"""How a batch is carried out: a nursery in which workers start and retire, and a supervisor that keeps the time.

Rules owned here:

1. A worker makes one call after the other for as long as any may start; then it retires. There are no idle workers, and
   retiring never preempts a call.
2. The supervisor wakes for the earliest of all the times that are waited for: a call's deadline, an item's, the batch's,
   a not-before time, a lane's gate, the end of its patience. So no call and no wait has a timer of its own.
3. Whatever ends the nursery, every item that was accepted has its result on the way out.
"""

from __future__ import annotations

import math

from anyio import create_task_group, current_time, lowlevel

from .._core.events import BatchStarted
from .._core.fault import Fault, FaultKind, overdue, pending
from .batch import Batch
from .intake import Intake
from .settle import give_up
from .worker import work

_BREATH = 64  # items settled between two checkpoints
_MOST_CLERKS = 64  # tasks that settle what was dismissed


async def run(batch: Batch, intake: Intake) -> None:
    """Carry out a batch until every item has its result.

    Cancelling it cancels the calls in flight; what is not settled then is pending.
    """
    unsubscribe = batch.config.subscribe(batch.alarm.ring)
    try:
        async with create_task_group() as nursery:
            batch.start_soon = nursery.start_soon
            batch.start_worker = lambda job: nursery.start_soon(work, batch, job)
            nursery.start_soon(_read, batch, intake)
            if batch.keeper is not None:
                nursery.start_soon(batch.keeper.work)
            try:
                await _supervise(batch)
            except BaseException:
                batch.halt()
                raise
    finally:
        unsubscribe()
        batch.start_soon = _start_nothing
        intake.rest(batch)
        cancelled = pending("the batch was cancelled")
        try:
            if batch.keeper is not None:
                await batch.keeper.finish(cancelled)
        finally:
            batch.abandon(cancelled)


async def _read(batch: Batch, intake: Intake) -> None:
    if batch.hooks.listening:
        await batch.hooks.tell(BatchStarted(total_items=intake.length))
    await intake.feed(batch)


async def _supervise(batch: Batch) -> None:
    while not batch.is_closed:
        batch.alarm.rewind()
        at = _turn(batch)
        await batch.alarm.wait(at)


def _turn(batch: Batch) -> float:
    """Do all that is due; return when something will be next."""
    now, config = current_time(), batch.config
    if now >= batch.deadline:
        if batch.is_open:
            batch.stop(pending(f"the batch's deadline of {config.deadline:g} s passed"))
        batch.calls.cut_all()
    batch.calls.cut(now)
    _dismiss_overdue(batch, now)
    _dismiss_unreachable(batch, now)
    while batch.clerks < min(_MOST_CLERKS if batch.hooks.exist else 1, len(batch.dismissed)):
        batch.clerks += 1
        batch.start_soon(_settle_dismissed, batch)
    batch.grow()
    batch.ahead.look()
    return _waits_until(batch)


def _waits_until(batch: Batch) -> float:
    """Return the earliest time for which something waits."""
    patience = batch.config.retry.patience
    deadline = batch.deadline if current_time() < batch.deadline else math.inf
    times = [batch.gate, batch.calls.next_expiry, batch.deadlines.next, deadline]
    times += [lane.loses_patience_at(patience) for lane in batch.lanes.values() if not lane.closed]
    return min(times)


def _dismiss_overdue(batch: Batch, now: float) -> None:
    """Dismiss the waiting jobs whose time is up; those in a call are cut."""
    for job in batch.deadlines.passed(now):
        if job.waiting:
            job.waiting = False  # its lane passes over it
            batch.dismiss(job, overdue(batch.config.deadline_per_item))


def _dismiss_unreachable(batch: Batch, now: float) -> None:
    """Dismiss what waits in a lane that is closed, or has lost its patience, or anywhere once the batch is stopped."""
    for lane in batch.lanes.values():
        if not lane.closed and now >= lane.loses_patience_at(batch.config.retry.patience):
            message = f"the quota {lane.quota} has served nothing for {lane.starved(now):g} s"
            batch.close_lane(lane, Fault(FaultKind.THROTTLED, message))
        reason = lane.closed or batch.stopped
        if reason is not None:
            for job in lane.backlog.clear():
                if job.waiting:
                    job.waiting = False
                    batch.dismiss(job, reason)


async def _settle_dismissed(batch: Batch) -> None:
    """Settle what was dismissed: beside the supervisor and each other, as hooks are awaited, and may be slow."""
    settled = 0
    try:
        while batch.dismissed:
            await give_up(batch, *batch.dismissed.popleft())
            settled += 1
            if settled % _BREATH == 0:
                await lowlevel.checkpoint()
    finally:
        batch.clerks -= 1
    batch.ahead.look()


def _start_nothing(*_: object) -> None:
    """Stand in for a nursery that has ended: what would have been prepared is delivered as pending."""
