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

from anyio import CancelScope, Event, create_task_group, current_time, lowlevel

from .._core.fault import Fault, FaultKind
from .batch import Batch, pending
from .intake import Intake
from .settle import give_up, overdue
from .worker import work

_BREATH = 64  # items settled between two checkpoints


async def run(batch: Batch, intake: Intake) -> None:
    """Carry out a batch until every item has its result.

    Cancelling it cancels the calls in flight; what is not settled then is pending.
    """
    unsubscribe = batch.config.subscribe(batch.ring)
    try:
        async with create_task_group() as nursery:
            batch.start_soon = nursery.start_soon
            batch.start_worker = lambda job: nursery.start_soon(work, batch, job)
            nursery.start_soon(intake.feed, batch)
            await _supervise(batch)
    finally:
        unsubscribe()
        batch.start_soon = _start_nothing
        intake.rest(batch)
        batch.abandon(pending("the batch was cancelled"))


async def _supervise(batch: Batch) -> None:
    while not batch.is_closed:
        bell = Event()
        batch.expect(bell, alarm=-math.inf)  # whatever is set during the turn is seen at its end
        at = await _turn(batch)
        batch.expect(bell, alarm=at)
        with CancelScope(deadline=at):
            await bell.wait()


async def _turn(batch: Batch) -> float:
    """Do all that is due; return when something will be next."""
    now = current_time()
    if batch.is_open and now >= batch.deadline:
        batch.stop(pending(f"the batch's deadline of {batch.config.deadline:g} s passed"))
    batch.cut_overdue(now)
    await _give_up_overdue(batch, now)
    await _give_up_unreachable(batch, now)
    batch.grow()
    return batch.waits_until()


async def _give_up_overdue(batch: Batch, now: float) -> None:
    fault = overdue(batch.config.deadline_per_item)
    for job in batch.overdue(now):
        await give_up(batch, job, fault)


async def _give_up_unreachable(batch: Batch, now: float) -> None:
    """Settle what cannot be called any more: dismissed, in a closed lane, or left when the batch was stopped."""
    patience = batch.config.retry.patience
    for lane in batch.lanes.values():
        if lane.closed is None and now >= lane.loses_patience_at(patience):
            message = f"the quota {lane.quota} has served nothing for {lane.starved(now):g} s"
            batch.close_lane(lane, Fault(FaultKind.THROTTLED, message))
        reason = lane.closed or batch.stopped
        if reason is not None:
            for job in lane.backlog.clear():
                if job.waiting:
                    job.waiting = False
                    batch.dismissed.append((job, reason))
    left, batch.dismissed = batch.dismissed, []
    for number, (job, fault) in enumerate(left, 1):
        await give_up(batch, job, fault)
        if number % _BREATH == 0:
            await lowlevel.checkpoint()


def _start_nothing(*_: object) -> None:
    """Stand in for a nursery that has ended: what would have been prepared is delivered as pending."""
