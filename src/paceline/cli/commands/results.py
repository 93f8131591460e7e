"""The command `results`: the results of a journal as a file, also while a run writes the journal."""

from __future__ import annotations

from ..._core.quantity import quantity
from ...files.types import STREAM
from ...runs.export_options import ExportOptions
from ...runs.journal_export import export
from ...runs.journal_facts import journal_at
from ..console import print_message, sigterm_raises_exit
from ..exit_codes import OK, UNSAVED
from ..options import ResultsArguments, record_of


def results(journal: str, arguments: ResultsArguments) -> int:
    """Write the results of a journal to a file; return the exit code.

    Raises:
        ConfigurationError: The output cannot be used.
        JournalError: The journal cannot be read.
    """
    options = record_of(ExportOptions, arguments)
    try:
        with sigterm_raises_exit():
            report = export(journal, options)
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = error.strerror or error
        print_message(f"{options.output}: {reason}; the results are in {journal_at(journal)}")
        return UNSAVED
    place = "stdout" if report.output == STREAM else report.output
    print_message(f"{place}: {quantity(report.rows, 'row')}")
    return OK
