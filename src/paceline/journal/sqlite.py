"""SQLite journal: the port `paceline.abc.Journal`, in one SQLite file.

Rules owned here:

1. SQLite runs in a worker thread, one call at a time: a slow commit never delays the event loop or the calls in flight.
2. A write that is cancelled is completed first: a transaction is committed completely or not at all, and a thread cannot be
   interrupted.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from os import PathLike
from typing import Any, TypeVar

import attrs
from anyio import CancelScope, CapacityLimiter, to_thread

from .._core.accounting import Price
from .._core.budget import Spent
from .._core.config import Durability
from .._core.exceptions import ConfigurationError, JournalError, MisuseError
from .._core.limitation import Limitation
from .._core.pace import PaceChange, PaceKnowledge
from .._core.progress import RunProgress
from .._core.results import WorkItemResult
from ..abc import LLMWorkItem
from .recall import Recall, Retry, kinds_to_retry
from .writer import Connect, JournalWriter

R = TypeVar("R")

logger: logging.Logger = logging.getLogger("paceline")


@attrs.define
class _Opening:
    """A call of `open`, and whether its task was cancelled before the thread had opened the file."""

    is_abandoned: bool = False


class SqliteJournal:
    """Stores the results of a batch in one SQLite file, from which a later run resumes.

        async with ParallelBatchProcessor(journal="run.db") as processor: ...

    The file is private (mode 0600), has one writer at a time, and may be read while it is written. It holds the ids, contexts and
    results of the items, and hashes of their prompts.

    Args:
        path: Path of the file; it is created if it does not exist.
        durability: What a commit survives. `normal`: the end of the process; a power failure may lose the last commits. `full`: a
            power failure too; each commit waits for the disk.
        retry: Failed items that run again: `transient`, those whose fault may pass (`paceline.journal.TRANSIENT_KINDS`); `failed`, all;
            `none`; or those with a fault of the given kinds. Pending items always run.
        accept_changes: Whether to accept an item whose prompt, or whose strategy's identity, differs from what the journal has.
            With another prompt the item runs again; with another strategy its result is kept.
        dedupe: Whether items with the same prompt and strategies of the same identity share one call. None, the default: texts and
            parts do, but not where the strategy `is_sampled` (its temperature is above 0), and requests in a provider's form do not.
            With a middleware no items do, as it may change their prompts.
        connect: Function that opens the database, as `sqlite3.connect` does.

    Raises:
        ConfigurationError: An argument is invalid.
    """

    def __init__(  # noqa: PLR0913 - all but the path have defaults
        self,
        path: str | PathLike[str],
        *,
        durability: Durability = "normal",
        retry: Retry = "transient",
        accept_changes: bool = False,
        dedupe: bool | None = None,
        connect: Connect = sqlite3.connect,
    ) -> None:
        if not os.fspath(path):
            raise ConfigurationError("journal is an empty path; give the path of a file")
        self.path = path
        self._durability: Durability = durability
        self._retry = kinds_to_retry(retry)
        self._accept_changes = accept_changes
        self._given_dedupe = self._dedupe = dedupe
        self._connect = connect
        self._writer: JournalWriter | None = None
        self._is_registered = False
        self._thread = CapacityLimiter(1)
        self._lock = threading.Lock()
        self._recall = self._new_recall()
        self.extent: tuple[int | None, int] = (None, 0)
        """Items of the batch, and how many of them earlier runs have done, for the progress that is stored; None: the batch knows. A run
        that passes on only what is left sets it."""

    @classmethod
    def on(cls, writer: JournalWriter, *, dedupe: bool | None = None) -> SqliteJournal:
        """Create a journal on an open writer, which stays open when the journal is closed.

        All items of the batch must be registered already, and have no results.
        """
        journal = cls(writer.path, accept_changes=True, dedupe=False if writer.items.contents.are_unique() else dedupe)
        journal._writer, journal._is_registered = writer, True
        return journal

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}({str(self.path)!r})"

    async def open(self, *, share: bool = True) -> Mapping[str, PaceKnowledge]:
        """Open the file; return the learned pace by quota key.

        Args:
            share: Whether items may share a call at all; False overrides `dedupe`.

        Raises:
            JournalInUseError: Another writer has the journal open.
            JournalError: The file cannot be written, or is not a journal.
        """
        self._dedupe = self._given_dedupe if share else False
        self._recall = self._new_recall()
        self._thread = CapacityLimiter(1)  # of the event loop that runs the batch, wherever the journal was made
        opening = _Opening()
        try:
            return await self._run(self._open, opening)
        except BaseException:  # asyncio's own cancellation passes every shield, and leaves the thread to open the file
            opening.is_abandoned = True
            with CancelScope(shield=True):
                await self._run(self._close)
            raise

    def _open(self, opening: _Opening) -> dict[str, PaceKnowledge]:
        if opening.is_abandoned:
            return {}
        if self._writer is None:
            self._writer = JournalWriter(self.path, durability=self._durability, connect=self._connect)
        try:
            self._writer.begin_run()
            return self._writer.knowledge()
        except BaseException:
            self._close()
            raise

    async def close(self) -> None:
        """Close the file. A failure to record the end of the run is logged, not raised."""
        self._recall = self._new_recall()  # forgets items and strategies
        await self._run(self._close)

    def _close(self) -> None:
        writer = self._writer
        if writer is None:
            return
        try:
            writer.end_run()
        except JournalError as error:
            logger.warning("%s", error)
        finally:
            if not self._is_registered:
                self._writer = None
                writer.close()

    def key_of(self, item: LLMWorkItem[Any]) -> Hashable | None:
        """Return the key of an item's prompt and strategy, shared by the items that need only one call; None if none share."""
        return None if self._dedupe is False else self._recall.key_of(item)

    async def recall(self, items: Sequence[LLMWorkItem[Any]]) -> Sequence[WorkItemResult[Any] | None]:
        """Register items; return each one's stored result, or None if it must be called.

        Raises:
            JournalChangedError: An item has changed, and changes are not accepted.
            JournalError: The file cannot be written.
        """
        if self._is_registered and self._dedupe is False:
            return [None] * len(items)
        return await self._run(self._recall.recall, items)

    async def commit(self, results: Sequence[WorkItemResult[Any]], prices: Mapping[str, Price]) -> None:
        """Store results in one transaction.

        Raises:
            JournalError: No result was stored.
        """
        await self._run(self._open_writer.commit, results, prices)

    async def note(self, changes: Sequence[tuple[str, PaceChange]], knowledge: Mapping[str, PaceKnowledge]) -> None:
        """Store changes of the pace, and the learned pace.

        Raises:
            JournalError: Nothing was stored.
        """
        await self._run(self._open_writer.record_pace, changes, knowledge)

    async def record_limits(self, limits: Sequence[tuple[float, Limitation]]) -> None:
        """Store what limits the batch from some times on, in seconds since the batch started.

        Raises:
            JournalError: Nothing was stored.
        """
        await self._run(self._open_writer.record_limits, limits)

    async def spent(self) -> Spent:
        """Return what the calls of all runs have cost, for a budget."""
        return await self._run(self._open_writer.spent)

    async def record_progress(self, progress: RunProgress) -> None:
        """Store the figures of the run at this moment.

        Raises:
            JournalError: Nothing was stored.
        """
        await self._run(self._open_writer.record_progress, progress)

    async def requests(self) -> Sequence[tuple[int, object, object]]:
        """Return what `paceline control` asks of this run: number, command and workers of each request, none of them checked.

        Raises:
            JournalError: The file cannot be read.
        """
        return await self._run(self._open_writer.requests)

    async def answer_requests(self, answers: Sequence[tuple[int, str]]) -> None:
        """Store what was done about requests, given by their numbers.

        Raises:
            JournalError: Nothing was stored.
        """
        await self._run(self._open_writer.answer_requests, answers)

    @property
    def _open_writer(self) -> JournalWriter:
        if self._writer is None:
            raise MisuseError("the journal is not open: a processor opens it when it is entered")
        return self._writer

    def _new_recall(self) -> Recall:
        return Recall(
            lambda: self._open_writer, retry=self._retry, accept_changes=self._accept_changes, dedupe=self._dedupe
        )

    async def _run(self, function: Callable[..., R], *args: Any) -> R:
        return await to_thread.run_sync(self._call, function, *args, limiter=self._thread)

    def _call(self, function: Callable[..., R], *args: Any) -> R:
        with self._lock:  # a task that asyncio cancels leaves its thread running, and the next one has another
            return function(*args)
