"""Reports: how a run has ended, and what its journal holds."""

from __future__ import annotations

from typing import Any

import attrs

from .._core.results import BatchResult, SourceError, UnsavedError
from ..journal.figures import Counts


@attrs.frozen(kw_only=True)
class JournalSummary:
    """What a journal holds."""

    path: str
    """Path of the journal."""
    counts: Counts
    """Its items: in all, succeeded, failed, pending."""


@attrs.frozen(kw_only=True)
class RunReport:
    """How a run has ended."""

    batch: BatchResult[Any]
    """The calls and results of this run."""
    output: str | None = None
    """Path of the rows; `-` is stdout; None: the run wrote no rows."""
    saved: int | None = None
    """Rows that this run wrote; None: the run wrote no rows."""
    retries: int = 0
    """Calls that were repeated because the one before failed; throttled calls do not count."""
    bad_lines: int = 0
    """Lines of the input that were invalid, and skipped."""
    journal: JournalSummary | None = None
    """What the journal holds; None: the run had no journal."""
    is_stopped: bool = False
    """Whether the run was stopped or cancelled by its `RunControl`."""
    output_error: OSError | None = None
    """Why the output could not be written; with a journal, the results are there."""
    journal_error: UnsavedError | None = None
    """Why results could not be committed to the journal, with these results."""
    source_error: SourceError | None = None
    """Why the input could not be read to its end."""

    @property
    def error(self) -> Exception | None:
        """What kept the run from its end, if anything did; not the faults of single items."""
        return self.journal_error or self.output_error or self.source_error

    @property
    def unfinished(self) -> int:
        """Items of the batch without an output: failed or pending. With a journal those of all runs."""
        if self.journal is None:
            return self.batch.failed + self.batch.pending
        return self.journal.counts.total - self.journal.counts.succeeded

    @property
    def is_complete(self) -> bool:
        """Whether each line of the input has an output, and all of them are saved."""
        return self.error is None and not self.is_stopped and not self.unfinished and not self.bad_lines
