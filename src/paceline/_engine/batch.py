"""What a batch's tasks share: its phase, its lanes, its calls in flight, and the decision which call starts next.

Nothing here awaits, so that nothing changes between a decision and its being counted: decisions need no locks.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from anyio import CancelScope, current_time

from .._core import pace
from .._core.batch_state import BatchEvent, BatchState, step
from .._core.classify import describe
from .._core.config import ProcessorConfig
from .._core.fault import Fault, FaultKind, overdue
from .._core.lanes import next_lane
from .ahead import ReadAhead
from .alarm import Alarm
from .calls import Calls, ItemDeadlines
from .hooks import Hooks
from .job import Job, Lane, Learned
from .ledger import Ledger, Outlet
from .lifecycle import Lifecycle, Parked
from .tally import Tally

if TYPE_CHECKING:
    from .keeper import JournalKeeper


class Batch:
    """The shared state of one batch. Owned by one task tree."""

    def __init__(  # noqa: PLR0913 - what a processor hands to each of its batches
        self,
        *,
        config: ProcessorConfig,
        hooks: Hooks,
        lifecycle: Lifecycle,
        learned_of: Callable[[str], Learned],
        draw: Callable[[], float],
        outlet: Outlet,
    ) -> None:
        self.config = config
        self.hooks = hooks
        self.lifecycle = lifecycle
        self.draw = draw
        self.tally = Tally()
        self.ledger = Ledger(outlet, self.tally)
        self.lanes: dict[str, Lane] = {}
        self.calls = Calls()
        self.deadlines = ItemDeadlines()
        self.alarm = Alarm()
        self.ahead = ReadAhead(self)
        self.workers = 0
        self.began = current_time()
        self.stopped: Fault | None = None
        self.source_error: BaseException | None = None
        self.start_soon: Callable[..., object] = _no_nursery
        self.start_worker: Callable[[Job], object] = _no_nursery
        self.parked: dict[int, Parked] = {}
        """Jobs whose strategy is being prepared, by its identity."""
        self.one_strategy = False
        """Whether every item that may come has the same strategy, and so a lane that is known."""
        self.reader: CancelScope | None = None
        """Reads a source that need not be read to its end."""
        self.unprepared: dict[int, Fault] = {}
        """Strategies that could not be prepared, by identity, and why."""
        self.clerks = 0
        """Tasks that settle what was dismissed."""
        self.keeper: JournalKeeper | None = None
        """Commits results to the journal, if there is one."""
        self.dismissed: deque[tuple[Job, Fault]] = deque()
        """Jobs that were ended where nothing could be awaited, and why; the supervisor has them settled."""
        self._learned_of = learned_of
        self._outlet = outlet
        self._state = BatchState.OPEN
        self._halted = False
        self._fed = False
        self.gate = math.inf
        """When the next call may start, as was last known."""

    # -------------------------------------------------------------------------------------------- phase

    @property
    def is_open(self) -> bool:
        """Whether calls may start."""
        return self._state is BatchState.OPEN and not self._halted

    @property
    def is_closed(self) -> bool:
        """Whether every item has its result and none can come."""
        return self._state is BatchState.CLOSED

    @property
    def is_shut(self) -> bool:
        """Whether no item could be called any more, whichever came."""
        closed = self.one_strategy and bool(self.lanes) and all(lane.closed for lane in self.lanes.values())
        return closed or not self.is_open

    @property
    def deadline(self) -> float:
        """When the batch's time is up."""
        return self.began + self.config.deadline

    def stop(self, reason: Fault) -> None:
        """Start no more calls; what waits is settled with `reason`."""
        if self.is_open:
            self.stopped = reason
        if not self.is_closed:
            self._state = step(self._state, BatchEvent.STOP)
        for parked in self.parked.values():
            parked.scope.cancel()
        self._shut()

    def halt(self) -> None:
        """Start no more calls, as the batch's tasks are being cancelled: it ends without `stop`."""
        self._halted = True

    def close_lane(self, lane: Lane, reason: Fault) -> None:
        """Start no more calls in a lane; what waits there is settled with `reason`."""
        lane.closed = lane.closed or reason
        self._shut()

    def _shut(self) -> None:
        """Let everybody who waits see that there is less to wait for."""
        self.alarm.ring()
        self.ahead.look()
        if self.is_shut and self.reader is not None:
            self.reader.cancel()

    def fed(self) -> None:
        """No more items come from the source."""
        self._fed = True
        self._close_if_empty()

    def _close_if_empty(self) -> None:
        if self._fed and not self.ledger and not self.is_closed:
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
        """Let an accepted job wait for its first call, in the lane of its strategy."""
        lane = self._lane_of(job)
        if lane is None:
            return
        if job.attempts:
            lane.put_back(job, -math.inf, current_time())  # it has moved here
        else:
            lane.add(job)
        if lane.closed or not self.is_open:
            self.alarm.ring()

    def _lane_of(self, job: Job) -> Lane | None:
        """Return the lane of a job's next call; None: it has no name, and the job is dismissed."""
        strategy = job.called
        try:
            quota = strategy.quota
            lane = self.lanes.get(quota)
            if not isinstance(quota, str):
                raise TypeError(f"a lane's name must be a string, not {type(quota).__name__}")
        except Exception as error:  # noqa: BLE001 - a foreign property may raise anything, or be unhashable
            self.dismiss(job, Fault(FaultKind.BUG, f"{type(strategy).__qualname__}.quota: {describe(error)}"))
            return None
        if lane is None:
            lane = self.lanes[quota] = Lane(quota, self._learned_of(quota))
            self._note_limits()
        return lane

    def put_back(self, job: Job, not_before: float) -> None:
        """Let a job wait for its next call, in the lane of its strategy: it may be another than before."""
        now = current_time()
        if now >= job.deadline:
            self.dismiss(job, overdue(self.config.deadline_per_item))
            return
        lane = self._lane_of(job)
        if lane is None:
            return
        lane.put_back(job, not_before, now)
        self.alarm.ring_by(min(job.deadline, lane.loses_patience_at(self.config.retry.patience)))
        if lane.closed or not self.is_open:
            self.alarm.ring()

    def deliver(self, job: Job) -> None:
        """Hand a job's result over, once the journal has it."""
        if self.keeper is None:
            self.hand_over(job)
        else:
            self.keeper.deliver(job)

    def hand_over(self, job: Job) -> None:
        """Hand a job's result over."""
        self.ledger.deliver(job)
        self._close_if_empty()

    def withhold(self, job: Job) -> None:
        """Count a job as settled whose result could not be kept: it is not shown."""
        self.ledger.withhold(job)
        self._close_if_empty()

    # -------------------------------------------------------------------------------------------- calls

    def next_job(self, *, spare: int = 0) -> Job | None:
        """Admit the next call; None if none may start now.

        Args:
            spare: 0 for a worker that is free, 1 to see whether another worker is needed.
        """
        self.gate = math.inf
        if not self.is_open or self.workers + spare > self.config.max_workers or not self.has_room():
            return None
        now = current_time()
        while True:
            lane, at = next_lane(self.lanes.values(), now)
            if lane is None:
                self.gate = at
                self.alarm.ring_by(at)
                return None
            job = lane.backlog.take(now)
            if job is not None and job.waiting:
                lane.start(job, now)
                self.ahead.look_if_low()
                return job

    def grow(self) -> None:
        """Start workers for all the calls that may start now."""
        while (job := self.next_job(spare=1)) is not None:
            self.workers += 1
            self.tally.most_workers = max(self.tally.most_workers, self.workers)
            self.start_worker(job)

    def retire(self) -> None:
        """Count a worker that ends; another may be needed all the same."""
        self.workers -= 1
        self.grow()
        if self.workers == 0:
            self.ahead.look()

    def begin_call(self, job: Job, scope: CancelScope) -> float:
        """Count a call as in flight, to be cut by cancelling `scope`; return the seconds it may take."""
        now = current_time()
        if job.deadline == math.inf and self.config.deadline_per_item < math.inf:
            job.deadline = now + self.config.deadline_per_item
            self.deadlines.note(job, len(self.ledger))
        expires = min(now + self.config.timeout_per_item, job.deadline)
        self.calls.begin(job, scope, now, expires)
        self.alarm.ring_by(expires)
        return min(expires, self.deadline) - now

    def finish_call(self, job: Job, lane: Lane, now: float, signal: pace.Signal) -> None:
        """Tell the lane's controller how a call ended."""
        match signal:
            case pace.Served():
                lane.served()
            case pace.Throttled():
                lane.refused(now)
                self.tally.refusals += 1
            case pace.Faulted() | pace.Abandoned():
                pass
        lane.finish(job, now, signal)
        if not isinstance(signal, pace.Served):
            self._note_limits()

    def abandon(self, fault: Fault) -> None:
        """Deliver what is owed, without a wait: the batch's tasks have ended, whatever ended them."""
        for job in self.settle_rest(fault):
            self.ledger.deliver(job)

    def settle_rest(self, fault: Fault) -> list[Job]:
        """Return the jobs that are owed a result, each with one: those that are not decided are settled with `fault`."""
        now = current_time()
        left = self.ledger.settle(fault)
        for job in left:
            if job.admitted:
                self.finish_call(job, job.lane_or_raise, now, pace.ABANDONED)
        return left

    def has_room(self) -> bool:
        """Whether results are taken, and committed, as fast as they come."""
        return self._outlet.has_room() and (self.keeper is None or self.keeper.has_room())

    def _note_limits(self) -> None:
        self.tally.allow(min(self.config.max_workers, sum(lane.pace.limit for lane in self.lanes.values())))


def _no_nursery(*_: Any) -> None:
    raise AssertionError("no task can start outside the batch's nursery")
