"""What is told of a batch that has ended, and the exit code that it comes to."""

from __future__ import annotations

import errno
from pathlib import Path

from ..answering import answer_json
from ..asking.options import STREAM, RunOptions
from ..codes import FAILED, OK, SIGNALLED, UNSAVED, UNWANTED, USAGE
from ..telling import print_lines, tell
from .ended import Ended, Kept
from .hints import hint
from .summary import summary_of


def report(ended: Ended, options: RunOptions) -> int:
    """Tell how a run has ended, for people or for machines, and what to do next; return the exit code."""
    file = None if options.output == STREAM else options.output
    if not options.json and (ended.kept is None or ended.ending.batch.total_items):
        print_lines(ended.ending.batch.summary())
    code = conclude(ended, output=file)
    if options.json:
        answer_json(summary_of(ended, options, code=code), stdout_is_used=file is None)
    return code


def conclude(ended: Ended, *, output: str | None) -> int:
    """Tell what to do next, if there is anything; return the exit code.

    Args:
        ended: the run.
        output: the file that has its rows; None: no file has.
    """
    ending = ended.ending
    if ending.source_error is not None:
        tell(str(ending.source_error.__cause__ or ending.source_error))
    elif ending.unsaved is not None:
        tell(str(ending.unsaved))
    elif ending.failure is not None:
        _tell_failure(ended, ending.failure, output)
    elif (advice := hint(ending.batch, output if ended.kept is None else None)) is not None:
        tell(advice)
    if ended.bad_count:
        tell(f"{ended.bad_count:,} lines of the input could not be taken; --strict stops at the first")
    if ended.kept is not None:
        _tell_kept(ended.kept, anew=ended.ending.batch.total_items)
    return _code(ended)


def _tell_failure(ended: Ended, failure: OSError, output: str | None) -> None:
    batch = ended.ending.batch
    reason = failure.strerror or str(failure)
    if ended.kept is not None:
        tell(f"{output or 'stdout'}: {reason}; the results are in {ended.kept.path}")
    else:
        lost = batch.total_items - (ended.saved or 0)
        tell(f"{output or 'stdout'}: {reason}; {lost:,} of {batch.total_items:,} results could not be saved")


def _tell_kept(kept: Kept, *, anew: int) -> None:
    counts = kept.counts
    if not Path(kept.path).exists():
        tell(f"{kept.path}: is gone; what the output has cannot be gone on with")
        return
    failed = counts.settled - counts.succeeded
    if counts.pending:
        done = f"{counts.settled:,} of {counts.total:,} items are done, {counts.pending:,} are missing"
        tell(f"{done}; go on with: {kept.how_to_go_on}")
    elif failed:
        again = f"try these again with: {kept.next}"
        tell(f"all {counts.total:,} items are done, {failed:,} of them failed; {again}")
    elif not anew:
        tell(f"all {counts.total:,} items were done already")


def _code(ended: Ended) -> int:
    ending, kept = ended.ending, ended.kept
    if ending.unsaved is not None:
        return UNSAVED
    if ending.failure is not None:
        return UNWANTED if ending.failure.errno == errno.EPIPE else UNSAVED
    if ending.source_error is not None:
        return USAGE
    if ending.signal is not None:
        return SIGNALLED + ending.signal
    failed = ending.batch.failed if kept is None else kept.counts.total - kept.counts.succeeded
    return FAILED if failed or ended.bad_count else OK
