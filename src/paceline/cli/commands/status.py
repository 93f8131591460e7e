"""How the state of a batch is told: to people in a few lines, to machines as one object.

The command `status`: how far a batch is, by its journal, at any time.

Nothing is written and no lock is taken: it may be asked while the batch runs, and after it was killed.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import attrs

from ..._core.accounting import ModelUse
from ..._core.durations import format_duration
from ..._core.exceptions import ConfigurationError
from ..._core.fault import redact
from ..._core.usage import TokenUsage
from ...journal.reader import Counts, JournalReader, PaceEntry, RunRecord
from ...runs.item_registry import OPTIONS, RegisteredInput, registered_input
from ...runs.journal_output import Written, recorded_output
from ...runs.journal_path import journal_at
from ...runs.options import RunOptions
from ...runs.options_data import from_data, to_data
from ...runs.report import JournalSummary
from ..console import OK, answer, answer_json

_RUNS = 5  # that are told to people: the latest


def render_status(status: Status) -> str:
    """Return a batch's state in lines for people."""
    return "\n".join(f"{label:10}{redact(text)}" for label, text in _lines(status))


def status_data(status: Status) -> dict[str, Any]:
    """Return a batch's state as JSON has it; its keys are documented and stay."""
    counts, noted = status.counts, status.registered_input
    costs = [cost for _, cost in status.models]
    return {
        "journal": status.journal,
        "writer": status.writer,
        "items": counts.total,
        "succeeded": counts.succeeded,
        "failures": dict(sorted(counts.failures.items())),
        "pending": counts.pending,
        "bad_lines": None if noted is None else noted.bad_count,
        "refusals": counts.refusals,
        "usage": attrs.asdict(_usage(status)),
        "cost": None if None in costs else math.fsum(cost for cost in costs if cost is not None),
        "models": [
            {
                "model": use.model,
                "calls": use.calls,
                "accepted": use.accepted,
                "usage": attrs.asdict(use.usage),
                "cost": cost,
            }
            for use, cost in status.models
        ],
        "runs": [_run_data(run, status) for run in status.runs],
        "identities": [*status.identities],
        "input": None if noted is None else attrs.asdict(noted),
        "options": None if status.options is None else to_data(status.options),
        "output": None if status.written is None else attrs.asdict(status.written),
        "pace": [attrs.asdict(entry) for entry in status.pace],
        "next": status.next,
    }


def _lines(status: Status) -> Iterator[tuple[str, str]]:
    writer = "" if status.writer is None else f" (process {status.writer} writes it)"
    yield "journal", f"{status.journal}{writer}"
    yield from _input(status)
    counts = status.counts
    failures = sum(counts.failures.values())
    yield (
        "items",
        f"{counts.total:,}: {counts.succeeded:,} succeeded, {failures:,} failed, {counts.pending:,} pending",
    )
    if failures:
        kinds = sorted(counts.failures.items(), key=lambda kind: (-kind[1], kind[0]))
        yield "failed", ", ".join(f"{kind}: {count:,}" for kind, count in kinds)
    yield "refusals", f"{counts.refusals:,}"
    if status.options is not None:
        yield "model", ", then ".join(status.options.models)
    yield from _strategies(status)
    yield from _models(status)
    yield from _runs(status)
    if status.written is not None:
        gone = "" if os.path.exists(status.written.path) else "; there is no such file now"  # noqa: PTH110 - a text
        yield "output", f"{status.written.path}, in the form {status.written.form}{gone}"
    elif status.options is not None:
        yield "output", status.options.output
    for index, entry in enumerate(status.pace):
        yield ("" if index else "pace"), _entry(entry)
    if status.next is not None:
        yield "next", status.next
    elif status.writer is None and counts.pending:
        yield "next", "run the program that began it again"


def _input(status: Status) -> Iterator[tuple[str, str]]:
    noted = status.registered_input
    if noted is None:
        return
    bad = f"; {noted.bad_count:,} lines cannot be taken" if noted.bad_count else ""
    name = noted.name if status.options is None else status.options.input
    yield "input", f"{'stdin' if name == '-' else name}: {noted.count:,} prompts ({noted.kind}){bad}"
    for sentence in noted.bad:
        yield "", f"  {sentence}"


def _models(status: Status) -> Iterator[tuple[str, str]]:
    for index, (use, cost) in enumerate(status.models):
        tokens = use.usage
        price = "cost not known" if cost is None else f"${cost:,.4g}"
        spent = f"{tokens.input_tokens:,} in ({tokens.cached_input_tokens:,} cached), {tokens.output_tokens:,} out"
        calls = f"{use.calls:,} calls, {use.accepted:,} accepted"
        yield "" if index else "used", f"{use.model}: {calls}; tokens {spent}; {price}"


def _strategies(status: Status) -> Iterator[tuple[str, str]]:
    for index, identity in enumerate(status.identities):
        rest = [
            f"{name} {_plain(value)}" for name, value in identity.items() if value is not None and name != "strategy"
        ]
        yield ("" if index else "strategy"), ", ".join([_plain(identity.get("strategy", "?")), *rest])


def _runs(status: Status) -> Iterator[tuple[str, str]]:
    shown = status.runs[-_RUNS:]
    if len(shown) < len(status.runs):
        yield "runs", f"{len(status.runs):,}, the latest of them:"
    for index, run in enumerate(shown):
        label = "runs" if not index and len(shown) == len(status.runs) else ""
        seconds = _seconds(run, status)
        how = {"ended": "took", "running": "goes on, for"}.get(_state(run, status), "was killed, or has crashed")
        yield label, f"{run.run}: {_at(run.began)}, {how}{'' if seconds is None else f' {format_duration(seconds)}'}"


def _entry(entry: PaceEntry) -> str:
    change = f"{_handle(entry.old)} -> {_handle(entry.new)}"
    return f"run {entry.run}, {entry.at:,.0f} s: {entry.handle} {change} ({entry.reason}), in the lane {entry.quota}"


def _handle(value: float | None) -> str:
    return "no limit" if value is None else f"{value:,.4g}"


def _run_data(run: RunRecord, status: Status) -> dict[str, Any]:
    return {
        "run": run.run,
        "pid": run.pid,
        "version": run.version,
        "began": _utc(run.began),
        "ended": _utc(run.ended),
        "seconds": _seconds(run, status),
        "state": _state(run, status),
    }


def _state(run: RunRecord, status: Status) -> str:
    if run.ended is not None:
        return "ended"
    return "running" if status.writer is not None and run.run == status.runs[-1].run else "killed"


def _seconds(run: RunRecord, status: Status) -> float | None:
    """Return how long a run took, or has taken so far; None: nobody knows."""
    end = status.now if _state(run, status) == "running" else run.ended
    began, ended = _time(run.began), _time(end)
    if began is None or ended is None:
        return None
    return round(max(0.0, (ended - began).total_seconds()), 3)  # a clock may have been set back


def _usage(status: Status) -> TokenUsage:
    return sum((use.usage for use, _ in status.models), TokenUsage())


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _at(seconds: float) -> str:
    """Return a time as the clock on the wall shows it."""
    time = _time(seconds)
    return "at a time that is none" if time is None else f"{time.astimezone():%Y-%m-%d %H:%M:%S}"


def _utc(seconds: float | None) -> str | None:
    time = _time(seconds)
    return None if time is None else time.isoformat(timespec="milliseconds")


def _time(seconds: float | None) -> datetime | None:
    """Return a time of a journal; None: there is none, or what is there is none: anybody may have written it."""
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None


SHOWN_CHANGES = 5
"""Changes of the pace."""


@attrs.frozen(kw_only=True)
class Status:
    """What a journal says of its batch."""

    journal: str
    now: float
    """Seconds since the epoch."""
    writer: int | None
    """The process that writes it."""
    counts: Counts
    registered_input: RegisteredInput | None
    """The input; None: it was begun by a program, not by the command line."""
    options: RunOptions | None
    identities: Sequence[Mapping[str, Any]]
    models: Sequence[tuple[ModelUse, float | None]]
    runs: Sequence[RunRecord]
    written: Written | None
    """The output."""
    pace: Sequence[PaceEntry]
    """The latest changes."""

    @property
    def next(self) -> str | None:
        """The command that goes on; None: there is nothing that it would do, or it is not for the command line."""
        if self.writer is not None or self.options is None:
            return None
        return JournalSummary(path=self.journal, counts=self.counts).next


def status(journal: str, *, as_json: bool, pace: int) -> int:
    """Tell how far a batch is; return the exit code.

    Args:
        journal: its path, or the output's.
        as_json: for machines.
        pace: how many of the latest changes are told.

    Raises:
        JournalError: it is none, or cannot be read.
    """
    with JournalReader(journal_at(journal)) as reader:
        found = status_of(reader, pace=pace, now=time.time())
    if as_json:
        answer_json(status_data(found))
    else:
        answer(render_status(found))
    return OK


def status_of(reader: JournalReader, *, pace: int, now: float) -> Status:
    """Return what a journal says."""
    return Status(
        journal=reader.path,
        now=now,
        writer=reader.writer(),
        counts=reader.counts(),
        registered_input=registered_input(reader),
        options=_options(reader),
        identities=reader.identities(),
        models=reader.models(),
        runs=reader.runs(),
        written=recorded_output(reader),
        pace=reader.pace()[-pace:] if pace else (),
    )


def _options(reader: JournalReader) -> RunOptions | None:
    data = reader.fact(OPTIONS)
    try:
        return from_data(data) if isinstance(data, dict) else None
    except ConfigurationError:
        return None
