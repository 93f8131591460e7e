"""How a run has ended, as it is told."""

from __future__ import annotations

import shlex

import attrs

from ..._core.fault import PASSING
from ...journal.reader import Counts
from .conduct import Ending


@attrs.frozen(kw_only=True)
class Kept:
    """What a journal holds."""

    path: str
    counts: Counts

    @property
    def how_to_go_on(self) -> str:
        """The command that runs what is missing."""
        return f"paceline resume {shlex.quote(self.path)}"

    @property
    def next(self) -> str | None:
        """The command that runs what is missing, or what failed; None: all succeeded."""
        if self.counts.pending or self.counts.failures.keys() & PASSING:
            return self.how_to_go_on
        return f"{self.how_to_go_on} --retry failed" if self.counts.failures else None


@attrs.frozen(kw_only=True)
class Ended:
    """How a run has ended."""

    ending: Ending
    saved: int | None = None
    """The rows that were written, where they were to be."""
    bad_count: int = 0
    """Lines of the input that could not be taken."""
    kept: Kept | None = None
    """What the journal holds; None: there is none."""
