"""Sources: an input that is open for its first pass, and the choice of its format.

1. The format is the one that the caller gives; otherwise the suffix and the first bytes decide: lines of JSON may be paceline's
   own or those of a provider's batch API. Stdin, or a pipe, is JSON if its first character is a brace. Any other file is text;
   but if it begins like JSON, and not like a line of a batch API, the caller must give the format, because prompts cost money.
2. What cannot be read twice (a pipe) is copied to a temporary file while it is read.
3. A file of another program (a workbook, an archive) is refused by its first bytes, with what to do.
"""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import attrs

from .csv_rows import CsvFormat
from .foreign import why_not_read
from .json_array import JsonArrayFormat
from .json_lines import parse_object
from .jsonl import LineFormat
from .lines import copy_bytes, open_bytes, reader_from
from .parquet_rows import ParquetFormat, is_parquet
from .types import STREAM, InputError, InputFormat, InputKind, LineError, Reading

_JSON = {".jsonl", ".ndjson"}
_BY_SUFFIX = {
    ".csv": InputKind.CSV,
    ".tsv": InputKind.CSV,
    ".parquet": InputKind.PARQUET,
    ".pq": InputKind.PARQUET,
    ".txt": InputKind.TEXT,
    ".text": InputKind.TEXT,
}
_SEPARATORS = {".tsv": "\t,;"}
"""Separators of CSV, the likeliest first, by suffix."""
_ARRAY = re.compile(r"\s*\[\s*(\{|\Z)")
_BEGIN = 2**16  # bytes that a format is recognised by


@attrs.frozen(kw_only=True)
class Source:
    """An open input before its first pass."""

    name: str
    """Path, or "stdin"; messages begin with it."""
    identity: os.stat_result
    """Status of the file."""
    input_format: InputFormat
    """Reads its records."""
    file: BinaryIO
    """The file, at the beginning of the input."""
    copy: BinaryIO | None
    """Receives a copy of what can be read only once; None: the file can be read again."""
    start: int = 0
    """Offset in the file at which the input begins, in bytes; 0 in a copy."""


@contextmanager
def open_source(path: str, reading: Reading) -> Iterator[Source]:
    """Open an input and choose its format; it is closed at the end of the block.

    Args:
        path: Path of the file; "-" for stdin.
        reading: Options; without a kind, the format is chosen under rule 1.

    Raises:
        InputError: It cannot be opened, its format is not known or not read, or an option does not apply to it.
    """
    name = "stdin" if path == STREAM else path
    with ExitStack() as stack:
        with errors_as_input_error(name):
            file = stack.enter_context(open_bytes(path))
            identity = os.fstat(file.fileno())
            is_regular = stat.S_ISREG(identity.st_mode)
            copy = None if is_regular else stack.enter_context(tempfile.TemporaryFile())
            start = file.tell() if is_regular else 0
            input_format = _find_format(path, name, reading, file, is_regular=is_regular)
        yield Source(name=name, identity=identity, input_format=input_format, file=file, copy=copy, start=start)


@contextmanager
def errors_as_input_error(name: str) -> Iterator[None]:
    """Turn an `OSError` in the block into an `InputError` about the input of that name."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{name}: cannot be read: {error.strerror or error}") from None


def rows_reader(source: Source) -> BinaryIO:
    """Return a reader of a Parquet input, which is read from its end: one that can be read only once is copied first."""
    if source.copy is not None:
        copy_bytes(source.file, source.copy)
        source.copy.flush()
        source.copy.seek(0)
    return reader_from(source.copy or source.file, source.start)


def _find_format(path: str, name: str, reading: Reading, file: BinaryIO, *, is_regular: bool) -> InputFormat:
    """Return the reader of an input's format, under rule 1."""
    has_name = is_regular and path != STREAM
    suffix = Path(path).suffix.lower() if has_name else ""
    begin: bytes = file.peek(_BEGIN)  # type: ignore[attr-defined]  # it is buffered
    if reading.kind is None and (reason := why_not_read(path, begin, has_encoding=reading.encoding is not None)):
        raise InputError(f"{name}: {reason}")
    kind = reading.kind or _BY_SUFFIX.get(suffix)
    if kind is None:
        kind = _kind_by_content(name, suffix, begin, reading, has_name=has_name)
    if kind is InputKind.CSV:
        return CsvFormat(name, reading, separators=_SEPARATORS.get(suffix, ",;\t"))
    if kind is InputKind.PARQUET:
        return ParquetFormat(name, reading)
    if kind is InputKind.JSON:
        return JsonArrayFormat(name, reading)
    is_json = suffix in _JSON or suffix == ".json"
    return LineFormat(name, attrs.evolve(reading, kind=kind), is_json=is_json, may_guess=not has_name)


def _kind_by_content(name: str, suffix: str, begin: bytes, reading: Reading, *, has_name: bool) -> InputKind | None:
    """Return the format that the first bytes show; None if its lines must show it.

    Raises:
        InputError: It is one JSON object.
    """
    if suffix not in _JSON and is_parquet(begin):
        return InputKind.PARQUET
    text = begin.decode(reading.encoding or "utf-8-sig", "replace").removeprefix("\ufeff")
    if (not has_name or suffix in _JSON) and _ARRAY.match(text):
        return InputKind.JSON
    if suffix == ".json" and text.lstrip().startswith("["):
        return InputKind.JSON
    if suffix == ".json" and text.lstrip().startswith("{"):
        first, end, _ = text.lstrip().partition("\n")
        try:
            parse_object(first.encode() + b"\n", first)
        except LineError:
            if end or len(begin) < _BEGIN:  # it is not only longer than what was looked at
                raise InputError(
                    f"{name}: is one JSON object, not an array of objects or an object per line; take the array out of it, "
                    "such as with: jq .FIELD in.json > out.json"
                ) from None
    return None
