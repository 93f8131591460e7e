"""Recall: registers the items of a batch in a journal, and finds the stored results that make their calls unnecessary.

Rules owned here:

1. A result is stored as plain JSON data, and its strategy restores the output from it. If that fails, the item is called again.
2. Of two items with the same prompt and strategies of the same identity only one is called, where `may_share_call` allows it.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Collection, Hashable, Sequence
from typing import Any, Literal, TypeAlias

import attrs

from .._core.exceptions import ConfigurationError, JournalChangedError
from .._core.fault import TRANSIENT_KINDS, FaultKind
from .._core.prompt import content_key, may_share_call
from .._core.results import Attempt, WorkItemResult
from .._core.usage import NO_USAGE
from ..abc import LLMCallStrategy, LLMWorkItem
from .inserts import storable
from .items import ItemRow, RegisteredItem, describe_changes
from .records import SELECT_ATTEMPTS, SELECT_RESULT, StoredResult, attempt_of
from .writer import JournalWriter

Retry: TypeAlias = Literal["transient", "failed", "none"] | Collection[FaultKind]
"""Which failed items run again: those with a transient fault, all, none, or those with a fault of some kinds."""

_MOST_REMEMBERED = 1_000  # strategies whose identity number is cached
_ADVICE = "set SqliteJournal(accept_changes=True) to accept this, or use another journal"
_NAME = "another item here has this id: give each batch a name, process_prompts(..., name=...), or each item an id of its own"

_Key: TypeAlias = tuple[bytes, int]
"""Content of an item, and the number of its strategy."""
_Stored: TypeAlias = tuple[StoredResult, tuple[Attempt, ...]]

logger: logging.Logger = logging.getLogger("paceline")


class Recall:
    """Registers items, and recalls their results.

    Args:
        writer: Function that returns the journal; it raises MisuseError if that is not open.
        retry: Kinds of faults after which an item runs again.
        accept_changes: Whether to accept an item that differs from what the journal has.
        dedupe: Whether items may share a call: see `SqliteJournal`.
    """

    def __init__(
        self, writer: Callable[[], JournalWriter], *, retry: frozenset[str], accept_changes: bool, dedupe: bool | None
    ) -> None:
        self._open_writer = writer
        self._retry = retry
        self._accept_changes = accept_changes
        self._dedupe = dedupe
        self._strategies: dict[int, tuple[LLMCallStrategy[Any], int]] = {}
        """Strategies, which are kept alive here, with the numbers of their identities."""
        self._keys: dict[int, tuple[LLMWorkItem[Any], _Key | None]] = {}
        """What `key_of` returns for the items that were recalled last, by the identity of the item."""

    def key_of(self, item: LLMWorkItem[Any]) -> Hashable | None:
        """Return the key of an item's prompt and strategy, shared by the items that need only one call; None if none share."""
        recalled = self._keys.get(id(item))
        if recalled is not None and recalled[0] is item:
            return recalled[1]
        if not may_share_call(item.prompt, is_sampled=item.strategy.is_sampled, dedupe=self._dedupe):
            return None
        known = self._strategies.get(id(item.strategy))
        return content_key(item.prompt), known[1] if known is not None else -id(item.strategy)

    def recall(self, items: Sequence[LLMWorkItem[Any]]) -> list[WorkItemResult[Any] | None]:
        """Register items; return each one's stored result, or None if it must be called.

        Raises:
            JournalChangedError: An item has changed, and changes are not accepted.
            JournalError: The file cannot be written.
        """
        writer = self._open_writer()
        rows: list[ItemRow] = []
        keys: list[_Key | None] = []
        strategy: LLMCallStrategy[Any] | None = None
        number, is_sampled = 0, False
        for item in items:
            if item.strategy is not strategy:  # most batches have one
                strategy = item.strategy
                number, is_sampled = self._number_of(strategy), strategy.is_sampled
            content = content_key(item.prompt)
            rows.append((storable(item.item_id), content, number, None))
            shares = may_share_call(item.prompt, is_sampled=is_sampled, dedupe=self._dedupe)
            keys.append((content, number) if shares else None)
        self._keys = dict(zip(map(id, items), zip(items, keys, strict=True), strict=True))
        shareable = {key[0] for key in keys if key is not None}
        with writer.transaction() as db:
            known = writer.items.contents.known(shareable) if shareable else set()
            is_new = writer.items.add(rows) == len(rows)
            last = writer.items.last_number()
            if not is_new:
                self._check_changes(items, rows)
            results: list[WorkItemResult[Any] | None] = [None] * len(items)
            if known or not is_new:
                results = self._results(db, items, rows, keys, known)
        if is_new:
            writer.items.remember(rows, last)
        return results

    def _results(
        self,
        db: sqlite3.Connection,
        items: Sequence[LLMWorkItem[Any]],
        rows: Sequence[ItemRow],
        keys: Sequence[_Key | None],
        known: Collection[bytes],
    ) -> list[WorkItemResult[Any] | None]:
        """Return the results of registered items; `known`: contents that the journal had before."""
        stored = self._stored(db, [name for name, *_ in rows])
        wanted = [
            key[0]
            for (name, *_), key in zip(rows, keys, strict=True)
            if key is not None and key[0] in known and name not in stored
        ]
        shared = self._shared(db, wanted)
        results: list[WorkItemResult[Any] | None] = []
        copies: list[WorkItemResult[Any]] = []
        for item, (name, *_), key in zip(items, rows, keys, strict=True):
            found = stored.get(name) or (None if key is None else shared.get(key))
            result = None if found is None else self._restored(item, *found)
            results.append(result)
            if result is not None and name not in stored:
                copies.append(result)
        self._open_writer().commit(copies, {})
        return results

    def _check_changes(self, items: Sequence[LLMWorkItem[Any]], rows: Sequence[ItemRow]) -> None:
        """Raise JournalChangedError if items have changed, and changes are not accepted."""
        registered = [
            RegisteredItem(item.item_id, content, strategy)
            for item, (_, content, strategy, _) in zip(items, rows, strict=True)
        ]
        table = self._open_writer().items
        changes = table.compare(registered, accept_changes=self._accept_changes)
        if changes and not self._accept_changes:
            advice = _NAME if any(table.is_added_here(change.id) for change in changes) else _ADVICE
            raise JournalChangedError(self._open_writer().path, describe_changes(changes), advice=advice)

    def _stored(self, db: sqlite3.Connection, ids: Sequence[str]) -> dict[str, _Stored]:
        """Return the stored results that need no new call, with their attempts, by id."""
        rows = db.execute(f"{SELECT_RESULT} WHERE i.id IN ({','.join('?' * len(ids))})", ids).fetchall()
        kept = {r.item: r for r in map(StoredResult.of, rows) if r.kind is None or r.kind not in self._retry}
        attempts: dict[int, list[Attempt]] = {}
        for result in kept.values():
            query = f"{SELECT_ATTEMPTS} WHERE item = ? AND run = ? ORDER BY ordinal DESC LIMIT ?"
            # Attempts before the latest `result.attempts` are of an earlier batch in the same run.
            latest = db.execute(query, (result.item, result.run, result.attempts))
            attempts[result.item] = [attempt_of(row) for row in latest][::-1]
        return {result.id: (result, tuple(attempts[result.item])) for result in kept.values()}

    def _shared(self, db: sqlite3.Connection, contents: Collection[bytes]) -> dict[_Key, _Stored]:
        """Return outputs of other items with the same prompt and strategy, by content and strategy, without usage and attempts."""
        wanted = sorted({*contents})
        if not wanted:
            return {}
        query = SELECT_RESULT.replace("SELECT", "SELECT i.content, r.strategy,", 1)
        rows = db.execute(f"{query} WHERE r.kind IS NULL AND i.content IN ({','.join('?' * len(wanted))})", wanted)
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

    def _number_of(self, strategy: LLMCallStrategy[Any]) -> int:
        """Return the number of the identity of a strategy."""
        known = self._strategies.get(id(strategy))
        if known is None:
            if len(self._strategies) >= _MOST_REMEMBERED:
                self._strategies.clear()
            number = self._open_writer().items.strategy_number(strategy.identity)
            known = self._strategies[id(strategy)] = (strategy, number)
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
