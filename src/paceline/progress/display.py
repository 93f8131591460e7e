"""Display: the progress of a batch on stderr, as a live picture on a terminal and as occasional lines elsewhere.

Rules owned here:

1. Nothing goes to stdout, which is for results. Where result rows may end up on the same terminal, there is no live picture.
2. A terminal that is gone does not end the batch.
3. A line has at most 80 columns, and cuts no reason. What limits the batch is printed when it changes.
"""

from __future__ import annotations

import math
import os
import stat
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

from .._core.fault_groups import FaultGroup
from .._core.limitation import Limitation
from .._core.printable import printable
from .._core.progress import RunProgress
from . import words
from .steps import PaceSteps

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

PERIOD = 5.0
"""Seconds between two lines."""
_NAME = "paceline: "
_LINES_PER_RUN, _LONGEST_PERIOD = 30, 60.0  # lines per duration of the run so far, and seconds between two at most
_EARLY = 0.1  # seconds: a sleep that ends slightly early does not skip a line
_STDOUT = 1


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
        """Print a message, also if figures are not shown; a traceback has several lines."""
        with suppress(OSError):
            if sys.stderr is not None:
                sys.stderr.write(printable(f"{_NAME}{message}\n"))
                sys.stderr.flush()


class Lines(Progress):
    """Prints the figures each period; what limits the batch, the steps of its pace and its faults when they have changed.

    Lines get rarer in a long run: at most one a minute in the end.

    Args:
        period: Seconds between the first lines.
        steps: Observer of the same batch; None: steps are not printed.
        max_workers: What the bound on calls in flight is called where the reader sets it.
        with_last: Whether the last figures are printed, as no summary follows.
    """

    def __init__(
        self,
        period: float = PERIOD,
        steps: PaceSteps | None = None,
        *,
        max_workers: str = "your max_workers",
        with_last: bool = False,
    ) -> None:
        self.period = period
        self._steps = steps
        self._next = period
        self._max_workers = max_workers
        self._with_last = with_last
        self._faults: Sequence[FaultGroup] = ()
        self._limitation: Limitation | None = None

    def show(self, progress: RunProgress) -> None:
        """Print the figures, if the period has passed."""
        if progress.seconds < self._next - _EARLY:
            return
        self._print(progress)
        for step in () if self._steps is None else self._steps.take_unread():
            self._print_wrapped(f"at {step.time} {step.change}: {step.reason}")
        self._next = progress.seconds + max(self.period, min(_LONGEST_PERIOD, progress.seconds / _LINES_PER_RUN))

    def finish(self, progress: RunProgress) -> None:
        """Print the last figures, if no summary follows."""
        if self._with_last:
            self._print(progress)

    def _print(self, progress: RunProgress) -> None:
        self._print_wrapped(line(progress))
        if progress.limitation is not None and progress.limitation != self._limitation and not progress.is_finished:
            self._limitation = progress.limitation
            self._print_wrapped(f"limit: {words.limit_text(progress, max_workers=self._max_workers)}")
        faults = (progress.messages + words.unnamed(progress))[: words.SHOWN_FAULTS]
        if faults and faults != self._faults:
            self._faults = faults
            for group in faults:
                self._print_wrapped(f"fault: {group}")

    def _print_wrapped(self, message: str) -> None:
        self.print("\n".join(words.wrapped(printable(message, keep=""), words.WIDTH - len(_NAME), indent=2)))


class Display(Progress):
    """Draws the figures on the terminal.

    Args:
        draw: Function that makes a picture of the figures.
        stays: Whether the last picture remains.
    """

    period: float = 0.25

    def __init__(self, draw: Callable[[RunProgress], RenderableType], *, stays: bool = False) -> None:
        from rich.console import Console  # noqa: PLC0415 - rich takes longer to load than a short batch takes
        from rich.live import Live  # noqa: PLC0415 - as above

        self._draw = draw
        self._console: Console = Console(stderr=True, highlight=False)
        self._live: Live = Live(
            console=self._console,
            auto_refresh=False,  # it would draw from another thread
            transient=not stays,
            redirect_stdout=sys.stdout is not None and sys.stdout.isatty(),
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
        from rich.text import Text  # noqa: PLC0415 - loaded with the display

        with suppress(OSError):
            self._console.print(Text(printable(f"{_NAME}{message}")), soft_wrap=True)


def line(progress: RunProgress) -> str:
    """Return the figures in one sentence."""
    parts = [
        words.headline(progress),
        format(words.format_rate(progress.items_rate, "items")),
        f"{progress.in_flight:,} of {progress.workers:,} in flight",
    ]
    if progress.cost is not None:
        parts.append(words.cost_text(progress))
    if progress.refusals:
        parts.append(f"{progress.refusals:,} throttled")
    parts.append(f"{progress.failed:,} failed")
    if progress.pending:
        parts.append(f"{progress.pending:,} pending")
    return ", ".join(parts)


def can_draw(*, stdout_is_used: bool) -> bool:
    """Return whether stderr is a terminal to draw on, with no rows between the pictures: those in a pipe often end there too.

    Args:
        stdout_is_used: Whether rows go to stdout.
    """
    try:
        from rich.console import Console  # noqa: PLC0415 - see `Display`
    except ImportError:  # the extra `cli` has it
        return False
    if sys.stderr is None or not sys.stderr.isatty() or Console(stderr=True).is_dumb_terminal:
        return False
    return not stdout_is_used or stat.S_ISREG(os.fstat(_STDOUT).st_mode)
