"""Items: which items a journal knows, and whether they have changed since they were registered.

Rules owned here:

1. An item is identified by its id. If its content or the identity of its strategy differs from what the journal has, it has
   changed. A change that is not accepted leaves the journal as it was. One that is accepted replaces what the journal has, and
   deletes the item's result if the content differs.
2. An item that is no longer in the input is marked as gone: its result stays in the journal, but is in no output.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeAlias

import attrs

from .._core.quantity import quantity
from .contents import Contents
from .inserts import insert_items, marks, storable

_SHOWN = 10  # changes that are described one by one in a message
_FINGERPRINT = re.compile(r"[0-9a-f]{16}")
_SETTINGS = "settings"  # of an identity: its members are known by the names that users give them
_WORDS = {"system_instruction": "the system instruction", "output_type": "the output type", "schema": "the schema"}
_PARAMETERS = 500  # in one statement; SQLite allows 999 in old versions
_MOST_REMEMBERED = 2**16  # items: more than can wait for their commit


@attrs.frozen
class ItemChange:
    """A difference between an item and what the journal has of it; `str()` describes it in a sentence."""

    id: str
    place: int | None
    """Position in the input; None if it is not known."""
    content: bool
    """Whether the prompt has changed; if not, only the identity of the strategy has."""
    before: Mapping[str, Any]
    """The identity of the strategy in the journal."""
    after: Mapping[str, Any]
    """The identity of the strategy now."""

    def __str__(self) -> str:
        if self.content:
            return f"the prompt of {self.id!r} has changed"
        return f"{self.id!r} was started with another strategy: {'; '.join(self.strategy_changes)}"

    @property
    def strategy_changes(self) -> list[str]:
        """The differences between the two identities, a sentence each."""
        return differences(self.before, self.after)


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return the differences between two identities, a sentence each. Of values that are mappings or lists of them, the members differ."""
    return [*_differences("", before, after)]


def _differences(path: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted({*before, *after}):
        old, new, place = before.get(name), after.get(name), f"{path}{_WORDS.get(name, name)}"
        if old == new:
            continue
        if _are_mappings(old, new):
            yield from _differences(path if name == _SETTINGS else f"{place}.", old or {}, new or {})
        elif isinstance(old, list) and isinstance(new, list) and _have_mappings(old, new):
            for number, (one, other) in enumerate(zip(old, new, strict=True), 1):
                yield from _differences(f"{path}{name.removesuffix('s')} {number}: ", one, other)
        elif _is_fingerprint(old) and _is_fingerprint(new):
            yield f"{place} has changed"
        else:
            yield f"{place} was {_shown(old)}, is {_shown(new)}"


def _are_mappings(old: Any, new: Any) -> bool:
    """Whether both values are mappings, or one is and the other is missing."""
    return isinstance(old, Mapping | None) and isinstance(new, Mapping | None)


def _have_mappings(old: Sequence[Any], new: Sequence[Any]) -> bool:
    """Whether two lists are of one length, and all of their members are mappings."""
    return len(old) == len(new) and all(isinstance(one, Mapping) for one in (*old, *new))


def _is_fingerprint(value: Any) -> bool:
    """Whether a value is the hash of one that is not stored, so that quoting it says nothing."""
    return isinstance(value, str) and _FINGERPRINT.fullmatch(value) is not None


def _shown(value: Any) -> str:
    if _is_fingerprint(value):
        return "given"
    return "not given" if value is None else value if isinstance(value, str) else json.dumps(value)


def describe_changes(changes: Sequence[ItemChange]) -> list[str]:
    """Return a sentence for each of the first changes, and one that counts the rest."""
    more = [f"and {quantity(len(changes) - _SHOWN, 'more change')}"] if len(changes) > _SHOWN else []
    return [str(change) for change in changes[:_SHOWN]] + more


ItemRow: TypeAlias = tuple[str, bytes, int, int | None]
"""An item as it is stored: the values of a `RegisteredItem`."""


@attrs.frozen
class RegisteredItem:
    """An item as the journal registers it."""

    id: str
    content: bytes
    """`content_key` of the prompt."""
    strategy: int
    """Number of the strategy's identity: see `ItemTable.strategy_number`."""
    place: int | None = None
    """Position in the input."""


@attrs.frozen
class KnownItem:
    """An item that is registered in the journal."""

    content: bytes
    """`content_key` of the prompt."""
    strategy: int
    """Number of the strategy's identity."""
    kind: str | None
    """Kind of the fault; None if there is an output or no result."""
    is_settled: bool
    """Whether there is a result."""
    is_gone: bool = False
    """Whether the input of the latest run did not have it."""
    run: int | None = None
    """Number of the run that committed the result; None if there is no result."""


class ItemTable:
    """The tables `items` and `strategies` of one journal.

    Args:
        transaction: Function that begins a transaction, or joins the current one.
    """

    def __init__(self, transaction: Callable[[], AbstractContextManager[sqlite3.Connection]]) -> None:
        self._transaction = transaction
        self.added: int = 0
        """Items that this table has added to the journal; those of a transaction that was rolled back are counted too."""
        self._numbers: dict[str, int] = {}
        self._identities: dict[int, Mapping[str, Any]] = {}
        self._uncalled: dict[str, tuple[int, int]] = {}
        """Numbers of items that were added in this run, and of their strategies, until a result or an attempt of theirs is stored."""
        with transaction() as db:
            self._before = int(db.execute("SELECT IFNULL(MAX(item), 0) FROM items").fetchone()[0])
        self.contents: Contents = Contents(transaction, is_empty=not self._before)
        """What the items contain."""

    def count(self, *, gone: bool = False) -> int:
        """Return the number of items in the input, or of those that are gone."""
        with self._transaction() as db:
            return int(db.execute("SELECT COUNT(*) FROM items WHERE gone = ?", (gone,)).fetchone()[0])

    def strategies(self) -> set[int]:
        """Return the numbers of the strategies of the items in the input."""
        with self._transaction() as db:
            return {number for (number,) in db.execute("SELECT DISTINCT strategy FROM items WHERE NOT gone")}

    def mark_all_gone(self) -> None:
        """Mark all items as gone until each is registered again; `finish_marking` must follow in the same transaction."""
        with self._transaction() as db:
            db.execute("UPDATE items SET gone = gone + 1")

    def finish_marking(self) -> int:
        """End the marking; return how many items were gone before it and still are."""
        with self._transaction() as db:
            return db.execute("UPDATE items SET gone = 1 WHERE gone = 2").rowcount

    def strategy_number(self, identity: Mapping[str, Any]) -> int:
        """Return the number of a strategy's identity; a new identity is added."""
        text = json.dumps(identity, sort_keys=True, default=str)
        number = self._numbers.get(text)
        if number is None:
            with self._transaction() as db:
                db.execute("INSERT OR IGNORE INTO strategies (identity) VALUES (?)", (storable(text),))
                row = db.execute("SELECT strategy FROM strategies WHERE identity = ?", (storable(text),)).fetchone()
            number = self._numbers[text] = int(row[0])
        return number

    def identity(self, strategy: int) -> Mapping[str, Any]:
        """Return the identity with the number `strategy`."""
        identity = self._identities.get(strategy)
        if identity is None:
            with self._transaction() as db:
                row = db.execute("SELECT identity FROM strategies WHERE strategy = ?", (strategy,)).fetchone()
            identity = self._identities[strategy] = json.loads(row[0])
        return identity

    def register(self, items: Sequence[RegisteredItem], *, accept_changes: bool) -> list[ItemChange]:
        """Add new items; return the changes of those that the journal has already, under rule 1.

        Args:
            items: Items with different ids.
            accept_changes: Whether changed items are updated in the journal.
        """
        rows = [(storable(item.id), item.content, item.strategy, item.place) for item in items]
        with self._transaction():
            is_new = self.add(rows) == len(rows)  # a new item is as it was registered
            return [] if is_new else self.compare(items, accept_changes=accept_changes)

    def compare(self, items: Sequence[RegisteredItem], *, accept_changes: bool) -> list[ItemChange]:
        """Return the changes of items that the journal has, under rule 1.

        Args:
            items: Items with different ids.
            accept_changes: Whether changed items are updated in the journal.
        """
        names = [storable(item.id) for item in items]
        for name in names:
            self._uncalled.pop(name, None)
        with self._transaction() as db:
            stored = self._select(db, names)
            return [
                change
                for item, name in zip(items, names, strict=True)
                if (change := self._compare(db, item, stored[name], accept=accept_changes)) is not None
            ]

    def add(self, rows: Sequence[ItemRow]) -> int:
        """Add those of some items whose ids are new, and return how many they are.

        Args:
            rows: Items with different ids.
        """
        with self._transaction() as db:
            self.contents.add(content for _, content, _, _ in rows)
            new = insert_items(db, rows)
        self.added += new
        return new

    def last_number(self) -> int:
        """Return the number of the item that was added last."""
        with self._transaction() as db:
            return int(db.execute("SELECT last_insert_rowid()").fetchone()[0])

    def remember(self, rows: Sequence[ItemRow], last: int) -> None:
        """Remember the numbers of items until their first commit, which need not look them up then.

        Args:
            rows: Items that one transaction has added, and no others. It is committed.
            last: Number of the last one; the numbers of the others precede it.
        """
        for number, (name, _, strategy, _) in enumerate(rows, last - len(rows) + 1):
            self.remember_one(name, number, strategy)

    def remember_one(self, name: str, number: int, strategy: int) -> None:
        """Remember the number of an item without results and attempts until its first commit, which need not look it up then.

        Args:
            name: Id of the item, as it is stored. Its transaction is committed.
            number: Its number.
            strategy: Number of its strategy.
        """
        if len(self._uncalled) > _MOST_REMEMBERED:
            self._uncalled.clear()
        self._uncalled[name] = number, strategy

    def is_added_here(self, name: str) -> bool:
        """Return whether an item was added to the journal since this table was made."""
        with self._transaction() as db:
            row = db.execute("SELECT item FROM items WHERE id = ?", (storable(name),)).fetchone()
        return row is not None and row[0] > self._before

    def _select(self, db: sqlite3.Connection, ids: list[str]) -> dict[str, Any]:
        """Return the stored fields of items by id."""
        stored: dict[str, Any] = {}
        for start in range(0, len(ids), _PARAMETERS):
            part = ids[start : start + _PARAMETERS]
            query = f"SELECT id, item, content, strategy, place, gone FROM items WHERE id IN ({marks(part)})"  # noqa: S608 - only question marks
            stored |= {name: fields for name, *fields in db.execute(query, part)}
        return stored

    def _compare(self, db: sqlite3.Connection, item: RegisteredItem, row: Any, *, accept: bool) -> ItemChange | None:
        """Return the change of an item, if any; update the journal if the change is accepted or only the place differs."""
        number, content, strategy, place, gone = row
        content_differs, strategy_differs = content != item.content, strategy != item.strategy
        change = None
        if content_differs or strategy_differs:
            change = ItemChange(
                item.id, item.place, content_differs, self.identity(strategy), self.identity(item.strategy)
            )
            if not accept:
                return change
            if content_differs:
                db.execute("DELETE FROM results WHERE item = ?", (number,))
        if change is not None or gone or (item.place is not None and item.place != place):
            db.execute(
                "UPDATE items SET content = ?, strategy = ?, place = IFNULL(?, place), gone = 0 WHERE item = ?",
                (item.content, item.strategy, item.place, number),
            )
        return change

    def numbers(self, names: Sequence[str], run: int) -> dict[str, tuple[int, int, int]]:
        """Return for each registered one of some items its number, that of its strategy, and how many attempts it has had in a run.

        To be called for a commit, after which they may have more attempts.

        Args:
            names: Ids of items, as they are stored.
            run: Number of the run.
        """
        found: dict[str, tuple[int, int, int]] = {}
        wanted: list[str] = []
        for name in names:
            known = self._uncalled.pop(name, None)
            if known is None:
                wanted.append(name)
            else:
                found[name] = (*known, 0)
        attempts = "(SELECT IFNULL(MAX(ordinal) + 1, 0) FROM attempts a WHERE a.item = i.item AND a.run = ?)"
        with self._transaction() as db:
            for start in range(0, len(wanted), _PARAMETERS):
                part = wanted[start : start + _PARAMETERS]
                query = f"SELECT id, item, strategy, {attempts} FROM items i WHERE id IN ({marks(part)})"  # noqa: S608 - constants
                found |= {name: (item, strategy, had) for name, item, strategy, had in db.execute(query, (run, *part))}
        return found

    def delete_results(self, kinds: Iterable[str], *, run: int | None = None) -> int:
        """Delete the results that are faults of these kinds, so that their items run again; return the number of them.

        Args:
            kinds: Kinds of faults.
            run: Number of the run that committed them; None: any.
        """
        named: list[object] = list(kinds)
        query = f"DELETE FROM results WHERE kind IN ({marks(named)})"  # noqa: S608 - only question marks
        if run is not None:
            query, named = f"{query} AND run = ?", [*named, run]
        with self._transaction() as db:
            return db.execute(query, named).rowcount
