"""Scheduler: the lanes of a pool, and the decision which call starts next.

Nothing here awaits, so nothing changes between a decision and its being recorded: decisions need no locks.

Rules owned here:

1. `ReadyLanes` decides which lane goes first; in a lane, its queue decides.
2. At most `max_workers` calls are in flight, over all lanes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any
from weakref import WeakValueDictionary

import attrs
from anyio import CancelScope

from ..._core import pace
from ..._core.budget import Budget
from ..._core.config import ProcessorConfig
from ..._core.connections import Connections
from ..._core.fault import Fault, FaultKind
from ..._core.provider_answers.classify import describe
from ..._core.queue.ready_lanes import ReadyLanes
from ...abc import LLMCallStrategy
from ..loop.clock import Clock
from .job import Job
from .lane import Lane
from .lane_job import ConnectionUse
from .learned import LearnedQuotas
from .spending import Spending
from .stopped_lanes import StoppedLanes
from .strategy_values import connections_of
from .submitter import Submitter
from .timers import Alarm, CallsInFlight, ItemDeadlines

_IDLE = 600.0  # seconds without a job after which a lane is dropped
_SWEEP = 60.0  # seconds between two looks for such lanes


class Scheduler:
    """Lanes and the calls in flight. Owned by one pool.

    Args:
        config: Settings of the pool.
        clock: Clock of the pool's event loop.
        learned: What is learned about each quota.
    """

    def __init__(self, config: ProcessorConfig, clock: Clock, learned: LearnedQuotas) -> None:
        self.config = config
        self._clock = clock
        self.alarm: Alarm = Alarm()
        self.spending: Spending = Spending()
        """What the calls have cost, and may."""
        self.lanes: dict[str, Lane[Job]] = {}
        """By quota key."""
        self.calls: CallsInFlight = CallsInFlight(self.lanes)
        self.deadlines: ItemDeadlines = ItemDeadlines()
        self._learned = learned
        self._next_sweep = math.inf
        self._drops_idle = False
        self._submitters: list[Submitter[Job]] = []
        self._uses: WeakValueDictionary[Connections, ConnectionUse] = WeakValueDictionary()
        self._in_flight = 0
        self._next_start = math.inf
        self._may_start_more = True
        self._paused_at: float | None = None
        self._ready: ReadyLanes[Lane[Job]] = ReadyLanes()
        self._touch = self._ready.add
        """Looks at a lane again when the next call is chosen: something has happened to it."""
        self.stopped_lanes: StoppedLanes = StoppedLanes(clock, self.alarm, self._submitters)

    # ------------------------------------------------------------------------------------------ submitters

    @property
    def submitters(self) -> tuple[Submitter[Job], ...]:
        """Whose items are called now."""
        return tuple(self._submitters)

    def register(self, submitter: Submitter[Job]) -> None:
        """Let a submitter's items be called."""
        self._submitters.append(submitter)

    def unregister(self, submitter: Submitter[Job]) -> None:
        """Forget a submitter that has ended. If calls of it were cancelled, others may start in their place."""
        self._submitters.remove(submitter)
        for lane in submitter.lanes.values():
            lane.queue.clear(submitter)
            self._touch(lane)
        self.release(submitter)

    # ------------------------------------------------------------------------------------------ jobs come

    def enqueue(self, job: Job) -> None:
        """Let a job wait for its first call by its current strategy, in that strategy's lane."""
        if job.deadline < math.inf and self._clock.now() >= job.deadline:
            job.submitter.dismiss(job, job.submitter.overdue_fault(self.config))
            return
        former = job.lane
        lane = self._enter_lane(job)
        if lane is None:
            return
        if job.attempts:
            lane.put_back(
                job, -math.inf, self._clock.now(), is_new_here=lane is not former
            )  # from a lower step of its ladder
        else:
            lane.add(job)
        self._may_start_more = True
        self._touch(lane)
        if not job.submitter.is_open:
            self.stopped_lanes.look_at(lane)

    @staticmethod
    def enqueue_beside(former: Job, jobs: Sequence[Job]) -> None:
        """Let new jobs wait in the lane where another new one of the same batch and strategy has just begun to wait."""
        for job in jobs:
            job.wait_beside(former)
        former.lane_or_raise.queue.add_all(former.customer, jobs)

    def put_back(self, job: Job, not_before: float) -> None:
        """Let a job wait for a further call until `not_before`, in its strategy's lane, which may differ from the last."""
        now = self._clock.now()
        if now >= job.deadline:
            job.submitter.dismiss(job, job.submitter.overdue_fault(self.config))
            return
        former = job.lane
        lane = self._enter_lane(job)
        if lane is None:
            return
        lane.put_back(job, not_before, now, is_new_here=lane is not former)
        self._may_start_more = True
        self._touch(lane)
        if lane.health.is_starving:
            self.stopped_lanes.record_refusal(lane)
        self.alarm.ring_by(min(job.deadline, lane.patience_ends_at(self.config.retry.patience)))
        if not job.submitter.is_open:
            self.stopped_lanes.look_at(lane)

    def _enter_lane(self, job: Job) -> Lane[Job] | None:
        """Return the lane of a job's next call; dismiss the job and return None if it can have none."""
        strategy, submitter = job.active_strategy, job.submitter
        try:
            quota = strategy.quota
            lane = submitter.lanes.get(quota)
            if lane is None and not isinstance(quota, str):
                raise TypeError(f"a quota key must be a string, not {type(quota).__name__}")
        except Exception as error:  # noqa: BLE001 - a foreign property may raise anything, or be unhashable
            fault = Fault(FaultKind.BUG, f"{type(strategy).__qualname__}.quota: {describe(error)}")
            submitter.dismiss(job, fault)
            return None
        if lane is None:
            lane = self._open_lane(quota, submitter)
        reason = submitter.exhausted.get(quota) if submitter.exhausted else None
        if reason is None and lane.exhausted is not None and lane.is_exhausted(self._clock.now()):
            reason = lane.exhausted
            submitter.give_up_lane(lane, reason)
        if reason is not None:
            submitter.dismiss(job, _left_by(job, reason))
            return None
        connections = connections_of(strategy)
        job.enter(lane, None if connections is None else self._use_of(connections))
        return lane

    def _use_of(self, connections: Connections) -> ConnectionUse:
        use = self._uses.get(connections)
        if use is None:
            use = self._uses[connections] = ConnectionUse(connections.limit)
        return use

    def _open_lane(self, quota: str, submitter: Submitter[Job]) -> Lane[Job]:
        """Return the lane of a quota, to which items of a submitter go from now on."""
        lane = self.lanes.get(quota)
        if lane is None:
            lane = self.lanes[quota] = Lane(quota, self._learned.of(quota), self.spending)
            if self._drops_idle and self._next_sweep == math.inf:
                self._next_sweep = self._clock.now() + _SWEEP
                self.alarm.ring_by(self._next_sweep)
        if submitter.starts_afresh and lane.is_idle:
            lane.reopen()
        submitter.use_lane(lane, self.config.max_workers)
        return lane

    def lane_of(self, strategy: LLMCallStrategy[Any]) -> Lane[Job] | None:
        """Return the lane of a strategy's calls; None: it has none yet."""
        try:
            return self.lanes.get(strategy.quota)
        except Exception:  # noqa: BLE001 - a foreign property may raise anything; `enqueue` says so
            return None

    def withdraw(self, job: Job) -> None:
        """Take a job out of its lane, whether it waits there or its call is in flight."""
        lane = job.lane
        if lane is None:
            return
        if job.in_flight:
            self.settle_call(job, lane, self._clock.now(), pace.ABANDONED)
        elif job.waiting:
            self.leave_queue(job)
        self.alarm.ring()

    def leave_queue(self, job: Job) -> None:
        """Take a waiting job out of its lane's queue."""
        job.leave_queue()
        lane = job.lane_or_raise
        lane.queue.discard(job.customer, job)
        self._touch(lane)

    # ------------------------------------------------------------------------------------------ jobs go

    @property
    def next_start(self) -> float:
        """The earliest time of the next call, as of the last decision."""
        return self._next_start

    @property
    def in_flight(self) -> int:
        """Calls in flight."""
        return self._in_flight

    def next_job(self, now: float | None = None) -> Job | None:
        """Start the next call and return its job; None if no call may start now, which is at `now` if that is known."""
        self._next_start = math.inf
        if self._in_flight >= self.config.max_workers or self._paused_at is not None:
            # one more may for each call that ends; `allow_more` is called when the setting changes
            self._may_start_more = False
            return None
        if now is None:
            now = self._clock.now()
        while (lane := self._ready.next(now)) is not None:
            job = lane.queue.take(now)
            if job is not None and job.waiting:
                if self.spending.budget is not None:
                    self.spending.reserve(job, lane.quota)
                lane.start(job, now)
                self._in_flight += 1
                job.submitter.record_start()
                return job
        self._next_start = self._ready.next_time
        self.alarm.ring_by(self._next_start)
        self._may_start_more = False
        return None

    def may_start_more(self, now: float) -> bool:
        """Whether more calls may start now than one for each that has ended."""
        return self._may_start_more or (len(self.lanes) > 1 and self._ready.has_others(now))

    def start_calls(self, now: float | None = None) -> None:
        """Start every call that may start now, which is at `now` if that is known."""
        while (job := self.next_job(now)) is not None:
            job.submitter.run(job)

    def start_call(self, job: Job, scope: CancelScope, deadline: float) -> float:
        """Count a call as in flight, ended early by cancelling `scope`; return the seconds it may take.

        Args:
            job: Its job.
            scope: Cancel scope around the call.
            deadline: The time of the submitter's deadline.
        """
        now, config = job.started, self.config
        if job.deadline == math.inf and config.deadline_per_item < math.inf:
            job.end_by(now + config.deadline_per_item)
            self.deadlines.add(job, job.submitter.unsettled)
        expires = now + config.timeout_per_item  # conditions are faster than min(), and this runs for each call
        if job.deadline < expires:  # noqa: PLR1730
            expires = job.deadline
        if self.calls.start(job, scope, expires):
            self.alarm.ring_by(expires)
        return (expires if expires < deadline else deadline) - now  # noqa: FURB136

    def settle_call(self, job: Job, lane: Lane[Job], now: float, signal: pace.Signal) -> None:
        """Report to the lane's controller how a started call ended."""
        if isinstance(signal, pace.Served):
            lane.record_served(job, now, accepted=signal.accepted)
            self.stopped_lanes.record_served(lane)
        elif isinstance(signal, pace.Throttled):
            lane.health.record_refusal(now)
            self.stopped_lanes.record_refusal(lane)
        use = job.use
        if use is not None and not use.has_room:  # lanes may wait for the connection that becomes free
            self.release(use)
        if self.spending.budget is not None:
            self._release_reservation(job)
        change = lane.finish(job, now, signal)
        self._in_flight -= 1
        job.submitter.record_end()
        self._touch(lane)
        if change:
            self._change_allowed(lane, change)
        # what held back its calls may have ended: a lower limit, a breaker, jobs that stepped back
        if lane.is_below_limit:
            self._may_start_more = True
        if lane.shut_until > -math.inf or not isinstance(signal, pace.Served):
            self.stopped_lanes.heed_gate(lane, now)

    def _release_reservation(self, job: Job) -> None:
        self.spending.release(job)
        if self.spending.is_awaited:
            self.spending.is_awaited = False
            self.release(self.spending)

    def set_budget(self, budget: Budget | None) -> None:
        """Keep to another budget from now on."""
        self.spending.set_budget(budget)
        self.release(self.spending)

    def release(self, holder: object) -> None:
        """Look again at the lanes that a customer, connections or the budget have held back: they do not any more."""
        self._ready.release(holder)
        self.allow_more()

    @property
    def is_paused(self) -> bool:
        """Whether no calls start until `resume`."""
        return self._paused_at is not None

    def pause(self) -> None:
        """Start no calls until `resume`; those in flight finish."""
        if self._paused_at is None:
            self._paused_at = self._clock.now()

    def resume(self) -> None:
        """Start calls again. The time of the pause does not count for patience."""
        if self._paused_at is None:
            return
        now, paused_at, self._paused_at = self._clock.now(), self._paused_at, None
        for lane in self.stopped_lanes.starving:
            lane.health.forgive(now - paused_at, now)
        self.allow_more()

    def reopen_lanes(self) -> None:
        """Let calls start again in every exhausted lane; the batches that run have given it up."""
        for lane in self.lanes.values():
            if lane.exhausted is not None:
                lane.reopen()
                self._touch(lane)
        self.alarm.ring()

    def allow_more(self) -> None:
        """Start more calls soon, if there are any to start: something that has held them back does not any more."""
        self._may_start_more = True
        self.alarm.ring()

    # ------------------------------------------------------------------------------------------ idle lanes

    def keep_only_what_is_used(self) -> None:
        """Drop lanes that are idle for long, instead of keeping them until the pool closes."""
        self._drops_idle = True

    @property
    def next_sweep(self) -> float:
        """When to look for idle lanes next; inf: there are not any, or all are kept."""
        return self._next_sweep

    def drop_idle_lanes(self, now: float) -> None:
        """Drop the lanes that had no job for a while, and that no running batch has used; what was learned about their quotas is kept."""
        if now < self._next_sweep:
            return
        for lane in [lane for lane in self.lanes.values() if lane.idle_for(now) >= _IDLE]:
            users = [submitter for submitter in self._submitters if lane.quota in submitter.lanes]
            if not any(submitter.starts_afresh for submitter in users):
                for submitter in users:
                    submitter.leave_lane(lane)
                self._drop(lane)
        self._next_sweep = now + _SWEEP if self.lanes else math.inf

    def _drop(self, lane: Lane[Job]) -> None:
        del self.lanes[lane.quota]
        self._ready.discard(lane)
        self.stopped_lanes.forget(lane)
        self._learned.set_aside(lane.quota)

    def _change_allowed(self, lane: Lane[Job], change: int) -> None:
        """Record that a controller allows more or fewer calls in flight than before."""
        for submitter in self._submitters:
            if lane.quota in submitter.lanes:
                submitter.change_allowed(change, self.config.max_workers)


def _left_by(job: Job, reason: Fault) -> Fault:
    """Return the fault of a job that is left in an exhausted lane: one that was never called is pending."""
    return reason if job.was_called else attrs.evolve(reason, kind=FaultKind.PENDING)
