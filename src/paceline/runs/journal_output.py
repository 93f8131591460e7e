"""Journal output: writes the rows of an output out of the journal, each result once, whatever interrupts the run.

Rules owned here:

1. An output holds what the journal holds, in the order of commits: a row is written only for a committed result. Results that this
   process has just committed are written from memory; if there is any other between them, all are read from the journal. The
   journal records from time to time how far the output is written.
2. An output of an earlier run is continued after the recorded end; anything behind that, such as a torn line, is cut off. If the file
   is missing, all rows are written again. If it differs from what was recorded, it is renamed first, as it may be someone's work.
3. When items are run again their rows are out of date, and all rows are written again. That is recorded in the transaction that
   removes the results.
"""

from __future__ import annotations

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
_RECORD_EVERY = 1.0  # seconds between two records of how far the output is written

Encode = Callable[[ResultRow], bytes]


class JournalOutput:
    """Writes the rows of the results in a journal.

    Args:
        reader: Reads the results.
        store: Commits results, and records how far the output is written.
        output: Receives the rows.
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
        output_format: OutputFormat,
        last: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.last: int = last
        """Number of the latest result that was written."""
        self._reader = reader
        self._store = store
        self._output = output
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
        size = self._output.settled_size()
        if size is not None:
            path = str(Path(self._output.name).resolve())
            written = WrittenOutput(path=path, form=str(self._output_format), last=self.last, size=size)
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
    end, last = (None, 0) if path == STREAM else _recorded_end(path, options.output_format, store, on_message)
    with open_output(path, keep={"the input": source}, overwrite=options.overwrite, resume_at=end) as output:
        rows = JournalOutput(reader, store, output, output_format=options.output_format, last=last)
        rows.record()  # from here on the content of the output is known to be that of the journal
        yield rows


def _recorded_end(
    path: str, output_format: OutputFormat, store: JournalWriter, on_message: Callable[[str], None]
) -> tuple[int | None, int]:
    """Return the bytes of an output that stay and the number of their latest result; None and 0 if none stay."""
    written = recorded_output(store)
    last = last_in(path, output_format, written)
    if written is None or not written.is_at(path):
        return None, 0
    if last is None:
        if os.path.getsize(path):  # noqa: PTH202 - a text
            on_message(
                f"{path}: differs from what was written; it is kept as {set_aside(path)}, and all rows are written again"
            )
        return None, 0
    return (written.size, last) if last else (None, 0)


def last_in(path: str, output_format: OutputFormat, written: WrittenOutput | None) -> int | None:
    """Cut off what follows the recorded end of an output, and return the number of its latest result.

    Returns:
        0 if it has no result; None if it differs from what was recorded.
    """
    if written is None or not written.is_at(path) or written.form != output_format:
        return None
    try:
        with Path(path).open("r+b") as file:
            size = file.seek(0, os.SEEK_END)
            if size < written.size:
                return None
            if written.size:
                file.seek(written.size - 1)
                if file.read(1) != b"\n":
                    return None
            file.truncate(written.size)
    except FileNotFoundError:
        return 0
    return written.last


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
