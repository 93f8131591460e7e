"""Parquet: rows in batches, converted to values that JSON has.

1. A few rows are held at a time, whatever the size of the file.
2. The complete row is the context. What JSON cannot hold (a date, a decimal) is written as text. Bytes are not text: a row with
   bytes is bad if the template uses their column; in the context they are null.
3. A value that cannot be read makes its row bad; pages that cannot be read make the file unusable.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from .._core.exceptions import MissingExtraError
from .jsonl import check_id
from .template import TableFormat, first_duplicate
from .types import InputError, InputKind, InputRecord, LineError, Lines, RawRecord, quote

_MOST_ROWS = 256  # of a batch
_BATCH_SIZE = 4 * 2**20  # bytes of a batch, about: prompts may be long


class ParquetFormat(TableFormat):
    """Rows of Parquet, each a prompt."""

    kind = InputKind.PARQUET

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
            columns = list(file.schema_arrow.names)
            if (duplicate := first_duplicate(columns)) is not None:
                raise InputError(f"{self._name}: has two columns {quote(duplicate)}")
            self._set_columns(columns)
            for batch in file.iter_batches(batch_size=_rows_per_batch(file.metadata)):
                rows = _Rows(batch)
                for index in range(batch.num_rows):
                    position += 1
                    yield position, None, (rows, index)
        except InputError:
            raise
        except (arrow.ArrowException, OSError, ValueError) as error:
            message = " ".join(str(error).split())
            raise InputError(f"{self._name}: cannot be read as Parquet: {message:.200}") from None

    def read(self, record: RawRecord) -> InputRecord:
        """Return the prompt of a row."""
        position, _, (rows, index) = record
        row = rows.row(index)
        name = str(position)
        if "id" in row:
            value = row["id"]
            name = check_id(str(value) if type(value) in {int, float} else value, "id")
        texts = {column: _as_text(column, row[column]) for column in self._template.columns}
        context = {column: _as_json(value) for column, value in row.items()}
        return InputRecord(position, name, self._template.fill(texts), context)

    def raw(self, record: RawRecord) -> bytes:
        """Return a row as a line of paceline's own JSONL, with the same id, prompt and context."""
        found = self.read(record)
        fields = {"id": found.id, "prompt": found.prompt, "context": found.context}
        return json.dumps(fields, ensure_ascii=False, allow_nan=False).encode() + b"\n"


class _Rows:
    """A batch, converted when one of its rows is first needed."""

    def __init__(self, batch: Any) -> None:
        self._batch = batch
        self._rows: list[dict[str, Any]] | None = None
        self._is_convertible = True

    def row(self, index: int) -> Mapping[str, Any]:
        """Return a row.

        Raises:
            LineError: One of its values cannot be read.
        """
        if self._rows is None and self._is_convertible:
            try:
                self._rows = self._batch.to_pylist()
            except (ValueError, OverflowError, ArithmeticError):  # the rows are converted one by one instead
                self._is_convertible = False
        if self._rows is not None:
            return self._rows[index]
        try:
            (row,) = self._batch.slice(index, 1).to_pylist()
        except UnicodeDecodeError:
            raise LineError("a text is not UTF-8") from None
        except (ValueError, OverflowError, ArithmeticError) as error:
            raise LineError(f"a value cannot be read: {type(error).__name__}") from None
        return dict(row)


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


def _as_text(column: str, value: Any) -> str | None:
    """Return a value as a prompt shows it; None if it is null."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        raise LineError(f"the column {quote(column)} holds bytes, not text")
    plain = _as_json(value)
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)


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
        case bytes():
            return None
        case _:
            return value.isoformat() if hasattr(value, "isoformat") else str(value)


def is_parquet(begin: bytes) -> bool:
    """Whether a file with these first bytes is Parquet."""
    return begin.startswith(b"PAR1")
