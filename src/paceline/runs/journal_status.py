"""Journal status: `status`, how far a batch has come, at any time.

Nothing is written and no lock is taken: a journal may be read while a run writes it, and after that run was killed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from os import PathLike
from typing import Any, Literal, TypeAlias

import attrs

from .._core.accounting import ModelUse
from .._core.exceptions import ConfigurationError
from .._core.fault_groups import FaultGroup
from .._core.progress import RunProgress
from .._core.usage import TokenUsage
from ..journal.figures import Counts, PaceEntry, RunRecord
from ..journal.native import StoredJob
from ..journal.reader import JournalReader
from .journal_facts import (
    LatestRun,
    RegisteredInput,
    WrittenOutput,
    journal_at,
    recorded_input,
    recorded_latest_run,
    recorded_options,
    recorded_output,
)
from .options import RunOptions

SHOWN_CHANGES = 2
"""Changes of the pace that are reported by default."""

RunState: TypeAlias = Literal["running", "ended", "killed"]


@attrs.frozen(kw_only=True)
class RunSummary:
    """One run on a journal."""

    run: int
    """Number of the run, from 1."""
    pid: int
    """Its process."""
    version: str
    """Version of paceline."""
    started: datetime | None
    """Time of the start; None: the journal has an invalid time."""
    ended: datetime | None
    """Time of the end; None: still running, or killed."""
    state: RunState
    """`killed` includes a crash and a power failure."""
    seconds: float | None
    """Seconds that the run took, or has taken so far; None: unknown."""


@attrs.frozen(kw_only=True)
class JournalStatus:
    """What a journal says about its batch."""

    journal: str
    """Path of the journal."""
    writer: int | None
    """Process that writes the journal now; None: no process does."""
    counts: Counts
    """Its items: in all, succeeded, failed, pending."""
    input: RegisteredInput | None
    """The input; None: the journal was not started by a run from file to file."""
    options: RunOptions | None
    """Options of the latest run; None: not stored, or stored by a later version."""
    identities: Sequence[Mapping[str, Any]]
    """Identities of the strategies that answer the items."""
    models: Sequence[tuple[ModelUse, float | None]]
    """What each model was used for over all runs, with its cost in USD; None: unknown."""
    runs: Sequence[RunSummary]
    """The runs, the oldest first."""
    output: WrittenOutput | None
    """The output; None: not recorded."""
    pace: Sequence[PaceEntry]
    """The latest changes of the pace."""
    messages: Sequence[FaultGroup] = ()
    """The most frequent messages of items that failed, over all runs."""
    faults: Sequence[FaultGroup] = ()
    """The most frequent faults of the calls of the latest run, those of repeated calls included; once it has ended, those of them that
    neither `messages` nor `stopped` names, if an item failed or is pending."""
    calls_per_second: float | None = None
    """Calls of settled items per second, over the run that is under way; None: no run is, or its time is unknown."""
    left: float | None = None
    """Seconds until the items are done, at the mean rate of the run that is under way; None: unknown."""
    progress: RunProgress | None = None
    """The figures that the run under way has stored last, once a second; None: no run is, or it has stored none yet."""
    stopped: str | None = None
    """Why the latest run ended early; None: it did not."""

    native_jobs: Sequence[StoredJob] = ()
    """Jobs of the provider's batch API, in the order in which they were intended."""

    @property
    def usage(self) -> TokenUsage:
        """Tokens of all models."""
        return sum((use.usage for use, _ in self.models), TokenUsage())

    @property
    def cost(self) -> float | None:
        """USD of all models; None if one of them is unknown."""
        costs = [cost for _, cost in self.models]
        return None if None in costs else math.fsum(cost for cost in costs if cost is not None)

    @property
    def can_resume(self) -> bool:
        """Whether `resume` can start: options are stored, and no process writes the journal."""
        return self.writer is None and self.options is not None


def status(journal: str | PathLike[str], *, pace: int = SHOWN_CHANGES) -> JournalStatus:
    """Return how far a batch has come.

    Args:
        journal: Path of the journal, or of the output that it belongs to.
        pace: Number of the latest changes of the pace to return, 0 or more.

    Raises:
        JournalError: The file is not a journal, or cannot be read.
    """
    with JournalReader(journal_at(journal)) as reader:
        writer, runs = runs_of(reader)
        latest = latest_run_of(reader, runs)
        counts = reader.counts()
        calls_per_second, left = _rates(reader, runs, counts)
        stored = reader.progress()
        is_running = bool(runs) and runs[-1].state == "running"
        return JournalStatus(
            journal=reader.path,
            writer=writer,
            counts=counts,
            input=recorded_input(reader),
            options=options_of(reader),
            identities=reader.identities(),
            models=reader.models(),
            runs=runs,
            calls_per_second=calls_per_second,
            left=left,
            progress=stored[1] if stored is not None and is_running and stored[0] == runs[-1].run else None,
            output=recorded_output(reader),
            pace=reader.pace()[-pace:] if pace else (),
            messages=reader.messages(),
            faults=() if latest is None else latest.faults,
            stopped=None if latest is None else latest.stopped,
            native_jobs=reader.native_jobs(),
        )


def runs_of(reader: JournalReader) -> tuple[int | None, list[RunSummary]]:
    """Return the process that writes an open journal, and the runs, the oldest first."""
    writer, now = reader.writer(), time.time()
    records = reader.runs()
    return writer, [_summary(record, is_last=record is records[-1], writer=writer, now=now) for record in records]


def latest_run_of(reader: JournalReader, runs: Sequence[RunSummary]) -> LatestRun | None:
    """Return what is recorded of the latest run; None if nothing is, or only of an earlier one."""
    latest = recorded_latest_run(reader)
    return latest if latest is not None and runs and latest.run == runs[-1].run else None


def options_of(reader: JournalReader) -> RunOptions | None:
    """Return the options of the latest run; None if they are not stored, or were stored by a later version."""
    try:
        return recorded_options(reader)
    except ConfigurationError:
        return None


def _rates(reader: JournalReader, runs: Sequence[RunSummary], counts: Counts) -> tuple[float | None, float | None]:
    """Return the calls per second of the run under way, and the seconds left; None: unknown."""
    if not runs or runs[-1].state != "running" or not runs[-1].seconds:
        return None, None
    seconds = runs[-1].seconds
    settled, calls = reader.progress_of(runs[-1].run)
    return calls / seconds, counts.pending * seconds / settled if settled else None


def _summary(record: RunRecord, *, is_last: bool, writer: int | None, now: float) -> RunSummary:
    is_running = record.ended is None and is_last and writer is not None
    started, ended = time_of(record.began), time_of(record.ended)
    until = time_of(now) if is_running else ended
    seconds = None
    if started is not None and until is not None:
        seconds = round(max(0.0, (until - started).total_seconds()), 3)  # a clock may have been set back
    return RunSummary(
        run=record.run,
        pid=record.pid,
        version=record.version,
        started=started,
        ended=ended,
        state="ended" if record.ended is not None else "running" if is_running else "killed",
        seconds=seconds,
    )


def time_of(seconds: float | None) -> datetime | None:
    """Parse a time of a journal, seconds since the epoch; None if it is absent or invalid."""
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None
