"""What to do next, where items failed: one sentence.

What is told of a batch that has ended, and the exit code that it comes to.
"""

from __future__ import annotations

import errno
import shlex
from pathlib import Path
from types import MappingProxyType
from typing import Any

from .._core.durations import format_duration
from .._core.fault import FaultKind, reopens_in
from .._core.results import BatchResult
from ..files.types import STREAM
from ..runs.options import RunOptions
from ..runs.report import JournalSummary, RunReport, summary_of
from .console import FAILED, OK, SIGNALLED, UNSAVED, UNWANTED, USAGE, answer_json, print_lines, print_message

_HINTS = MappingProxyType(  # the first that applies is given: what explains the others goes first
    {
        FaultKind.DENIED: "the provider did not accept the key: check it, and what it may be used for",
        FaultKind.EXHAUSTED: "a quota is spent: wait until it is renewed, or raise it",
        FaultKind.BUG: "a strategy raised what it should not: --verbose shows the traceback",
        FaultKind.REJECTED: "the provider takes the request itself for wrong: see the messages in the rows",
        FaultKind.TIMEOUT: "calls took too long: raise --timeout, or ask for shorter answers",
        FaultKind.THROTTLED: "the provider served nothing for a long time: try again later",
        FaultKind.OVERLOADED: "the provider has no capacity: try again later",
        FaultKind.TRANSIENT: "calls failed again and again: see the messages in the rows, and try again later",
        FaultKind.TRUNCATED: "answers hit the limit of output tokens: ask for shorter ones",
        FaultKind.REFUSED: "the model declined to answer: see the messages in the rows",
        FaultKind.INVALID: "answers did not have the form that was asked for: see the messages in the rows",
        FaultKind.CANCELLED: "calls were cancelled from within: --verbose shows more",
        FaultKind.SKIPPED: "items were skipped on purpose: see the messages in the rows",
        FaultKind.PENDING: "the batch ended before it reached them all",
    }
)


def _when_spent(batch: BatchResult[Any]) -> str | None:
    """Return what to do about a quota of which it is known when it is renewed."""
    reopens = None if batch.stopped is None else reopens_in(batch.stopped)
    return (
        None if reopens is None else f"a quota is spent: run the rest in {format_duration(reopens)}, or raise the quota"
    )


def hint(batch: BatchResult[Any], output: str | None) -> str | None:
    """Return what to do about a batch's failures; None if nothing failed.

    Args:
        batch: that has ended.
        output: the file that has its rows; None: no file has.
    """
    for kind, advice in _HINTS.items():
        if batch.failures.get(kind):
            sentence = _when_spent(batch) or advice if kind is FaultKind.EXHAUSTED else advice
            if output is None:
                return sentence
            return f"{sentence}. The ids to run again: jq -r 'select(.success|not).id' {shlex.quote(output)}"
    return None


def report(ended: RunReport, options: RunOptions, *, as_json: bool) -> int:
    """Tell how a run has ended, for people or for machines, and what to do next; return the exit code."""
    file = None if options.output == STREAM else options.output
    if not as_json and (ended.kept is None or ended.ending.batch.total_items):
        print_lines(ended.ending.batch.summary())
    code = conclude(ended, output=file)
    if as_json:
        answer_json(summary_of(ended, options, code=code), stdout_is_used=file is None)
    return code


def conclude(ended: RunReport, *, output: str | None) -> int:
    """Tell what to do next, if there is anything; return the exit code.

    Args:
        ended: the run.
        output: the file that has its rows; None: no file has.
    """
    ending = ended.ending
    if ending.source_error is not None:
        print_message(str(ending.source_error.__cause__ or ending.source_error))
    elif ending.unsaved is not None:
        print_message(str(ending.unsaved))
    elif ending.failure is not None:
        _tell_failure(ended, ending.failure, output)
    elif (advice := hint(ending.batch, output if ended.kept is None else None)) is not None:
        print_message(advice)
    if ended.bad_count:
        print_message(f"{ended.bad_count:,} lines of the input could not be taken; --strict stops at the first")
    if ended.kept is not None:
        _tell_kept(ended.kept, anew=ended.ending.batch.total_items)
    return _code(ended)


def _tell_failure(ended: RunReport, failure: OSError, output: str | None) -> None:
    batch = ended.ending.batch
    reason = failure.strerror or str(failure)
    if ended.kept is not None:
        print_message(f"{output or 'stdout'}: {reason}; the results are in {ended.kept.path}")
    else:
        lost = batch.total_items - (ended.saved or 0)
        print_message(f"{output or 'stdout'}: {reason}; {lost:,} of {batch.total_items:,} results could not be saved")


def _tell_kept(kept: JournalSummary, *, anew: int) -> None:
    counts = kept.counts
    if not Path(kept.path).exists():
        print_message(f"{kept.path}: is gone; what the output has cannot be gone on with")
        return
    failed = counts.settled - counts.succeeded
    if counts.pending:
        done = f"{counts.settled:,} of {counts.total:,} items are done, {counts.pending:,} are missing"
        print_message(f"{done}; go on with: {kept.how_to_go_on}")
    elif failed:
        again = f"try these again with: {kept.next}"
        print_message(f"all {counts.total:,} items are done, {failed:,} of them failed; {again}")
    elif not anew:
        print_message(f"all {counts.total:,} items were done already")


def _code(ended: RunReport) -> int:
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
