"""SQLite journal: the port `paceline.abc.Journal`, in one SQLite file.

Rules owned here:

1. SQLite runs in a worker thread, one call at a time: a slow commit never delays the event loop or the calls in flight.
2. A write that is cancelled is completed first: a transaction is committed completely or not at all, and a thread cannot be
   interrupted.
3. A result is stored as plain JSON data, and its strategy restores the output from it. If that fails, the item is called again.
4. Of two items with the same prompt and strategies of the same identity only one is called, where `may_share_call` allows it.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from os import PathLike
from typing import Any, Literal, TypeAlias, TypeVar

import attrs
from anyio import CancelScope, CapacityLimiter, to_thread

from .._core.accounting import Price
from .._core.config import Durability
from .._core.exceptions import ConfigurationError, JournalChangedError, JournalError, MisuseError
from .._core.fault import TRANSIENT_KINDS, FaultKind
from .._core.pace import PaceChange, PaceKnowledge
from .._core.prompt import content_key, may_share_call
from .._core.results import Attempt, WorkItemResult
from .._core.usage import NO_USAGE
from ..abc import LLMCallStrategy, LLMWorkItem
from .items import RegisteredItem, describe_changes
from .records import SELECT_ATTEMPTS, SELECT_RESULT, StoredResult, attempt_of, storable
from .writer import Connect, JournalWriter

R = TypeVar("R")

Retry: TypeAlias = Literal["transient", "failed", "none"] | Collection[FaultKind]
"""Which failed items run again: those with a transient fault, all, none, or those with a fault of some kinds."""

_MOST_REMEMBERED = 1_000  # strategies whose identity number is cached
_ADVICE = "set SqliteJournal(accept_changes=True) to accept this, or use another journal"
_NAME = "another item here has this id: give each batch a name, process_prompts(..., name=...), or each item an id of its own"

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
        self._identities: dict[int, tuple[LLMCallStrategy[Any], int]] = {}
        self._keys: dict[int, tuple[LLMWorkItem[Any], Hashable | None]] = {}
        """What `key_of` returns for the items that were recalled last, by the identity of the item."""

    @classmethod
    def on(cls, writer: JournalWriter, *, dedupe: bool | None = None) -> SqliteJournal:
        """Create a journal on an open writer, which stays open when the journal is closed.

        All items of the batch must be registered already, and have no results.
        """
        journal = cls(writer.path, accept_changes=True, dedupe=False if writer.items.are_unique() else dedupe)
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
        self._identities.clear()
        self._keys = {}
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
        recalled = self._keys.get(id(item))
        if recalled is not None and recalled[0] is item:
            return recalled[1]
        if not self._may_share(item):
            return None
        known = self._identities.get(id(item.strategy))
        return content_key(item.prompt), known[1] if known is not None else -id(item.strategy)

    async def recall(self, items: Sequence[LLMWorkItem[Any]]) -> Sequence[WorkItemResult[Any] | None]:
        """Register items; return each one's stored result, or None if it must be called.

        Raises:
            JournalChangedError: An item has changed, and changes are not accepted.
            JournalError: The file cannot be written.
        """
        if self._is_registered and self._dedupe is False:
            return [None] * len(items)
        return await self._run(self._recall, items)

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

    @property
    def _open_writer(self) -> JournalWriter:
        if self._writer is None:
            raise MisuseError("the journal is not open: a processor opens it when it is entered")
        return self._writer

    async def _run(self, function: Callable[..., R], *args: Any) -> R:
        return await to_thread.run_sync(self._call, function, *args, limiter=self._thread)

    def _call(self, function: Callable[..., R], *args: Any) -> R:
        with self._lock:  # a task that asyncio cancels leaves its thread running, and the next one has another
            return function(*args)

    # ---------------------------------------------------------------------------------------------- recall

    def _recall(self, items: Sequence[LLMWorkItem[Any]]) -> list[WorkItemResult[Any] | None]:
        writer = self._open_writer
        registered = [RegisteredItem(item.item_id, content_key(item.prompt), self._strategy_of(item)) for item in items]
        pairs = [*zip(items, registered, strict=True)]
        may_share = [self._may_share(item) for item in items]
        self._keys = {
            id(item): (item, (row.content, row.strategy) if shares else None)
            for (item, row), shares in zip(pairs, may_share, strict=True)
        }
        with writer.transaction() as db:
            known_contents = writer.items.contents(
                row.content for row, shares in zip(registered, may_share, strict=True) if shares
            )
            known_items = writer.items.added
            changes = writer.items.register(registered, accept_changes=self._accept_changes)
            if changes and not self._accept_changes:
                advice = _NAME if any(writer.items.is_added_here(change.id) for change in changes) else _ADVICE
                raise JournalChangedError(writer.path, describe_changes(changes), advice=advice)
            is_new = writer.items.added - known_items == len(items)
            stored = {} if is_new else self._stored(db, items)
            if is_new and not known_contents:
                return [None] * len(items)
            shared = self._shared(
                db,
                [
                    row
                    for row, shares in zip(registered, may_share, strict=True)
                    if shares and row.content in known_contents and storable(row.id) not in stored
                ],
            )
            results: list[WorkItemResult[Any] | None] = []
            for item, row in pairs:
                result = stored.get(storable(item.item_id)) or shared.get((row.content, row.strategy))
                results.append(None if result is None else self._restored(item, *result))
            copies = [
                result
                for item, result in zip(items, results, strict=True)
                if result is not None and storable(item.item_id) not in stored
            ]
            writer.commit(copies, {})
        return results

    def _stored(
        self, db: sqlite3.Connection, items: Sequence[LLMWorkItem[Any]]
    ) -> dict[str, tuple[StoredResult, tuple[Attempt, ...]]]:
        """Return the stored results that need no new call, with their attempts, by id."""
        ids = [storable(item.item_id) for item in items]
        rows = db.execute(f"{SELECT_RESULT} WHERE i.id IN ({','.join('?' * len(ids))})", ids).fetchall()
        kept = {r.item: r for r in map(StoredResult.of, rows) if r.kind is None or r.kind not in self._retry}
        attempts: dict[int, list[Attempt]] = {}
        for result in kept.values():
            query = f"{SELECT_ATTEMPTS} WHERE item = ? AND run = ? ORDER BY ordinal DESC LIMIT ?"
            # Attempts before the latest `result.attempts` are of an earlier batch in the same run.
            latest = db.execute(query, (result.item, result.run, result.attempts))
            attempts[result.item] = [attempt_of(row) for row in latest][::-1]
        return {result.id: (result, tuple(attempts[result.item])) for result in kept.values()}

    def _shared(
        self, db: sqlite3.Connection, items: Sequence[RegisteredItem]
    ) -> dict[tuple[bytes, int], tuple[StoredResult, tuple[Attempt, ...]]]:
        """Return outputs of other items with the same prompt and strategy, by content and strategy, without usage and attempts."""
        if not items:
            return {}
        contents = sorted({item.content for item in items})
        query = SELECT_RESULT.replace("SELECT", "SELECT i.content, r.strategy,", 1)
        rows = db.execute(f"{query} WHERE r.kind IS NULL AND i.content IN ({','.join('?' * len(contents))})", contents)
        return {
            (content, strategy): (
                attrs.evolve(StoredResult.of(tuple(row)), usage=NO_USAGE, attempts=0, refusals=0, seconds=0.0),
                (),
            )
            for content, strategy, *row in rows
        }

    def _restored(
        self, item: LLMWorkItem[Any], stored: StoredResult, attempts: tuple[Attempt, ...]
    ) -> WorkItemResult[Any] | None:
        """Return a stored result with the output that the strategy restores; None if it cannot."""
        output = None
        if stored.kind is None:
            try:
                output = item.strategy.restore(stored.data())
            except Exception as error:  # noqa: BLE001 - a user's code may raise anything
                logger.warning(
                    "%s.restore failed, so %r runs again: %s",
                    type(item.strategy).__qualname__,
                    stored.id,
                    type(error).__name__,
                )
                return None
        result = stored.result(output, item.context, attempts)
        return attrs.evolve(result, item_id=item.item_id)

    def _may_share(self, item: LLMWorkItem[Any]) -> bool:
        return may_share_call(item.prompt, is_sampled=item.strategy.is_sampled, dedupe=self._dedupe)

    def _strategy_of(self, item: LLMWorkItem[Any]) -> int:
        """Return the number of the identity of an item's strategy."""
        strategy = item.strategy
        known = self._identities.get(id(strategy))
        if known is None:
            if len(self._identities) >= _MOST_REMEMBERED:
                self._identities.clear()
            known = self._identities[id(strategy)] = (
                strategy,
                self._open_writer.items.strategy_number(strategy.identity),
            )
        return known[1]


def kinds_to_retry(retry: Retry) -> frozenset[str]:
    """Return the kinds of faults after which an item runs again.

    Raises:
        ConfigurationError: `retry` is neither a group nor kinds of faults.
    """
    named = {"transient": TRANSIENT_KINDS, "failed": frozenset(FaultKind), "none": frozenset[FaultKind]()}
    if isinstance(retry, str):
        if retry not in named:
            raise ConfigurationError(f"retry must be {', '.join(named)}, or kinds of faults, not {retry!r}")
        return frozenset(map(str, named[retry]))
    try:
        return frozenset(str(FaultKind(kind)) for kind in retry)
    except (TypeError, ValueError):
        raise ConfigurationError(f"retry must be {', '.join(named)}, or kinds of faults, not {retry!r}") from None
