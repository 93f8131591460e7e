"""Contents: which prompts the items of a journal have, by the hashes of the prompts.

Rules owned here:

1. While all items were added by this writer and are few, the hashes that may be looked up are in memory, and the table has no index of
   them. To keep an index of a random column costs more than the items themselves: each one changes a page of its own.
2. With more items the index is created, all at once, when it is next needed, and is kept from then on: that costs a tenth for each item.
3. Nothing but the time of a query depends on the index.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager

from .inserts import marks

_MOST_IN_MEMORY = 2**16  # hashes: 8 MB
_PARAMETERS = 500  # in one statement; SQLite allows 999 in old versions
_INDEX = "items_by_content"

Transaction = Callable[[], AbstractContextManager[sqlite3.Connection]]


class Contents:
    """The contents of the items of one journal.

    Args:
        transaction: Function that begins a transaction, or joins the current one.
        is_empty: Whether the journal has no items.
    """

    def __init__(self, transaction: Transaction, *, is_empty: bool) -> None:
        self._transaction = transaction
        self._in_memory: set[bytes] | None = set() if is_empty else None
        """Contents of all items, and perhaps of some that were rolled back; None: they are looked up in the table."""
        self._has_index = False
        """Whether the table is known to have the index."""

    def known(self, contents: Collection[bytes]) -> set[bytes]:
        """Return those of some contents that a registered item has; perhaps also one that an item had which was rolled back."""
        if self._in_memory is not None:
            return self._in_memory.intersection(contents)
        self.create_index()
        wanted, found = [*contents], set[bytes]()
        with self._transaction() as db:
            for start in range(0, len(wanted), _PARAMETERS):
                part = wanted[start : start + _PARAMETERS]
                query = f"SELECT content FROM items WHERE content IN ({marks(part)})"  # noqa: S608 - only question marks
                found |= {content for (content,) in db.execute(query, part)}
        return found

    def add(self, contents: Iterable[bytes]) -> None:
        """Note the contents of items that are added."""
        if self._in_memory is None:
            return
        if not self._in_memory:
            self._drop_index()
        self._in_memory.update(contents)
        if len(self._in_memory) > _MOST_IN_MEMORY:
            self._in_memory = None

    def are_unique(self) -> bool:
        """Return whether all items differ in content."""
        with self._transaction() as db:
            return bool(db.execute("SELECT COUNT(*) = COUNT(DISTINCT content) FROM items").fetchone()[0])

    def drop_index(self) -> None:
        """Drop the index, which makes adding many items faster; `create_index` must follow in the same transaction."""
        self._in_memory = None
        self._drop_index()

    def _drop_index(self) -> None:
        with self._transaction() as db:
            db.execute(f"DROP INDEX IF EXISTS {_INDEX}")
        self._has_index = False

    def create_index(self) -> None:
        """Create the index if it does not exist."""
        if not self._has_index:
            with self._transaction() as db:
                db.execute(f"CREATE INDEX IF NOT EXISTS {_INDEX} ON items (content)")
            self._has_index = True
