"""Records: converts a result to rows of a journal, and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from .._codec import data_text, row_line
from .._core.accounting import Price, cost_of
from .._core.fault import Fault, FaultKind
from .._core.results import Attempt, WorkItemResult
from .._core.usage import NO_USAGE, TokenUsage
from . import schema

_WRITTEN = ("cache_written_tokens", "cache_written_1h_tokens")
"""Columns that version 2 of the tables has added."""
_COUNTS = (
    "input_tokens",
    "output_tokens",
    "cached_input_tokens",
    "total_tokens",
    *_WRITTEN,
)  # in the order of TokenUsage
_USAGE = ", ".join(_COUNTS)
_MOST_TOKENS = 2**53 - 1  # more cannot be a real count, and beyond 2**63 SQLite fails

INSERT_RESULT = f"""
INSERT OR REPLACE INTO results (
    item, strategy, run, settled, kind, message, output, context, model, {_USAGE}, attempts, refusals, seconds
)
SELECT item, strategy, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM items WHERE id = ?
"""  # noqa: S608 - all parts are constants of this module
INSERT_ATTEMPT = f"""
INSERT INTO attempts (item, run, ordinal, number, started, seconds, quota, model, {_USAGE}, cost, kind, message)
SELECT item, ?, IFNULL((SELECT MAX(ordinal) + 1 FROM attempts a WHERE a.item = items.item AND a.run = ?), 0),
    ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM items WHERE id = ?
"""  # noqa: S608 - as above
SELECT_RESULT = f"""
SELECT r.seq, r.item, i.id, r.run, r.kind, r.message, r.output, r.context, r.model,
    {", ".join(f"r.{name}" for name in _COUNTS)}, r.attempts, r.refusals, r.seconds
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
    return query


def result_values(result: WorkItemResult[Any], run: int, now: float) -> tuple[Any, ...]:
    """Return the parameters of `INSERT_RESULT`.

    Args:
        result: A settled result.
        run: Number of the current run.
        now: Wall-clock time in seconds since 1970.
    """
    fault, usage = result.error, result.usage
    return (
        run,
        now,
        None if fault is None else str(fault.kind),
        None if fault is None else storable(fault.message),
        None if result.output is None else data_text(result.output),
        None if result.context is None else data_text(result.context),
        None if result.model is None else storable(result.model),
        *_counts(usage),
        len(result.attempts),
        result.refusals,
        result.seconds,
        storable(result.item_id),
    )


def attempt_values(result: WorkItemResult[Any], run: int, prices: Mapping[str, Price]) -> Iterable[tuple[Any, ...]]:
    """Yield the parameters of `INSERT_ATTEMPT` for each attempt."""
    for attempt in result.attempts:
        usage, fault = attempt.usage, attempt.fault
        price = prices.get(attempt.model or attempt.quota)
        yield (
            run,
            run,
            attempt.number,
            attempt.started,
            attempt.seconds,
            storable(attempt.quota),
            None if attempt.model is None else storable(attempt.model),
            *_counts(usage),
            cost_of(usage, price),
            None if fault is None else str(fault.kind),
            None if fault is None else storable(fault.message),
            storable(result.item_id),
        )


def _counts(usage: TokenUsage) -> Iterable[int]:
    return (min(getattr(usage, name), _MOST_TOKENS) for name in _COUNTS)


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

    @classmethod
    def of(cls, row: tuple[Any, ...]) -> StoredResult:
        """Create a stored result from a row of `SELECT_RESULT`."""
        head, counts, (attempts, refusals, seconds) = row[:9], row[9:-3], row[-3:]
        usage = TokenUsage(*counts) if any(counts) else NO_USAGE
        return cls(*head, usage, attempts, refusals, seconds)  # type: ignore[call-arg]  # mypy does not know the length of `head`: 9

    @property
    def line(self) -> bytes:
        """The result row, as a line of JSON in UTF-8."""
        return row_line(
            item_id=self.id,
            output=self.output or "null",
            error=None if self.kind is None else (self.kind, self.message or ""),
            context=self.context or "null",
            model=self.model,
            usage=self.usage,
            attempts=self.attempts,
            seconds=self.seconds,
        )

    def result(self, output: Any, context: Any = None, attempts: tuple[Attempt, ...] = ()) -> WorkItemResult[Any]:
        """Return a `WorkItemResult` with a decoded output; the caller sets its index."""
        fault = None if self.kind is None else Fault(FaultKind(self.kind), self.message or "")
        return WorkItemResult(self.id, 0, output, fault, context, self.usage, attempts, self.refusals, self.model)

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
