"""Tables of results: CSV or Parquet, one row per result.

1. Both have the same columns: the id; the columns of the input, as they were given; the output; its fields, if it is an object; and what
   became of the item. A missing value is empty in CSV and null in Parquet; a value that is neither text nor a number is JSON.
2. The columns of the input are the keys of the contexts that are objects; another context is in the column `context`. A column of the input
   that is called `id` in any case, and has the ids of the items, is the column of ids: it is there once, as the input spells it.
3. No name is used twice. A column of the input that has the name of a result's column becomes `input_NAME`; a field of the output
   whose name is taken becomes `output_NAME`.
4. The columns are known once all rows were seen: rows that can be iterated over only once are kept in a temporary file meanwhile. A few
   rows are held in memory at a time.
5. Of a provider's complete reply the column `output` has the text, and `finish_reason` why the model stopped. Objects with very many
   different keys are not taken apart.
6. In CSV a text that a spreadsheet would take for a formula has an apostrophe before it, as answers and inputs may be written by others; a text
   that is a number has none.
"""

from __future__ import annotations

import csv
import io
import json
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, BinaryIO, Literal, TypeAlias

import attrs

from .._core.exceptions import MissingExtraError
from .._core.usage import TOKEN_COUNTS
from .reply_text import finish_reason, is_reply, reply_text

Row: TypeAlias = Mapping[str, Any]
"""A result row, as `_codec.result_row` makes it."""

Kind: TypeAlias = Literal["text", "bool", "int", "float"]
"""What the values of a column are; "text" stands for any mixture."""

_COUNT_KINDS: dict[str, Kind] = {name: "int" for name in TOKEN_COUNTS}  # noqa: C420 - fromkeys loses the type
_AFTER: dict[str, Kind] = {
    "success": "bool",
    "error_kind": "text",
    "error_message": "text",
    "error_answer": "text",
    "finish_reason": "text",
    "context": "text",
    "model": "text",
    **_COUNT_KINDS,
    "attempts": "int",
    "seconds": "float",
}
_RESERVED = ("id", "output", *_AFTER)
_SOMETIMES = {"context", "error_answer", "finish_reason"}
RESULT_COLUMNS = tuple(name for name in _RESERVED if name not in _SOMETIMES - {"context"})
"""Columns of every table, except for `context`, which is there only if a context is not an object."""

_ROWS = 256  # of CSV per chunk
_GROUP_ROWS = 10_000  # rows of a Parquet row group
_GROUP_SIZE = 16 * 2**20  # characters of a row group, about
_MOST_KEYS = 500  # different keys of objects that become columns: more is data, not a table
_LARGEST = 2**63 - 1  # of Parquet's integers
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # starts of a text that spreadsheets evaluate (OWASP, "CSV Injection")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


@attrs.frozen
class Column:
    """A column of a table."""

    name: str
    part: Literal["result", "context", "output"]
    """Where its values are: in the result itself, or in the object that is its context or its output."""
    key: str
    kind: Kind

    def value(self, row: Row) -> Any:
        """Return the value of a row in this column; None if it has none."""
        if self.part == "result":
            return _RESULT_VALUES[self.key](row) if self.key in _RESULT_VALUES else row[self.key]
        found = row[self.part]
        return found.get(self.key) if isinstance(found, Mapping) else None


class Survey:
    """Looks at all rows of a table, and decides on its columns.

    Args:
        fields: Fields that outputs have by their schema. Without them, outputs are taken apart if all of them are objects.
    """

    def __init__(self, fields: Sequence[str] = ()) -> None:
        self._fields = fields
        self._context: dict[str, Kind | None] = {}
        self._output: dict[str, Kind | None] = dict.fromkeys(fields)
        self._found: set[str] = set()
        """The columns among `_SOMETIMES` that have a value."""
        self._other_ids: set[str] = set()
        self._is_object = True

    def add(self, row: Row) -> None:
        """Look at a row."""
        context, output = row["context"], row["output"]
        if isinstance(context, Mapping):
            self._other_ids.update(key for key in context if _is_id(key) and _cell(context[key]) != row["id"])
            _merge(self._context, context)
        elif context is not None:
            self._found.add("context")
        if "answer" in (row["error"] or {}):
            self._found.add("error_answer")
        if is_reply(output) and finish_reason(output) is not None:
            self._found.add("finish_reason")
        if isinstance(output, Mapping) and (self._fields or not is_reply(output)):
            _merge(self._output, output)
        elif output is not None:
            self._is_object = False

    def columns(self) -> list[Column]:
        """Return the columns, in order."""
        context: dict[str, Kind | None] = self._context
        output: dict[str, Kind | None] = self._output
        is_wide = len(context) > _MOST_KEYS
        id_key = "id"
        if is_wide:
            context = {}
        id_key = min(
            (key for key in context if _is_id(key) and key not in self._other_ids), default="id", key=_is_other_case
        )
        context = {key: kind for key, kind in context.items() if key != id_key or key in self._other_ids}
        if len(output) > _MOST_KEYS or not (self._is_object or self._fields):
            output = {}
        own = _names(context, (*_RESERVED, id_key), "input_")
        fields = _names(output, (*_RESERVED, id_key, *own.values()), "output_")
        columns = [Column(id_key, "result", "id", "text")]
        columns += [Column(own[key], "context", key, kind or "text") for key, kind in context.items()]
        columns += [Column("output", "result", "output", "text")]
        columns += [Column(fields[key], "output", key, kind or "text") for key, kind in output.items()]
        absent = _SOMETIMES - self._found - ({"context"} if is_wide else set())
        columns += [
            Column(name, "result", "whole_context" if name == "context" and is_wide else name, kind)
            for name, kind in _AFTER.items()
            if name not in absent
        ]
        return columns


def csv_chunks(rows: Iterable[Row], *, fields: Sequence[str] = (), raw: bool = False) -> Iterator[bytes]:
    """Yield a table as CSV in UTF-8, a few rows per chunk; the first chunk is the header.

    Args:
        rows: Result rows.
        fields: Fields that outputs have by their schema.
        raw: Whether texts that a spreadsheet would take for formulas stay as they are.
    """
    cell = _cell if raw else safe_cell
    with _surveyed(rows, fields) as (columns, records):
        buffer = io.StringIO(newline="")
        writer = csv.writer(buffer, lineterminator="\r\n")  # with another, a carriage return would not be quoted
        writer.writerow([cell(column.name) for column in columns])
        while True:
            yield buffer.getvalue().encode()
            buffer.seek(0)
            buffer.truncate()
            chunk = list(islice(records, _ROWS))
            if not chunk:
                return
            writer.writerows([cell(column.value(row)) for column in columns] for row in chunk)


def write_parquet(rows: Iterable[Row], file: BinaryIO, *, fields: Sequence[str] = ()) -> int:
    """Write a table as Parquet; return the number of its rows.

    Args:
        rows: Result rows.
        file: Open for writing; it is not closed.
        fields: Fields that outputs have by their schema.

    Raises:
        MissingExtraError: pyarrow is not installed.
        OSError: The file cannot take more.
    """
    pa, parquet = import_pyarrow()
    types = {"text": pa.string(), "bool": pa.bool_(), "int": pa.int64(), "float": pa.float64()}
    written = 0
    with _surveyed(rows, fields) as (columns, records):
        schema = pa.schema([(column.name, types[column.kind]) for column in columns])
        with parquet.ParquetWriter(file, schema) as writer:
            for group in _groups(records):
                arrays = [
                    pa.array([_typed(column.kind, column.value(row)) for row in group], types[column.kind])
                    for column in columns
                ]
                writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
                written += len(group)
    return written


def import_pyarrow() -> tuple[Any, Any]:
    """Return pyarrow and its module for Parquet.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra, and slow to import
        from pyarrow import parquet  # noqa: PLC0415 - as above
    except ImportError:
        raise MissingExtraError("Parquet", "parquet") from None
    return pa, parquet


@contextmanager
def _surveyed(rows: Iterable[Row], fields: Sequence[str]) -> Iterator[tuple[list[Column], Iterator[Row]]]:
    """Look at all rows; yield the columns of their table, and the rows."""
    survey = Survey(fields)
    if not isinstance(rows, Iterator):
        for row in rows:
            survey.add(row)
        yield survey.columns(), iter(rows)
        return
    with tempfile.TemporaryFile() as kept:
        for row in rows:
            survey.add(row)
            kept.write(json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n")
        kept.seek(0)
        yield survey.columns(), map(json.loads, kept)


def _groups(rows: Iterator[Row]) -> Iterator[list[Row]]:
    group: list[Row] = []
    size = 0
    for row in rows:
        group.append(row)
        size += len(str(row["output"])) + len(str(row["context"]))
        if len(group) == _GROUP_ROWS or size > _GROUP_SIZE:
            yield group
            group, size = [], 0
    if group:
        yield group


def _names(keys: Iterable[str], taken: Iterable[str], prefix: str) -> dict[str, str]:
    """Return the name of each key's column: the key, or under rule 3 another that is free."""
    keys, used = list(keys), set(taken)
    names = {key: key for key in keys if key not in used}
    used |= names.keys()
    for key in keys:
        if key not in names:
            name = f"{prefix}{key}"
            while name in used:
                name += "_"
            names[key] = name
            used.add(name)
    return names


def _is_id(key: str) -> bool:
    """Whether a name is `id` in any case: a column of ids."""
    return key.strip().lower() == "id"


def _is_other_case(key: str) -> bool:
    return key != "id"


def _merge(kinds: dict[str, Kind | None], found: Mapping[str, Any]) -> None:
    """Add the kinds of the values of an object to those that were found before."""
    for key, value in found.items():
        if len(kinds) > _MOST_KEYS:
            return
        before, now = kinds.get(key), _kind(value)
        if before is None or now is None or before == now:
            kinds[key] = now if before is None else before
        else:
            kinds[key] = "float" if {before, now} == {"int", "float"} else "text"


def _kind(value: object) -> Kind | None:
    match value:
        case None:
            return None
        case bool():
            return "bool"
        case int():
            return "int" if -_LARGEST <= value <= _LARGEST else "text"
        case float():
            return "float"
        case _:
            return "text"


def _cell(value: object) -> Any:
    """Return a value as CSV shows it."""
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def safe_cell(value: object) -> Any:
    """Return a value as CSV shows it, under rule 6."""
    if isinstance(value, str) and value.startswith(_FORMULA) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return _cell(value)


def _typed(kind: Kind, value: Any) -> Any:
    """Return a value as a column of Parquet of that kind has it."""
    return _cell(value) if kind == "text" else float(value) if kind == "float" and value is not None else value


_RESULT_VALUES: Mapping[str, Any] = {
    "output": lambda row: reply_text(row["output"]) if is_reply(row["output"]) else row["output"],
    "finish_reason": lambda row: finish_reason(row["output"]) if is_reply(row["output"]) else None,
    "error_kind": lambda row: (row["error"] or {}).get("kind"),
    "error_message": lambda row: (row["error"] or {}).get("message"),
    "error_answer": lambda row: (row["error"] or {}).get("answer"),
    "context": lambda row: None if isinstance(row["context"], Mapping) else row["context"],
    "whole_context": lambda row: row["context"],
    **{name: (lambda row, name=name: row["usage"][name]) for name in TOKEN_COUNTS},
}
"""Values of a result that have another place in its row."""
