"""The command `failed`: the prompts of failed items as a new input."""

from __future__ import annotations

from ..._core.quantity import quantity, verb
from ...files import InputKind
from ...files.types import STREAM
from ...runs.export_options import FailedOptions
from ...runs.failed_prompts import FailedReport
from ...runs.failed_prompts import failed as write_failed
from ...runs.option_values import FAILED
from ..console import print_message, sigterm_raises_exit
from ..exit_codes import OK, UNSAVED
from ..options import FailedArguments, record_of

_SUFFIXES = {InputKind.CSV: {".csv", ".tsv"}, InputKind.TEXT: {".txt", ".text"}}


def failed(journal: str, arguments: FailedArguments) -> int:
    """Write the prompts of failed items; return the exit code.

    Raises:
        ConfigurationError: The input is missing or has changed, or the output cannot be used.
        JournalError: The journal cannot be read.
    """
    options = record_of(FailedOptions, arguments)
    try:
        with sigterm_raises_exit():
            report = write_failed(journal, options)
    except BrokenPipeError:
        raise
    except OSError as error:
        print_message(f"{options.output}: {error.strerror or error}")
        return UNSAVED
    print_message(_sentence(report) if report.prompts else _empty_sentence(report, options))
    return OK


def _empty_sentence(report: FailedReport, options: FailedOptions) -> str:
    items = "no item failed" if options.kinds == FAILED else "no item failed with one of these kinds"
    items += " or is pending" if options.pending else ""
    return f"{items}; {report.output} is empty" if report.is_written else f"{items}; nothing was written"


def _sentence(report: FailedReport) -> str:
    place = "stdout" if report.output == STREAM else report.output
    sentence = f"{report.prompts:,} of {quantity(report.total, 'prompt')} {verb(report.prompts)} in {place}"
    suffixes = _SUFFIXES.get(report.input_format)
    if suffixes is not None and not any(report.output.endswith(suffix) for suffix in suffixes):
        sentence += f"; run them with --input-format {report.input_format}"
    if report.is_converted:
        sentence += "; run them without --encoding, as they are in UTF-8 now"
    if not report.has_ids:
        sentence += "; their ids are the numbers of their lines, and differ in the new file"
    return sentence
