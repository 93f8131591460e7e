"""Monitor: what limits a pool now, seen by a look once a second, and recorded in the journal when it changes.

Rules owned here:

1. A look costs no call anything: it reads what is there, and nothing is counted for it.
2. Nothing depends on what it sees or stores. A journal that fails here is logged once, and its results are stored as ever.
3. While nothing runs, nothing is looked at.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from anyio import CancelScope, Event, create_task_group, current_time, sleep, sleep_until

from .._core.limitation import LaneSituation, Limitation, LimitReason, RecentLimitations, Situation, limitation
from .._core.progress import RunProgress
from .._core.provider_answers.classify import describe
from .lanes.job import Job
from .lanes.lane import Lane
from .lanes.statistics import ProcessorStatistics
from .loop.foreign import logger
from .progress import ProgressMeter
from .remote_control import RemoteControl

if TYPE_CHECKING:
    from .calls.services import Services
    from .customers.batch import Batch
    from .customers.single_calls import SingleCalls

PERIOD = 1.0  # seconds between two looks: a run is watched by people
_FIRST = 0.1  # seconds after the start until the first look: by then calls have started, or something holds them back
_LATE = 0.1  # seconds: an event loop that lets a timer wait for so long also lets calls wait
_BUSY = 0.9  # share of the time for which the thread of the event loop computes
_MEASURED = 0.5  # seconds that the share is measured over, at least


@runtime_checkable
class WatchedJournal(Protocol):
    """A journal that says how its run is doing, and by way of which it is controlled."""

    async def record_limits(self, limits: Sequence[tuple[float, Limitation]]) -> None:
        """Store what limits the batch from some times on, in seconds since the batch started."""
        ...

    async def record_progress(self, progress: RunProgress) -> None:
        """Store the figures of this moment."""
        ...

    async def requests(self) -> Sequence[tuple[int, object, object]]:
        """Return what is asked of the run: number, command and workers of each request."""
        ...

    async def answer_requests(self, answers: Sequence[tuple[int, str]]) -> None:
        """Store what was done about requests."""
        ...


def as_watched(journal: object) -> WatchedJournal | None:
    """Return a journal if it wants to know what limits its run; None: it does not."""
    return journal if isinstance(journal, WatchedJournal) else None


class Monitor:
    """The look at one pool.

    Args:
        services: What the pool lends.
        batches: Its batches that run.
        calls: Returns its single calls; None: no call was made yet.
        statistics: Returns its figures.
        control: Obeys requests.
    """

    def __init__(
        self,
        services: Services,
        batches: Sequence[Batch],
        calls: Callable[[], SingleCalls | None],
        statistics: Callable[[], ProcessorStatistics],
        control: RemoteControl,
    ) -> None:
        self._statistics = statistics
        self._control = control
        self._services = services
        self._batches = batches
        self._calls = calls
        self._recent = RecentLimitations()
        self._noted: Limitation | None = None
        self._unwritten: list[tuple[float, Limitation]] = []
        """What limited the pool from some times on, which the journal has not got yet."""
        self._started_at = 0.0
        """When the batch started that runs, or ran last."""
        self._started = Event()
        self._has_failed = False
        self._is_late = False
        self._measured_at, self._computed = 0.0, 0.0

    # ------------------------------------------------------------------------------------------ looking

    @property
    def is_running(self) -> bool:
        """Whether something is left to do."""
        calls = self._calls()
        return bool(self._batches) or (calls is not None and calls.unsettled > 0)

    def look(self, now: float) -> Limitation:
        """Return what limits the pool, as the looks of the last seconds have seen it."""
        return self._recent.add(now, limitation(self._situation(now)))

    def _situation(self, now: float) -> Situation:
        scheduler, strategies, batches = self._services.scheduler, self._services.strategies, self._batches
        calls = self._calls()
        late = [batch for batch in batches if batch.reader_is_late]
        held = [batch for batch in batches if batch.hooks_are_late]
        lanes = [_situation_of(lane, now) for lane in scheduler.lanes.values() if lane.has_jobs]
        return Situation(
            is_running=self.is_running,
            is_paused=scheduler.is_paused,
            is_out_of_budget=scheduler.spending.is_awaited,
            is_stopping=bool(batches) and not any(batch.is_open for batch in batches),
            commits_are_late=any(batch.commits_are_late for batch in batches)
            or (calls is not None and calls.commits_are_late),
            reader_is_late=bool(late) and len(late) == len(batches),
            hooks_are_late=bool(held) and len(held) == len(batches),
            processor_is_late=self._is_late,
            in_flight=scheduler.in_flight,
            max_workers=self._services.config.max_workers,
            lanes=lanes,
            is_preparing=strategies.is_preparing,
            is_reading=any(batch.is_reading for batch in batches),
        )

    # ------------------------------------------------------------------------------------------ recording

    def wake(self) -> None:
        """Look from now on: something runs."""
        self._started.set()

    async def run(self, journal: WatchedJournal) -> None:
        """While something runs, look once a second, store what has changed, and obey what is asked, until the task is cancelled.

        A look does not wait for the disk: what limits the pool may be the disk.
        """
        while True:
            await self._started.wait()
            self._started = Event()
            async with create_task_group() as nursery:
                nursery.start_soon(self._exchange_repeatedly, journal)
                await self._watch()
                nursery.cancel_scope.cancel()
            await self.finish(journal)

    async def _watch(self) -> None:
        """Look once a second, as long as something runs."""
        self.start_measuring()
        due = current_time() + _FIRST
        while self.is_running:
            await sleep_until(due)
            now = current_time()
            self.measure(now, due)
            limit = self.look_safely(now)
            if limit is not None and limit.reason is not LimitReason.ENDED:
                self._started_at = min((batch.started_at for batch in self._batches), default=self._started_at)
                self._note(now, limit)
            due = max(due + PERIOD, now)

    def look_safely(self, now: float) -> Limitation | None:
        """Return what a look sees; None if a controller of the user's raises, which is logged once."""
        try:
            return self.look(now)
        except Exception as error:  # noqa: BLE001 - rule 2
            self._log_once(f"it cannot be shown what limits the batch: {describe(error)}")
            return None

    def _note(self, now: float, limit: Limitation) -> None:
        if limit != self._noted:
            self._noted = limit
            self._unwritten.append((max(0.0, now - self._started_at), limit))

    def _log_once(self, message: str) -> None:
        if not self._has_failed:
            self._has_failed = True
            logger.warning("%s", message)

    async def _exchange_repeatedly(self, journal: WatchedJournal) -> None:
        total, done_before = _extent_of(journal)
        meter = ProgressMeter(total, done_before=done_before)
        while True:
            await sleep(PERIOD)
            if total is None:
                meter.total = self.total
            await self._exchange(journal, meter)

    async def _exchange(self, journal: WatchedJournal, meter: ProgressMeter) -> None:
        """Store what has changed, and obey what is asked."""
        try:
            with CancelScope(shield=True):  # as long as the disk takes
                async with self._services.journal_lock:
                    if requests := await journal.requests():
                        answers = [(number, self._control.obey(*asked)) for number, *asked in requests]
                        await journal.answer_requests(answers)
                    await journal.record_progress(meter.read(current_time(), self._statistics(), wall_time=time.time()))
                    await self._write(journal)
        except Exception as error:  # noqa: BLE001 - rule 2
            self._log_once(f"the journal could not record the progress: {describe(error)}")

    async def _write(self, journal: WatchedJournal) -> None:
        """Store the notes that are not stored yet; the journal's lock is held."""
        unwritten, self._unwritten = self._unwritten, []
        if unwritten:
            await journal.record_limits(unwritten)

    async def finish(self, journal: WatchedJournal) -> None:
        """Record that nothing limits the pool any more, if something did."""
        if self._noted is None:
            return
        self._note(current_time(), Limitation(reason=LimitReason.ENDED))
        self._noted = None
        try:
            with CancelScope(shield=True):  # as long as the disk takes
                async with self._services.journal_lock:
                    await self._write(journal)
        except Exception as error:  # noqa: BLE001 - rule 2
            self._log_once(f"the journal could not record what limits the batch: {describe(error)}")

    @property
    def total(self) -> int | None:
        """Items of all batches and single calls so far; None: a batch runs whose source has no length."""
        lengths = [batch.length for batch in self._batches]
        if None in lengths:
            return None
        read = sum(batch.tally.accepted for batch in self._batches)
        return self._statistics().total_items - read + sum(length for length in lengths if length is not None)

    # ------------------------------------------------------------------------------------------ this machine

    def start_measuring(self) -> None:
        self._is_late = False
        self._measured_at, self._computed = current_time(), time.thread_time()

    def measure(self, now: float, due: float) -> None:
        """Measure whether the event loop is late or busy, at `now`, by a timer that was due at `due`."""
        seconds, computed = now - self._measured_at, time.thread_time()
        if seconds < _MEASURED:
            return
        self._is_late = now - due >= _LATE or computed - self._computed >= _BUSY * seconds
        self._measured_at, self._computed = now, computed


def _extent_of(journal: WatchedJournal) -> tuple[int | None, int]:
    """Return how many items the batch has and how many of them earlier runs have done, as far as the journal knows better than the batch."""
    extent: tuple[int | None, int] = getattr(journal, "extent", (None, 0))
    return extent


def _situation_of(lane: Lane[Job], now: float) -> LaneSituation:
    """Return what holds back the calls that wait in a lane."""
    queue, pace = lane.queue, lane.pace.statistics()
    job = queue.peek(now)
    opens_at = max(pace.gate, lane.reopens_at if lane.exhausted is not None else pace.gate)
    return LaneSituation(
        quota=lane.quota,
        waiting=len(queue),
        pace=pace.holding,
        waits_for_time=job is None,
        lacks_connection=job is not None and job.use is not None and not job.use.has_room,
        is_suspended=lane.health.is_suspended,
        opens_in=max(0.0, opens_at - now),
    )
