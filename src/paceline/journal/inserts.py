"""Inserts: the statements that store items, results and attempts, and the rows that they store.

Rules owned here:

1. A statement has only the columns that a row needs: what most rows leave empty (a fault, a context, cached tokens) is not bound. A parameter
   takes SQLite and Python 0.04 us, and one that is None or bytes five times as long, as `sqlite3` looks for an adapter each time.
2. Many rows are one statement: each statement that is run may have to wait for another thread of Python.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Any

import attrs

from .._codec import data_text
from .._core.accounting import Price, cost_of
from .._core.fault import Fault
from .._core.results import Attempt, WorkItemResult
from .._core.usage import NO_USAGE, TokenUsage

_TOKENS = ("input_tokens", "output_tokens", "total_tokens")
_CACHE = ("cached_input_tokens", "cache_written_tokens", "cache_written_1h_tokens")
_MOST_TOKENS = 2**53 - 1  # more cannot be a real count, and beyond 2**63 SQLite fails
_MOST_PARAMETERS = 900  # in one statement; SQLite allows 999 in old versions
_MOST_ROWS = 32  # in one statement: more save little

Row = tuple[Any, ...]


@attrs.frozen
class _Table:
    """A table that rows are inserted into.

    A row has a value for each of the first columns, and then for those of some groups. Which groups these are is its shape: a number
    with one bit for each group.
    """

    insert: str
    """Beginning of the statement."""
    columns: tuple[str, ...]
    """Columns that each row has."""
    groups: tuple[tuple[str, ...], ...] = ()
    """Columns that are null in a row without that group, or 0 if they count tokens."""


_ITEMS = _Table("INSERT OR IGNORE INTO items", ("id", "content", "strategy"), (("place",),))
_PLACE = 1
_RESULTS = _Table(
    "INSERT OR REPLACE INTO results",
    ("seq", "item", "strategy", "run", "settled", "attempts", "refusals", "seconds", *_TOKENS),
    (("output",), ("model",), ("context",), _CACHE, ("kind", "message", "reason", "answer")),
)
_ATTEMPTS = _Table(
    "INSERT INTO attempts",
    ("item", "run", "ordinal", "number", "started", "seconds", "quota", *_TOKENS),
    (("model",), ("cost",), _CACHE, ("kind", "message")),
)


class _Statements:
    """The statements that insert rows of one shape into a table."""

    def __init__(self, table: _Table, shape: int) -> None:
        given = [name for bit, names in enumerate(table.groups) if shape >> bit & 1 for name in names]
        names = [*table.columns, *given]
        zeros = [name for names in table.groups for name in names if name in _CACHE and name not in given]
        self._begin = f"{table.insert} ({', '.join([*names, *zeros])}) VALUES "
        self._one = f"({','.join(['?'] * len(names) + ['0'] * len(zeros))})"
        self._most = min(_MOST_ROWS, 1 << (_MOST_PARAMETERS // len(names)).bit_length() - 1)
        self._of_size: dict[int, str] = {}

    def run(self, db: sqlite3.Connection, rows: Sequence[Row]) -> int:
        """Insert rows; return how many were inserted."""
        start = inserted = 0
        while start < len(rows):
            size = min(self._most, 1 << (len(rows) - start).bit_length() - 1)  # few different statements
            parameters = tuple(chain.from_iterable(rows[start : start + size]))
            inserted += db.execute(self._statement(size), parameters).rowcount
            start += size
        return inserted

    def _statement(self, size: int) -> str:
        statement = self._of_size.get(size)
        if statement is None:
            statement = self._of_size[size] = self._begin + ",".join([self._one] * size)
        return statement


_statements = cache(_Statements)


def insert_items(db: sqlite3.Connection, rows: Sequence[tuple[str, bytes, int, int | None]]) -> int:
    """Insert items whose ids are new; return their number.

    Args:
        db: Connection in a transaction.
        rows: Id, content key, number of the strategy, position in the input.
    """
    if not rows:
        return 0
    values: list[Row]
    if all(place is None for _, _, _, place in rows):
        values = [(name, bytearray(content), strategy) for name, content, strategy, _ in rows]
        return _statements(_ITEMS, 0).run(db, values)
    values = [(name, bytearray(content), strategy, place) for name, content, strategy, place in rows]
    return _statements(_ITEMS, _PLACE).run(db, values)


class CommitRows:
    """The rows of one commit.

    Args:
        run: Number of the run.
        now: Wall-clock time in seconds since 1970.
        prices: Known prices by model, for attempts without a cost.
        keep: Whether to keep the results as rows of `records.SELECT_RESULT`.
    """

    def __init__(self, run: int, now: float, prices: Mapping[str, Price], *, keep: bool) -> None:
        self.recent: list[Row] | None = [] if keep else None
        """The results as rows of `records.SELECT_RESULT`; None: they are not kept."""
        self._run = run
        self._now = now
        self._prices = prices
        self._results: dict[int, list[Row]] = {}
        self._attempts: dict[int, list[Row]] = {}
        self._usage = NO_USAGE
        """Usage that was converted last: mostly that of an attempt is also that of its result."""
        self._tokens: Row = (0, 0, 0)
        """Its counts of `_TOKENS`."""
        self._cached: Row | None = None
        """Its counts of `_CACHE`; None: all are 0."""

    def add_result(self, seq: int, name: str, item: int, strategy: int, result: WorkItemResult[Any]) -> None:
        """Add a result of an item that has no other among the rows.

        Args:
            seq: Number of the result.
            name: Id of the item, as it is stored.
            item: Number of the item.
            strategy: Number of the strategy that made it.
            result: The result.
        """
        if result.usage is not self._usage:
            self._convert(result.usage)
        output, context, model, fault = result.output, result.context, result.model, result.error
        attempts, refusals, seconds = len(result.attempts), result.refusals, result.seconds
        row: Row = (seq, item, strategy, self._run, self._now, attempts, refusals, seconds)
        row += self._tokens
        shape = 0
        if output is not None:
            output = data_text(output)
            row += (output,)
            shape = 1
        if model is not None:
            model = storable(model)
            row += (model,)
            shape |= 2
        if context is not None:
            context = data_text(context)
            row += (context,)
            shape |= 4
        if self._cached is not None:
            row += self._cached
            shape |= 8
        of_fault: tuple[str | None, ...] = (None, None, None, None)
        if fault is not None:
            of_fault = _fields_of(fault)
            row += of_fault
            shape |= 16
        self._results.setdefault(shape, []).append(row)
        if self.recent is not None:
            kind, message, reason, answer = of_fault
            sent, generated, total = self._tokens
            cached, written, written_1h = self._cached or (0, 0, 0)
            head = (seq, item, name, self._run, kind, message, output, context, model)
            counts = (sent, generated, cached, total, written, written_1h)
            self.recent.append((*head, *counts, attempts, refusals, seconds, reason, answer))

    def add_attempts(self, item: int, first: int, attempts: Sequence[Attempt]) -> None:
        """Add attempts.

        Args:
            item: Number of the item.
            first: Number of attempts that the item has had in this run.
            attempts: Its new attempts, in order.
        """
        for ordinal, attempt in enumerate(attempts, first):
            usage, model, quota, fault = attempt.usage, attempt.model, attempt.quota, attempt.fault
            if usage is not self._usage:
                self._convert(usage)
            row: Row = (item, self._run, ordinal, attempt.number, attempt.started, attempt.seconds, storable(quota))
            row += self._tokens
            shape = 0
            if model is not None:
                row += (storable(model),)
                shape = 1
            cost = attempt.cost
            if cost is None and self._prices:
                cost = cost_of(usage, self._prices.get(model or quota))
            if cost is not None:
                row += (cost,)
                shape |= 2
            if self._cached is not None:
                row += self._cached
                shape |= 4
            if fault is not None:
                row += (str(fault.kind), storable(fault.message))
                shape |= 8
            self._attempts.setdefault(shape, []).append(row)

    def insert(self, db: sqlite3.Connection) -> None:
        """Insert all; each result replaces the one that its item had."""
        for shape, rows in self._results.items():
            _statements(_RESULTS, shape).run(db, rows)
        for shape, rows in self._attempts.items():
            _statements(_ATTEMPTS, shape).run(db, rows)

    def _convert(self, usage: TokenUsage) -> None:
        sent, generated, cached, total, written, written_1h = _stored_counts(usage)
        self._usage, self._tokens = usage, (sent, generated, total)
        self._cached = (cached, written, written_1h) if cached or written or written_1h else None


def _fields_of(fault: Fault) -> tuple[str, str, str | None, str | None]:
    """Return the kind, the message, the reason and the answer of a fault."""
    reason, answer = fault.reason, fault.answer
    return (
        str(fault.kind),
        storable(fault.message),
        None if reason is None else str(reason),
        None if answer is None else storable(answer),
    )


def _stored_counts(usage: TokenUsage) -> tuple[int, ...]:
    if usage is NO_USAGE:
        return (0, 0, 0, 0, 0, 0)
    counts = (
        usage.input_tokens,
        usage.output_tokens,
        usage.cached_input_tokens,
        usage.total_tokens,
        usage.cache_written_tokens,
        usage.cache_written_1h_tokens,
    )
    return counts if max(counts) <= _MOST_TOKENS else tuple(min(count, _MOST_TOKENS) for count in counts)


def marks(values: Collection[object]) -> str:
    """Return a question mark for each value, for a list of parameters in a query."""
    return ",".join("?" * len(values))


def storable(text: str) -> str:
    """Return a text that SQLite accepts: a lone surrogate is replaced by its escape."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
