"""Records: converts the rows of a journal to results, and to the rows of an output."""

from __future__ import annotations

import json
from typing import Any, TypeAlias

import attrs

from .._codec import row_line
from .._core.fault import Fault, FaultKind, FaultReason
from .._core.results import Attempt, WorkItemResult, make_result
from .._core.usage import NO_USAGE, TOKEN_COUNTS, TokenUsage, token_counts
from . import schema

_WRITTEN = ("cache_written_tokens", "cache_written_1h_tokens")
"""Columns that version 2 of the tables has added."""
_OF_FAULT = ("reason", "answer")
"""Columns that version 3 has added."""

SELECT_RESULT = f"""
SELECT r.seq, r.item, i.id, r.run, r.kind, r.message, r.output, r.context, r.model,
    {", ".join(f"r.{name}" for name in TOKEN_COUNTS)}, r.attempts, r.refusals, r.seconds, r.reason, r.answer
FROM results r JOIN items i ON i.item = r.item
"""  # noqa: S608 - all parts are constants
SELECT_ATTEMPTS = f"""
SELECT item, number, started, seconds, quota, model, {", ".join(TOKEN_COUNTS)}, kind, message, cost FROM attempts
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
"""A result as a row of `SELECT_RESULT`."""

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
            counts=token_counts(self.usage),
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
    _, number, started, seconds, quota, model, *counts, kind, message, cost = row
    fault = None if kind is None else Fault(FaultKind(kind), message or "")
    return Attempt(number, started, seconds, quota, TokenUsage(*counts), fault, model, cost)
