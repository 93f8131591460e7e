"""What is drawn while a batch runs: how its workers find the provider's pace, and why they change.

A picture always has the same number of lines: it is drawn over the one before.

What a user sees while a batch runs: on a terminal a live display, elsewhere a line now and then.

It all goes to stderr. stdout is for results.
"""

from __future__ import annotations

import math
import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from types import TracebackType
from typing import Self

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.live import Live
from rich.measure import Measurement
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from ..._core.durations import format_clock
from ...files.output import STDOUT
from ...runs.progress import RunProgress
from ..console import print_message
from .figures import SHOWN_STEPS, PaceSteps, gate_of, pace_of, per_time

_LEVELS = "▁▂▃▄▅▆▇█"
_WIDEST = 48  # columns of a curve
_NAMES, _WORDS = 7, 24  # columns: what is drawn anew stays in its place
_HEADROOM = 1.2  # above the most that was ever served a second: a pace may be far above it for a moment
_WAITS, _FAILS = "yellow", "red"


class Curve:
    """Values over time: however many there are, all of the time is drawn, in a bounded number of steps.

    Each step is the mean of as many values as it stands for. A value that is not finite leaves a gap.
    """

    def __init__(self, steps: int = 4 * _WIDEST) -> None:
        self.top = 0.0
        """What the highest level stands for, as does all above; 0: the highest value."""
        self._steps = steps
        self._means: list[float] = []
        self._pending: list[float] = []
        self._per_step = 1

    def add(self, value: float) -> None:
        """Note the next value."""
        self._pending.append(value)
        if len(self._pending) == self._per_step:
            self._means.append(_mean(self._pending))
            self._pending.clear()
        if len(self._means) == self._steps:
            self._means = [_mean(self._means[index : index + 2]) for index in range(0, self._steps, 2)]
            self._per_step *= 2

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> Iterator[Text]:
        yield Text(sparkline(self._means, min(_WIDEST, options.max_width), self.top), style="green", no_wrap=True)

    def __rich_measure__(self, _: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(1, min(_WIDEST, options.max_width))


class PacePanel:
    """Draws one reading after the other, the curves of those before, and the latest reasons.

    Args:
        reasons: is told of the events of the same batch.
    """

    def __init__(self, reasons: PaceSteps) -> None:
        self._reasons = reasons
        self._in_flight, self._served, self._pace = Curve(), Curve(), Curve()
        self._fastest = 0.0

    def __call__(self, reading: RunProgress) -> RenderableType:
        """Return the picture."""
        return Group(bar(reading), self.figures(reading), self.why())

    def figures(self, reading: RunProgress) -> Table:
        """Return a line for each figure."""
        self._in_flight.add(reading.in_flight)
        self._served.add(reading.rate)
        self._pace.add(reading.pace if reading.pace < math.inf else reading.token_pace)
        self._fastest = max(self._fastest, reading.rate)
        if reading.pace < math.inf:  # what is served and what may be are shown in one scale
            self._served.top = self._pace.top = _HEADROOM * self._fastest
        table = Table.grid(
            Column(min_width=_NAMES, no_wrap=True),
            Column(min_width=_WORDS, no_wrap=True, overflow="ellipsis"),
            Column(),
            padding=(0, 2),
        )
        table.add_row("workers", f"{reading.in_flight:,} in flight of {reading.workers:,}", self._in_flight)
        table.add_row("gate", Text(gate_of(reading), style=_WAITS if reading.wait else ""))
        lost = Text(f", {reading.failed:,} failed", style=_FAILS if reading.failed else "")
        table.add_row("refused", Text(f"{reading.refusals:,}") + lost)
        table.add_row("served", per_time(reading.rate, "calls"), self._served)
        table.add_row("pace", pace_of(reading), self._pace)
        return table

    def why(self) -> Table:
        """Return the latest changes of the pace, with their reasons."""
        table = Table.grid(
            Column(min_width=_NAMES, justify="right", no_wrap=True),
            Column(min_width=_WORDS, no_wrap=True, overflow="ellipsis"),
            Column(),
            padding=(0, 2),
        )
        changes = self._reasons.latest
        for change in changes:
            table.add_row(change.time, change.what, Text(change.reason, no_wrap=True, overflow="ellipsis"))
        for _ in range(SHOWN_STEPS - len(changes)):
            table.add_row("", "", "")
        return table


class DemoPanel(PacePanel):
    """The same in a frame.

    Args:
        provider: what is called.
        reasons: is told of the events of the same batch.
        allowed: what the provider really allows at a time, in calls a second; None: not known.
    """

    def __init__(self, provider: str, reasons: PaceSteps, *, allowed: Callable[[float], float] | None = None) -> None:
        super().__init__(reasons)
        self._provider = provider
        self._allowed = allowed
        self._truth = Curve()

    def __call__(self, reading: RunProgress) -> RenderableType:
        """Return the picture."""
        return Panel(
            Group(bar(reading), "", self.figures(reading), "", self.why()),
            title="a batch finds its pace",
            subtitle=Text(self._provider),
        )

    def figures(self, reading: RunProgress) -> Table:
        """Return a line for each figure, and one for the truth."""
        table = super().figures(reading)
        if self._allowed is not None:
            rate = self._allowed(reading.seconds)
            self._truth.add(rate)
            self._truth.top = self._served.top
            table.add_row("allowed", per_time(rate, "calls") if rate else "nothing", self._truth)
        return table


def sparkline(values: Sequence[float], width: int, top: float = 0.0) -> str:
    """Return a curve of at most `width` characters; each is the mean of as many values as it stands for.

    Args:
        values: one that is not finite leaves a gap.
        width: characters.
        top: what the highest level stands for, as does all above; 0: the highest value.
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


_LONG_WAIT = 1.0  # seconds: shorter waits come and go too fast to be read
_RAREST, _LINES = 60.0, 30  # seconds between two lines in the end, and how many of the first period there are before
_EARLY = 0.1  # seconds: a sleep that is a little short costs no line


class Progress:
    """Shows nothing: what --quiet asks for. The others show more."""

    period: float = math.inf
    """Seconds between two readings."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the display."""

    def show(self, reading: RunProgress) -> None:
        """Show the figures."""

    def end(self, reading: RunProgress) -> None:
        """Show the last figures, where a picture stays."""

    def say(self, sentence: str) -> None:
        """Tell the user something, whatever is shown."""
        print_message(sentence)


class Lines(Progress):
    """Prints a line each `period` seconds, less often as time goes on, and after it why the pace has changed.

    Of each handle only the latest change is told: at most four more lines, however often the pace changes.

    Args:
        period: seconds.
        reasons: is told of the events of the same batch.
    """

    def __init__(self, period: float, reasons: PaceSteps) -> None:
        self.period = period
        self._reasons = reasons
        self._next = period

    def show(self, reading: RunProgress) -> None:
        """Print the figures, if it is time."""
        if reading.seconds < self._next - _EARLY:
            return
        self.say(f"{reading.done:,} of {reading.total:,} done, {figures(reading)}, {format_clock(reading.left)} left")
        for change in self._reasons.take():
            self.say(f"at {change.time} {change.what}: {change.reason}")
        self._next = reading.seconds + max(self.period, min(_RAREST, reading.seconds / _LINES))


class Display(Progress):
    """Draws on the terminal.

    Args:
        draw: makes a picture of the figures.
        stays: whether the last one is left there.
    """

    period = 0.25

    def __init__(self, draw: Callable[[RunProgress], RenderableType], *, stays: bool = False) -> None:
        self._draw = draw
        self._console = Console(stderr=True, highlight=False)
        self._live = Live(
            console=self._console,
            auto_refresh=False,  # it would be drawn from a thread of its own
            transient=not stays,
            redirect_stdout=False,
            vertical_overflow="crop",
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the display."""
        with suppress(OSError):
            self._live.stop()

    def show(self, reading: RunProgress) -> None:
        """Draw the figures anew."""
        with suppress(OSError):  # the terminal may be gone
            self._live.update(self._draw(reading), refresh=True)

    def end(self, reading: RunProgress) -> None:
        """Draw the last figures."""
        self.show(reading)

    def say(self, sentence: str) -> None:
        """Print above the picture."""
        with suppress(OSError):
            self._console.print(Text(f"paceline: {sentence}"), soft_wrap=True)


def figures(reading: RunProgress) -> str:
    """Return the figures in words, but for how much is done."""
    wait = f", gate {gate_of(reading)}" if reading.wait >= _LONG_WAIT else ""
    return (
        f"{reading.in_flight:,} in flight of {reading.workers:,} workers, served {per_time(reading.rate, 'calls')}, "
        f"pace: {pace_of(reading)}, {reading.refusals:,} refusals, {reading.failed:,} failed{wait}"
    )


def bar(reading: RunProgress) -> RenderableType:
    """Return one line: how much is done, and how long it will take."""
    line = Table.grid(expand=True, padding=(0, 1))
    line.add_column(ratio=1)
    line.add_column(justify="right", no_wrap=True)
    progress = ProgressBar(total=max(1, reading.total), completed=reading.done)
    line.add_row(progress, f"{reading.done:,} of {reading.total:,}  {format_clock(reading.left)} left")
    return line


def is_live(*, stdout_is_used: bool) -> bool:
    """Whether stderr is a terminal to draw on, and no rows can come into the picture: those in a pipe often end there."""
    if not sys.stderr.isatty() or Console(stderr=True).is_dumb_terminal:
        return False
    return not stdout_is_used or stat.S_ISREG(os.fstat(STDOUT).st_mode)
