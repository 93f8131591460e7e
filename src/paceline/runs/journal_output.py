"""Journal output: writes the rows of an output out of the journal, each result once, whatever interrupts the run.

Rules owned here:

1. An output holds what the journal holds, in the order of commits: a row is written only for a committed result. Results that this
   process has just committed are written from memory; if there is any other between them, all are read from the journal. The
   journal records from time to time how far the output is written.
2. An output of an earlier run is continued after its rows; a torn one is cut off. If the file is missing, all rows are written again. If it
   differs from what was recorded, or has anything else behind its rows, it is renamed first, as that may be someone's work. A record
   that no run of this user on this machine has stamped changes no file: then each byte of the file must be one of the journal's rows, or it is a
   file with other content.
3. When items are run again their rows are out of date, and all rows are written again. That is recorded in the transaction that
   removes the results.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any

from .._core.exceptions import JournalError
from ..files.output import Output, open_output
from ..files.output_formats import OutputFormat, encode
from ..files.types import STREAM
from ..journal.reader import JournalReader
from ..journal.records import SEQ, ResultRow, StoredResult, line_of
from ..journal.writer import JournalWriter
from .journal_facts import WrittenOutput, record_output, recorded_output
from .options import RunOptions

ROWS_AT_ONCE = 256
"""Rows that are written with one call."""
_TAIL = 4096  # bytes at the end of an output, by which it is recognised
_RECORD_EVERY = 1.0  # seconds between two records of how far the output is written

Encode = Callable[[ResultRow], bytes]


class JournalOutput:
    """Writes the rows of the results in a journal.

    Args:
        reader: Reads the results.
        store: Commits results, and records how far the output is written.
        output: Receives the rows.
        path: Path of the output, `-` for stdout.
        output_format: Format of the rows.
        last: Number of the latest result that the output has already.
        clock: Returns seconds, monotonic.
    """

    def __init__(  # noqa: PLR0913 - all are needed
        self,
        reader: JournalReader,
        store: JournalWriter,
        output: Output,
        *,
        path: str,
        output_format: OutputFormat,
        last: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.last: int = last
        """Number of the latest result that was written."""
        self._reader = reader
        self._store = store
        self._output = output
        self._path = path
        self._output_format = output_format
        self._encode = encoder(output_format)
        self._clock = clock
        self._next_record = clock() + _RECORD_EVERY
        store.keep_recent()

    @property
    def saved(self) -> int:
        """Rows that this run wrote."""
        return self._output.saved

    def catch_up(self, _: Any = None) -> None:
        """Write the rows of all new results. Blocks.

        Raises:
            OSError: Not all rows were written; those that were are not written again.
        """
        self._write(self._store.take_recent(after=self.last) or self._reader.rows(after=self.last))
        if self._clock() >= self._next_record:
            self.record()

    def _write(self, stored: Iterable[ResultRow]) -> None:
        for rows in _chunks(stored):
            before = self._output.saved
            try:
                self._output.write(b"".join(map(self._encode, rows)))
            finally:
                written = self._output.saved - before  # may be a part of them
                self.last = rows[written - 1][SEQ] if written else self.last

    def finish(self) -> None:
        """Write the rows that are missing, and record how far the output is written.

        Raises:
            OSError: Not all rows are on the disk.
        """
        self.catch_up()
        self._write(self._reader.rows(after=self.last))  # whatever was in memory, the journal has the last word
        self.record()

    def record(self) -> None:
        """Record in the journal how far the output is written; if that fails, the next run writes the latest rows again.

        Raises:
            OSError: The rows are not on the disk.
        """
        size, path = self._output.settled_size(), self._path
        if size is not None and path != STREAM:
            written = WrittenOutput(
                path=str(Path(path).resolve()),
                form=str(self._output_format),
                last=self.last,
                size=size,
                proved=size,
                tail=_tail_of(path, size) if size else None,
            )
            with suppress(JournalError):
                record_output(self._store, written)
        self._next_record = self._clock() + _RECORD_EVERY


@contextmanager
def open_journal_output(
    options: RunOptions,
    source: os.stat_result,
    store: JournalWriter,
    reader: JournalReader,
    *,
    on_message: Callable[[str], None],
) -> Iterator[JournalOutput]:
    """Open the output of a run where an earlier run left it.

    Raises:
        OutputError: The output cannot be written, is the input, or has other content that may not be replaced.
    """
    path = options.output
    end, last = (None, 0) if path == STREAM else _end_of_rows(options, store, reader, on_message)
    with open_output(path, keep={"the input": source}, overwrite=options.overwrite, resume_at=end) as output:
        rows = JournalOutput(reader, store, output, path=path, output_format=options.output_format, last=last)
        rows.record()  # from here on the content of the output is known to be that of the journal
        yield rows


def _end_of_rows(
    options: RunOptions, store: JournalWriter, reader: JournalReader, on_message: Callable[[str], None]
) -> tuple[int | None, int]:
    """Return the bytes of an output that stay and the number of their latest result; None and 0 if none stay."""
    path, written = options.output, recorded_output(store)
    if written is None or not written.is_at(path):
        return None, 0
    is_own = written.is_own(path)
    try:
        found = _end_of_own(path, options.output_format, written, reader) if is_own else None
        if not is_own:
            found = _end_of_matching(path, encoder(options.output_format), reader.rows(), (0, 0))
    except FileNotFoundError:
        return None, 0
    except OSError:  # opening it for the rows says why
        found = None
    if found is None and is_own and os.path.getsize(path):  # noqa: PTH202 - a text
        on_message(
            f"{path}: differs from what was written; it is kept as {set_aside(path)}, and all rows are written again"
        )
    return found if found is not None and found[1] else (None, 0)


def _end_of_own(
    path: str, output_format: OutputFormat, written: WrittenOutput, reader: JournalReader
) -> tuple[int, int] | None:
    """Return the end of the rows in an output of one's own, and the number of their latest result; None if it differs from what was recorded.

    A torn row is cut off, and so are rows that are out of date.
    """
    if written.form != output_format or (written.proved and _tail_of(path, written.proved) != written.tail):
        return None
    if written.size < written.proved:  # the rows are out of date
        if os.path.getsize(path) != written.proved:  # noqa: PTH202 - a text
            return None
        os.truncate(path, 0)
        return 0, 0
    rows = reader.rows(after=written.last)
    return _end_of_matching(path, encoder(output_format), rows, (written.size, written.last))


def _end_of_matching(
    path: str, encode_row: Encode, rows: Iterable[ResultRow], start: tuple[int, int]
) -> tuple[int, int] | None:
    """Return the end of the given rows in a file, and the number of the latest; cut off a torn one; None if there is any other byte behind `start`.

    Args:
        path: Path of the file.
        encode_row: Makes the bytes of a row.
        rows: The rows that may follow.
        start: Where in the file they begin, and the number of the result before.
    """
    end, last = start
    with Path(path).open("r+b") as file:
        file.seek(end)
        for row in rows:
            expected = encode_row(row)
            found = file.readline(2 * len(expected))
            if not _is_row(found, expected):
                if not expected.startswith(found) or file.read(1):
                    return None
                file.truncate(end)
                return end, last
            end, last = end + len(found), row[SEQ]
        return None if file.read(1) else (end, last)


def _is_row(found: bytes, expected: bytes) -> bool:
    """Whether a line is a row, or one that an earlier version wrote, with fewer fields."""
    if found == expected or not found.endswith(b"\n"):
        return found == expected
    try:
        return _is_within(json.loads(found), json.loads(expected))
    except (ValueError, RecursionError):
        return False


def _is_within(found: Any, expected: Any) -> bool:
    if isinstance(found, dict) and isinstance(expected, dict):
        return all(name in expected and _is_within(value, expected[name]) for name, value in found.items())
    return bool(found == expected)


def _tail_of(path: str, end: int) -> str | None:
    """Return the digest of the last bytes of a file before an offset, in hexadecimal digits; None if the file is shorter, or cannot be read.

    Raises:
        FileNotFoundError: There is no such file.
    """
    length = min(end, _TAIL)
    try:
        with Path(path).open("rb") as file:
            file.seek(end - length)
            tail = file.read(length)
    except FileNotFoundError:
        raise
    except OSError:
        return None
    return hashlib.sha256(tail).hexdigest() if tail and len(tail) == length else None


def set_aside(path: str) -> str:
    """Rename a file to a name that is free; return that name."""
    number = 1
    while os.path.lexists(aside := f"{path}.{number}"):
        number += 1
    Path(path).rename(aside)
    return aside


def encoder(output_format: OutputFormat) -> Encode:
    """Return the function that makes rows of a format."""
    if output_format is OutputFormat.OWN:
        return line_of
    return lambda row: encode(output_format, StoredResult.of(row).as_data())


def _chunks(rows: Iterable[ResultRow]) -> Iterable[list[ResultRow]]:
    iterator = iter(rows)
    while chunk := list(islice(iterator, ROWS_AT_ONCE)):
        yield chunk
