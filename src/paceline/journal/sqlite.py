"""A journal in an SQLite file, as the engine uses it.

Rules owned here:

1. SQLite is never called on the event loop, and by one thread at a time: a commit may take long, the calls in flight do not wait.
2. What is being written when it is cancelled is written to its end: half a transaction is none, and a thread cannot be stopped.
3. A result is kept as plain JSON data. Its strategy makes an output of that again; one of which it cannot is not kept, so that
   its item is called again.
4. Of two items with the same prompt and strategies of the same identity only one needs a call, unless `dedupe` is off.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from os import PathLike
from typing import Any, Literal, TypeAlias, TypeVar

import attrs
from anyio import CapacityLimiter, to_thread

from .._core.accounting import Price
from .._core.config import Durability
from .._core.exceptions import ConfigurationError, JournalChangedError, JournalError, MisuseError
from .._core.fault import PASSING, FaultKind
from .._core.pace import PaceChange, PaceKnowledge
from .._core.prompt import content_key
from .._core.results import Attempt, WorkItemResult
from .._core.usage import NO_USAGE
from ..abc import LLMCallStrategy, LLMWorkItem
from .items import RegisteredItem, sentences
from .records import SELECT_ATTEMPTS, SELECT_RESULT, StoredResult, attempt_of, storable
from .writer import Connect, Store

R = TypeVar("R")

Retry: TypeAlias = Literal["passing", "failed", "none"] | Collection[FaultKind]
"""Which failed items are run again: those whose fault may pass, all, none, or those of some kinds."""

_REMEMBERED = 1_000  # strategies whose identities need not be asked for again

logger = logging.getLogger("paceline")


class SqliteJournal:
    """Keeps a batch's results in one SQLite file, in which a later run finds them.

        async with ParallelBatchProcessor(journal="run.db") as processor: ...

    The file is private (mode 0600), has one writer at a time, and may be read by anybody while it is written. Of the prompts it
    holds hashes, of the items their ids, contexts and results.

    Args:
        path: of the file; made if it is not there.
        durability: `normal`: what is committed survives the death of the process, but the last moments before a power failure may
            be lost. `full`: they survive too; each commit waits for the disk.
        retry: which failed items are run again: `passing`, those whose fault may pass (`paceline.journal.PASSING`); `failed`, all;
            `none`; or those of the kinds given. What was pending is always run.
        accept_changes: whether an item may have another prompt, or a strategy of another identity, than when the journal was begun.
            With another prompt it is run anew; with another strategy its result stands.
        dedupe: whether items with the same prompt, and strategies of the same identity, share one call; they never do where a
            middleware sees them before, as it may change their prompts.
        connect: opens the database, as `sqlite3.connect` does.

    Raises:
        ConfigurationError: an argument is wrong.
    """

    def __init__(  # noqa: PLR0913 - all but the path have good defaults
        self,
        path: str | PathLike[str],
        *,
        durability: Durability = "normal",
        retry: Retry = "passing",
        accept_changes: bool = False,
        dedupe: bool = True,
        connect: Connect = sqlite3.connect,
    ) -> None:
        self.path = path
        self._durability = durability
        self._retry = retried(retry)
        self._accept_changes = accept_changes
        self._dedupe = self._shares = dedupe
        self._connect = connect
        self._store: Store | None = None
        self._is_noted = False
        self._thread = CapacityLimiter(1)
        self._identities: dict[int, tuple[LLMCallStrategy[Any], int]] = {}

    @classmethod
    def on(cls, store: Store, *, dedupe: bool = True) -> SqliteJournal:
        """Return a journal on a store that is open, and stays so when the journal is closed.

        The items that it will be asked for are noted there already, and have no results.
        """
        journal = cls(store.path, accept_changes=True, dedupe=dedupe and not store.items.are_unique())
        journal._store, journal._is_noted = store, True
        return journal

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}({str(self.path)!r})"

    async def open(self, *, share: bool = True) -> Mapping[str, PaceKnowledge]:
        """Open the file; return what was known of quotas.

        Args:
            share: whether items with the same prompt may share a call, if they are to at all.

        Raises:
            JournalInUseError: somebody else writes it.
            JournalError: it cannot be written, or is something else.
        """
        self._shares = self._dedupe and share
        return await self._run(self._open)

    def _open(self) -> dict[str, PaceKnowledge]:
        if self._store is None:
            self._store = Store(self.path, durability=self._durability, connect=self._connect)
        try:
            self._store.begin_run()
            return self._store.knowledge()
        except BaseException:
            self._close()
            raise

    async def close(self) -> None:
        """Close the file; what could not be written by then is not said any more."""
        self._identities.clear()
        await self._run(self._close)

    def _close(self) -> None:
        store = self._store
        if store is None:
            return
        try:
            store.end_run()
        except JournalError as error:
            logger.warning("%s", error)
        finally:
            if not self._is_noted:
                self._store = None
                store.close()

    def key_of(self, item: LLMWorkItem[Any]) -> Hashable | None:
        """Return the content of an item and the identity of its strategy, if others with the same need no call."""
        if not self._shares:
            return None
        known = self._identities.get(id(item.strategy))
        return content_key(item.prompt), known[1] if known is not None else -id(item.strategy)

    async def recall(self, items: Sequence[LLMWorkItem[Any]]) -> Sequence[WorkItemResult[Any] | None]:
        """Note items; return the results that are kept of them.

        Raises:
            JournalChangedError: one of them is not what it was, and that is not accepted.
            JournalError: the file cannot be written.
        """
        if self._is_noted and not self._shares:
            return [None] * len(items)
        return await self._run(self._recall, items)

    async def commit(self, results: Sequence[WorkItemResult[Any]], prices: Mapping[str, Price]) -> None:
        """Keep results; all or none.

        Raises:
            JournalError: they are not kept.
        """
        await self._run(self._open_store.commit, results, prices)

    async def note(self, changes: Sequence[tuple[str, PaceChange]], knowledge: Mapping[str, PaceKnowledge]) -> None:
        """Keep what the pace did, and what was learned.

        Raises:
            JournalError: it is not kept.
        """
        await self._run(self._open_store.note_pace, changes, knowledge)

    @property
    def _open_store(self) -> Store:
        if self._store is None:
            raise MisuseError("the journal is not open: a processor opens it when it is entered")
        return self._store

    async def _run(self, function: Callable[..., R], *args: Any) -> R:
        return await to_thread.run_sync(function, *args, limiter=self._thread)

    # ---------------------------------------------------------------------------------------------- recalling

    def _recall(self, items: Sequence[LLMWorkItem[Any]]) -> list[WorkItemResult[Any] | None]:
        store = self._open_store
        known = [RegisteredItem(item.item_id, content_key(item.prompt), self._strategy_of(item)) for item in items]
        with store.transaction() as db:
            changes = store.items.note(known, accept_changes=self._accept_changes)
            if changes and not self._accept_changes:
                raise JournalChangedError(store.path, sentences(changes))
            found = self._kept(db, items)
            twins = self._twins(db, [item for item in known if storable(item.id) not in found]) if self._shares else {}
            results: list[WorkItemResult[Any] | None] = []
            for item, note in zip(items, known, strict=True):
                result = found.get(storable(item.item_id)) or twins.get((note.content, note.strategy))
                results.append(None if result is None else self._restored(item, *result))
            copies = [
                result
                for item, result in zip(items, results, strict=True)
                if result is not None and storable(item.item_id) not in found
            ]
            store.commit(copies, {})
        return results

    def _kept(
        self, db: sqlite3.Connection, items: Sequence[LLMWorkItem[Any]]
    ) -> dict[str, tuple[StoredResult, tuple[Attempt, ...]]]:
        """Return what is kept of items, by id."""
        ids = [storable(item.item_id) for item in items]
        rows = db.execute(f"{SELECT_RESULT} WHERE i.id IN ({','.join('?' * len(ids))})", ids).fetchall()
        kept = {one.item: one for one in map(StoredResult.of, rows) if one.kind is None or one.kind not in self._retry}
        attempts: dict[int, list[Attempt]] = {}
        for one in kept.values():
            query = f"{SELECT_ATTEMPTS} WHERE item = ? AND run = ? ORDER BY ordinal DESC LIMIT ?"
            made = db.execute(query, (one.item, one.run, one.attempts))  # those before were of an earlier batch
            attempts[one.item] = [attempt_of(row) for row in made][::-1]
        return {one.id: (one, tuple(attempts[one.item])) for one in kept.values()}

    def _twins(
        self, db: sqlite3.Connection, items: Sequence[RegisteredItem]
    ) -> dict[tuple[bytes, int], tuple[StoredResult, tuple[Attempt, ...]]]:
        """Return the results, of other items, that will do for these: by content and strategy, and free of cost."""
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
        self, item: LLMWorkItem[Any], kept: StoredResult, attempts: tuple[Attempt, ...]
    ) -> WorkItemResult[Any] | None:
        """Return a kept result with its output as the strategy has it; None: that cannot be."""
        output = None
        if kept.kind is None:
            try:
                output = item.strategy.restore(kept.data())
            except Exception as error:  # noqa: BLE001 - a user's code may raise anything
                logger.warning(
                    "%s.restore failed, so %r is run again: %s",
                    type(item.strategy).__qualname__,
                    kept.id,
                    type(error).__name__,
                )
                return None
        result = kept.result(output, item.context, attempts)
        return attrs.evolve(result, item_id=item.item_id)

    def _strategy_of(self, item: LLMWorkItem[Any]) -> int:
        """Return the number of the identity of an item's strategy."""
        strategy = item.strategy
        known = self._identities.get(id(strategy))
        if known is None:
            if len(self._identities) >= _REMEMBERED:
                self._identities.clear()
            known = self._identities[id(strategy)] = (strategy, self._open_store.items.strategy(strategy.identity))
        return known[1]


def retried(retry: Retry) -> frozenset[str]:
    """Return the kinds of faults after which an item is run again.

    Raises:
        ConfigurationError: it names none.
    """
    named = {"passing": PASSING, "failed": frozenset(FaultKind), "none": frozenset[FaultKind]()}
    if isinstance(retry, str):
        if retry not in named:
            raise ConfigurationError(f"retry must be {', '.join(named)}, or kinds of faults, not {retry!r}")
        return frozenset(map(str, named[retry]))
    try:
        return frozenset(str(FaultKind(kind)) for kind in retry)
    except (TypeError, ValueError):
        raise ConfigurationError(f"retry must be {', '.join(named)}, or kinds of faults, not {retry!r}") from None
