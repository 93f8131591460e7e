"""Pool: what its batches and single calls share: lanes, prepared strategies, the journal, the observers, and what was learned about quotas.

Rules owned here:

1. A pool owns one nursery, for its supervisor, its batches, the preparation of strategies and the observers.
2. Leaving a pool waits for what runs; leaving it by an exception or a cancellation cancels what runs. Strategies are cleaned up, and the
   journal is closed, only afterwards.
3. No fault ends a pool: a batch that crashes raises in the task that started it.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType, TracebackType
from typing import Any, Self, TypeVar

import attrs
from anyio import CancelScope, Lock, NoEventLoopError, create_task_group, current_time
from anyio.lowlevel import EventLoopToken, checkpoint, current_token

from .._core.budget import Spent
from .._core.config import ProcessorConfig
from .._core.exceptions import ConfigurationError, MisuseError
from .._core.fault import DRAINED, Fault, pending_fault
from .._core.pace import PaceKnowledge
from .._core.queue.waiting_room import RoomLimits, closed_refusal
from .._core.results import BatchResult, WorkItemResult
from ..abc import Journal, LLMWorkItem
from .calls.hooks import Hooks
from .calls.services import Services
from .calls.strategies import Strategies
from .customers.batch import Batch
from .customers.batch_progress import BatchProgress
from .customers.call_refusals import busy
from .customers.intake import Intake
from .customers.pool_batches import PoolBatches, StreamedBatch
from .customers.single_calls import SingleCalls
from .lanes.learned import LearnedQuotas, NewPace
from .lanes.scheduler import Scheduler
from .lanes.statistics import ProcessorStatistics
from .loop.abandoned import AbandonedGenerators
from .loop.clock import Clock
from .loop.foreign import call_in_loop, interrupt_of
from .monitor import Monitor, as_watched
from .progress import ProgressHook
from .remote_control import RemoteControl
from .results.delivery import Collector, Handover, Outlet
from .supervisor import supervise

T = TypeVar("T")

NO_KNOWLEDGE: Mapping[str, PaceKnowledge] = MappingProxyType({})


class Pool:
    """Runs batches and single calls. Its arguments come from `open_pool` and `ParallelBatchProcessor`, which document them.

    Raises:
        ConfigurationError: A number in `knowledge` is out of its bounds.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what a pool is given
        self,
        config: ProcessorConfig,
        hooks: Hooks,
        pace: NewPace,
        knowledge: Mapping[str, PaceKnowledge],
        journal: Journal | None,
        room: RoomLimits | None = None,
    ) -> None:
        self.config = config
        self._hooks = hooks
        self._learned = LearnedQuotas(pace, knowledge)
        self._journal = journal
        self._watched = as_watched(journal)
        self._journal_is_open = False
        self._room = room or RoomLimits()
        self._clock = Clock()
        self._scheduler = Scheduler(config, self._clock, self._learned)
        self._scheduler.set_budget(config.budget)
        self._draw = random.Random().random  # noqa: S311 - jitter, not cryptography
        self._strategies = Strategies(config, hooks, self._scheduler, self._chance, self._start_task)
        self._services = Services(
            config, self._clock, hooks, self._chance, self._scheduler, self._strategies, journal, Lock(), self.knowledge
        )
        self._calls: SingleCalls | None = None
        self._drained: Fault | None = None
        """Why no more calls are made, except for single calls that were taken before; None: they are."""
        self._batches = PoolBatches(self._services, self._start_task)
        self._monitor = Monitor(
            self._services,
            self._batches.running,
            lambda: self._calls,
            self.statistics,
            RemoteControl(self._scheduler, self.drain),
        )
        self._nursery: Any = None
        self._abandoned = AbandonedGenerators()
        self._kept: list[CancelScope] = []
        self._token: EventLoopToken | None = None
        self._thread = 0
        self._is_open = False

    # ------------------------------------------------------------------------------------------ open and close

    async def __aenter__(self) -> Self:
        if self._nursery is not None:
            raise MisuseError("the pool is open already")
        await checkpoint()
        await self._open_journal()
        self._token, self._thread = current_token(), threading.get_ident()
        self._clock.open()
        self._abandoned.open()
        self._nursery = create_task_group()
        await self._nursery.__aenter__()
        self._hooks.open(self._start_task, self._clock.now)
        self._unsubscribe = self.config.subscribe(self._on_setting)
        self._start_kept(supervise, self._services, self._batches.running)
        if self._watched is not None:
            self._start_kept(self._monitor.run, self._watched)
        self._is_open, self._drained = True, None
        return self

    async def _open_journal(self) -> None:
        journal = self._journal
        if journal is None:
            return
        stored = await journal.open(share=not self._hooks.rewrite_items)
        try:
            if self.config.budget is not None:
                self._scheduler.spending.restart(await _spent(journal))
            self._learned.add_stored(stored)
        except BaseException:
            with CancelScope(shield=True):
                await journal.close()
            raise
        self._journal_is_open = True

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_open = False
        try:
            if error is not None:
                await self._end("the pool was closed by an exception")
            else:
                try:
                    await self._end(None)
                    await self._hooks.flush()
                except BaseException:
                    await self._end("the pool was closed")
                    raise
        finally:
            await self._close()

    async def _end(self, reason: str | None) -> None:
        """Wait for what runs; with a reason, cancel it."""
        with CancelScope(shield=reason is not None):
            if reason is not None:
                self._batches.cancel()
            if self._calls is not None:
                await self._calls.close(None if reason is None else pending_fault(reason))
            await self._batches.wait_for_all()

    async def _close(self) -> None:
        try:
            with CancelScope(shield=True):  # bounded: every hook is
                await self._hooks.close()
                await self._strategies.release_all()
        finally:
            self._abandoned.close()
            self._unsubscribe()
            self._nursery.cancel_scope.cancel()
            for scope in self._kept:
                scope.cancel()
            self._kept.clear()
            try:
                await self._nursery.__aexit__(None, None, None)
            except BaseExceptionGroup as group:
                if group.subgroup(KeyboardInterrupt) is not None:
                    raise interrupt_of(group) from group
                raise
            finally:
                self._nursery, self._calls = None, None
                if self._journal is not None and self._journal_is_open:
                    self._journal_is_open = False
                    with CancelScope(shield=True):  # as long as the disk takes
                        if self._watched is not None:
                            await self._monitor.finish(self._watched)
                        await self._journal.close()

    def _chance(self) -> float:
        """Return a random number from 0 to 1."""
        return self._draw()

    def _start_task(self, function: Callable[..., Any], *args: Any) -> None:
        if self._nursery is None:
            raise MisuseError("the pool is not open")
        self._nursery.start_soon(function, *args)

    def _start_kept(self, function: Callable[..., Awaitable[None]], *args: Any) -> None:
        """Start a task that others need to end, until the pool closes: cancelling the pool from outside does not cancel it."""
        scope = CancelScope(shield=True)
        self._kept.append(scope)

        async def run() -> None:
            with scope:
                await function(*args)

        self._start_task(run)

    def _on_setting(self) -> None:
        self._in_loop(self._heed_settings)

    def _heed_settings(self) -> None:
        if self.config.budget is not self._scheduler.spending.budget:
            self._scheduler.set_budget(self.config.budget)
        self._scheduler.allow_more()

    def _in_loop(self, function: Callable[..., object], *args: object) -> None:
        """Call a function in the pool's thread: at once, or soon if this is another one; not at all if the pool is closed."""
        if self._nursery is None or self._token is None:
            return
        if threading.get_ident() == self._thread:
            function(*args)
        else:
            call_in_loop(self._token, function, *args)

    # ------------------------------------------------------------------------------------------ batches

    def keep_only_what_is_used(self) -> None:
        """Let go of strategies and lanes that are idle for long, instead of keeping them until the pool closes."""
        self._strategies.keep_only_what_is_used()
        self._scheduler.keep_only_what_is_used()

    @property
    def has_journal(self) -> bool:
        """Whether results are committed to a journal."""
        return self._journal is not None

    @property
    def last(self) -> BatchResult[Any]:
        """The latest batch that has ended, also if it was cancelled or failed."""
        return self._batches.last

    async def collect(
        self, intake: Intake, *, priority: int = 0, tenant: str = "", progress: ProgressHook | None = None
    ) -> BatchResult[Any]:
        """Run a batch, and return it with all its results.

        Raises:
            InvalidWorkItemError: The source is a sequence with an item that cannot be run.
            SourceError: The source raised; the error has the batch.
            JournalError: The journal failed; an UnsavedError has the batch and the results that are not stored.
        """
        collector: Collector[Any] = Collector()
        batch = self.new_batch(intake, collector, priority=priority, tenant=tenant, progress=progress)
        return await self.run_batch(batch, collector)

    def new_batch(
        self,
        intake: Intake,
        outlet: Outlet,
        *,
        priority: int = 0,
        tenant: str = "",
        progress: ProgressHook | None = None,
    ) -> Batch:
        """Return a batch that has not started yet."""
        batch = Batch(self._services, intake, outlet, priority=priority, tenant=tenant)
        if progress is not None:
            statistics = partial(self._statistics, 0, batch)
            batch.progress = BatchProgress(progress, batch.length, statistics, lambda: batch.stopped is not None)
        return batch

    async def run_batch(self, batch: Batch, collector: Collector[Any]) -> BatchResult[Any]:
        """Run a batch, and return it with all its results. The exceptions are those of `collect`."""
        await batch.check()
        self.start(batch, collector.results)
        await self._batches.wait_for(batch)
        await self._hooks.flush()
        if batch.failure is not None:
            raise batch.failure
        return batch.result

    async def add_to_batch(self, batch: Batch, item: LLMWorkItem[Any], ids: set[str]) -> None:
        """Add an item to a batch that runs, beside those of its source; `ids` are those of the batch, and get its id."""
        job = batch.ledger.accept(batch, item)
        ids.add(item.item_id)
        if batch.commits is not None:
            await batch.recall(job)
        else:
            batch.admit(job)
        self._scheduler.start_calls()

    def stream(
        self, intake: Intake, *, priority: int = 0, tenant: str = "", progress: ProgressHook | None = None
    ) -> StreamedBatch:
        """Return a context manager that runs a batch beside its block; the block iterates over the results.

        At its end the iteration raises the exceptions that `collect` raises.
        """
        handover: Handover[Any] = Handover(lambda: self._scheduler.release(batch))
        batch = self.new_batch(intake, handover, priority=priority, tenant=tenant, progress=progress)
        start, drain = partial(self.start, batch, (), handover), partial(self.drain_batch, batch)
        return StreamedBatch(batch, handover, start, drain)

    def start(
        self, batch: Batch, results: Sequence[WorkItemResult[Any]], handover: Handover[Any] | None = None
    ) -> None:
        """Run a batch in a task of its own; the arguments are those of `PoolBatches.start`."""
        self._check_open()
        if self._drained is not None:
            batch.stop(self._drained)
        self._batches.start(batch, results, handover)
        self._monitor.wake()

    def drain(self, reason: str = DRAINED) -> None:
        """Start no more calls in the batches that run: calls in flight finish, the other items become pending. From any thread."""
        self._in_loop(self._batches.drain, reason)

    def drain_batch(self, batch: Batch, reason: str) -> None:
        """Do the same in one batch. From any thread."""
        self._in_loop(batch.stop, pending_fault(reason))

    def take_no_more(self, reason: str) -> None:
        """Drain the batches that run and those that begin later, and refuse new single calls. From any thread."""
        self._in_loop(self._take_no_more, reason)

    def _take_no_more(self, reason: str) -> None:
        if self._drained is None:
            self._drained = pending_fault(reason)
        self._batches.drain(reason)

    def reopen(self) -> None:
        """Make calls again where they are shut for a while. From any thread."""
        self._in_loop(self._reopen)

    def _reopen(self) -> None:
        self._scheduler.reopen_lanes()
        if self._calls is not None:
            self._calls.reopen()

    def pause(self) -> None:
        """Start no calls until `resume`; those in flight finish. From any thread."""
        self._in_loop(self._scheduler.pause)

    def resume(self) -> None:
        """Start calls again. From any thread."""
        self._in_loop(self._scheduler.resume)

    # ------------------------------------------------------------------------------------------ single calls

    def call(
        self, item: LLMWorkItem[Any], *, timeout: float | None = None, priority: int = 0, tenant: str = ""
    ) -> Awaitable[WorkItemResult[Any]]:
        """Make a call, and return its result. Not a coroutine itself: a hundred thousand may wait, and each would take 300 bytes."""
        if self._drained is not None:
            raise busy(closed_refusal(self._drained.message, self._draw()))
        if self._nursery is not None and not self._is_open:
            raise busy(closed_refusal("it is being left", self._draw()))
        self._check_open()
        self._monitor.wake()
        return self._single_calls().call(item, timeout=timeout, priority=priority, tenant=tenant)

    def _single_calls(self) -> SingleCalls:
        calls = self._calls
        if calls is None or (calls.has_failed and not calls.is_busy):
            if calls is not None:  # try the journal again
                calls.finish()
                self._scheduler.unregister(calls)
                self._batches.add_past(calls.tally)
            calls = self._calls = SingleCalls(self._services, self._room)
            self._scheduler.register(calls)
            if calls.commits is not None:
                self._start_kept(calls.commits.run)
        return calls

    def _check_open(self) -> None:
        if not self._is_open:
            raise MisuseError("the pool is not open; use it inside `async with`")
        if current_token() != self._token:
            raise MisuseError("a pool belongs to the event loop that opened it; use another one in another loop")

    # ------------------------------------------------------------------------------------------ knowledge and figures

    def knowledge(self) -> dict[str, PaceKnowledge]:
        """Return what is known of each quota; that of quotas not used here is unchanged."""
        return self._learned.knowledge(self._now())

    def _now(self) -> float:
        try:
            return current_time()
        except NoEventLoopError:  # called after the event loop has ended
            return self._batches.last_end

    def statistics(self, queued: int = 0) -> ProcessorStatistics:
        """Return a snapshot; `queued` is the number of items that wait for a batch."""
        return self._statistics(queued, None)

    def _statistics(self, queued: int, of: Batch | None) -> ProcessorStatistics:
        now = self._now()
        found = self._batches.statistics(self._learned, queued=queued, now=now, of=of)
        return attrs.evolve(found, limitation=self._monitor.look_safely(now))


async def _spent(journal: Journal) -> Spent:
    """Return what the calls that a journal has have cost.

    Raises:
        ConfigurationError: The journal cannot tell.
    """
    spent = getattr(journal, "spent", None)
    if spent is None:
        name = type(journal).__qualname__
        raise ConfigurationError(
            f"{name} cannot tell what its calls have cost, so a budget cannot be kept; define async spent()"
        )
    found: Spent = await spent()
    return found
