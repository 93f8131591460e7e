"""Display: the progress of a run on stderr, as a live panel on a terminal and as occasional lines elsewhere.

Rules owned here:

1. Nothing goes to stdout, which is for results. Where result rows may end up on the same terminal, there is no live panel.
2. A terminal that is gone does not end the run.
"""

from __future__ import annotations

import math
import os
import stat
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from ..._core.durations import format_clock
from ..._core.fault_groups import FaultGroup
from ..._core.printable import printable
from ..._core.quantity import quantity
from ...runs.progress import RunProgress
from ..console import STDOUT, print_lines
from .figures import SHOWN_FAULTS, PaceSteps, format_breaker, format_pace, format_rate

_SHORTEST_WAIT = 1.0  # seconds: shorter waits are over before they are read
_LINES_PER_RUN, _LONGEST_PERIOD = 30, 60.0  # lines per duration of the run so far, and seconds between two at most
_EARLY = 0.1  # seconds: a sleep that ends slightly early does not skip a line


class Progress:
    """Progress that is not shown (--quiet), and the interface of those that are."""

    period: float = math.inf
    """Seconds between two calls of `show`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the display."""

    def show(self, progress: RunProgress) -> None:
        """Show the figures of a moment."""

    def finish(self, progress: RunProgress) -> None:
        """Show the last figures, if the display remains."""

    def print(self, message: str) -> None:
        """Print a message, also if figures are not shown."""
        print_lines(f"paceline: {message}")  # a traceback has several


class Lines(Progress):
    """Prints the figures on one line each period, the latest step of each handle that changed, and the faults if they have.

    Lines get rarer in a long run: at most one a minute in the end.

    Args:
        period: Seconds between the first lines.
        steps: Observer of the same batch.
    """

    def __init__(self, period: float, steps: PaceSteps) -> None:
        self.period = period
        self._steps = steps
        self._next = period
        self._faults: Sequence[FaultGroup] = ()

    def show(self, progress: RunProgress) -> None:
        """Print the figures, if the period has passed."""
        if progress.seconds < self._next - _EARLY:
            return
        self.print(line(progress))
        for step in self._steps.take_unread():
            self.print(f"at {step.time} {step.change}: {step.reason}")
        if progress.faults != self._faults:
            self._faults = progress.faults
            self.print(f"faults: {'; '.join(map(str, progress.faults[:SHOWN_FAULTS]))}")
        self._next = progress.seconds + max(self.period, min(_LONGEST_PERIOD, progress.seconds / _LINES_PER_RUN))


class Display(Progress):
    """Draws the figures on the terminal.

    Args:
        draw: Function that makes a picture of the figures.
        stays: Whether the last picture remains.
    """

    period: float = 0.25

    def __init__(self, draw: Callable[[RunProgress], RenderableType], *, stays: bool = False) -> None:
        self._draw = draw
        self._console = Console(stderr=True, highlight=False)
        self._live = Live(
            console=self._console,
            auto_refresh=False,  # it would draw from another thread
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

    def show(self, progress: RunProgress) -> None:
        """Draw the figures over the last ones."""
        with suppress(OSError):  # the terminal may be gone
            self._live.update(self._draw(progress), refresh=True)

    def finish(self, progress: RunProgress) -> None:
        """Draw the last figures."""
        self.show(progress)

    def print(self, message: str) -> None:
        """Print a message above the picture."""
        with suppress(OSError):
            self._console.print(Text(f"paceline: {printable(message)}"), soft_wrap=True)


def line(progress: RunProgress) -> str:
    """Return the figures on one line."""
    pending = f", {progress.pending:,} pending" if progress.pending else ""
    breaker = f", breaker {format_breaker(progress)}" if progress.wait >= _SHORTEST_WAIT else ""
    return (
        f"{progress.done:,} of {progress.total:,} done, {progress.in_flight:,} in flight of {quantity(progress.workers, 'worker')}, "
        f"served {format_rate(progress.rate, 'calls')}, pace: {format_pace(progress)}, {quantity(progress.refusals, 'call')} throttled, "
        f"{progress.failed:,} failed{pending}{breaker}, {format_clock(progress.left)} left"
    )


def can_draw(*, stdout_is_used: bool) -> bool:
    """Return whether stderr is a terminal to draw on, with no rows between the pictures: those in a pipe often end there too.

    Args:
        stdout_is_used: Whether rows go to stdout.
    """
    if not sys.stderr.isatty() or Console(stderr=True).is_dumb_terminal:
        return False
    return not stdout_is_used or stat.S_ISREG(os.fstat(STDOUT).st_mode)
