"""Batch: the state that a batch's tasks share (its phase, lanes and calls in flight), and the decision which call starts next.

Nothing here awaits, so nothing changes between a decision and its being recorded: decisions need no locks.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from anyio import CancelScope, current_time

from .._core import pace
from .._core.batch_state import BatchEvent, BatchState, step
from .._core.config import ProcessorConfig
from .._core.connections import Connections
from .._core.fault import Fault, FaultKind, overdue_fault, pending_fault
from .._core.fault_groups import provider_words
from .._core.lanes import next_lane
from .._core.provider_answers.classify import describe
from .._core.systematic_failure import Ended, stop_message
from .ahead import ReadAhead
from .alarm import Alarm
from .calls import Calls, ItemDeadlines
from .guard import IN_SUMMARY, logger
from .hooks import Hooks
from .job import ConnectionUse, Job, Lane, LearnedQuota, connections_of
from .ledger import Ledger, Outlet
from .lifecycle import Lifecycle, Preparation
from .tally import Tally

if TYPE_CHECKING:
    from .keeper import JournalKeeper


class Batch:
    """The shared state of one batch. Owned by one task tree."""

    def __init__(  # noqa: PLR0913 - what a processor passes to each of its batches
        self,
        *,
        config: ProcessorConfig,
        hooks: Hooks,
        lifecycle: Lifecycle,
        learned_of: Callable[[str], LearnedQuota],
        draw: Callable[[], float],
        outlet: Outlet,
    ) -> None:
        self.config = config
        self.hooks = hooks
        self.lifecycle = lifecycle
        self.draw = draw
        """Returns a random number from 0 to 1, for the jitter of waits."""
        self.tally: Tally = Tally()
        self.ledger: Ledger = Ledger(outlet, self.tally)
        self.lanes: dict[str, Lane] = {}
        """By quota key."""
        self.calls: Calls = Calls()
        self.deadlines: ItemDeadlines = ItemDeadlines()
        self.alarm: Alarm = Alarm()
        self.ahead: ReadAhead = ReadAhead(self)
        self.workers: int = 0
        """Tasks that make calls."""
        self.started_at: float = current_time()
        self.stopped: Fault | None = None
        """Why no more calls start in any lane."""
        self.source_error: BaseException | None = None
        self.start_soon: Callable[..., object] = _no_nursery
        self.start_worker: Callable[[Job], object] = _no_nursery
        self.preparations: dict[int, Preparation] = {}
        """Strategies that are being prepared, by identity."""
        self.one_strategy = False
        """Whether all items have the same strategy, so that no other lane can be needed."""
        self.reader: CancelScope | None = None
        """The scope that reads the source, if the source need not be read to its end."""
        self.unprepared: dict[int, Fault] = {}
        """Strategies whose preparation failed, by identity, and why."""
        self.settlers = 0
        """Tasks that settle dismissed jobs."""
        self.keeper: JournalKeeper | None = None
        """Commits results to the journal; None: the batch runs without one."""
        self.dismissed: deque[tuple[Job, Fault]] = deque()
        """Jobs that were ended where nothing can be awaited, and why; the supervisor starts tasks that settle them."""
        self._uses: dict[Connections, ConnectionUse] = {}
        self._learned_of = learned_of
        self._outlet = outlet
        self._state = BatchState.OPEN
        self._halted = False
        self._source_finished = False
        self.next_start: float = math.inf
        """The earliest time of the next call, as of the last decision."""

    # -------------------------------------------------------------------------------------------- phase

    @property
    def is_open(self) -> bool:
        """Whether calls may start."""
        return self._state is BatchState.OPEN and not self._halted

    @property
    def is_closed(self) -> bool:
        """Whether every item has its result and no more items can come."""
        return self._state is BatchState.CLOSED

    @property
    def is_finished_calling(self) -> bool:
        """Whether no item can be called any more, including items that are not read yet."""
        exhausted = self.one_strategy and bool(self.lanes) and all(lane.exhausted for lane in self.lanes.values())
        return exhausted or not self.is_open

    @property
    def deadline(self) -> float:
        """The time of the batch's deadline."""
        return self.started_at + self.config.deadline

    def stop(self, reason: Fault) -> None:
        """Start no more calls; waiting items are settled with `reason`."""
        if self.is_open:
            self.stopped = reason
        if not self.is_closed:
            self._state = step(self._state, BatchEvent.STOP)
        for preparation in self.preparations.values():
            preparation.scope.cancel()
        self._wake_all()

    def halt(self) -> None:
        """Start no more calls, because the batch's tasks are being cancelled: it ends without `stop`."""
        self._halted = True

    def exhaust_lane(self, lane: Lane, reason: Fault) -> None:
        """Start no more calls in a lane; items that wait there are settled with `reason`."""
        lane.exhausted = lane.exhausted or reason
        self._wake_all()

    def _wake_all(self) -> None:
        """Wake the tasks that may wait for calls that do not start any more."""
        self.alarm.ring()
        self.ahead.wake()
        if self.is_finished_calling and self.reader is not None:
            self.reader.cancel()

    def finish_source(self) -> None:
        """Record that no more items come from the source."""
        self._source_finished = True
        self._close_if_empty()

    def _close_if_empty(self) -> None:
        if self._source_finished and not self.ledger and not self.is_closed:
            self._state = step(self._state, BatchEvent.EMPTY)
            self.alarm.ring()
            if self.keeper is not None:
                self.keeper.wake()

    # -------------------------------------------------------------------------------------------- items

    def dismiss(self, job: Job, fault: Fault) -> None:
        """End a job that is neither in a lane nor with a worker: it will be settled with `fault`."""
        self.dismissed.append((job, fault))
        self.alarm.ring()

    def enqueue(self, job: Job) -> None:
        """Let a job wait for its first call by its current strategy, in that strategy's lane."""
        lane = self._lane_of(job)
        if lane is None:
            return
        if job.attempts:
            lane.put_back(job, -math.inf, current_time())  # it comes from a lower step of its ladder
        else:
            lane.add(job)
        if lane.exhausted or not self.is_open:
            self.alarm.ring()

    def _lane_of(self, job: Job) -> Lane | None:
        """Return the lane of a job's next call; if its quota key cannot be read, dismiss the job and return None."""
        strategy = job.active_strategy
        try:
            quota = strategy.quota
            lane = self.lanes.get(quota)
            if not isinstance(quota, str):
                raise TypeError(f"a quota key must be a string, not {type(quota).__name__}")
        except Exception as error:  # noqa: BLE001 - a foreign property may raise anything, or be unhashable
            self.dismiss(job, Fault(FaultKind.BUG, f"{type(strategy).__qualname__}.quota: {describe(error)}"))
            return None
        if lane is None:
            lane = self.lanes[quota] = Lane(quota, self._learned_of(quota))
            self._record_allowed()
        connections = connections_of(strategy)
        job.use = None if connections is None else self._uses.setdefault(connections, ConnectionUse(connections.limit))
        return lane

    def put_back(self, job: Job, not_before: float) -> None:
        """Let a job wait for a further call until `not_before`, in its strategy's lane, which may differ from the last."""
        now = current_time()
        if now >= job.deadline:
            self.dismiss(job, overdue_fault(self.config.deadline_per_item))
            return
        lane = self._lane_of(job)
        if lane is None:
            return
        lane.put_back(job, not_before, now)
        self.alarm.ring_by(min(job.deadline, lane.patience_ends_at(self.config.retry.patience)))
        if lane.exhausted or not self.is_open:
            self.alarm.ring()

    def deliver(self, job: Job) -> None:
        """Hand a job's result over; with a journal, once it is committed."""
        if self.keeper is None:
            self.hand_over(job)
        else:
            self.keeper.deliver(job)

    def hand_over(self, job: Job) -> None:
        """Hand a job's result over."""
        self.ledger.deliver(job)
        self._close_if_empty()

    def withhold(self, job: Job) -> None:
        """Close a job whose result could not be committed, without handing it over."""
        self.ledger.withhold(job)
        self._close_if_empty()

    # -------------------------------------------------------------------------------------------- calls

    def next_job(self, *, spare: int = 0) -> Job | None:
        """Start the next call and return its job; None if no call may start now.

        Args:
            spare: 0 for a worker that is free, 1 to decide whether another worker is needed.
        """
        self.next_start = math.inf
        if not self.is_open or self.workers + spare > self.config.max_workers or not self.has_room():
            return None
        now = current_time()
        while True:
            lane, at = next_lane(self.lanes.values(), now)
            if lane is None:
                self.next_start = at
                self.alarm.ring_by(at)
                return None
            job = lane.backlog.take(now)
            if job is not None and job.waiting:
                lane.start(job, now)
                self.ahead.wake_if_low()
                return job

    def start_workers(self) -> None:
        """Start a worker for each call that may start now."""
        while (job := self.next_job(spare=1)) is not None:
            self.workers += 1
            self.tally.max_workers = max(self.tally.max_workers, self.workers)
            self.start_worker(job)

    def retire_worker(self) -> None:
        """Count a worker as ended; start another if a call may start."""
        self.workers -= 1
        self.start_workers()
        if self.workers == 0:
            self.ahead.wake()

    def start_call(self, job: Job, scope: CancelScope) -> float:
        """Count a call as in flight, ended early by cancelling `scope`; return the seconds it may take."""
        now = current_time()
        if job.deadline == math.inf and self.config.deadline_per_item < math.inf:
            job.deadline = now + self.config.deadline_per_item
            self.deadlines.add(job, len(self.ledger))
        expires = min(now + self.config.timeout_per_item, job.deadline)
        self.calls.start(job, scope, now, expires)
        self.alarm.ring_by(expires)
        return min(expires, self.deadline) - now

    def settle_call(self, job: Job, lane: Lane, now: float, signal: pace.Signal) -> None:
        """Report to the lane's controller how a started call ended."""
        match signal:
            case pace.Served():
                lane.record_served(job)
            case pace.Throttled():
                lane.record_refusal(now)
            case pace.Faulted() | pace.Abandoned() | pace.Excused():
                pass
        before = lane.pace.limit
        lane.finish(job, now, signal)
        if lane.pace.limit != before or not isinstance(signal, pace.Served):
            self._record_allowed()

    def watch(self, lane: Lane, event: Ended, name: str | None = None) -> None:
        """Exhaust a lane whose calls all fail alike; stop the batch if no other lane is left.

        Args:
            lane: Lane of a call that has ended.
            event: How it ended.
            name: Name of the model; None: that of the lane is used.
        """
        if lane.is_worth_a_warning(event) and event.fault is not None:
            words = provider_words(event.fault.message).rstrip(".")
            logger.warning("%s; calls of %s are tried again", words, name or lane.quota)
        config = self.config
        evidence = lane.record_end(event, patience=config.retry.patience, keep_going=config.keep_going)
        if evidence is None or lane.exhausted is not None:
            return
        self.tally.systematic.append(evidence.group)
        reason = pending_fault(stop_message(evidence, name or lane.quota))
        logger.warning("stopped: %s", reason.message, extra={IN_SUMMARY: True})
        self.exhaust_lane(lane, reason)
        if not self.preparations and all(other.exhausted for other in self.lanes.values()):
            self.stop(reason)

    def deliver_rest(self, fault: Fault) -> None:
        """Deliver a result for every open item, without waiting: the batch's tasks have ended."""
        for job in self.settle_rest(fault):
            self.ledger.deliver(job)

    def settle_rest(self, fault: Fault) -> list[Job]:
        """Return the jobs of all open items, each with a result: `fault` where none is decided."""
        now = current_time()
        jobs = self.ledger.settle_open(fault)
        for job in jobs:
            if job.in_flight:
                self.settle_call(job, job.lane_or_raise, now, pace.ABANDONED)
        return jobs

    def has_room(self) -> bool:
        """Whether results are consumed and committed as fast as they come."""
        return self._outlet.has_room() and (self.keeper is None or self.keeper.has_room())

    def _record_allowed(self) -> None:
        allowed = sum(lane.pace.limit for lane in self.lanes.values())
        self.tally.record_allowed(min(self.config.max_workers, allowed))


def _no_nursery(*_: Any) -> None:
    raise AssertionError("no task can start outside the batch's nursery")
