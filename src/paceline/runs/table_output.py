"""Table output: writes the output of a run that is CSV or Parquet, as a whole, out of the journal.

Rules owned here:

1. The table is written when a run ends, however it ends, and replaces the one before at once: it is complete or not there. Its rows are
   in the order of the input. A run that is killed has lost nothing: its results are in the journal, and `resume` writes the table.
2. An output that the runs of this journal have written is replaced. If it has been changed since, or another file is there by then,
   that is renamed first, as it may be someone's work. Any other file with content is refused before the first call, unless it may be
   replaced.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from .._core.exceptions import JournalError
from ..files import OutputError, digest_of
from ..files.output import Keep, Output, atomic_file, check_output
from ..files.output_formats import OutputFormat
from ..files.tables import Row, csv_chunks, write_parquet
from ..journal.reader import JournalReader
from ..journal.records import ResultRow, line_of
from ..journal.writer import JournalWriter
from .journal_facts import WrittenOutput, record_output, recorded_output
from .journal_output import set_aside


class StoredRows(Iterable[Row]):
    """Result rows of a journal, which can be iterated over several times.

    Args:
        results: Yields the rows of the journal, from the beginning.
    """

    def __init__(self, results: Callable[[], Iterator[ResultRow]]) -> None:
        self.count: int = 0
        """Rows that the last iteration has yielded."""
        self._results = results

    def __iter__(self) -> Iterator[Row]:
        self.count = 0
        for result in self._results():
            self.count += 1
            yield json.loads(line_of(result))


class TableOutput:
    """Writes the results of a journal as a table.

    Args:
        reader: Reads the results.
        store: Records what was written.
        path: Path of the table.
        form: CSV or Parquet.
        fields: Fields that outputs have by their schema.
        keep: Files that must not be written to.
        overwrite: Whether a file with other content may be replaced.
        raw_csv: Whether texts that a spreadsheet would take for formulas stay as they are.
        on_message: Receives a sentence if a changed table is renamed.
    """

    def __init__(  # noqa: PLR0913 - all are needed
        self,
        reader: JournalReader,
        store: JournalWriter,
        path: str,
        form: OutputFormat,
        *,
        fields: Sequence[str],
        keep: Keep,
        overwrite: bool,
        raw_csv: bool,
        on_message: Callable[[str], None],
    ) -> None:
        self.saved: int = 0
        """Rows in the table that this run wrote."""
        self._reader = reader
        self._store = store
        self._path = path
        self._form = form
        self._fields = fields
        self._keep = keep
        self._overwrite = overwrite
        self._raw_csv = raw_csv
        self._on_message = on_message
        written = recorded_output(store)
        is_ours = written is not None and written.is_own(path)
        check_output(path, keep=keep, overwrite=overwrite, is_resumed=is_ours)
        if not is_ours:
            self._record(WrittenOutput(path=str(Path(path).resolve()), form=str(form), last=0, size=0, digest=""))

    def catch_up(self, _: Any = None) -> None:
        """Do nothing: rule 1."""

    def finish(self) -> None:
        """Write the table.

        Raises:
            OSError: The table could not be written; what was there before is still there.
        """
        self._keep_other_content()
        rows = StoredRows(lambda: self._reader.rows(in_input_order=True))
        try:
            with atomic_file(self._path, keep=self._keep, overwrite=True) as descriptor:
                write_table(rows, self._path, descriptor, self._form, fields=self._fields, raw_csv=self._raw_csv)
                size = os.fstat(descriptor).st_size
        except OutputError as error:  # calls were made: it is not an error of usage any more
            raise OSError(errno.EIO, str(error)) from None
        self.saved = rows.count
        self._record(
            WrittenOutput(
                path=str(Path(self._path).resolve()),
                form=str(self._form),
                last=self._reader.counts().last,
                size=size,
                digest=_digest(self._path, size),
            )
        )

    def _keep_other_content(self) -> None:
        """Rename what is at the path if no run of this journal has written it: rule 2."""
        try:
            size = os.path.getsize(self._path)  # noqa: PTH202 - a text
        except OSError:
            return
        written = recorded_output(self._store)
        is_ours = written is not None and written.is_own(self._path) and written.size == size
        is_same = is_ours and written is not None and _digest(self._path, size) == written.digest
        if size and not is_same and not self._overwrite:
            self._on_message(f"{self._path}: differs from what was written; it is kept as {set_aside(self._path)}")

    def _record(self, written: WrittenOutput) -> None:
        with suppress(JournalError):
            record_output(self._store, written)


def write_table(  # noqa: PLR0913 - all are needed
    rows: Iterable[Row],
    name: str,
    descriptor: int,
    form: OutputFormat,
    *,
    fields: Sequence[str] = (),
    raw_csv: bool = False,
) -> None:
    """Write rows as a table to an open file.

    Args:
        rows: Result rows, which can be iterated over several times.
        name: Name of the file, for messages.
        descriptor: Descriptor of the file; it is not closed.
        form: CSV or Parquet.
        fields: Fields that outputs have by their schema.
        raw_csv: Whether texts in CSV that a spreadsheet would take for formulas stay as they are.

    Raises:
        OSError: The file cannot take more.
    """
    if form is OutputFormat.PARQUET:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            write_parquet(rows, file, fields=fields)
        return
    output = Output(name, descriptor)
    for chunk in csv_chunks(rows, fields=fields, raw=raw_csv):
        output.write(chunk)


def _digest(path: str, size: int) -> str | None:
    found = digest_of(path, size)
    return None if found is None else found.hex()
