"""The processor: takes work items, and runs them batch after batch."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from os import PathLike
from types import TracebackType
from typing import Any, Generic, TypeVar

import attrs

from ._core.config import ProcessorConfig
from ._core.exceptions import ConfigurationError, MisuseError
from ._core.fault import DRAINED
from ._core.pace import PaceController, PaceKnowledge
from ._core.results import BatchResult
from ._engine.engine import NOTHING_KNOWN, Engine, NewPace
from ._engine.intake import Intake, admit_into, check_item
from ._engine.outlets import ResultStream
from ._engine.tally import ProcessorStatistics
from .abc import BaseObserver, Journal, LLMWorkItem, Middleware


def as_journal(journal: Journal | str | PathLike[str] | None) -> Journal | None:
    """Return a journal as such: a path means one in that file.

    Raises:
        ConfigurationError: it is neither.
    """
    if isinstance(journal, (str, PathLike)):
        from .journal import SqliteJournal  # noqa: PLC0415 - SQLite takes time to load, for those without a journal in vain

        return SqliteJournal(journal)
    if journal is not None and not all(callable(getattr(journal, name, None)) for name in _JOURNALS):
        raise ConfigurationError(f"journal must be a path or a paceline.journal.SqliteJournal, not {journal!r}")
    return journal


_JOURNALS = ("open", "key_of", "recall", "commit", "note", "close")

T = TypeVar("T")


class ParallelBatchProcessor(Generic[T]):
    """Runs batches of work items at the pace that their providers allow.

        async with ParallelBatchProcessor() as processor:
            await processor.add_work(LLMWorkItem(item_id="q1", strategy=strategy, prompt="..."))
            batch = await processor.process_all()

    It may run any number of batches, one after the other; what was learned about a quota stays. Leaving the `async with`
    block cleans up the strategies, also when cancelled; a batch that another task runs must have ended before.

    Args:
        config: the settings; assigning to a field of `processor.config` takes effect at once.
        middlewares: see every item before its first call in this order, and every result in the opposite one.
        observers: are told of every event.
        pace: makes the controller of a quota that is met for the first time, from what is known of it or None.
        knowledge: what is known of quotas, by their names, from an earlier processor's `knowledge()`.
        journal: keeps every result before it is handed over, gives back those that it has, and remembers the pace: the path of a
            file, or a `paceline.journal.SqliteJournal`. It is opened when the processor is entered.

    Raises:
        ConfigurationError: a middleware or an observer is none, or something in `knowledge` is out of its bounds.
        JournalError: on entering: the journal cannot be written, somebody else writes it, or it is something else.
    """

    def __init__(  # noqa: PLR0913 - all have good defaults
        self,
        config: ProcessorConfig | None = None,
        *,
        middlewares: Sequence[Middleware] = (),
        observers: Sequence[BaseObserver] = (),
        pace: NewPace = PaceController,
        knowledge: Mapping[str, PaceKnowledge] = NOTHING_KNOWN,
        journal: Journal | str | PathLike[str] | None = None,
    ) -> None:
        self._engine: Engine[T] = Engine(
            config,
            middlewares=middlewares,
            observers=observers,
            pace=pace,
            knowledge=knowledge,
            journal=as_journal(journal),
        )
        self._queue: deque[LLMWorkItem[T]] = deque()
        self._ids: set[str] = set()
        self._is_open = False

    @property
    def config(self) -> ProcessorConfig:
        """The settings; assigning to one of its fields takes effect at once."""
        return self._engine.config

    async def __aenter__(self) -> ParallelBatchProcessor[T]:
        await self._engine.__aenter__()
        self._is_open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_open = False
        await self._engine.__aexit__(kind, error, traceback)

    async def add_work(self, item: LLMWorkItem[T]) -> None:
        """Queue an item for `process_all`; while a batch is running, add it to that one.

        Raises:
            DuplicateItemError: an item with its id is in the batch already.
            InvalidWorkItemError: it is no `LLMWorkItem`.
            MisuseError: the processor is not open.
        """
        self._check_open()
        check_item(item, self._ids)
        batch = self._engine.running
        if batch is not None and batch.is_open:
            job = batch.ledger.accept(item)
            self._ids.add(item.item_id)
            await admit_into(batch, job)
        else:
            self._queue.append(item)
            self._ids.add(item.item_id)

    async def process_all(self) -> BatchResult[T]:
        """Run what was queued, and return every item's result.

        Cancelling it cancels the calls in flight; then `batch` has the result of every item, those not reached as pending.

        Raises:
            MisuseError: the processor is not open, or is running a batch.
            JournalChangedError: an item is not what the journal was begun with; nothing more was called.
            UnsavedError: the journal could not keep all results; it has those that are not kept, and the batch.
        """
        self._check_open()
        self._engine.check_idle()
        queue, self._queue = self._queue, deque()
        try:
            return await self._engine.collect(Intake(_Queue(queue), bounded=False))
        finally:
            self._ids = {item.item_id for item in self._queue}

    @asynccontextmanager
    async def stream(
        self, source: Iterable[LLMWorkItem[T]] | AsyncIterable[LLMWorkItem[T]], *, unique: bool = False
    ) -> AsyncIterator[ResultStream[T]]:
        """Run the items of `source`, and hand over each result as it comes.

            async with processor.stream(items) as results:
                async for result in results: ...

        The source is read as far ahead as is of use; a consumer that falls behind holds up new calls. Leaving the block
        early cancels the calls in flight; then `results.undelivered` has what was not taken.

        Args:
            source: of work items.
            unique: whether it is known that no id comes twice: then they are not remembered, about 100 bytes each.

        Raises:
            InvalidWorkItemError: the source is a sequence, and something in it cannot be run.
            MisuseError: the processor is not open, or is running a batch.
        """
        self._check_open()
        async with self._engine.stream(Intake(source, unique=unique)) as results:
            yield results

    @property
    def has_journal(self) -> bool:
        """Whether results are committed to a journal."""
        return self._engine.has_journal

    @property
    def batch(self) -> BatchResult[T]:
        """The latest batch that has ended, whatever ended it; empty before the first."""
        return self._engine.last

    def drain(self, reason: str = DRAINED) -> None:
        """Start no more calls in the running batch; those in flight finish, and the rest of the items are pending, for `reason`."""
        self._engine.drain(reason)

    def knowledge(self) -> dict[str, PaceKnowledge]:
        """Return what was learned of each quota, to be kept and given to a later processor, which then starts near its pace.

        The values are small, and can be pickled. What was given to this one of quotas that it did not meet is among them.
        """
        return self._engine.knowledge()

    async def get_stats(self) -> dict[str, Any]:
        """Return `statistics()` as a dict: `rate_limit_count`, `workers`, `succeeded`, `failed`, and the rest."""
        return attrs.asdict(self.statistics())

    def statistics(self) -> ProcessorStatistics:
        """Return a snapshot: sums over all batches, and what is going on now."""
        return self._engine.statistics(len(self._queue))

    def _check_open(self) -> None:
        if not self._is_open:
            raise MisuseError(
                "the processor is not open; use it inside `async with ParallelBatchProcessor() as processor:`"
            )


class _Queue(Iterable[LLMWorkItem[T]]):
    """Items that are let go of as they are read."""

    def __init__(self, items: deque[LLMWorkItem[T]]) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[LLMWorkItem[T]]:
        while self._items:
            yield self._items.popleft()
