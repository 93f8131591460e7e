"""Heap: items by a key, the lowest first, of which any can be discarded.

Discarding leaves an empty row in the heap. Empty rows are removed once they come first, or are more than the others, so that each operation
takes logarithmic time on average.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from itertools import count
from typing import Any, Generic, TypeVar

T = TypeVar("T")
_EMPTY = object()
_ORDER = count()  # numbers the items of all heaps, as they come: only which of two is lower matters


class Heap(Generic[T]):
    """Hashable items, each once; of equal keys, the first to come goes first.

    Of several heaps, the one with the lowest first row has the item that goes first.
    """

    __slots__ = ("_row_of", "rows")

    def __init__(self) -> None:
        self.rows: list[list[Any]] = []
        """Key, order, value, item. The first row is never an empty one: the list is true if there are items."""
        self._row_of: dict[T, list[Any]] = {}

    def __len__(self) -> int:
        return len(self._row_of)

    def __iter__(self) -> Iterator[T]:
        return iter(self._row_of)

    @property
    def key(self) -> float:
        """The lowest key; infinity: there is no item."""
        return self.rows[0][0] if self.rows else math.inf

    @property
    def first(self) -> T:
        """The item that goes first, where there is one."""
        item: T = self.rows[0][3]
        return item

    @property
    def value(self) -> float:
        """The value of the item that goes first."""
        value: float = self.rows[0][2]
        return value

    def key_of(self, item: T) -> float | None:
        """Return the key of an item; None: it is not here."""
        row = self._row_of.get(item)
        return None if row is None else row[0]

    def is_due(self, number: float) -> bool:
        """Whether there is an item with a key that is not above a number."""
        return bool(self.rows) and self.rows[0][0] <= number

    def push(self, key: float, item: T, value: float = 0.0) -> None:
        """Add an item, and a value to keep with it."""
        row = self._row_of[item] = [key, next(_ORDER), value, item]
        heapq.heappush(self.rows, row)

    def pop(self) -> T:
        """Remove and return the item that goes first, where there is one."""
        item: T = heapq.heappop(self.rows)[3]
        del self._row_of[item]
        self._remove_empty_rows()
        return item

    def discard(self, item: T) -> bool:
        """Remove an item, if it is here; return whether it was."""
        row = self._row_of.pop(item, None)
        if row is None:
            return False
        row[3] = _EMPTY
        if row is self.rows[0] or len(self.rows) > 2 * len(self._row_of):
            self._remove_empty_rows()
        return True

    def clear(self) -> None:
        """Remove all items."""
        self.rows.clear()
        self._row_of.clear()

    def _remove_empty_rows(self) -> None:
        rows = self.rows
        if len(rows) > 2 * len(self._row_of):
            rows[:] = self._row_of.values()
            heapq.heapify(rows)
        else:
            while rows and rows[0][3] is _EMPTY:
                heapq.heappop(rows)
