"""Exit codes: what the number that the program ends with means, and which one a run has.

| code | |
|---|---|
| 0 | every item succeeded |
| 1 | items failed, or the run ended early and items are pending, or lines of the input were skipped |
| 2 | the command line, the input, the output or the journal is invalid, or the input could not be read to its end |
| 3 | results could not be saved, or output could not be printed |
| 4 | the budget is used up: items are pending, and a resumption with a higher one goes on |
| 128 + N | signal N stopped the run: 130 for SIGINT (Ctrl-C), 143 for SIGTERM, 129 for SIGHUP |
| 141 | the reader of stdout closed it |

The verbs that run no batch use 0, 2, 3, 130, 141 and 143 in the same sense.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from .._core.fault import FaultReason

if TYPE_CHECKING:
    from ..runs.run_report import RunReport

OK: Final = 0
"""Every item succeeded."""
FAILED: Final = 1
"""Items failed, or the run ended early and items are pending, or lines of the input were skipped."""
USAGE: Final = 2
"""The command line, the input, the output or the journal is invalid, or the input could not be read to its end."""
UNSAVED: Final = 3
"""Results could not be saved, or output could not be printed."""
OVER_BUDGET: Final = 4
"""The budget is used up: items are pending, and a resumption with a higher one goes on."""
SIGNALLED: Final = 128
"""Plus the number of the signal that stopped the run: 130 for SIGINT, 143 for SIGTERM, 129 for SIGHUP."""
BROKEN_PIPE: Final = SIGNALLED + 13
"""The reader of stdout closed it; 13 is SIGPIPE."""


def exit_code(report: RunReport, signal: int | None = None) -> int:
    """Return the exit code of a run: what was lost comes first, then what was not read, then what is not done.

    Args:
        report: The run.
        signal: Number of the signal that stopped the run; None: no signal did.
    """
    if report.journal_error is not None:
        return UNSAVED
    if report.output_error is not None:
        return BROKEN_PIPE if report.output_error.errno == errno.EPIPE else UNSAVED
    if report.source_error is not None:
        return USAGE
    if signal is not None:
        return SIGNALLED + signal
    stopped = report.batch.stopped
    if stopped is not None and stopped.reason is FaultReason.BUDGET and report.unfinished:
        return OVER_BUDGET
    return FAILED if report.unfinished or report.bad_lines else OK
