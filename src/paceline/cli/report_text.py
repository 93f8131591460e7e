"""Reports: how a run has ended, for people and as JSON, and what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs

from .._codec import fault_group_data, model_use_data
from .._core.fault import TRANSIENT_KINDS, FaultKind, FaultReason
from .._core.fault_groups import FaultGroup
from .._core.quantity import all_of, quantity, verb
from .._core.results import BatchResult
from ..files.types import STREAM
from ..journal.figures import Counts
from ..runs.price_options import how_to_price
from ..runs.run_report import JournalSummary, RunReport
from .advice import advice, cannot_succeed, needs_other_model
from .console import print_json, print_lines, print_message
from .exit_codes import exit_code

_MODEL_MAY_BE_WRONG = {FaultKind.REJECTED, FaultKind.TRANSIENT}
_ADDRESS_MAY_BE_WRONG = {None, FaultReason.NOT_THE_API}
_SYSTEMATIC = (
    "all calls to a model failed alike, so no more were made, and the items that are left are pending; "
    "--keep-going makes all calls in any case"
)


def hints(batch: BatchResult[Any], output: str | None) -> list[str]:
    """Return what to do about a batch's failures, a sentence each; empty if no item failed.

    Args:
        batch: The batch.
        output: Path of the file that has its rows; None: its rows are in no file.
    """
    if batch.systematic:
        return [_SYSTEMATIC, *advice(batch)]
    sentences = advice(batch)
    if sentences and output is not None:
        sentences[-1] += f". The ids to run again: jq -r 'select(.success|not).id' {shlex.quote(output)}"
    return sentences


def resume_command(journal: str) -> str:
    """Return the command that runs what is missing in a journal."""
    return f"paceline resume {shlex.quote(journal)}"


def next_command(journal: str, counts: Counts, messages: Sequence[FaultGroup] = ()) -> str | None:
    """Return the command that runs what is missing in a journal, or what failed; None if that would not help.

    Args:
        journal: Path of the journal.
        counts: Its items.
        messages: Messages of the items that failed, with their numbers.
    """
    if counts.pending or counts.failures.keys() & TRANSIENT_KINDS:
        return resume_command(journal)
    if cannot_succeed(counts.failures, messages):
        return None
    return f"{resume_command(journal)} --retry failed" if counts.failures else None


def print_report(report: RunReport, *, as_json: bool, signal: int | None) -> int:
    """Print how a run has ended and what to do next; return the exit code.

    Args:
        report: The run.
        as_json: Whether one JSON object is printed; it goes to stdout, or is the last line of stderr if stdout has the rows.
        signal: Number of the signal that stopped the run; None: no signal did.
    """
    if not as_json and (report.journal is None or report.batch.total_items):
        print_lines("\n".join([report.batch.summary(), *_output_lines(report)]))
    print_advice(report)
    code = exit_code(report, signal)
    if as_json:
        print_json(report_data(report, code=code, signal=signal), stdout_is_used=report.output == STREAM)
    return code


def _output_lines(report: RunReport) -> Iterator[str]:
    """Yield the lines of the summary about the calls that were repeated, and where the results are."""
    yield f"retries   {report.retries:,}"
    if report.output is not None and report.saved is not None and report.output_error is None:
        rows = report.saved if report.journal is None else report.journal.counts.settled
        yield f"output    {_name(report.output)}: {quantity(rows, 'row')}"


def report_data(report: RunReport, *, code: int, signal: int | None) -> dict[str, Any]:
    """Return how a run has ended as data that JSON can hold; its keys are documented, and stay."""
    batch, error = report.batch, report.error
    fewest, most = batch.workers
    return {
        "items": batch.total_items,
        "succeeded": batch.succeeded,
        "failed": batch.failed,
        "pending": batch.pending,
        "failures": {
            str(kind): count for kind, count in sorted(batch.failures.items()) if kind is not FaultKind.PENDING
        },
        "messages": [fault_group_data(group) for group in batch.messages],
        "faults": [fault_group_data(group) for group in batch.faults],
        "cut_off": batch.cut_off,
        "recalled": batch.recalled,
        "saved": report.saved,
        "bad_lines": report.bad_lines,
        "refusals": batch.refusals,
        "retries": report.retries,
        "workers": {"fewest": fewest, "most": most, "most_in_flight": batch.most_in_flight},
        "usage": attrs.asdict(batch.usage),
        "cost": batch.cost,
        "models": [model_use_data(use, use.cost) for use in batch.models],
        "top_alone": [model_use_data(use, use.cost) for use in batch.top_alone],
        "seconds": round(batch.seconds, 3),
        "stopped": None
        if batch.stopped is None
        else {"kind": str(batch.stopped.kind), "message": batch.stopped.message},
        "signal": signal,
        "error": None if error is None else str(error.__cause__ or error),
        "output": _name(report.output),
        "journal": None if report.journal is None else _journal_data(report.journal),
        "exit_code": code,
    }


def _journal_data(journal: JournalSummary) -> dict[str, Any]:
    counts = journal.counts
    return {
        "path": journal.path,
        "items": counts.total,
        "succeeded": counts.succeeded,
        "failures": dict(sorted(counts.failures.items())),
        "pending": counts.pending,
    }


def print_advice(report: RunReport) -> None:
    """Print what to do next, if there is anything to do."""
    if report.source_error is not None:
        print_message(str(report.source_error.__cause__ or report.source_error))
    elif report.journal_error is not None:
        print_message(str(report.journal_error))
    elif report.output_error is not None:
        _print_output_error(report, report.output_error)
    else:
        for sentence in _hints_of(report):
            print_message(sentence)
    if unpriced := _unpriced(report.batch):
        print_message(f"the cost is unknown, as no price is known of {' and '.join(unpriced)}; {how_to_price()}")
    if report.bad_lines:
        were = verb(report.bad_lines, "is invalid and was", "are invalid and were")
        print_message(
            f"{quantity(report.bad_lines, 'line')} of the input {were} skipped; --strict refuses such an input"
        )
    if report.journal is not None:
        _print_journal(report, report.journal)
        if any(
            group.kind in _MODEL_MAY_BE_WRONG and group.reason in _ADDRESS_MAY_BE_WRONG
            for group in report.batch.systematic
        ):
            command = f"{resume_command(report.journal.path)} --model NAME --allow-changes"
            print_message(f"if the model's name or address is wrong, resume with: {command}")
        elif needs_other_model(report.batch):
            command = f"{resume_command(report.journal.path)} --model NAME --allow-changes"
            print_message(f"to use another model, resume with: {command}")


def _unpriced(batch: BatchResult[Any]) -> list[str]:
    """Return the models whose price is not known, other than simulated ones, which cost nothing."""
    return [
        use.model
        for use in batch.models
        if use.price is None and use.usage.total_tokens and use.model.partition(":")[0] != "sim"
    ]


def _hints_of(report: RunReport) -> list[str]:
    """Return what to do about the items that failed. Of a journal another message says how many are pending."""
    batch = report.batch
    if report.journal is None:
        return hints(batch, _file_of(report))
    is_only_left = not batch.failed and not batch.systematic
    return [] if is_only_left else hints(batch, None)


def _file_of(report: RunReport) -> str | None:
    return None if report.output == STREAM else report.output


def _name(output: str | None) -> str | None:
    return "stdout" if output == STREAM else output


def _print_output_error(report: RunReport, error: OSError) -> None:
    place, reason, total = _name(report.output), error.strerror or str(error), report.batch.total_items
    if report.journal is not None:
        print_message(f"{place}: {reason}; the results are in {report.journal.path}")
    else:
        lost = total - (report.saved or 0)
        print_message(f"{place}: {reason}; {lost:,} of {quantity(total, 'result')} could not be saved")


def _print_journal(report: RunReport, journal: JournalSummary) -> None:
    counts = journal.counts
    if not Path(journal.path).exists():
        print_message(f"{journal.path}: is gone; the run cannot be resumed")
        return
    failed = counts.settled - counts.succeeded
    if counts.pending:
        some = f" ({failed:,} of them failed)" if failed else ""
        done = (
            f"{counts.settled:,} of {quantity(counts.total, 'item')} {verb(counts.settled)} done{some}, "
            f"{counts.pending:,} {verb(counts.pending)} pending"
        )
        stopped = report.batch.stopped
        higher = (
            " a higher --max-cost or --max-total-tokens" if stopped and stopped.reason is FaultReason.BUDGET else ""
        )
        print_message(f"{done}; resume with{higher}: {resume_command(journal.path)}")
    elif failed:
        command = next_command(journal.path, counts, report.batch.messages)
        end = (
            "running the same prompts again cannot help"
            if command is None
            else f"retry {verb(failed, 'it', 'them')} with: {command}"
        )
        done = "failed" if counts.total == 1 else f"are done, {failed:,} of them failed"
        print_message(f"{all_of(counts.total, 'item')} {done}; {end}")
    elif not report.batch.total_items:
        again = ""
        if report.saved and report.output is not None and report.output_error is None:
            again = f"; {_name(report.output)} was written again, with {quantity(report.saved, 'row')}"
        print_message(f"{all_of(counts.total, 'item')} {verb(counts.total, 'was', 'were')} done already{again}")
    if failed:
        see = f"paceline results {shlex.quote(journal.path)} --only failed -o -"
        print_message(f"see what failed with: {see}")
