"""How a run has ended, as it is told."""

from __future__ import annotations

import shlex

import attrs

from ..journal.reader import Counts
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
