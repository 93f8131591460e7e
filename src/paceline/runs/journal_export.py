"""Journal export: `export`, which writes the results of a journal to a file, also while a run writes the journal.

1. The file has the results that the journal held at one moment, each once.
2. Memory does not grow with the number of results.
3. The output that the runs themselves write is replaced only by the same rows in the same format, and only while no run writes it:
   `resume` continues it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from os import PathLike

import attrs

from .._core.exceptions import ConfigurationError, JournalError
from ..files.output import Output, OutputError, atomic_file
from ..files.output_formats import OutputFormat
from ..journal.reader import JournalReader
from ..journal.records import KIND, ResultRow
from .export_options import ExportFormat, ExportOptions
from .journal_facts import journal_at, recorded_options, recorded_output
from .journal_output import ROWS_AT_ONCE, encoder
from .setup import check_suffix, fields_of
from .table_output import StoredRows, write_table


@attrs.frozen(kw_only=True)
class ExportReport:
    """What `export` has written."""

    journal: str
    """Path of the journal."""
    output: str
    """Path of the file; `-` is stdout."""
    file_format: ExportFormat
    """Format of the file."""
    rows: int
    """Results in the file."""


def export(journal: str | PathLike[str], options: ExportOptions) -> ExportReport:
    """Write the results of a journal to a file. Blocks; the file is complete or not there at all.

    Args:
        journal: Path of the journal, or of the output that it belongs to.
        options: What is written, and where.

    Raises:
        ConfigurationError: The output cannot be used: it has content, or is needed by the journal's runs.
        JournalError: The journal cannot be read.
        OSError: The output could not be written; BrokenPipeError: its reader has closed it.
    """
    check_suffix(options.output, "results are written as")
    path = journal_at(journal)
    with JournalReader(path) as reader:
        _protect_output_of_runs(reader, options)
        keep = {"the journal": path, "the journal's log": f"{path}-wal", "the journal's index": f"{path}-shm"}
        rows = StoredRows(partial(_selected, reader, options))
        try:
            with (
                reader.one_moment(),
                atomic_file(options.output, overwrite=options.overwrite, keep=keep) as descriptor,
            ):
                if options.file_format is ExportFormat.JSONL:
                    count = write_lines(_selected(reader, options), options, descriptor)
                else:
                    form = OutputFormat(options.file_format.value)
                    write_table(rows, options.output, descriptor, form, fields=_fields(reader), raw_csv=options.raw_csv)
                    count = rows.count
        except json.JSONDecodeError as error:
            raise JournalError(f"{path}: is damaged: it has a value that is not JSON ({error})") from None
    return ExportReport(journal=path, output=options.output, file_format=options.file_format, rows=count)


def _protect_output_of_runs(reader: JournalReader, options: ExportOptions) -> None:
    """Refuse what would spoil the output of the journal's runs, under rule 3."""
    written = recorded_output(reader)
    if written is None or not written.is_at(options.output):
        return
    if (pid := reader.writer()) is not None:
        raise OutputError(f"{options.output}: is being written by process {pid}; name another file")
    if not options.has_rows_of_runs or options.output_format != written.form:
        if OutputFormat(written.form).is_table:
            raise OutputError(
                f"{options.output}: is the output of the journal's runs, which write it when they end; name another file"
            )
        raise OutputError(
            f"{options.output}: is the output of the journal's runs, which continue it: "
            f"write all rows, in the order of commits and in the format {written.form}, or name another file"
        )


def _selected(reader: JournalReader, options: ExportOptions) -> Iterator[ResultRow]:
    rows = reader.rows(in_input_order=options.in_order, failed=options.only == "failed")
    return (row for row in rows if row[KIND] is None) if options.only == "succeeded" else rows


def _fields(reader: JournalReader) -> list[str]:
    """Return the fields that outputs have by the schema of the latest run, if it can still be read."""
    try:
        options = recorded_options(reader)
    except ConfigurationError:
        return []
    return [] if options is None else fields_of(options)


def write_lines(rows: Iterable[ResultRow], options: ExportOptions, descriptor: int) -> int:
    """Write results as lines to an open file; return their number."""
    output = Output(options.output, descriptor)
    lines = map(encoder(options.output_format), rows)
    while some := list(islice(lines, ROWS_AT_ONCE)):
        output.write(b"".join(some))
    return output.saved
