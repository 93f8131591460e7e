"""The command `status --watch`: follows a run of another process from its journal, until that run ends."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from rich.console import RenderableType

from ..._core.progress import RunProgress
from ...journal.figures import PaceEntry
from ...progress.display import Display, Lines, Progress, can_draw
from ...progress.panel import PacePanel
from ...progress.steps import PaceStep, PaceSteps
from ...runs.journal_watch import JournalMoment, JournalWatch
from ..console import print_message

PERIOD = 1.0
"""Seconds between two looks: a run stores its figures as often."""
_MAX_WORKERS = "the run's --max-workers"


def watch(journal: str, *, sleep: Callable[[float], object] | None = None) -> None:
    """Show a run until it ends. A KeyboardInterrupt ends the watch, not the run.

    Args:
        journal: Path of the journal, or of its output.
        sleep: Waits for so many seconds; None: `time.sleep`.

    Raises:
        JournalError: The file is not a journal, or cannot be read.
    """
    with JournalWatch(journal) as watched:
        moment = watched.look()
        if not moment.is_running:
            print_message(f"{watched.path}: no run writes it now")
            return
        steps = PaceSteps()
        shown, panel = _display(steps)
        with shown:
            while moment.is_running:
                _show(moment, shown, panel, steps)
                (sleep or time.sleep)(PERIOD)
                moment = watched.look()


def _show(moment: JournalMoment, shown: Progress, panel: _Aged | None, steps: PaceSteps) -> None:
    for entry in moment.steps:
        steps.add(_step_of(entry))
    if moment.progress is None:
        return
    if panel is not None:
        panel.age = moment.age
    shown.show(moment.progress)


class _Aged:
    """A panel whose figures may be old."""

    def __init__(self, panel: PacePanel) -> None:
        self.age = 0.0
        self._panel = panel

    def __call__(self, progress: RunProgress) -> RenderableType:
        return self._panel(progress, age=self.age)


def _display(steps: PaceSteps) -> tuple[Progress, _Aged | None]:
    if not can_draw(stdout_is_used=False):
        return Lines(steps=steps, max_workers=_MAX_WORKERS), None
    panel = _Aged(PacePanel(steps, max_workers=_MAX_WORKERS))
    return Display(panel), panel


def _step_of(entry: PaceEntry) -> PaceStep:
    old, new = (math.inf if value is None else value for value in (entry.old, entry.new))
    return PaceStep(entry.at, entry.handle, old, new, entry.reason)
