"""Journal watch: follows a run from its journal, from another process.

Nothing is written and no lock is taken. A look costs the same however long the run: the run stores its figures once a second.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from os import PathLike
from types import TracebackType
from typing import Self

import attrs

from .._core.progress import RunProgress
from ..journal.figures import PaceEntry
from ..journal.reader import JournalReader
from .journal_facts import journal_at


@attrs.frozen(kw_only=True)
class JournalMoment:
    """What a journal says of its run at one moment."""

    is_running: bool
    """Whether a process writes the journal."""
    run: int | None
    """Number of its latest run; None: it has none."""
    progress: RunProgress | None
    """The figures that this run has stored last; None: it has stored none yet."""
    age: float
    """Seconds since they were stored; 0 without figures."""
    steps: Sequence[PaceEntry]
    """The changes of its pace since the last look."""


class JournalWatch:
    """Follows the latest run of a journal; a context manager.

        with JournalWatch("run.journal") as watch:
            while (moment := watch.look()).is_running:
                ...

    Args:
        journal: Path of the journal, or of the output that it belongs to.

    Raises:
        JournalError: The file is not a journal; also `look` raises it, if the file cannot be read.
    """

    def __init__(self, journal: str | PathLike[str]) -> None:
        self._reader = JournalReader(journal_at(journal))
        self._run: int | None = None
        self._last_step = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._reader.close()

    @property
    def path(self) -> str:
        """Path of the journal."""
        return self._reader.path

    def look(self) -> JournalMoment:
        """Return what the journal says now."""
        is_running = self._reader.writer() is not None
        run = max((record.run for record in self._reader.runs()), default=None)
        if run != self._run:
            self._run, self._last_step = run, 0
        stored = self._reader.progress()
        steps: Sequence[PaceEntry] = ()
        if run is not None:
            self._last_step, steps = self._reader.new_pace(run, self._last_step)
        progress = stored[1] if stored is not None and stored[0] == run else None
        age = 0.0 if progress is None or not progress.time else max(0.0, time.time() - progress.time)
        return JournalMoment(is_running=is_running, run=run, progress=progress, age=age, steps=steps)
