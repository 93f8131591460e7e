"""Foreground: a run with its progress on the terminal, which signals stop.

1. The first SIGINT, SIGTERM or SIGHUP starts no more calls and lets those in flight finish. The second cancels them. Before the first call, and
   after the second signal, signals have the effect that the system gives them. If the event loop has not begun to cancel some seconds after the
   second one, because code holds it up, the system ends the process. The journal survives that.
2. The display begins with the first snapshot of the run; until then messages are printed as they are.
"""

from __future__ import annotations

import signal
from contextlib import ExitStack
from types import FrameType, TracebackType
from typing import Self

from ..progress.display import Progress
from ..runs.control import RunControl
from ..runs.progress import RunProgress
from .console import print_message
from .logs import show_logs

_GRACE = 10.0  # seconds
_INTERRUPTED = "the run was interrupted"
_SIGNALS = (signal.SIGINT, signal.SIGTERM, *((signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ()))  # not on Windows


class Foreground:
    """Shows a run, and stops it on signals: a context manager around the run.

    Args:
        progress: Shows the figures.
        verbose: Whether the whole log is shown.
    """

    def __init__(self, progress: Progress, *, verbose: bool) -> None:
        self.control: RunControl = RunControl()
        self.signal: int | None = None
        """The first signal that was received during the run."""
        self._progress = progress
        self._verbose = verbose
        self._is_shown = self._is_stopping = self._is_ending = False
        self._shown = ExitStack()

    def __enter__(self) -> Self:
        self._before = {
            number: signal.signal(number, self._on_signal) for number in _SIGNALS if not _is_ignored(number)
        }
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the display."""
        self._end_process_after(None)
        self._shown.close()
        if not self.control.is_cancelled:
            self._restore()

    def on_progress(self, progress: RunProgress) -> None:
        """Show the figures."""
        self._end_process_after(None)
        if not self._is_shown:
            self._is_shown = True
            self._shown.enter_context(self._progress)
            self._shown.enter_context(show_logs(self._progress.print, verbose=self._verbose))
        if progress.is_stopping and not self._is_stopping:
            self._is_stopping = True
            self._progress.print(
                f"finishing the calls in flight ({progress.in_flight:,}); interrupt again to cancel them"
            )
        (self._progress.finish if progress.is_finished else self._progress.show)(progress)

    def on_message(self, sentence: str) -> None:
        """Print a sentence about the run."""
        (self._progress.print if self._is_shown else print_message)(sentence)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if not self.control.is_running:
            self._restore()
            signal.raise_signal(number)
        elif self.signal is None:
            self.signal = number
            self.control.stop(_reason(number))
        else:
            for each in self._before:
                signal.signal(each, signal.SIG_DFL)
            self._end_process_after(_GRACE)
            self.control.cancel(_reason(number))

    def _end_process_after(self, seconds: float | None) -> None:
        """Let the system end the process by SIGALRM after a time; None: it need not, as the event loop runs."""
        if seconds is not None and hasattr(signal, "setitimer"):  # not on Windows
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, seconds)
            self._is_ending = True
        elif self._is_ending:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            self._is_ending = False

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def _reason(number: int) -> str:
    """Return why a signal ends the run, in words."""
    return f"{_INTERRUPTED if number == signal.SIGINT else 'the run was ended'} by {signal.Signals(number).name}"


def _is_ignored(number: int) -> bool:
    """Whether a signal has no effect on this process: `nohup` ignores SIGHUP, so that the run goes on without its terminal."""
    return number != signal.SIGINT and signal.getsignal(number) is signal.SIG_IGN
