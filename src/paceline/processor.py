"""Processor: accepts work items and runs them, batch after batch."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import AbstractAsyncContextManager
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypedDict

import attrs
from anyio import CancelScope
from anyio.lowlevel import checkpoint

from ._core.budget import Budget
from ._core.config import ProcessorConfig, with_budget
from ._core.exceptions import ConfigurationError, MisuseError
from ._core.fault import DRAINED
from ._core.pace import PaceController, PaceKnowledge
from ._core.quantity import quantity
from ._core.results import BatchResult
from ._engine.calls.hooks import Hooks
from ._engine.customers.batch import Batch
from ._engine.customers.intake import Intake, check_item
from ._engine.customers.pool_batches import StreamedBatch
from ._engine.lanes.learned import NewPace
from ._engine.lanes.statistics import ProcessorStatistics
from ._engine.loop.foreign import logger
from ._engine.loop.steps import let_go
from ._engine.pool import NO_KNOWLEDGE, Pool
from ._engine.progress import ProgressHook
from ._engine.results.delivery import Collector, ResultStream
from .abc import BaseObserver, Journal, LLMWorkItem, Middleware
from .progress import ProgressOption, hook_of

if TYPE_CHECKING:
    import typing_extensions

    T = typing_extensions.TypeVar(
        "T", default=Any
    )  # so that `async with ParallelBatchProcessor() as processor` needs no annotation
else:
    from typing import TypeVar

    T = TypeVar("T")


class Options(TypedDict, total=False):
    """The arguments of `ParallelBatchProcessor`, for functions that pass them on: `**options: Unpack[Options]`."""

    config: ProcessorConfig | None
    middlewares: Sequence[Middleware]
    observers: Sequence[BaseObserver]
    pace: NewPace
    knowledge: Mapping[str, PaceKnowledge]
    journal: Journal | str | PathLike[str] | None
    budget: Budget | None


class ParallelBatchProcessor(Generic[T]):
    """Runs batches of work items at the pace that their providers allow.

        async with ParallelBatchProcessor() as processor:
            await processor.add_work(LLMWorkItem(item_id="q1", strategy=strategy, prompt="..."))
            batch = await processor.process_all()

    It may run any number of batches, one after the other; what was learned about a quota is kept between them. Leaving the
    `async with` block waits for a batch that another task runs, and cleans up the strategies, also when cancelled.

    Args:
        config: Settings. Assigning to a field of `processor.config` takes effect at once; None: the defaults.
        middlewares: Middlewares, outermost first: they see items in this order and results in the opposite order.
        observers: Observers, each of which receives every event.
        pace: Function that creates the rate controller of a new quota key, from what is known of the quota or None.
        knowledge: What is known of quotas, by quota key, from an earlier processor's `knowledge()`. It takes precedence over
            what the journal stored.
        journal: Path of a journal file, or a `paceline.journal.SqliteJournal`. Every result is committed before it is handed
            over, stored results are recalled without a call, and the pace is stored too. Opened when the processor is entered.
        budget: Cap on what the calls cost, in place of `ProcessorConfig(budget=...)`; None: that of `config`.

    Raises:
        ConfigurationError: A middleware, an observer or the journal is of another type, a number in `knowledge` is out of its
            bounds, or both `config` and `budget` are given. On entering: there is a budget, and a journal that cannot tell what was spent.
        JournalError: On entering: the journal cannot be written, another process writes it, or the file is not a journal.
    """

    def __init__(  # noqa: PLR0913 - all have good defaults
        self,
        config: ProcessorConfig | None = None,
        *,
        middlewares: Sequence[Middleware] = (),
        observers: Sequence[BaseObserver] = (),
        pace: NewPace = PaceController,
        knowledge: Mapping[str, PaceKnowledge] = NO_KNOWLEDGE,
        journal: Journal | str | PathLike[str] | None = None,
        budget: Budget | None = None,
    ) -> None:
        config = with_budget(config, budget)
        self._hooks = Hooks(config, middlewares, observers)
        self._pool = Pool(config, self._hooks, pace, knowledge, as_journal(journal))
        self._running: Batch | None = None
        self._queue: deque[LLMWorkItem[T]] = deque()
        self._is_mixed = False
        """Whether the items that are queued have different strategies."""
        self._unread: Sized = ()
        """Items of the running batch that were queued and not read yet."""
        self._ids: set[str] = set()
        self._is_open = False

    @property
    def config(self) -> ProcessorConfig:
        """The settings; assigning to one of its fields takes effect at once, from any thread."""
        return self._pool.config

    async def __aenter__(self) -> ParallelBatchProcessor[T]:
        await self._pool.__aenter__()
        self._is_open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_open = False
        if self._queue and error is None:
            logger.warning(
                "%s queued, and never run: call process_all before leaving", quantity(len(self._queue), "item")
            )
        try:
            await self._pool.__aexit__(kind, error, traceback)
        finally:
            await self._forget(self._queue, self._ids)

    async def _forget(self, *containers: deque[LLMWorkItem[T]] | set[str]) -> None:
        """Empty containers that may have a million members, in steps, also if this task is cancelled."""
        with CancelScope(shield=True):
            for container in containers:
                await let_go(container)

    async def add_work(self, item: LLMWorkItem[T]) -> None:
        """Queue an item for `process_all`; while a batch is running, add it to that batch.

        If it is cancelled, the item is queued, or in the batch, all the same.

        Raises:
            DuplicateItemError: The batch already has an item with this id.
            InvalidWorkItemError: It is not an `LLMWorkItem`.
            MisuseError: The processor is not open.
        """
        self._check_open()
        check_item(item, self._ids)
        batch = self._running
        if batch is not None and batch.is_open:
            await self._pool.add_to_batch(batch, item, self._ids)
        else:
            self._is_mixed = bool(self._queue) and (self._is_mixed or item.strategy is not self._queue[-1].strategy)
            self._queue.append(item)
            self._ids.add(item.item_id)
            self._hooks.submit(item)
        await checkpoint()

    async def process_all(self, *, progress: ProgressOption = None) -> BatchResult[T]:
        """Run the queued items as one batch, and return every item's result.

        Cancelling it cancels the calls in flight; then `batch` has the result of every item, those not reached as pending.

        Args:
            progress: As for `process_prompts`; the steps of the pace are not shown.

        Raises:
            ConfigurationError: `progress` is neither a bool nor a function that is not async.
            MisuseError: The processor is not open, or is running a batch.
            JournalChangedError: An item differs from the one in the journal; no call started after that was found.
            UnsavedError: The journal could not store all results; the error has those that are not stored, and the batch.
        """
        self._check_idle()
        hook, _ = hook_of(progress)
        queue, self._queue = self._queue, deque()
        self._unread = queue
        collector: Collector[T] = Collector()
        # all of them are read at once where a later one may be for a lane that has room
        intake = Intake(_Queue(queue), bounded=not self._is_mixed, unique=True)
        batch = self._pool.new_batch(intake, collector, progress=hook)
        self._running = batch
        try:
            return await self._pool.run_batch(batch, collector)
        finally:
            if self._running is batch:
                self._running, self._unread = None, ()
            ids, self._ids = self._ids, {item.item_id for item in self._queue}
            await self._forget(ids)

    def stream(
        self,
        source: Iterable[LLMWorkItem[T]] | AsyncIterable[LLMWorkItem[T]],
        *,
        unique: bool = False,
        progress: ProgressOption = None,
    ) -> AbstractAsyncContextManager[ResultStream[T]]:
        """Run the items of `source` as one batch, and hand over each result when it is complete.

            async with processor.stream(items) as results:
                async for result in results: ...

        The source is read a bounded number of items ahead of the calls; a consumer that falls behind holds up new calls. Leaving
        the block early cancels the calls in flight; then `results.undelivered` has the results that were not consumed.

        Args:
            source: Work items. A source with a length is accepted completely: each of its items has a result.
            unique: Whether all ids are known to differ; then none is remembered. Otherwise an id that repeats one of the 65,536 before
                it, or of those in a sequence, is an error.
            progress: As for `process_all`.

        Raises:
            InvalidWorkItemError: On entering: the source is a sequence with an item that cannot be run.
            MisuseError: On entering: the processor is not open, or is running a batch.
            SourceError: While iterating: the source raised. The results of what was read come first.
            UnsavedError: While iterating: the journal could not store all results.
        """
        return _Stream(self, source, hook_of(progress)[0], unique=unique)

    @property
    def has_journal(self) -> bool:
        """Whether results are committed to a journal."""
        return self._pool.has_journal

    @property
    def batch(self) -> BatchResult[T]:
        """The latest batch that has ended, also if it was cancelled or failed; empty before the first."""
        return self._pool.last

    def drain(self, reason: str = DRAINED) -> None:
        """Start no more calls in the running batch: calls in flight finish, the other items become pending. From any thread.

        Args:
            reason: Message of the pending items' faults, and of the batch's `stopped`.
        """
        self._pool.drain(reason)

    def pause(self) -> None:
        """Start no calls until `resume`: those in flight finish, and what waits keeps its place. From any thread.

        Deadlines are not put off; patience with a provider that refuses everything is.
        """
        self._pool.pause()

    def resume(self) -> None:
        """Start calls again. From any thread."""
        self._pool.resume()

    def knowledge(self) -> dict[str, PaceKnowledge]:
        """Return what was learned about each quota, by quota key; a later processor that receives it starts near this pace.

        The values are small and can be pickled. What this processor received about quotas that it did not use is included.
        """
        return self._pool.knowledge()

    async def get_stats(self) -> dict[str, Any]:
        """Return `statistics()` as a dict: `rate_limit_count`, `workers`, `succeeded`, `failed`, and the rest."""
        await checkpoint()
        return attrs.asdict(self.statistics())

    def statistics(self) -> ProcessorStatistics:
        """Return a snapshot: sums over all batches, and the current state."""
        return self._pool.statistics(len(self._queue) + len(self._unread))

    def _check_open(self) -> None:
        if not self._is_open:
            raise MisuseError(
                "the processor is not open; use it inside `async with ParallelBatchProcessor() as processor:`"
            )

    def _check_idle(self) -> None:
        self._check_open()
        if self._running is not None and not self._running.ended.is_set():
            raise MisuseError("a batch is running already; run another one after it, or in another processor")


class _Stream(AbstractAsyncContextManager[ResultStream[T]]):
    """A batch of a processor, as a context manager."""

    def __init__(
        self, processor: ParallelBatchProcessor[T], source: Any, hook: ProgressHook | None, *, unique: bool
    ) -> None:
        self._hook = hook
        self._processor, self._source, self._unique = processor, source, unique
        self._batch: StreamedBatch | None = None

    async def __aenter__(self) -> ResultStream[T]:
        processor = self._processor
        processor._check_idle()  # noqa: SLF001 - a part of the processor
        intake = Intake(self._source, unique=self._unique)
        self._batch = processor._pool.stream(intake, progress=self._hook)  # noqa: SLF001 - as above
        processor._running = self._batch.batch  # noqa: SLF001 - as above
        try:
            return await self._batch.__aenter__()
        except BaseException:
            processor._running = None  # noqa: SLF001 - as above
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if self._batch is not None:
                await self._batch.__aexit__(kind, error, traceback)
        finally:
            self._processor._running = None  # noqa: SLF001 - as above


class _Queue(Iterable[LLMWorkItem[T]]):
    """Items that are removed as they are read, so that memory is released during the batch."""

    def __init__(self, items: deque[LLMWorkItem[T]]) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[LLMWorkItem[T]]:
        while self._items:
            yield self._items.popleft()


_JOURNAL_METHODS = ("open", "key_of", "recall", "commit", "note", "close")


def as_journal(journal: Journal | str | PathLike[str] | None) -> Journal | None:
    """Return a journal; a path becomes a `SqliteJournal` on that file.

    Raises:
        ConfigurationError: `journal` is neither a path nor a journal.
    """
    if isinstance(journal, (str, PathLike)):
        from .journal import SqliteJournal  # noqa: PLC0415 - loading SQLite takes time that programs without a journal save

        return SqliteJournal(journal)
    if journal is not None and not all(callable(getattr(journal, name, None)) for name in _JOURNAL_METHODS):
        raise ConfigurationError(f"journal must be a path or a paceline.journal.SqliteJournal, not {journal!r}")
    return journal
