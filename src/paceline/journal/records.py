"""Records: converts a result to rows of a journal, and back."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from typing import Any, TypeAlias

import attrs

from .._codec import data_text, row_line, usage_counts
from .._core.accounting import Price, cost_of
from .._core.fault import Fault, FaultKind, FaultReason
from .._core.results import Attempt, WorkItemResult, make_result
from .._core.usage import NO_USAGE, TokenUsage
from . import schema

_WRITTEN = ("cache_written_tokens", "cache_written_1h_tokens")
"""Columns that version 2 of the tables has added."""
_OF_FAULT = ("reason", "answer")
"""Columns that version 3 has added."""
_COUNTS = (
    "input_tokens",
    "output_tokens",
    "cached_input_tokens",
    "total_tokens",
    *_WRITTEN,
)  # in the order of TokenUsage
_USAGE = ", ".join(_COUNTS)
_NO_COUNTS = (0,) * len(_COUNTS)
_MOST_TOKENS = 2**53 - 1  # more cannot be a real count, and beyond 2**63 SQLite fails

_INSERT_ITEM = "INSERT OR IGNORE INTO items (id, content, strategy, place) VALUES"
_INSERT_RESULT = f"""
INSERT OR REPLACE INTO results (
    seq, item, strategy, run, settled, kind, message, output, context, model, {_USAGE}, attempts, refusals, seconds, reason, answer
) VALUES
"""  # noqa: S608 - all parts are constants of this module
_INSERT_ATTEMPT = f"""
INSERT INTO attempts (item, run, ordinal, number, started, seconds, quota, model, {_USAGE}, cost, kind, message) VALUES
"""  # noqa: S608 - as above
_ROWS_TOGETHER = 20  # in one statement, which saves a quarter of its time; SQLite allows 999 parameters in old versions
SELECT_RESULT = f"""
SELECT r.seq, r.item, i.id, r.run, r.kind, r.message, r.output, r.context, r.model,
    {", ".join(f"r.{name}" for name in _COUNTS)}, r.attempts, r.refusals, r.seconds, r.reason, r.answer
FROM results r JOIN items i ON i.item = r.item
"""  # noqa: S608 - as above
SELECT_ATTEMPTS = f"""
SELECT item, number, started, seconds, quota, model, {_USAGE}, kind, message FROM attempts
"""  # noqa: S608 - as above


def select_result(version: int) -> str:
    """Return `SELECT_RESULT` for a journal of this version, which is at least 1."""
    query = SELECT_RESULT
    for name in _WRITTEN if version < schema.WRITTEN_TOKENS else ():
        query = query.replace(f"r.{name}", "0")
    for name in _OF_FAULT if version < schema.ANSWERS else ():
        query = query.replace(f"r.{name}", "NULL")
    return query


ResultRow: TypeAlias = tuple[Any, ...]
"""A result as a row of `SELECT_RESULT`: its number, the item's number and id, the run, then `result_fields`."""

SEQ, KIND, OUTPUT = 0, 4, 6
"""Indices in a `ResultRow`."""


def line_of(row: ResultRow) -> bytes:
    """Return the result row of the output, as a line of JSON in UTF-8."""
    _, _, name, _, kind, message, output, context, model, *counts, attempts, _, seconds, _, answer = row
    return row_line(
        item_id=name,
        output=output or "null",
        error=None if kind is None else (kind, message or "", answer),
        context=context or "null",
        model=model,
        counts=counts,
        attempts=attempts,
        seconds=seconds,
    )


def result_fields(result: WorkItemResult[Any]) -> tuple[Any, ...]:
    """Return what the journal stores of a result, in the order of `SELECT_RESULT`."""
    fault, output, context, model = result.error, result.output, result.context, result.model
    return (
        None if fault is None else str(fault.kind),
        None if fault is None else storable(fault.message),
        None if output is None else data_text(output),
        None if context is None else data_text(context),
        None if model is None else storable(model),
        *_counts(result.usage),
        len(result.attempts),
        result.refusals,
        result.seconds,
        None if fault is None or fault.reason is None else str(fault.reason),
        None if fault is None or fault.answer is None else storable(fault.answer),
    )


def attempt_fields(attempt: Attempt, prices: Mapping[str, Price]) -> tuple[Any, ...]:
    """Return what the journal stores of an attempt, in the order of `insert_attempts`."""
    usage, fault, model = attempt.usage, attempt.fault, attempt.model
    return (
        attempt.number,
        attempt.started,
        attempt.seconds,
        storable(attempt.quota),
        None if model is None else storable(model),
        *_counts(usage),
        cost_of(usage, prices.get(model or attempt.quota)),
        None if fault is None else str(fault.kind),
        None if fault is None else storable(fault.message),
    )


def insert_items(db: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> int:
    """Insert items whose ids are new; return their number.

    Args:
        db: Connection in a transaction.
        rows: Id, content key, number of the strategy, position in the input.
    """
    return _insert(db, _INSERT_ITEM, rows)


def insert_results(db: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert results; each replaces the one that its item had.

    Args:
        db: Connection in a transaction.
        rows: Number of the result, numbers of the item and of its strategy, the run, the wall-clock time, then `result_fields`.
    """
    _insert(db, _INSERT_RESULT, rows)


def insert_attempts(db: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert attempts.

    Args:
        db: Connection in a transaction.
        rows: Number of the item, the run, place of the attempt among those of the item in the run, then `attempt_fields`.
    """
    _insert(db, _INSERT_ATTEMPT, rows)


def _insert(db: sqlite3.Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> int:
    """Insert rows; return how many were inserted."""
    if not rows:
        return 0
    one = f"({marks(rows[0])})"
    many = len(rows) - len(rows) % _ROWS_TOGETHER
    groups = (chain.from_iterable(rows[start : start + _ROWS_TOGETHER]) for start in range(0, many, _ROWS_TOGETHER))
    inserted = db.executemany(statement + ",".join([one] * _ROWS_TOGETHER), map(tuple, groups)).rowcount if many else 0
    return inserted + (db.executemany(statement + one, rows[many:]).rowcount if many < len(rows) else 0)


def _counts(usage: TokenUsage) -> tuple[int, ...]:
    if usage is NO_USAGE:
        return _NO_COUNTS
    counts = usage_counts(usage)
    return counts if max(counts) <= _MOST_TOKENS else tuple(min(count, _MOST_TOKENS) for count in counts)


def marks(values: Collection[object]) -> str:
    """Return a question mark for each value, for a list of parameters in a query."""
    return ",".join("?" * len(values))


def storable(text: str) -> str:
    """Return a text that SQLite accepts: a lone surrogate is replaced by its escape."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


@attrs.frozen
class StoredResult:
    """A result as the journal stores it."""

    seq: int
    """Number of the result, in the order of commits; no number is used twice."""
    item: int
    """Number of the item in the journal."""
    id: str
    """Id of the item."""
    run: int
    """Number of the run that committed it."""
    kind: str | None
    """Kind of the fault; None if there is an output."""
    message: str | None
    """Message of the fault."""
    output: str | None = attrs.field(repr=False)
    """The output as JSON."""
    context: str | None = attrs.field(repr=False)
    """The item's context as JSON."""
    model: str | None
    """Model that was called last."""
    usage: TokenUsage
    """Tokens over all attempts."""
    attempts: int
    """Number of attempts."""
    refusals: int
    """Number of throttled calls."""
    seconds: float
    """Seconds from the start of the first attempt to the end of the last."""
    reason: str | None = None
    """Reason of the fault, if it is known."""
    answer: str | None = attrs.field(default=None, repr=False)
    """The answer that was not accepted, if the fault has it."""

    @classmethod
    def of(cls, row: ResultRow) -> StoredResult:
        """Create a stored result from a row of `SELECT_RESULT`."""
        head, counts, rest = row[:9], row[9:-5], row[-5:]
        usage = TokenUsage(*counts) if any(counts) else NO_USAGE
        return cls(*head, usage, *rest)  # type: ignore[call-arg]  # mypy does not know the lengths: 9 and 5

    @property
    def line(self) -> bytes:
        """The result row of the output, as a line of JSON in UTF-8."""
        return row_line(
            item_id=self.id,
            output=self.output or "null",
            error=None if self.kind is None else (self.kind, self.message or "", self.answer),
            context=self.context or "null",
            model=self.model,
            counts=usage_counts(self.usage),
            attempts=self.attempts,
            seconds=self.seconds,
        )

    def result(self, output: Any, context: Any = None, attempts: tuple[Attempt, ...] = ()) -> WorkItemResult[Any]:
        """Return a `WorkItemResult` with a decoded output; the caller sets its index."""
        fault = None
        if self.kind is not None:
            reason = FaultReason(self.reason) if self.reason in set(FaultReason) else None
            fault = Fault(FaultKind(self.kind), self.message or "", reason=reason, answer=self.answer)
        return make_result(self.id, 0, output, fault, context, self.usage, attempts, self.refusals, self.model)

    def as_data(self) -> WorkItemResult[Any]:
        """Return a `WorkItemResult` whose output and context are plain JSON data."""
        return self.result(self.data(), None if self.context is None else json.loads(self.context))

    def data(self) -> Any:
        """Return the output as plain JSON data."""
        return None if self.output is None else json.loads(self.output)


def attempt_of(row: tuple[Any, ...]) -> Attempt:
    """Create an attempt from a row of `SELECT_ATTEMPTS`."""
    _, number, started, seconds, quota, model, *counts, kind, message = row
    fault = None if kind is None else Fault(FaultKind(kind), message or "")
    return Attempt(number, started, seconds, quota, TokenUsage(*counts), fault, model)
