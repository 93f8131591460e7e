"""Parquet: rows in batches, converted to values that JSON has.

1. A few rows are held at a time, whatever the size of the file.
2. The complete row is the context. What JSON cannot hold (a date, a decimal) is written as text, also where Python has no such date.
   Bytes are not text: a row with bytes is bad if the template uses their column; in the context they are null.
3. A value that cannot be read makes its row bad only if the prompt or the id needs it; otherwise it is null in the context. Pages that
   cannot be read make the file unusable.
4. A small file is not expanded to a large one: a column of a row group whose pages expand too much is refused. Values that a file holds once
   for many rows (in a dictionary) are held once here too where they are large.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

import attrs

from .._core.exceptions import MissingExtraError
from .parquet_pages import expanded_size
from .table import TableFormat
from .types import InputError, InputKind, InputRecord, LineError, Lines, RawRecord, Reading, quote

_MOST_ROWS = 256  # of a batch
_BATCH_SIZE = 4 * 2**20  # bytes of a batch, about: prompts may be long
_LARGEST_EXPANSION = 100 * 2**20  # bytes of a column of a row group, decompressed
_MOST_EXPANSION = 50  # times its size in the file, above that: texts are compressed to a third or a tenth
_LARGE_DICTIONARY = 4 * 2**20  # bytes; writers end a dictionary at one or two MiB
_PAGE_HEAD = 16  # bytes that hold the first two numbers of a page's header
_THRIFT_I32 = 0x15
_OFFSET = re.compile(r"([+-]\d\d)(\d\d)\Z")  # of a time zone, as Arrow writes it
_FOR_PANDAS = (
    "duration[ns]"  # type whose values pyarrow makes with pandas where that is installed: their text would be another
)
_UNREADABLE = (ValueError, ArithmeticError, LookupError, TypeError, AttributeError, NotImplementedError)
"""What pyarrow raises for a value that Python does not have."""


class ParquetFormat(TableFormat):
    """Rows of Parquet, each a prompt."""

    kind = InputKind.PARQUET

    def __init__(self, name: str, reading: Reading) -> None:
        super().__init__(name, reading, nested=True)
        if reading.encoding is not None:
            raise InputError(f"{name}: --encoding is for files of text; Parquet has its own encoding")

    def records(self, lines: Lines) -> Iterator[RawRecord]:
        """Yield the rows.

        Raises:
            InputError: They cannot be read, or the template does not fit the columns.
            MissingExtraError: pyarrow is not installed.
        """
        arrow, parquet = _import_pyarrow()
        position = 0
        try:
            file = parquet.ParquetFile(lines, pre_buffer=False, buffer_size=2**20)
            self._refuse_expansion(lines, file.metadata)
            names = list(file.schema_arrow.names)
            self._set_columns(names)
            shared = _large_dictionaries(lines, file.metadata)
            if shared:
                file = parquet.ParquetFile(lines, pre_buffer=False, buffer_size=2**20, read_dictionary=shared)
            for batch in file.iter_batches(batch_size=_rows_per_batch(file.metadata)):
                rows = _Rows(batch, self._columns)
                for index in range(batch.num_rows):
                    position += 1
                    yield position, None, (rows, index)
        except InputError:
            raise
        except (arrow.ArrowException, OSError, ValueError) as error:
            message = " ".join(str(error).split())
            raise InputError(f"{self._name}: cannot be read as Parquet: {message:.200}") from None

    def _refuse_expansion(self, file: Any, metadata: Any) -> None:
        """Raise under rule 4."""
        for group in range(metadata.num_row_groups):
            for index in range(metadata.num_columns):
                column = metadata.row_group(group).column(index)
                size = max(column.total_uncompressed_size, _expanded_size(file, column))
                if size > max(_LARGEST_EXPANSION, _MOST_EXPANSION * column.total_compressed_size):
                    raise InputError(
                        f"{self._name}: the column {quote(column.path_in_schema)} expands to {size / 2**20:,.0f} MiB, more than "
                        f"{_MOST_EXPANSION} times its size in the file; if that is right, write the file again without compression"
                    )

    def read(self, record: RawRecord) -> InputRecord:
        """Return the prompt of a row."""
        position, _, (rows, index) = record
        row = rows.row(index)
        name = self._id_of(_Needed(row), position)
        prompt, empty = self._template.fill(_Needed(row))
        context = {column: _as_json(value) for column, value in row.items()}
        return InputRecord(position, name, prompt, context, empty_field=empty)

    def raw(self, record: RawRecord) -> bytes:
        """Return a row as a line of paceline's own JSONL, with the same id, prompt and context."""
        found = self.read(record)
        fields = {"id": found.id, "prompt": found.prompt, "context": found.context}
        return json.dumps(fields, ensure_ascii=False, allow_nan=False).encode() + b"\n"


@attrs.frozen
class _Unreadable:
    """A value that cannot be read, and why."""

    reason: str


class _Needed(dict[str, Any]):
    """The values of a row as an id or a prompt needs them: JSON's, or bytes, which neither can be."""

    def __getitem__(self, column: str) -> Any:
        value = super().__getitem__(column)
        if isinstance(value, _Unreadable):
            raise LineError(f"the column {quote(column)} {value.reason}")
        return value if isinstance(value, bytes) else _as_json(value)

    def get(self, column: str, default: Any = None) -> Any:
        """Return the value of a column; `default` if there is no such column."""
        return self[column] if column in self else default  # noqa: SIM401 - not dict.get, which does not call __getitem__


class _Rows:
    """A batch, converted when one of its rows is first needed."""

    def __init__(self, batch: Any, columns: list[str]) -> None:
        self._batch = batch
        self._names = columns
        self._columns: list[list[Any]] | None = None

    def row(self, index: int) -> Mapping[str, Any]:
        """Return a row; in place of a value that cannot be read, an `_Unreadable`."""
        if self._columns is None:
            self._columns = [_values_of(column) for column in self._batch.columns]
        return {name: column[index] for name, column in zip(self._names, self._columns, strict=True)}


def _values_of(column: Any) -> list[Any]:
    """Return the values of a column; where they cannot be converted together, one by one. Equal ones of a dictionary are one object."""
    if hasattr(column, "dictionary"):
        indices = column.indices.to_pylist()
        used = sorted({index for index in indices if index is not None})
        shared = dict(zip(used, _values_of(column.dictionary.take(used)), strict=True)) if used else {}
        return [shared.get(index) for index in indices]
    if _FOR_PANDAS not in str(column.type):
        with suppress(*_UNREADABLE):
            values: list[Any] = column.to_pylist()
            return values
    return [_value_or_reason(scalar) for scalar in column]


def _value_or_reason(scalar: Any) -> Any:
    try:
        return _value_of(scalar)
    except UnicodeDecodeError:
        return _Unreadable("is not UTF-8")
    except _UNREADABLE as error:
        return _Unreadable(f"cannot be read: {type(error).__name__}")


def _value_of(scalar: Any) -> Any:
    """Return a value; one that Python does not have as a text, in the form of ISO 8601 if it is a time."""
    import pyarrow as pa  # noqa: PLC0415 - an extra, and slow to import

    if not scalar.is_valid:
        return None
    if isinstance(scalar, pa.StructScalar):
        return {scalar.type.field(at).name: _value_of(scalar[at]) for at in range(scalar.type.num_fields)}
    if isinstance(scalar, (pa.ListScalar, pa.LargeListScalar, pa.FixedSizeListScalar)):
        return [_value_of(inner) for inner in scalar.values]
    if isinstance(scalar, pa.DictionaryScalar):
        return _value_of(scalar.value)
    try:
        return _nanoseconds(scalar.value) if str(scalar.type) == _FOR_PANDAS else scalar.as_py()
    except UnicodeDecodeError:
        raise
    except _UNREADABLE:
        return _time_text(scalar.cast(pa.string()).as_py(), scalar.type)


def _nanoseconds(count: int) -> timedelta:
    """Return a duration.

    Raises:
        ValueError: It is not a whole number of microseconds: Python does not have it.
    """
    microseconds, rest = divmod(count, 1000)
    if rest:
        raise ValueError(count)
    return timedelta(microseconds=microseconds)


def _time_text(text: str, arrow_type: Any) -> str:
    """Return a time as Arrow writes it in the form of ISO 8601.

    Raises:
        ValueError: It is no time that can be written.
    """
    if str(arrow_type).startswith("duration"):
        return f"{text} {arrow_type.unit}"
    if text.startswith("<"):  # "<value out of range: ...>"
        raise ValueError(text)
    text = text.replace(" ", "T", 1)
    return f"{text[:-1]}+00:00" if text.endswith("Z") else _OFFSET.sub(r"\1:\2", text)


def _expanded_size(file: Any, column: Any) -> int:
    """Return the size of a column of a row group, decompressed, as the headers of its pages say it."""
    start = column.data_page_offset
    if column.has_dictionary_page:
        start = min(start, column.dictionary_page_offset)
    return expanded_size(file, start, column.total_compressed_size)


def _large_dictionaries(file: Any, metadata: Any) -> list[str]:
    """Return the names of the columns that have a large dictionary in any row group."""
    columns = (
        metadata.row_group(group).column(index)
        for group in range(metadata.num_row_groups)
        for index in range(metadata.num_columns)
    )
    return sorted(
        {
            column.path_in_schema
            for column in columns
            if column.has_dictionary_page and _page_size(file, column.dictionary_page_offset) > _LARGE_DICTIONARY
        }
    )


def _page_size(file: Any, offset: int) -> int:
    """Return the size of a page, decompressed, as its header says: the second number of it, after the page's type.

    The header is in Thrift's compact form (parquet.thrift, `PageHeader`): each field has a byte for its type, 0x15 for a number of 32 bits, and a
    number is a zigzag varint.
    """
    file.seek(offset)
    head = iter(file.read(_PAGE_HEAD))
    number = 0
    for _ in range(2):
        if next(head, None) != _THRIFT_I32:
            return _LARGE_DICTIONARY + 1  # not as writers write it
        number = shift = 0
        for byte in head:
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:  # noqa: PLR2004 - the last byte of a varint
                break
    return number >> 1


def _rows_per_batch(metadata: Any) -> int:
    """Return the number of rows of a batch, from their mean size."""
    groups = (metadata.row_group(index) for index in range(metadata.num_row_groups))
    size = sum(group.total_byte_size for group in groups) / max(1, metadata.num_rows)
    return max(1, min(_MOST_ROWS, int(_BATCH_SIZE / max(1, size))))


def _import_pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra, and slow to import
        from pyarrow import parquet  # noqa: PLC0415 - as above
    except ImportError:
        raise MissingExtraError("Parquet", "parquet") from None
    return pa, parquet


def _as_json(value: Any) -> Any:
    """Return a value as one that JSON has."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {str(key): _as_json(inner) for key, inner in value.items()}
        case list() | tuple():  # the entries of a map are pairs
            return [_as_json(inner) for inner in value]
        case bytes() | _Unreadable():
            return None
        case _:
            return value.isoformat() if hasattr(value, "isoformat") else str(value)


def is_parquet(begin: bytes) -> bool:
    """Whether a file with these first bytes is Parquet."""
    return begin.startswith(b"PAR1")
