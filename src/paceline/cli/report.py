"""What is told of a batch that has ended, and the exit code that it comes to."""

from __future__ import annotations

import errno

from .codes import FAILED, OK, SIGNALLED, UNSAVED, UNWANTED, USAGE
from .conduct import Ending
from .hints import hint
from .telling import print_lines, tell


def report(ending: Ending, *, output: str | None, saved: int | None = None) -> int:
    """Tell how a batch ended, and what to do next; return the exit code.

    Args:
        ending: of the batch.
        output: the file that has its rows; None: no file has.
        saved: the rows that were saved, where they were to be.
    """
    print_lines(ending.batch.summary())
    return conclude(ending, output=output, saved=saved)


def conclude(ending: Ending, *, output: str | None, saved: int | None = None) -> int:
    """Tell what to do next, if there is anything; return the exit code.

    Args:
        ending: of the batch.
        output: the file that has its rows; None: no file has.
        saved: the rows that were saved, where they were to be.
    """
    batch = ending.batch
    advice = hint(batch, output)
    if ending.source_error is not None:
        tell(str(ending.source_error.__cause__ or ending.source_error))
    elif ending.failure is not None:
        reason = ending.failure.strerror or str(ending.failure)
        lost = batch.total_items - (saved or 0)
        tell(f"{output or 'stdout'}: {reason}; {lost:,} of {batch.total_items:,} results could not be saved")
    elif advice is not None:
        tell(advice)
    return _code(ending)


def _code(ending: Ending) -> int:
    if ending.failure is not None:
        return UNWANTED if ending.failure.errno == errno.EPIPE else UNSAVED
    if ending.source_error is not None:
        return USAGE
    if ending.signal is not None:
        return SIGNALLED + ending.signal
    return FAILED if ending.batch.failed else OK
