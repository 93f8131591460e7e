"""The command `merge`: the results of all shards of an input as one file."""

from __future__ import annotations

from collections.abc import Sequence

from ..._core.quantity import quantity, verb
from ...files.types import STREAM
from ...runs.export_options import ExportOptions
from ...runs.merged import MergeReport
from ...runs.merged import merge as merge_shards
from ..console import print_message, sigterm_raises_exit
from ..exit_codes import FAILED, OK, UNSAVED
from ..options import MergeArguments, record_of
from ..report_text import resume_command

_SHOWN = 10  # missing shards that are named


def merge(journals: Sequence[str], arguments: MergeArguments) -> int:
    """Write the results of shards to one file; return the exit code.

    Raises:
        ConfigurationError: The journals do not belong together, or the output cannot be used.
        JournalError: A journal cannot be read.
    """
    options = record_of(ExportOptions, arguments)
    try:
        with sigterm_raises_exit():
            report = merge_shards(journals, options)
    except BrokenPipeError:
        raise
    except OSError as error:
        print_message(f"{options.output}: {error.strerror or error}; the results are in the journals")
        return UNSAVED
    place = "stdout" if report.output == STREAM else report.output
    print_message(f"{place}: {quantity(report.rows, 'row')} of {quantity(len(report.journals), 'shard')}")
    _print_missing(report)
    return OK if report.is_complete else FAILED


def _print_missing(report: MergeReport) -> None:
    if report.missing:
        count = len(report.missing)
        shown = ", ".join(report.missing[:_SHOWN]) + (", ..." if count > _SHOWN else "")
        print_message(
            f"{quantity(count, 'shard')} {verb(count)} missing: {shown}; run each with --shard, or name its journal"
        )
    for one in report.unfinished:
        rows = f"{quantity(one.pending, 'row')} of shard {one.shard} {verb(one.pending, 'has', 'have')} no result"
        print_message(f"{rows}, the first is {one.ids[0]!r}; resume with: {resume_command(one.journal)}")
