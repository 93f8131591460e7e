"""Damage: values in a journal that no run has written, found where they are read.

A journal may be damaged, edited, or made by someone else: SQLite stores any value in any column. Each row is checked before it is used, so that no
other code has to expect a null, another type, or JSON that is broken over lines.

Many rows are checked column by column, which takes a third of the time; only if a column has a wrong value, row by row.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from json.scanner import make_scanner
from typing import Any, Final, TypeAlias

from .._core.exceptions import JournalError
from .._core.fault import FaultKind
from .._core.usage import TOKEN_COUNTS

_KINDS = frozenset(map(str, FaultKind))
_TOGETHER = 256  # rows that are checked at once
_MOST = 2**63 - 1  # of counts: SQLite has no larger ones
MOST_SUMMAND: Final = 1e15
"""Seconds or USD of one call, or seconds of Unix time: more is not a value that a run has written, and sums of more could overflow."""
MOST_PLACES: Final = 2**30
"""Items of one input: a place takes a bit of memory."""

Check: TypeAlias = Callable[[Any], bool]
Columns: TypeAlias = Sequence[tuple[str, Check, str]]
"""Of each column its name, whether a value may be in it, and what it must be, in words."""


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= _MOST


def _is_number(value: object) -> bool:
    return type(value) in {int, float} and math.isfinite(value)  # type: ignore[arg-type]  # one of both


def _is_summand(value: object) -> bool:
    return _is_number(value) and -MOST_SUMMAND <= value <= MOST_SUMMAND  # type: ignore[operator]  # it is a number


def _is_text(value: object) -> bool:
    return type(value) is str


def _is_kind(value: object) -> bool:
    return value is None or value in _KINDS


def _is_json_line(value: object) -> bool:
    """Whether a value is JSON that a run has written: on one line, as it becomes a part of a line."""
    if type(value) is not str or "\n" in value or "\r" in value:
        return False
    try:
        _, end = _scan(value, 0)
    except (StopIteration, ValueError, RecursionError):  # not JSON, or blanks before it
        end = -1
    return end == len(value) or _is_json(value)


_scan: Callable[[str, int], tuple[Any, int]] = make_scanner(json.JSONDecoder())  # type: ignore[arg-type]  # what `json.loads` calls


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _is_json_object(value: object) -> bool:
    return _is_json_line(value) and isinstance(json.loads(value), dict)  # type: ignore[arg-type]  # it is a text


_OF_COLUMN: dict[Check, Callable[[Sequence[Any]], bool]] = {
    _is_count: lambda values: {*map(type, values)} == {int} and min(values) >= 0 and max(values) <= _MOST,
    _is_text: lambda values: {*map(type, values)} == {str},
    _is_number: lambda values: {*map(type, values)} <= {int, float} and all(map(math.isfinite, values)),
    _is_kind: lambda values: {*values} <= {None, *_KINDS},
}
"""Of some checks, whether all of several values pass them, in fewer calls."""


def _or_null(check: Check) -> Check:
    def allowed(value: object) -> bool:
        return value is None or check(value)

    _OF_COLUMN[allowed] = lambda values: _pass(check, [value for value in values if value is not None])
    return allowed


def _pass(check: Check, values: Sequence[Any]) -> bool:
    """Whether all of some values pass a check."""
    many = _OF_COLUMN.get(check)
    return not values or (all(map(check, values)) if many is None else many(values))


def counts(*names: str) -> Columns:
    """Return columns of whole numbers, 0 or more."""
    return [(name, _is_count, "a whole number, 0 or more") for name in names]


def counts_or_null(*names: str) -> Columns:
    """Return columns of whole numbers, 0 or more, or null."""
    return [(name, _or_null(_is_count), "a whole number, 0 or more, or null") for name in names]


def texts(*names: str) -> Columns:
    """Return columns of texts."""
    return [(name, _is_text, "a text") for name in names]


def texts_or_null(*names: str) -> Columns:
    """Return columns of texts, or null."""
    return [(name, _or_null(_is_text), "a text or null") for name in names]


def numbers(*names: str) -> Columns:
    """Return columns of finite numbers."""
    return [(name, _is_number, "a finite number") for name in names]


def summands(*names: str) -> Columns:
    """Return columns of numbers that can be summed up, however many there are."""
    return [(name, _is_summand, f"a number from -{MOST_SUMMAND:.0e} to {MOST_SUMMAND:.0e}") for name in names]


def summands_or_null(*names: str) -> Columns:
    """Return columns of such numbers, or null."""
    return [
        (name, _or_null(_is_summand), f"a number from -{MOST_SUMMAND:.0e} to {MOST_SUMMAND:.0e}, or null")
        for name in names
    ]


def numbers_or_null(*names: str) -> Columns:
    """Return columns of finite numbers, or null."""
    return [(name, _or_null(_is_number), "a finite number or null") for name in names]


KIND: Final[Columns] = [("kind", _is_kind, "a kind of fault or null")]
_USAGE = counts(*TOKEN_COUNTS)
RESULT: Final[Columns] = [
    *counts("seq", "item"),
    *texts("id"),
    *counts("run"),
    *KIND,
    *texts_or_null("message"),
    ("output", _or_null(_is_json_line), "JSON on one line, or null"),
    ("context", _or_null(_is_json_line), "JSON on one line, or null"),
    *texts_or_null("model"),
    *_USAGE,
    *counts("attempts", "refusals"),
    *numbers("seconds"),
    *texts_or_null("reason", "answer"),
]
"""Columns of `SELECT_RESULT`."""
RUN: Final[Columns] = [*counts("run", "pid"), *texts("version"), *numbers("began"), *numbers_or_null("ended")]
PACE: Final[Columns] = [
    *counts("run"),
    *numbers("at"),
    *texts("quota", "handle"),
    *numbers_or_null("old", "new"),
    *texts("reason"),
]
LIMIT: Final[Columns] = [
    *counts("run"),
    *numbers("at"),
    *texts_or_null("quota"),
    *texts("reason"),
    *texts_or_null("basis"),
]
STRATEGY: Final[Columns] = [*counts("strategy"), ("identity", _is_json_object, "a JSON object on one line")]
ITEM: Final[Columns] = [
    *texts("id"),
    ("content", lambda value: type(value) is bytes, "bytes"),
    *counts("strategy"),
    *KIND,
    *counts("seq", "gone"),
    ("run", _or_null(_is_count), "a whole number or null"),
]
PLACE: Final[Columns] = [
    ("place", lambda value: type(value) is int and 0 <= value < MOST_PLACES, f"a whole number below {MOST_PLACES:,}")
]
STATE: Final[Columns] = [*KIND, *counts("number", "refusals")]
MODEL: Final[Columns] = [*texts("model"), *counts("calls", "accepted"), *_USAGE, *numbers_or_null("cost")]
ITEM_USE: Final[Columns] = [
    *texts("id", "model"),
    *counts("calls", "input_tokens", "output_tokens"),
    *numbers_or_null("cost"),
    *numbers("seconds"),
]
SPENT: Final[Columns] = [*texts("model"), *numbers("cost"), *counts("total_tokens")]
UNPRICED: Final[Columns] = [*texts("model"), *_USAGE]
MESSAGE: Final[Columns] = [*texts("kind", "message"), *counts("number"), *texts_or_null("reason")]
ID: Final[Columns] = texts("id")


def sound(rows: Iterable[Sequence[Any]], columns: Columns, path: str, table: str) -> Iterator[Any]:
    """Yield rows of a journal as they are read, each one checked.

    Args:
        rows: The rows.
        columns: What may be in their columns.
        path: Path of the journal, for the message.
        table: What the rows are, for the message.

    Raises:
        JournalError: A row has a value that no run has written; the message names the row and the column.
    """
    before, remaining = 0, iter(rows)
    while page := list(islice(remaining, _TOGETHER)):
        values = zip(*page, strict=True)
        if all(_pass(check, column) for (_, check, _), column in zip(columns, values, strict=True)):
            yield from page
        else:
            yield from _one_by_one(page, columns, before, path, table)
        before += len(page)


def _one_by_one(
    rows: Sequence[Sequence[Any]], columns: Columns, before: int, path: str, table: str
) -> Iterator[Sequence[Any]]:
    """Yield the rows before the first that is damaged; `before`: the number of rows before these."""
    for number, row in enumerate(rows, before + 1):
        for (name, check, words), value in zip(columns, row, strict=True):
            if not check(value):
                raise JournalError(f"{path}: is damaged at row {number} of its {table}: {name} must be {words}")
        yield row
