"""The command `report`: a page on a batch, and the same figures for machines."""

from __future__ import annotations

from typing import Any

import attrs

from ..._core.quantity import quantity
from ...files.types import STREAM
from ...report.figures import JournalReport
from ...runs.export_options import ReportOptions
from ...runs.journal_report import report as read_report
from ...runs.journal_report import write_report
from ..console import print_json, print_message, sigterm_raises_exit
from ..exit_codes import OK, UNSAVED
from ..options import ReportArguments, UsageError, record_of


def report(journal: str, arguments: ReportArguments) -> int:
    """Write a page on a batch, or print its figures; return the exit code.

    Raises:
        ConfigurationError: The output cannot be used.
        JournalError: The journal cannot be read.
    """
    if arguments.output is None:
        if not arguments.json:
            raise UsageError("-o FILE is required, or --json for the figures alone")
        print_json(report_data(read_report(journal, with_text=arguments.with_text)))
        return OK
    options = record_of(ReportOptions, arguments)
    if arguments.json and options.output == STREAM:
        raise UsageError("--json and -o -: one of them can go to stdout; name a file for the page")
    try:
        with sigterm_raises_exit():
            found = write_report(journal, options)
    except BrokenPipeError:
        raise
    except OSError as error:
        print_message(f"{options.output}: {error.strerror or error}")
        return UNSAVED
    if arguments.json:
        print_json(report_data(found))
    else:
        place = "stdout" if options.output == STREAM else options.output
        print_message(f"{place}: report on {quantity(found.counts.total, 'item')}")
    return OK


def report_data(report: JournalReport) -> dict[str, Any]:
    """Return the figures of a report as data that JSON can hold; its keys are documented, and stay."""
    data: dict[str, Any] = attrs.asdict(report, value_serializer=_plain)
    counts = report.counts
    return {**data, "counts": {**data["counts"], "pending": counts.pending}, "seconds": report.seconds}


def _plain(_record: object, _field: object, value: Any) -> Any:
    return value.isoformat(timespec="milliseconds") if hasattr(value, "isoformat") else value
