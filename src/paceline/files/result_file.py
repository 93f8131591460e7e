"""Writing results to a file: `write`, and the record that it returns."""

from __future__ import annotations

import enum
import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeAlias

import attrs

from .._codec import result_row
from .._core.exceptions import ConfigurationError
from .._core.results import BatchResult, WorkItemResult, is_pending, is_result
from .._core.validators import OneOf
from .output import Output, atomic_file
from .output_formats import OutputFormat, encode
from .records import path_text
from .tables import csv_chunks, write_parquet
from .types import STREAM

_ROWS = 256  # of JSONL per write


class ResultFormat(enum.StrEnum):
    """The format of a file of results."""

    JSONL = "jsonl"
    """paceline's own rows, one JSON object per line."""
    OPENAI = "openai"
    """Output lines of OpenAI's batch API."""
    GEMINI = "gemini"
    """Output lines of Gemini's batch API."""
    ANTHROPIC = "anthropic"
    """Output lines of Anthropic's batch API."""
    CSV = "csv"
    """A table with a header, in UTF-8."""
    PARQUET = "parquet"
    """The same table with types. Requires `paceline[parquet]`."""


ResultFormatName: TypeAlias = Literal["jsonl", "openai", "gemini", "anthropic", "csv", "parquet"]
"""The values of `ResultFormat`."""

_BY_SUFFIX = {
    ".jsonl": ResultFormat.JSONL,
    ".ndjson": ResultFormat.JSONL,
    ".csv": ResultFormat.CSV,
    ".parquet": ResultFormat.PARQUET,
    ".pq": ResultFormat.PARQUET,
}


@attrs.frozen(kw_only=True)
class WrittenFile:
    """What `write` has written."""

    path: str
    """Path of the file, as it was given."""
    format: ResultFormat
    """Its format."""
    succeeded: int
    """Rows of items with an output."""
    failed: int
    """Rows of items that failed."""
    pending: int = 0
    """Rows of items that were not reached: they have not failed."""

    @property
    def rows(self) -> int:
        """Rows in all, one per result."""
        return self.succeeded + self.failed + self.pending


def write(
    path: str | os.PathLike[str],
    results: BatchResult[Any] | Iterable[WorkItemResult[Any]],
    *,
    format: ResultFormat | ResultFormatName | None = None,  # noqa: A002 - the word that users look for
    overwrite: bool = False,
    raw_csv: bool = False,
) -> WrittenFile:
    """Write results to a file, one row each, in the order in which they are given.

        batch = await process_prompts(strategy, files.read("reviews.csv", prompt="Classify: {text}"))
        files.write("labels.parquet", batch.in_input_order())

    The file is complete or not there at all: it is written beside its place and moved there at the end, so that an exception
    leaves what was there before. Blocks until the rows are on the disk: in async code, `anyio.to_thread.run_sync` runs it in a thread.
    Few rows are held in memory at a time.

    Args:
        path: Path of the file; "-" for stdout, with a `format` other than "parquet".
        results: A `BatchResult`, or results from any iterable.
        format: "jsonl" (paceline's own rows), "openai", "gemini" or "anthropic" (output lines of their batch APIs), "csv" or
            "parquet". None: by the file's suffix: .jsonl, .ndjson, .csv, .parquet or .pq.
        overwrite: Whether a file that has content may be replaced.
        raw_csv: Whether texts in CSV that a spreadsheet would take for formulas stay as they are; otherwise an apostrophe is put before them.

    Raises:
        ConfigurationError: An argument is not valid; the message names it and its bound.
        OutputError: The file cannot be written to, or has content and `overwrite` is false.
        MissingExtraError: The format is Parquet, and pyarrow is not installed.
        OSError: The disk did not take the rows.
    """
    name = path_text(path)
    kind = _format_of(name, format)
    count = _Count(_results_of(results) if isinstance(results, BatchResult) else results)
    with atomic_file(name, keep={}, overwrite=overwrite) as descriptor:
        if kind is ResultFormat.PARQUET:
            with os.fdopen(os.dup(descriptor), "wb") as file:
                write_parquet(map(result_row, count), file)
        else:
            output = Output(name, descriptor)
            for chunk in _chunks(count, kind, raw_csv=raw_csv):
                output.write(chunk)
    return WrittenFile(path=name, format=kind, succeeded=count.succeeded, failed=count.failed, pending=count.pending)


def _results_of(batch: BatchResult[Any]) -> Iterable[WorkItemResult[Any]]:
    if len(batch.results) < batch.total_items:
        raise ConfigurationError("results must hold the results of the batch: these were handed over by a stream")
    return batch.results


class _Count:
    """Results, counted as they are iterated over."""

    def __init__(self, results: Iterable[WorkItemResult[Any]]) -> None:
        if not isinstance(results, Iterable):
            raise ConfigurationError(f"results must be a BatchResult or an iterable, not {results!r}")
        self.succeeded = self.failed = self.pending = 0
        self._results = results

    def __iter__(self) -> Iterator[WorkItemResult[Any]]:
        for result in self._results:
            if not is_result(result):
                raise ConfigurationError(f"results must hold WorkItemResult, not {type(result).__name__}")
            self.succeeded += result.success
            self.failed += not (result.success or is_pending(result))
            self.pending += is_pending(result)
            yield result


def _format_of(path: str, value: object) -> ResultFormat:
    if value is None:
        suffix = Path(path).suffix.lower()
        if path == STREAM or suffix not in _BY_SUFFIX:
            raise ConfigurationError(
                f"{path}: its name does not show a format; set format to one of {', '.join(ResultFormat)}"
            )
        return _BY_SUFFIX[suffix]
    OneOf(tuple(ResultFormat)).check("format", value)
    kind = ResultFormat(str(value))
    if kind is ResultFormat.PARQUET and path == STREAM:
        raise ConfigurationError("format must not be parquet for stdout: Parquet needs a file")
    return kind


def _chunks(results: Iterable[WorkItemResult[Any]], kind: ResultFormat, *, raw_csv: bool) -> Iterator[bytes]:
    if kind is ResultFormat.CSV:
        yield from csv_chunks(map(result_row, results), raw=raw_csv)
        return
    row_format = OutputFormat.OWN if kind is ResultFormat.JSONL else OutputFormat(kind.value)
    encode_one: Callable[[WorkItemResult[Any]], bytes] = partial(encode, row_format)
    rows = map(encode_one, results)
    while chunk := b"".join(islice(rows, _ROWS)):
        yield chunk
