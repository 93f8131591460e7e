"""Export options: the frozen records of what an export, an extract of failed prompts and a report are given.

The rules are those of `options`.
"""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import attrs

from .._core.exceptions import ConfigurationError
from .._core.fault import FaultKind
from ..files.output_formats import OutputFormat
from ..files.types import STREAM
from .option_values import (
    FAILED,
    PATH,
    OptionError,
    one_of,
    to_kinds,
    to_output_format,
    to_path,
)


class ExportFormat(enum.StrEnum):
    """Format of an exported file."""

    JSONL = "jsonl"
    """One row per line, in an `OutputFormat`."""
    CSV = "csv"
    """A table with a header."""
    PARQUET = "parquet"
    """A table; needs pyarrow."""


_BY_SUFFIX = {".csv": ExportFormat.CSV, ".parquet": ExportFormat.PARQUET, ".pq": ExportFormat.PARQUET}


def _export_format(value: str) -> ExportFormat:
    return ExportFormat(one_of(ExportFormat, value, "as"))


def _default_export_format(options: ExportOptions) -> ExportFormat:
    return _BY_SUFFIX.get(Path(options.output).suffix.lower(), ExportFormat.JSONL)


Selection: TypeAlias = Literal["succeeded", "failed", "all"]


def _selection(value: Selection) -> Selection:
    return one_of(get_args(Selection), value, "only")


@attrs.frozen(kw_only=True)
class ExportOptions:
    """What `export` writes.

    Raises:
        ConfigurationError: A value is not one of those listed, or two options contradict each other.
    """

    output: str = attrs.field(converter=to_path, metadata={PATH: True})
    """Path of the file; `-` is stdout. Required."""
    file_format: ExportFormat = attrs.field(
        default=attrs.Factory(_default_export_format, takes_self=True), converter=_export_format
    )
    """Format of the file. Default: by the suffix of `output` (.csv, .parquet, .pq), otherwise JSONL."""
    output_format: OutputFormat = attrs.field(default=OutputFormat.OWN, converter=to_output_format)
    """Format of the rows of JSONL. Default: `own`."""
    in_order: bool = False
    """Whether rows are in the order of the input; otherwise in that of their commits. Default: False."""
    only: Selection = attrs.field(default="all", converter=_selection)
    """Items that are written: `succeeded`, `failed` or `all` with a result. Default: `all`."""
    raw_csv: bool = False
    """Whether texts in CSV that a spreadsheet would take for formulas stay as they are; otherwise an apostrophe is put before them. Default: False."""
    overwrite: bool = False
    """Whether an output with content is replaced; otherwise it is refused. Default: False."""

    def __attrs_post_init__(self) -> None:
        if self.output_format.is_table:
            raise OptionError("output_format", f"is the format of lines; for a table use --as {self.output_format}")
        if self.file_format is not ExportFormat.JSONL and self.output_format is not OutputFormat.OWN:
            raise OptionError("output_format", f"applies to jsonl only; {self.file_format} has columns of its own")
        if self.file_format is ExportFormat.PARQUET and self.output == STREAM:
            raise ConfigurationError("--as parquet: needs a file, not stdout")

    @property
    def has_rows_of_runs(self) -> bool:
        """Whether the rows are those that runs write, except for their format."""
        return self.file_format is ExportFormat.JSONL and self.only == "all" and not self.in_order


def _all_kinds() -> frozenset[FaultKind]:
    return FAILED


@attrs.frozen(kw_only=True)
class FailedOptions:
    """What `failed` writes.

    Raises:
        ConfigurationError: A value is out of its bounds.
    """

    output: str = attrs.field(converter=to_path, metadata={PATH: True})
    """Path of the file; `-` is stdout. Required."""
    kinds: frozenset[FaultKind] = attrs.field(factory=_all_kinds, converter=to_kinds)
    """Kinds of faults whose items are written; a string is read as by `--kinds`. Default: all kinds."""
    pending: bool = False
    """Whether items without a result are written too. Default: False."""
    input: str | None = attrs.field(default=None, converter=attrs.converters.optional(to_path), metadata={PATH: True})
    """Path of the input, if it was moved. Default: None, as the journal has it."""
    overwrite: bool = False
    """Whether an output with content is replaced; otherwise it is refused. Default: False."""


@attrs.frozen(kw_only=True)
class ReportOptions:
    """What `write_report` writes."""

    output: str = attrs.field(converter=to_path, metadata={PATH: True})
    """Path of the page; `-` is stdout. Required."""
    with_text: bool = False
    """Whether the beginnings of outputs, and of answers that were not accepted, are in the page. Default: False."""
    overwrite: bool = False
    """Whether a file with content is replaced; otherwise it is refused. Default: False."""
