"""Journal report: `report`, what a journal says about its batch as figures, and `write_report`, the same as a page.

Nothing is written to the journal and no lock is taken: a report can be made while a run writes it, and after that run was killed.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import Any

from .._core.pace.history import WORKERS
from .._core.quantity import quantity
from .._core.usage import TokenUsage
from ..files.output import Output, atomic_file, check_output
from ..journal.aggregates import JournalAggregates, ModelTotals
from ..journal.figures import PaceEntry
from ..report import collect, limits
from ..report.figures import MOST_DECISIONS, MOST_LANES, MOST_MODELS, JournalReport, Latency, ModelFigures, RunSpan
from ..report.latencies import latencies
from ..report.page import render
from ..report.story import is_decision
from .export_options import ReportOptions
from .journal_facts import journal_at, recorded_input, recorded_output
from .journal_status import RunSummary, latest_run_of, options_of, runs_of, time_of
from .options import RunOptions
from .options_data import path_fields, to_data

__all__ = ["JournalReport", "PaceReader", "pace_of", "report", "write_report"]

_ITEMS = 15  # the slowest and the dearest
_STRATEGIES = 20  # that are listed among the settings
_CHARACTERS = 600  # of an output or an answer that is shown
_LONGEST = 600  # characters of a setting, and of why a run ended early
_CHANGES = 10_000  # of the limit on calls in flight, each for another reason than the one before: the latest ones
_NOT_SHOWN = {"input", "output", "model", "escalate", "journal"}


def report(journal: str | PathLike[str], *, with_text: bool = False) -> JournalReport:
    """Return what a journal says about its batch. Blocks, for some 10 seconds with a million items.

    Args:
        journal: Path of the journal, or of the output that it belongs to.
        with_text: Whether the beginnings of outputs, and of answers that were not accepted, are included. A journal has no prompts.

    Raises:
        JournalError: The file is not a journal, or is damaged; the message says where.
    """
    characters = _CHARACTERS if with_text else 0
    with JournalAggregates(journal_at(journal)) as reader, reader.one_moment():
        reader.check()
        writer, runs = runs_of(reader)
        spans = collect.complete_spans(reader, [_span(run) for run in runs])
        totals, other_calls = reader.model_totals(MOST_MODELS)
        identities, options, latest = reader.identities(), options_of(reader), latest_run_of(reader, runs)
        ladder = _ladder(identities)
        latency, by_model = latencies(reader, [one.model for one in totals])
        lanes = reader.lanes(MOST_LANES)
        timeline = collect.Timeline(reader, spans, lanes)
        moments = timeline.moments()
        tape = _Tape(reader)
        lane_figures = timeline.lanes(lanes, tape)
        recorded = limits.Recorded(reader.limit_entries(), spans, moments)
        derived = limits.derive(
            moments, lane_figures, tape.workers, most_workers=None if options is None else options.max_workers
        )
        derived = tuple(span for span in derived if span.run not in recorded.runs)
        models = tuple(sorted((_model(one, ladder, by_model) for one in totals), key=_rank))
        is_priced = bool(totals) and not other_calls and all(one.priced == one.calls for one in totals)
        return JournalReport(
            journal=reader.path,
            made=datetime.now(UTC),
            writer=writer,
            counts=reader.counts(),
            stopped=None if latest is None or latest.stopped is None else latest.stopped[:_LONGEST],
            settings=_settings(reader, options, identities, with_text=with_text),
            runs=spans,
            run_count=len(runs),
            usage=sum((one.usage for one in totals), TokenUsage()),
            cost=sum(one.cost for one in totals) if is_priced else None,
            models=models,
            other_calls=other_calls,
            top_alone=collect.top_alone(reader, totals, ladder),
            latency=latency,
            moments=moments,
            lanes=lane_figures,
            limits=limits.shares(recorded.seconds, derived, sum(span.seconds for span in spans)),
            limit_spans=tuple(limits.with_values((*recorded.spans(), *derived), moments, lane_figures)),
            pace=tuple(tape.decisions),
            pace_count=tape.count,
            failures=collect.failures(reader, characters=characters),
            slowest=tuple(reader.slowest(_ITEMS, characters)),
            dearest=tuple(reader.dearest(_ITEMS, characters)),
        )


def write_report(journal: str | PathLike[str], options: ReportOptions) -> JournalReport:
    """Write a report as one page of HTML; return its figures. Blocks; the file is complete or not there at all.

    Args:
        journal: Path of the journal, or of the output that it belongs to.
        options: What is written, and where.

    Raises:
        ConfigurationError: The output cannot be used: it has content, or is a file of the journal's.
        JournalError: The journal cannot be read.
        OSError: The output could not be written; BrokenPipeError: its reader has closed it.
    """
    path = journal_at(journal)
    keep = {"the journal": path, "the journal's log": f"{path}-wal", "the journal's index": f"{path}-shm"}
    check_output(options.output, keep=keep, overwrite=options.overwrite)  # before the work of a large journal
    found = report(path, with_text=options.with_text)
    page = render(found).encode("utf-8", "backslashreplace")
    with atomic_file(options.output, overwrite=options.overwrite, keep=keep) as descriptor:
        Output(options.output, descriptor).write(page)
    return found


class PaceReader:
    """The changes of the pace of a journal that is open.

    Args:
        reader: The journal.
    """

    def __init__(self, reader: JournalAggregates) -> None:
        self._reader = reader
        self._started = {run.run: time_of(run.began) for run in reader.runs()}

    def entries(self, *, by_lane: bool) -> Iterator[PaceEntry]:
        """Yield the changes over all runs, the oldest first; `by_lane`: those of one lane before those of the next."""
        return self._reader.pace_entries(by_lane=by_lane)

    def started(self, run: int) -> datetime | None:
        """Return when a run started; None if the journal has no valid time."""
        return self._started.get(run)


@contextmanager
def pace_of(journal: str | PathLike[str]) -> Iterator[PaceReader]:
    """Open a journal for its changes of the pace.

    Args:
        journal: Path of the journal, or of the output that it belongs to.

    Raises:
        JournalError: The file is not a journal, or is damaged.
    """
    with JournalAggregates(journal_at(journal)) as reader, reader.one_moment():
        yield PaceReader(reader)


class _Tape:
    """The changes of the pace, read once; what is kept of them does not grow with their number."""

    def __init__(self, reader: JournalAggregates) -> None:
        self._reader = reader
        self._reasons: dict[tuple[int, str], str] = {}
        self.decisions: deque[PaceEntry] = deque(maxlen=MOST_DECISIONS)
        """The latest changes that are not climbs."""
        self.workers: deque[PaceEntry] = deque(maxlen=_CHANGES)
        """Changes of the limit on calls in flight whose reason differs from that of the one before."""
        self.count = 0

    def __iter__(self) -> Iterator[PaceEntry]:
        for entry in self._reader.pace_entries():
            self.count += 1
            if is_decision(entry):
                self.decisions.append(entry)
            lane = (entry.run, entry.quota)
            if entry.handle == WORKERS and self._reasons.get(lane) != entry.reason:
                self._reasons[lane] = entry.reason
                self.workers.append(entry)
            yield entry


def _span(run: RunSummary) -> RunSpan:
    return RunSpan(run=run.run, version=run.version, started=run.started, state=run.state, seconds=run.seconds or 0.0)


def _ladder(identities: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the models of the ladder, cheapest first; empty without a ladder, or if strategies differ."""
    steps = [identity.get("steps") for identity in identities]
    if len(steps) != 1 or not isinstance(steps[0], list):
        return []
    models = [step.get("model") for step in steps[0] if isinstance(step, dict)]
    return [model for model in models if isinstance(model, str)]


def _model(totals: ModelTotals, ladder: Sequence[str], by_model: Mapping[str, Latency | None]) -> ModelFigures:
    return ModelFigures(
        model=totals.model,
        tier=ladder.index(totals.model) + 1 if totals.model in ladder else None,
        calls=totals.calls,
        accepted=totals.accepted,
        usage=totals.usage,
        cost=totals.cost if totals.priced == totals.calls else None,
        latency=by_model.get(totals.model),
    )


def _rank(model: ModelFigures) -> tuple[float, int]:
    return (model.tier or float("inf"), -model.calls)


def _settings(
    reader: JournalAggregates,
    options: RunOptions | None,
    identities: Sequence[Mapping[str, Any]],
    *,
    with_text: bool,
) -> dict[str, str]:
    """Return what the batch was run with, in the order in which people ask; paths without their folders."""
    found: dict[str, str] = {}
    known, output = recorded_input(reader), recorded_output(reader)
    if known is not None:
        bad = f"; {quantity(known.bad_count, 'invalid line')}" if known.bad_count else ""
        found["input"] = f"{Path(known.name).name}: {quantity(known.count, 'prompt')} ({known.kind}){bad}"
    if options is None:
        for number, identity in enumerate(identities[:_STRATEGIES], 1):
            found["strategy" if len(identities) == 1 else f"strategy {number}"] = _identity(identity)
    else:
        found["model"] = ", then ".join(options.models)
        defaults = to_data(RunOptions(input=options.input, output=options.output, model=options.model))
        for name, value in to_data(options).items():
            if name not in _NOT_SHOWN and value != defaults.get(name):
                found[name.replace("_", "-")] = Path(str(value)).name if name in path_fields() else _plain(value)
        if not with_text:
            found.pop("prompt", None)  # the template of the prompts is a text of theirs
    if output is not None:
        found["output"] = f"{Path(output.path).name}, format {output.form}"
    return {name: value if len(value) <= _LONGEST else f"{value[: _LONGEST - 1]}…" for name, value in found.items()}


def _identity(identity: Mapping[str, Any]) -> str:
    """Return what is known of a strategy; of a ladder its models."""
    steps = identity.get("steps")
    if isinstance(steps, list):
        models = [str(step.get("model")) for step in steps if isinstance(step, dict)]
        return f"{identity.get('strategy')}: {', then '.join(models)}"
    return ", ".join(f"{name} {_plain(value)}" for name, value in identity.items() if value is not None)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
