"""Tables of results: CSV or Parquet, one row per result.

1. Both have the same columns. An output or a context that is not text is written as JSON; a missing value is empty in CSV and null
   in Parquet.
2. A few rows are held at a time, however many there are.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, BinaryIO

from .._core.exceptions import MissingExtraError

_COUNTS = (
    "input_tokens",
    "output_tokens",
    "cached_input_tokens",
    "total_tokens",
    "cache_written_tokens",
    "cache_written_1h_tokens",
)
COLUMNS = (
    "id",
    "success",
    "output",
    "error_kind",
    "error_message",
    "context",
    "model",
    *_COUNTS,
    "attempts",
    "seconds",
)
_ROWS = 256  # of CSV per chunk
_GROUP_ROWS = 10_000  # rows of a Parquet row group
_GROUP_SIZE = 16 * 2**20  # characters of a row group, about


def csv_chunks(rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """Yield a table as CSV in UTF-8, a few rows per chunk; the first chunk is the header.

    Args:
        rows: Result rows, as `_codec.result_row` makes them.
    """
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\r\n")  # with another, a carriage return in a text would not be quoted
    writer.writerow(COLUMNS)
    records = map(_columns_of, rows)
    while True:
        yield buffer.getvalue().encode()
        buffer.seek(0)
        buffer.truncate()
        chunk = list(islice(records, _ROWS))
        if not chunk:
            return
        writer.writerows([_csv_value(record[name]) for name in COLUMNS] for record in chunk)


def write_parquet(rows: Iterable[Mapping[str, Any]], file: BinaryIO) -> int:
    """Write a table as Parquet; return the number of its rows.

    Args:
        rows: Result rows, as `_codec.result_row` makes them.
        file: Open for writing; it is not closed.

    Raises:
        MissingExtraError: pyarrow is not installed.
        OSError: The file cannot take more.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra, and slow to import
        from pyarrow import parquet  # noqa: PLC0415 - as above
    except ImportError:
        raise MissingExtraError("Parquet", "parquet") from None
    types = {
        "success": pa.bool_(),
        "seconds": pa.float64(),
        "attempts": pa.int64(),
        **dict.fromkeys(_COUNTS, pa.int64()),
    }
    schema = pa.schema([(name, types.get(name, pa.string())) for name in COLUMNS])
    written = 0
    with parquet.ParquetWriter(file, schema) as writer:
        for group in _groups(map(_columns_of, rows)):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))
            written += len(group)
    return written


def _groups(records: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    group: list[dict[str, Any]] = []
    size = 0
    for record in records:
        group.append(record)
        size += len(record["output"] or "") + len(record["context"] or "")
        if len(group) == _GROUP_ROWS or size > _GROUP_SIZE:
            yield group
            group, size = [], 0
    if group:
        yield group


def _columns_of(row: Mapping[str, Any]) -> dict[str, Any]:
    error = row["error"] or {}
    return {
        "id": row["id"],
        "success": row["success"],
        "output": _text(row["output"]),
        "error_kind": error.get("kind"),
        "error_message": error.get("message"),
        "context": _text(row["context"]),
        "model": _text(row["model"]),
        **{name: row["usage"][name] for name in _COUNTS},
        "attempts": row["attempts"],
        "seconds": row["seconds"],
    }


def _text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _csv_value(value: Any) -> Any:
    return value if not isinstance(value, bool) else "true" if value else "false"
