"""Report figures: what a report says about results of one suite, as frozen records of plain data."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import attrs

from ..report.figures import JournalReport
from .comparison import Comparison
from .results import SuiteResult

MOST_ITEMS: Final = 2_000
"""Items whose scores are listed."""
MOST_SHOWN: Final = 200
"""Items that are shown with their prompts and answers."""


@attrs.frozen(kw_only=True)
class Answer:
    """What a model answered to an item."""

    sample: int
    """Number of the sample, from 0."""
    score: float | None
    """0 to 1; None: it has none."""
    explanation: str
    """Why."""
    text: str
    """The answer."""


@attrs.frozen(kw_only=True)
class ReportedItem:
    """An item of the suite."""

    id: str
    """Its id."""
    scores: tuple[float | None, ...]
    """For each result the mean score of its samples; None: none of them has a score."""
    prompt: str = ""
    """What was asked; empty if the item is listed only."""
    target: str = ""
    """The right answer, or the right ones."""
    answers: tuple[tuple[Answer, ...], ...] = ()
    """For each result some answers, the worst first; empty if the item is listed only."""

    @property
    def is_shown(self) -> bool:
        """Whether its answers are there."""
        return bool(self.answers)

    @property
    def differs(self) -> bool:
        """Whether results with a score differ."""
        return len({score for score in self.scores if score is not None}) > 1


@attrs.frozen(kw_only=True)
class ReportedResult:
    """One result in a report."""

    name: str
    """What it is called: its model, or its folder where models are the same."""
    folder: str
    """Name of its folder."""
    result: SuiteResult
    """What it came to."""
    calls: JournalReport | None
    """What its journal says about its calls; None: the journal is not there."""


@attrs.frozen(kw_only=True)
class SuiteReport:
    """Results of one suite, side by side."""

    suite: str
    """Name of the suite."""
    made: datetime
    """When the report was made."""
    results: tuple[ReportedResult, ...]
    """The results, in the order in which they were given."""
    comparisons: tuple[Comparison, ...]
    """Each further result compared with the first; those that have no scored item in common with it are left out."""
    items: tuple[ReportedItem, ...]
    """Items in the order of their ids: at most `MOST_ITEMS`, and of those `MOST_SHOWN` with their answers."""
    item_count: int
    """Items of all transcripts."""
