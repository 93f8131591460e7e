"""Panel: the picture of a run on a terminal: its figures, their curves over time, its faults, and the latest steps of its pace.

Rules owned here:

1. A panel always has the same number of lines, as each is drawn over the one before.
2. A curve has a bounded number of steps, however long the run; the calls served and the pace have one scale, if both are calls.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.measure import Measurement
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from ..._core.durations import format_clock
from ...runs.progress import RunProgress
from .figures import SHOWN_FAULTS, SHOWN_STEPS, PaceSteps, format_breaker, format_pace, format_rate

_LEVELS = "▁▂▃▄▅▆▇█"
_WIDEST = 48  # columns of a curve
_LABELS, _VALUES = 9, 24  # columns: fixed, so that what is redrawn stays in place
_HEADROOM = 1.2  # top of the curves over the highest rate served: the pace may be far above it for a moment
_WAITING, _FAILED = "yellow", "red"


class Curve:
    """Values over time in a bounded number of steps: each step is the mean of equally many values.

    A value that is not finite leaves a gap.
    """

    def __init__(self, steps: int = 4 * _WIDEST) -> None:
        self.top: float = 0.0
        """Value of the highest level, and of everything above; 0: the highest value."""
        self._steps = steps
        self._means: list[float] = []
        self._pending: list[float] = []
        self._per_step = 1

    def add(self, value: float) -> None:
        """Add the next value."""
        self._pending.append(value)
        if len(self._pending) == self._per_step:
            self._means.append(_mean(self._pending))
            self._pending.clear()
        if len(self._means) == self._steps:
            self._means = [_mean(self._means[index : index + 2]) for index in range(0, self._steps, 2)]
            self._per_step *= 2

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        yield Text(sparkline(self._means, min(_WIDEST, options.max_width), self.top), style="green", no_wrap=True)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(1, min(_WIDEST, options.max_width))


def sparkline(values: Sequence[float], width: int, top: float = 0.0) -> str:
    """Return a curve in block characters; each is the mean of equally many values.

    Args:
        values: Values over time; one that is not finite leaves a gap.
        width: Characters, at most.
        top: Value of the highest level, and of everything above; 0: the highest value.
    """
    columns = min(width, len(values))
    edges = [column * len(values) // columns for column in range(columns + 1)] if columns else [0]
    means = [_mean(values[a:b]) for a, b in pairwise(edges)]
    top = top or max((value for value in values if math.isfinite(value)), default=0.0) or 1.0
    return "".join(_level(mean / top) for mean in means)


def _level(share: float) -> str:
    return _LEVELS[min(len(_LEVELS) - 1, int(share * len(_LEVELS)))] if math.isfinite(share) else " "


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else math.nan


class PacePanel:
    """Panel of a run: its figures, their curves over time, and the latest steps of the pace.

    Args:
        steps: Observer of the same batch.
    """

    def __init__(self, steps: PaceSteps) -> None:
        self._steps = steps
        self._in_flight, self._served, self._pace = Curve(), Curve(), Curve()
        self._fastest = 0.0

    def __call__(self, progress: RunProgress) -> RenderableType:
        """Return the panel, with the figures added to the curves."""
        return Group(bar(progress), self.figures(progress), faults(progress), self.changes())

    def figures(self, progress: RunProgress) -> Table:
        """Return one row per figure."""
        self._in_flight.add(progress.in_flight)
        self._served.add(progress.rate)
        self._pace.add(progress.pace if progress.pace < math.inf else progress.token_pace)
        self._fastest = max(self._fastest, progress.rate)
        if progress.pace < math.inf:  # both are calls per second: one scale
            self._served.top = self._pace.top = _HEADROOM * self._fastest
        table = _table(Column(min_width=_LABELS, no_wrap=True))
        table.add_row("workers", f"{progress.in_flight:,} in flight of {progress.workers:,}", self._in_flight)
        table.add_row("breaker", Text(format_breaker(progress), style=_WAITING if progress.wait else ""))
        failed = Text(f", {progress.failed:,} failed", style=_FAILED if progress.failed else "")
        if progress.pending:
            failed.append(f", {progress.pending:,} pending", style=_WAITING)
        table.add_row("throttled", Text(f"{progress.refusals:,}") + failed)
        table.add_row("served", format_rate(progress.rate, "calls"), self._served)
        table.add_row("pace", format_pace(progress), self._pace)
        return table

    def changes(self) -> Table:
        """Return one row per step of the pace, filled up with empty rows."""
        table = _table(Column(min_width=_LABELS, justify="right", no_wrap=True))
        steps = self._steps.latest
        for step in steps:
            table.add_row(step.time, step.change, Text(step.reason, no_wrap=True, overflow="ellipsis"))
        for _ in range(SHOWN_STEPS - len(steps)):
            table.add_row("", "", "")
        return table


def faults(progress: RunProgress) -> Table:
    """Return one row per frequent fault of the calls, filled up with empty rows."""
    table = _table(Column(min_width=_LABELS, no_wrap=True))
    for index in range(SHOWN_FAULTS):
        known = progress.faults[index] if index < len(progress.faults) else None
        words = Text(
            str(known or ("none" if not index else "")),
            no_wrap=True,
            overflow="ellipsis",
            style=_FAILED if known else "",
        )
        table.add_row("" if index else "faults", words)
    return table


class DemoPanel(PacePanel):
    """Panel of the demo: in a frame, with the rate that the provider allows.

    Args:
        provider: Name of the provider.
        steps: Observer of the same batch.
        allowed: Calls per second that the provider allows, by seconds since the start; None: unknown.
    """

    def __init__(self, provider: str, steps: PaceSteps, *, allowed: Callable[[float], float] | None = None) -> None:
        super().__init__(steps)
        self._provider = provider
        self._allowed = allowed
        self._allowed_curve = Curve()

    def __call__(self, progress: RunProgress) -> RenderableType:
        """Return the panel, with the figures added to the curves."""
        return Panel(
            Group(bar(progress), "", self.figures(progress), faults(progress), "", self.changes()),
            title="a batch finds its pace",
            subtitle=Text(self._provider),
        )

    def figures(self, progress: RunProgress) -> Table:
        """Return one row per figure, and one for the rate that is allowed."""
        table = super().figures(progress)
        if self._allowed is not None:
            rate = self._allowed(progress.seconds)
            self._allowed_curve.add(rate)
            self._allowed_curve.top = self._served.top
            table.add_row("allowed", format_rate(rate, "calls") if rate else "nothing", self._allowed_curve)
        return table


def _table(first: Column) -> Table:
    return Table.grid(first, Column(min_width=_VALUES, no_wrap=True, overflow="ellipsis"), Column(), padding=(0, 2))


def bar(progress: RunProgress) -> RenderableType:
    """Return one line: a bar, the items done, and the time left."""
    line = Table.grid(expand=True, padding=(0, 1))
    line.add_column(ratio=1)
    line.add_column(justify="right", no_wrap=True)
    of_all = "" if progress.total is None else f" of {progress.total:,}  {format_clock(progress.left)} left"
    total = None if progress.total is None else max(1, progress.total)  # None: a bar that only moves
    line.add_row(ProgressBar(total=total, completed=progress.done), f"{progress.done:,}{of_all}")
    return line
