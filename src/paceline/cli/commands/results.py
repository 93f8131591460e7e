"""The command `results`: an output made from a journal, at any time, also while it is written.

1. It has the results that the journal held at one moment, each once.
2. Little is held in memory, however many they are.
3. The output that the runs themselves write may be made anew only as they write it, and while they do not: `resume` goes on with
   it where it was left.
"""

from __future__ import annotations

import enum
import json
import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from ..._core.exceptions import ConfigurationError, JournalError
from ...files.output import Output, OutputError, atomic_file
from ...files.output_formats import OutputFormat
from ...files.tables import csv_chunks, write_parquet
from ...files.types import STREAM
from ...journal.reader import JournalReader
from ...journal.records import StoredResult
from ...runs.journal_output import encoder, recorded_output
from ...runs.journal_path import journal_at
from ..console import OK, UNSAVED, print_message, sigterm_raises_exit
from ..options import ResultsArguments

_AT_ONCE = 256  # rows that are written with one call


class Made(enum.StrEnum):
    """What is made of results."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


_BY_SUFFIX = {".csv": Made.CSV, ".parquet": Made.PARQUET, ".pq": Made.PARQUET}


def kind_of(options: ResultsArguments) -> Made:
    """Return what is to be made."""
    return (
        Made(options.file_format)
        if options.file_format
        else _BY_SUFFIX.get(Path(options.output).suffix.lower(), Made.JSONL)
    )


def check(options: ResultsArguments) -> None:
    """Check what has to do with each other.

    Raises:
        ConfigurationError: two options cannot stand together.
    """
    if kind_of(options) is not Made.JSONL and options.output_format != "own":
        raise ConfigurationError(f"--output-format: is for jsonl; {kind_of(options)} has columns of its own")
    if kind_of(options) is Made.PARQUET and options.output == STREAM:
        raise ConfigurationError("--as parquet: needs a file, not stdout")


def is_as_runs_write(options: ResultsArguments) -> bool:
    """Whether it comes to the rows that runs write, but for their form."""
    return kind_of(options) is Made.JSONL and options.only == "all" and not options.in_order


def results(journal: str, options: ResultsArguments) -> int:
    """Make an output from a journal; return the exit code.

    Raises:
        ConfigurationError: it cannot be made.
        JournalError: the journal cannot be read.
    """
    check(options)
    path = journal_at(journal)
    with JournalReader(path) as reader:
        _protect(reader, options)
        keep = {"the journal": path, "the journal's log": f"{path}-wal", "the journal's index": f"{path}-shm"}
        try:
            with (
                sigterm_raises_exit(),
                atomic_file(options.output, overwrite=options.overwrite, keep=keep) as descriptor,
            ):
                _write(_chosen(reader, options), options, descriptor)
        except json.JSONDecodeError as error:
            raise JournalError(f"{path}: is damaged: it has a value that is not JSON ({error})") from None
        except BrokenPipeError:
            raise
        except OSError as error:
            print_message(f"{options.output}: {error.strerror or error}; the results are in {path}")
            return UNSAVED
    return OK


def _protect(reader: JournalReader, options: ResultsArguments) -> None:
    """Refuse what would spoil the output of the journal's runs, under rule 3."""
    written = recorded_output(reader)
    if written is None or options.output == STREAM or written.path != str(Path(options.output).resolve()):
        return
    if (pid := reader.writer()) is not None:
        raise OutputError(f"{options.output}: is being written by process {pid}; name another file")
    if not is_as_runs_write(options) or options.output_format != written.form:
        raise OutputError(
            f"{options.output}: is the output of the journal's runs, which go on with it: "
            f"all rows, as they came and in the form {written.form}, or name another file"
        )


def _chosen(reader: JournalReader, options: ResultsArguments) -> Iterator[StoredResult]:
    kept = reader.results(in_input_order=options.in_order, failed=options.only == "failed")
    return (one for one in kept if one.kind is None) if options.only == "succeeded" else kept


def _write(kept: Iterable[StoredResult], options: ResultsArguments, descriptor: int) -> None:
    if kind_of(options) is Made.PARQUET:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            write_parquet(map(_row, kept), file)
        return
    output = Output(options.output, descriptor)
    pieces = (
        csv_chunks(map(_row, kept))
        if kind_of(options) is Made.CSV
        else _lines(kept, OutputFormat(options.output_format))
    )
    for piece in pieces:
        output.write(piece)


def _lines(kept: Iterable[StoredResult], form: OutputFormat) -> Iterator[bytes]:
    rows = map(encoder(form), kept)
    while some := b"".join(islice(rows, _AT_ONCE)):
        yield some


def _row(kept: StoredResult) -> dict[str, object]:
    row: dict[str, object] = json.loads(kept.line)
    return row
