"""How Parquet is read: rows in batches, each made of what JSON knows.

1. A few rows are held at a time, whatever the file's size.
2. The whole row comes back as the context: what JSON has no form for (a date, a decimal) is written as text. Bytes are no text:
   a row that has some is bad, if the template names their column; in the context they are null.
3. A row is a bad one if a value of it cannot be read; a file whose pages cannot be read is bad as a whole.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from .._core.exceptions import MissingExtraError
from .jsonl import id_of
from .template import TableFormat, template_of, twice_in
from .types import InputError, InputKind, InputRecord, LineError, Lines, Record, quoted

_AT_ONCE = 256  # rows
_HELD = 4 * 2**20  # bytes of rows that are held, about: prompts may be long


class ParquetForm(TableFormat):
    """Rows of Parquet, each a prompt."""

    kind = InputKind.PARQUET

    def records(self, lines: Lines) -> Iterator[Record]:
        """Yield the rows.

        Raises:
            InputError: they cannot be read, or the template does not fit the columns.
            MissingExtraError: pyarrow is not installed.
        """
        arrow, parquet = _pyarrow()
        position = 0
        try:
            file = parquet.ParquetFile(lines, pre_buffer=False, buffer_size=2**20)
            self._fit(list(file.schema_arrow.names))
            for batch in file.iter_batches(batch_size=_at_once(file.metadata)):
                rows = _Rows(batch)
                for index in range(batch.num_rows):
                    position += 1
                    yield position, None, (rows, index)
        except (arrow.ArrowException, OSError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            told = " ".join(str(error).split())
            raise InputError(f"{self._name}: cannot be read as Parquet: {told:.200}") from None

    def read(self, position: int, data: tuple[_Rows, int]) -> InputRecord:
        """Return what a row asks for."""
        rows, index = data
        row = rows.row(index)
        name = str(position)
        if "id" in row:
            value = row["id"]
            name = id_of(str(value) if type(value) in {int, float} else value, "id")
        words = {column: _words(column, row[column]) for column in self._fitting.columns}
        return InputRecord(
            position, name, self._fitting.fill(words), {column: _plain(value) for column, value in row.items()}
        )

    def is_blank(self, data: Any) -> bool:  # noqa: ARG002
        """No row is."""
        return False

    def raw(self, position: int, data: tuple[_Rows, int]) -> bytes:
        """Return a row as a line of paceline's own JSONL, which asks for the same."""
        prompt = self.read(position, data)
        fields = {"id": prompt.id, "prompt": prompt.prompt, "context": prompt.context}
        return json.dumps(fields, ensure_ascii=False, allow_nan=False).encode() + b"\n"

    def _fit(self, columns: list[str]) -> None:
        if self._template is not None:
            if columns != self._columns:
                raise InputError(f"{self._name}: changed while it was read: its columns are others")
            return
        if (twice := twice_in(columns)) is not None:
            raise InputError(f"{self._name}: there are two columns {quoted(twice)}")
        self._columns = columns
        self._template = template_of(self._text, columns, self._name)


class _Rows:
    """A batch, which is taken apart only if one of its rows is asked for."""

    def __init__(self, batch: Any) -> None:
        self._batch = batch
        self._rows: list[dict[str, Any]] | None = None
        self._is_whole = True

    def row(self, index: int) -> Mapping[str, Any]:
        """Return a row.

        Raises:
            LineError: one of its values cannot be read.
        """
        if self._rows is None and self._is_whole:
            try:
                self._rows = self._batch.to_pylist()
            except (ValueError, OverflowError, ArithmeticError):  # one by one, then
                self._is_whole = False
        if self._rows is not None:
            return self._rows[index]
        try:
            (row,) = self._batch.slice(index, 1).to_pylist()
        except UnicodeDecodeError:
            raise LineError("a text is not UTF-8") from None
        except (ValueError, OverflowError, ArithmeticError) as error:
            raise LineError(f"a value cannot be read: {type(error).__name__}") from None
        return dict(row)


def _at_once(metadata: Any) -> int:
    """Return how many rows are read at a time, by what one is long on the average."""
    groups = (metadata.row_group(index) for index in range(metadata.num_row_groups))
    size = sum(group.total_byte_size for group in groups) / max(1, metadata.num_rows)
    return max(1, min(_AT_ONCE, int(_HELD / max(1, size))))


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra, and slow to import
        from pyarrow import parquet  # noqa: PLC0415 - as above
    except ImportError:
        raise MissingExtraError("Parquet", "parquet") from None
    return pa, parquet


def _words(column: str, value: Any) -> str | None:
    """Return a value as it stands in a prompt; None: it is null."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        raise LineError(f"the column {quoted(column)} holds bytes, no text")
    plain = _plain(value)
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)


def _plain(value: Any) -> Any:
    """Return a value as JSON knows it."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {str(key): _plain(inner) for key, inner in value.items()}
        case list() | tuple():  # the entries of a map are pairs
            return [_plain(inner) for inner in value]
        case bytes():
            return None
        case _:
            return value.isoformat() if hasattr(value, "isoformat") else str(value)


def is_parquet(begin: bytes) -> bool:
    """Whether a file that begins so says that it is Parquet."""
    return begin.startswith(b"PAR1")


def copied(source: BinaryIO, copy: BinaryIO) -> None:
    """Copy what can be read only once: Parquet is read from its end."""
    while piece := source.read(2**20):
        copy.write(piece)
