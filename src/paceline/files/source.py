"""Sources: an input that is open for its first pass, and the choice of its format.

1. The format is the one that the caller gives; otherwise the suffix and the first line decide: lines of JSON may be paceline's
   own or those of a provider's batch API. Stdin, or a pipe, is JSON if its first character is a brace. Any other file is text;
   but if it begins like JSON, and not like a line of a batch API, the caller must give the format, because prompts cost money.
2. What cannot be read twice (a pipe) is copied to a temporary file while it is read.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import attrs

from .csv_rows import CsvFormat
from .jsonl import LineFormat
from .lines import copy_bytes, open_bytes, reader_from
from .parquet_rows import ParquetFormat, is_parquet
from .types import STREAM, InputError, InputFormat, InputKind

_JSON = {".jsonl", ".ndjson"}
_BY_SUFFIX = {
    ".csv": InputKind.CSV,
    ".tsv": InputKind.CSV,
    ".parquet": InputKind.PARQUET,
    ".pq": InputKind.PARQUET,
    ".txt": InputKind.TEXT,
    ".text": InputKind.TEXT,
}


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
def open_source(path: str, kind: InputKind | None, template: str | None) -> Iterator[Source]:
    """Open an input and choose its format; it is closed at the end of the block.

    Args:
        path: Path of the file; "-" for stdin.
        kind: Format; None: under rule 1.
        template: Template of the prompts, with columns in braces; for CSV and Parquet only.

    Raises:
        InputError: It cannot be opened, or its format is not known or has no templates.
    """
    name = "stdin" if path == STREAM else path
    with ExitStack() as stack:
        with errors_as_input_error(name):
            file = stack.enter_context(open_bytes(path))
            identity = os.fstat(file.fileno())
            is_regular = stat.S_ISREG(identity.st_mode)
            copy = None if is_regular else stack.enter_context(tempfile.TemporaryFile())
            start = file.tell() if is_regular else 0
            input_format = _find_format(path, name, kind, template, file, is_regular=is_regular)
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


def _find_format(  # noqa: PLR0913 - all that the format depends on
    path: str, name: str, kind: InputKind | None, template: str | None, file: BinaryIO, *, is_regular: bool
) -> InputFormat:
    """Return the reader of an input's format, under rule 1."""
    has_name = is_regular and path != STREAM
    suffix = Path(path).suffix.lower()
    kind = kind or (_BY_SUFFIX.get(suffix) if has_name else None)
    if kind is None and not (has_name and suffix in _JSON) and is_parquet(file.peek(4)[:4]):  # type: ignore[attr-defined]  # it is buffered
        kind = InputKind.PARQUET
    if kind is InputKind.CSV:
        return CsvFormat(name, template)
    if kind is InputKind.PARQUET:
        return ParquetFormat(name, template)
    if template is not None:
        raise InputError(f"{name}: a prompt template is for CSV and Parquet; set --input-format if it is one of them")
    return LineFormat(name, kind, is_json=suffix in _JSON, may_guess=not has_name)
