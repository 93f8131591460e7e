"""The command `status`: how far a batch has come, for people in a few lines, for machines as one object."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import attrs

from ..._codec import fault_group_data, model_use_data, progress_data
from ..._core.budget import usd_text
from ..._core.durations import format_duration
from ..._core.fault import redact
from ..._core.native.job import is_final
from ..._core.quantity import quantity
from ...files.types import STREAM
from ...journal.figures import PaceEntry
from ...journal.native import StoredJob
from ...progress.words import LABEL, WIDTH, cost_text, format_rate, laid_out, limit_text, percent_text
from ...runs.journal_status import JournalStatus, RunSummary
from ...runs.journal_status import status as read_status
from ...runs.options_data import to_data
from ..console import print_json, print_output
from ..exit_codes import OK
from ..options import UsageError
from ..plan_text import render_settings
from ..report_text import next_command
from .watch import watch

_UNBROKEN = frozenset({"journal", "input", "output", "next"})
_RUNS = 5  # the latest runs are shown to people


def status(journal: str, *, as_json: bool, pace: int, follow: bool = False) -> int:
    """Print how far a batch has come; return the exit code.

    Args:
        journal: Path of the journal, or of its output.
        as_json: Whether one JSON object is printed.
        pace: Number of the latest changes of the pace that are shown.
        follow: Whether to show the run that is under way until it ends, before that.

    Raises:
        UsageError: Both `as_json` and `follow`.
        JournalError: The file is not a journal, or cannot be read.
    """
    if follow:
        if as_json:
            raise UsageError("--watch and --json: give one of them; --json prints one moment")
        watch(journal)
    found = read_status(journal, pace=pace)
    if as_json:
        print_json(status_data(found))
    else:
        print_output(render_status(found))
    return OK


def render_status(status: JournalStatus) -> str:
    """Return a batch's state in lines for people."""
    return "\n".join(line for label, text in _lines(status) for line in _laid_out(label, redact(text)))


def _laid_out(label: str, text: str) -> list[str]:
    """Return one fact as lines of 80 columns; a path or a command, which is copied from there, as one line."""
    return [f"{label:{LABEL}}{text}"] if label in _UNBROKEN else laid_out(label, text, WIDTH)


def status_data(status: JournalStatus) -> dict[str, Any]:
    """Return a batch's state as data that JSON can hold; its keys are documented, and stay."""
    counts = status.counts
    return {
        "journal": status.journal,
        "writer": status.writer,
        "items": counts.total,
        "succeeded": counts.succeeded,
        "failures": dict(sorted(counts.failures.items())),
        "messages": [fault_group_data(group) for group in status.messages],
        "pending": counts.pending,
        "calls_per_second": status.calls_per_second,
        "left": status.left,
        "progress": None if status.progress is None else progress_data(status.progress),
        "stopped": status.stopped,
        "faults": [fault_group_data(group) for group in status.faults],
        "bad_lines": None if status.input is None else status.input.bad_count,
        "refusals": counts.refusals,
        "usage": attrs.asdict(status.usage),
        "cost": status.cost,
        "models": [model_use_data(use, cost) for use, cost in status.models],
        "runs": [_run_data(run) for run in status.runs],
        "identities": [*status.identities],
        "input": None if status.input is None else attrs.asdict(status.input),
        "options": None if status.options is None else to_data(status.options),
        "output": None if status.output is None else attrs.asdict(status.output),
        "native_jobs": [_job_data(stored) for stored in status.native_jobs],
        "pace": [attrs.asdict(entry) for entry in status.pace],
        "next": _next(status),
    }


def _next(status: JournalStatus) -> str | None:
    """Return the command that resumes the batch; None if it would do nothing, or cannot start."""
    return next_command(status.journal, status.counts, status.messages) if status.can_resume else None


def _lines(status: JournalStatus) -> Iterator[tuple[str, str]]:
    yield from _items(status)
    if status.options is not None:
        yield "model", ", then ".join(status.options.models)
        if status.options.settings:
            yield "settings", render_settings(status.options)
    yield from _strategies(status)
    yield from _models(status)
    yield from _runs(status)
    if status.output is not None:
        is_table = status.output.digest is not None
        missing = "; it is written when the run ends" if is_table else "; the file is missing"
        missing = "" if os.path.exists(status.output.path) else missing  # noqa: PTH110 - a text
        yield "output", f"{status.output.path}, format {status.output.form}{missing}"
    elif status.options is not None:
        yield "output", status.options.output
    for index, entry in enumerate(status.pace):
        yield ("" if index else "pace"), _entry(entry)
    if (command := _next(status)) is not None:
        yield "next", command
    elif status.writer is None and status.counts.pending:
        yield "next", "start the program that wrote this journal again"


def _items(status: JournalStatus) -> Iterator[tuple[str, str]]:
    writer = "" if status.writer is None else f" (being written by process {status.writer})"
    yield "journal", f"{status.journal}{writer}"
    yield from _input(status)
    counts = status.counts
    failures = sum(counts.failures.values())
    share = f" ({percent_text(counts.settled, counts.total)} done)" if counts.pending else ""
    yield (
        "items",
        f"{counts.total:,}: {counts.succeeded:,} succeeded, {failures:,} failed, {counts.pending:,} pending{share}",
    )
    yield from _speed(status)
    if failures:
        kinds = sorted(counts.failures.items(), key=lambda kind: (-kind[1], kind[0]))
        yield "failed", ", ".join(f"{kind}: {count:,}" for kind, count in kinds)
        shown = [group for group in status.messages if group.message]
        for group in shown:
            yield "", f"  {group}"
        if shown and (rest := failures - sum(group.count for group in shown)) > 0:
            yield "", f"  and {rest:,} more of other messages"
    for index, group in enumerate(status.faults):
        yield ("" if index else "faults"), str(group)
    if status.stopped is not None and counts.pending:
        yield "stopped", status.stopped
    yield "throttled", quantity(counts.refusals, "call")
    yield from _jobs(status)


def _jobs(status: JournalStatus) -> Iterator[tuple[str, str]]:
    """Yield what the jobs of the provider's batch API are doing: those that have ended together, the others one by one."""
    jobs = status.native_jobs
    ended = [stored for stored in jobs if is_final(stored.state)]
    under_way = [_job_text(stored) for stored in jobs if not is_final(stored.state)]
    if ended:
        answered = sum(getattr(stored.state, "answered", 0) for stored in ended)
        rows = sum(stored.rows for stored in ended)
        under_way.insert(
            0, f"{quantity(len(ended), 'batch job')} ended, {answered:,} of {quantity(rows, 'row')} answered"
        )
    for index, text in enumerate(under_way):
        yield ("" if index else "jobs"), text


def _job_text(stored: StoredJob) -> str:
    name, done = getattr(stored.state, "id", None), getattr(stored.state, "done", 0)
    where = f"{name} at the provider" if name else "not known to be at the provider"
    return f"{where}: {done:,} of {quantity(stored.rows, 'row')} answered"


def _job_data(stored: StoredJob) -> dict[str, Any]:
    return {
        "id": getattr(stored.state, "id", None),
        "marker": stored.marker,
        "state": type(stored.state).__name__,
        "rows": stored.rows,
        "answered": getattr(stored.state, "answered", getattr(stored.state, "done", 0)),
    }


def _speed(status: JournalStatus) -> Iterator[tuple[str, str]]:
    """Yield how fast the run under way is, what limits it, and what it costs; of a run that has ended, what the batch has cost."""
    now = status.progress
    if status.calls_per_second is not None:
        left = status.left if now is None or now.left is None else now.left
        rest = "" if left is None else f", about {format_duration(left)} left"
        yield "rate", f"{format_rate(status.calls_per_second, 'calls')}{rest}"
    if now is not None:
        yield "now", f"{format_rate(now.items_rate, 'items')}, {now.in_flight:,} in flight of {now.workers:,}"
        if now.limitation is not None:
            yield "limit", limit_text(now, max_workers="the run's --max-workers")
        if now.cost is not None or now.max_cost is not None:
            yield "cost", cost_text(now)
    elif status.models and status.cost is not None:
        yield "cost", f"{usd_text(status.cost)} in {quantity(len(status.runs), 'run')}"


def _input(status: JournalStatus) -> Iterator[tuple[str, str]]:
    known = status.input
    if known is None:
        return
    bad = f"; {quantity(known.bad_count, 'invalid line')}" if known.bad_count else ""
    name = known.name if status.options is None else status.options.input
    yield "input", f"{'stdin' if name == STREAM else name}: {quantity(known.count, 'prompt')} ({known.kind}){bad}"
    for sentence in known.bad:
        yield "", f"  {sentence}"


def _models(status: JournalStatus) -> Iterator[tuple[str, str]]:
    for index, (use, cost) in enumerate(status.models):
        tokens = use.usage
        price = "cost unknown" if cost is None else f"${cost:,.4g}"
        used = f"{tokens.input_tokens:,} in ({tokens.cached_input_tokens:,} cached), {tokens.output_tokens:,} out"
        calls = f"{quantity(use.calls, 'call')}, {use.accepted:,} accepted"
        yield "" if index else "used", f"{use.model}: {calls}; {price}"
        yield "", f"  tokens {used}"


def _strategies(status: JournalStatus) -> Iterator[tuple[str, str]]:
    for index, identity in enumerate(status.identities):
        rest = [
            f"{name} {_plain(value)}" for name, value in identity.items() if value is not None and name != "strategy"
        ]
        yield ("" if index else "strategy"), ", ".join([_plain(identity.get("strategy", "?")), *rest])


def _runs(status: JournalStatus) -> Iterator[tuple[str, str]]:
    shown = status.runs[-_RUNS:]
    if len(shown) < len(status.runs):
        yield "runs", f"{len(status.runs):,}, the latest of them:"
    for index, run in enumerate(shown):
        label = "runs" if not index and len(shown) == len(status.runs) else ""
        state = {"ended": "took", "running": "running for", "killed": "killed or crashed"}[run.state]
        duration = "" if run.seconds is None else f" {format_duration(run.seconds)}"
        yield label, f"{run.run}: {_local(run.started)}, {state}{duration}"


def _entry(entry: PaceEntry) -> str:
    change = f"{_number(entry.old)} -> {_number(entry.new)}"
    return f"run {entry.run}, {entry.at:,.0f} s: {entry.handle} {change} ({entry.reason}), in the lane {entry.quota}"


def _number(value: float | None) -> str:
    return "no limit" if value is None else f"{value:,.4g}"


def _run_data(run: RunSummary) -> dict[str, Any]:
    return {
        "run": run.run,
        "pid": run.pid,
        "version": run.version,
        "began": _utc(run.started),
        "ended": _utc(run.ended),
        "seconds": run.seconds,
        "state": run.state,
    }


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _local(time: datetime | None) -> str:
    return "at an unknown time" if time is None else f"{time.astimezone():%Y-%m-%d %H:%M:%S}"


def _utc(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat(timespec="milliseconds")
