"""What differs between an item now and as the journal has it, in words.

Which items a journal knows, and whether they are what they were.

Rules owned here:

1. An item is known by its id. With other content, or a strategy of another identity, it is not the item that the journal has:
   it stays as it was, or it is taken as it is now, and its result is forgotten if the content is another.
2. An item that the input has no longer is gone: what was paid for stays, but it is in no output.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import attrs

from .records import storable

_SHOWN = 10  # changes that are told one by one


@attrs.frozen
class ItemChange:
    """An item is not what it was."""

    id: str
    place: int | None
    content: bool
    """Whether its prompt has changed; if not, the identity of its strategy has."""
    before: Mapping[str, Any]
    """The identity that its strategy had."""
    after: Mapping[str, Any]

    @property
    def told(self) -> str:
        """What has changed, in a sentence."""
        if self.content:
            return f"the prompt of {self.id!r} has changed"
        return f"{self.id!r} was begun with another strategy: {'; '.join(self.settings)}"

    @property
    def settings(self) -> list[str]:
        """What has changed of its strategy, a sentence each."""
        return differences(self.before, self.after)


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return what differs between two identities, a sentence each."""
    return [
        f"{name} was {_shown(before.get(name))}, is {_shown(after.get(name))}"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]


def _shown(value: Any) -> str:
    return "not given" if value is None else value if isinstance(value, str) else json.dumps(value)


def sentences(changes: Sequence[ItemChange]) -> list[str]:
    """Return the first of some changes in words."""
    more = [f"and {len(changes) - _SHOWN:,} more changes"] if len(changes) > _SHOWN else []
    return [change.told for change in changes[:_SHOWN]] + more


_AT_ONCE = 500  # values in one statement


@attrs.frozen
class RegisteredItem:
    """An item, as it is to be known to the journal."""

    id: str
    content: bytes
    """`content_key` of its prompt."""
    strategy: int
    """What `Store.strategy` gave for the identity of its strategy."""
    place: int | None = None
    """Where in the input it is."""


class ItemTable:
    """The items of one journal.

    Args:
        transaction: begins one, or joins the one that is under way.
    """

    def __init__(self, transaction: Callable[[], AbstractContextManager[sqlite3.Connection]]) -> None:
        self._transaction = transaction
        self._strategies: dict[str, int] = {}
        self._identities: dict[int, Mapping[str, Any]] = {}

    def count(self, *, gone: bool = False) -> int:
        """Return how many there are, or how many are gone."""
        with self._transaction() as db:
            return int(db.execute("SELECT COUNT(*) FROM items WHERE gone = ?", (gone,)).fetchone()[0])

    def are_unique(self) -> bool:
        """Whether no two of them have the same content."""
        with self._transaction() as db:
            return bool(db.execute("SELECT COUNT(*) = COUNT(DISTINCT content) FROM items").fetchone()[0])

    def strategies(self) -> set[int]:
        """Return the numbers of the strategies that answer them."""
        with self._transaction() as db:
            return {number for (number,) in db.execute("SELECT DISTINCT strategy FROM items WHERE NOT gone")}

    def mark_all_gone(self) -> None:
        """Take all for gone, until they are noted again."""
        with self._transaction() as db:
            db.execute("UPDATE items SET gone = 1 WHERE NOT gone")

    def strategy(self, identity: Mapping[str, Any]) -> int:
        """Return the number of a strategy's identity."""
        text = json.dumps(identity, sort_keys=True, default=str)
        number = self._strategies.get(text)
        if number is None:
            with self._transaction() as db:
                db.execute("INSERT OR IGNORE INTO strategies (identity) VALUES (?)", (storable(text),))
                row = db.execute("SELECT strategy FROM strategies WHERE identity = ?", (storable(text),)).fetchone()
            number = self._strategies[text] = int(row[0])
        return number

    def identity(self, strategy: int) -> Mapping[str, Any]:
        """Return the identity that has a number."""
        found = self._identities.get(strategy)
        if found is None:
            with self._transaction() as db:
                row = db.execute("SELECT identity FROM strategies WHERE strategy = ?", (strategy,)).fetchone()
            found = self._identities[strategy] = json.loads(row[0])
        return found

    def note(self, items: Sequence[RegisteredItem], *, accept_changes: bool) -> list[ItemChange]:
        """Note items that are new; return those that are not what they were, under rule 1.

        Args:
            items: with different ids.
            accept_changes: whether the changed ones are noted as they are now; else they stay as they were.
        """
        with self._transaction() as db:
            found = self._found(db, [storable(item.id) for item in items])
            new = [item for item in items if storable(item.id) not in found]
            db.executemany(
                "INSERT INTO items (id, content, strategy, place) VALUES (?, ?, ?, ?)",
                [(storable(item.id), item.content, item.strategy, item.place) for item in new],
            )
            return [
                change
                for item in items
                if (before := found.get(storable(item.id))) is not None
                and (change := self._compare(db, item, before, accept=accept_changes)) is not None
            ]

    def _found(self, db: sqlite3.Connection, ids: list[str]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for start in range(0, len(ids), _AT_ONCE):
            part = ids[start : start + _AT_ONCE]
            query = f"SELECT id, item, content, strategy, place, gone FROM items WHERE id IN ({_marks(part)})"  # noqa: S608 - only question marks
            found |= {name: fields for name, *fields in db.execute(query, part)}
        return found

    def _compare(self, db: sqlite3.Connection, item: RegisteredItem, before: Any, *, accept: bool) -> ItemChange | None:
        number, content, strategy, place, gone = before
        other, differs = content != item.content, strategy != item.strategy
        change = None
        if other or differs:
            identities = self.identity(strategy), self.identity(item.strategy)
            change = ItemChange(item.id, item.place, other, *identities)
            if not accept:
                return change
            if other:
                db.execute("DELETE FROM results WHERE item = ?", (number,))
        if change is not None or gone or (item.place is not None and item.place != place):
            db.execute(
                "UPDATE items SET content = ?, strategy = ?, place = IFNULL(?, place), gone = 0 WHERE item = ?",
                (item.content, item.strategy, item.place, number),
            )
        return change

    def forget(self, kinds: Iterable[str]) -> int:
        """Forget the results that are faults of these kinds, so that their items are run again; return how many there were."""
        named = list(kinds)
        with self._transaction() as db:
            return db.execute(f"DELETE FROM results WHERE kind IN ({_marks(named)})", named).rowcount  # noqa: S608 - only question marks


def _marks(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))
