"""What a user sees while a batch runs: on a terminal a live display, elsewhere a line now and then.

It all goes to stderr. stdout is for results.
"""

from __future__ import annotations

import math
import os
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ..rows.writing import STDOUT
from ..telling import tell
from .gauge import Reading, clock, gate_of, pace_of, per_time
from .reasons import Reasons

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

    def show(self, reading: Reading) -> None:
        """Show the figures."""

    def end(self, reading: Reading) -> None:
        """Show the last figures, where a picture stays."""

    def say(self, sentence: str) -> None:
        """Tell the user something, whatever is shown."""
        tell(sentence)


class Lines(Progress):
    """Prints a line each `period` seconds, less often as time goes on, and after it why the pace has changed.

    Of each handle only the latest change is told: at most four more lines, however often the pace changes.

    Args:
        period: seconds.
        reasons: is told of the events of the same batch.
    """

    def __init__(self, period: float, reasons: Reasons) -> None:
        self.period = period
        self._reasons = reasons
        self._next = period

    def show(self, reading: Reading) -> None:
        """Print the figures, if it is time."""
        if reading.seconds < self._next - _EARLY:
            return
        self.say(f"{reading.done:,} of {reading.total:,} done, {figures(reading)}, {clock(reading.left)} left")
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

    def __init__(self, draw: Callable[[Reading], RenderableType], *, stays: bool = False) -> None:
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

    def show(self, reading: Reading) -> None:
        """Draw the figures anew."""
        with suppress(OSError):  # the terminal may be gone
            self._live.update(self._draw(reading), refresh=True)

    def end(self, reading: Reading) -> None:
        """Draw the last figures."""
        self.show(reading)

    def say(self, sentence: str) -> None:
        """Print above the picture."""
        with suppress(OSError):
            self._console.print(Text(f"paceline: {sentence}"), soft_wrap=True)


def figures(reading: Reading) -> str:
    """Return the figures in words, but for how much is done."""
    wait = f", gate {gate_of(reading)}" if reading.wait >= _LONG_WAIT else ""
    return (
        f"{reading.in_flight:,} in flight of {reading.workers:,} workers, served {per_time(reading.rate, 'calls')}, "
        f"pace: {pace_of(reading)}, {reading.refusals:,} refusals, {reading.failed:,} failed{wait}"
    )


def bar(reading: Reading) -> RenderableType:
    """Return one line: how much is done, and how long it will take."""
    line = Table.grid(expand=True, padding=(0, 1))
    line.add_column(ratio=1)
    line.add_column(justify="right", no_wrap=True)
    progress = ProgressBar(total=max(1, reading.total), completed=reading.done)
    line.add_row(progress, f"{reading.done:,} of {reading.total:,}  {clock(reading.left)} left")
    return line


def is_live(*, stdout_is_used: bool) -> bool:
    """Whether stderr is a terminal to draw on, and no rows can come into the picture: those in a pipe often end there."""
    if not sys.stderr.isatty() or Console(stderr=True).is_dumb_terminal:
        return False
    return not stdout_is_used or stat.S_ISREG(os.fstat(STDOUT).st_mode)
