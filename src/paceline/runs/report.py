"""How a run has ended, as it is told.

How a batch has ended, for machines: one JSON object in a line.

It goes to stdout; where the rows go there, it is the last line of stderr. Its keys are documented, and stay.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

import attrs

from .._core.accounting import ModelUse
from .._core.fault import PASSING
from ..files.types import STREAM
from ..journal.reader import Counts
from .options import RunOptions
from .runner import Ending


@attrs.frozen(kw_only=True)
class JournalSummary:
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
class RunReport:
    """How a run has ended."""

    ending: Ending
    saved: int | None = None
    """The rows that were written, where they were to be."""
    bad_count: int = 0
    """Lines of the input that could not be taken."""
    kept: JournalSummary | None = None
    """What the journal holds; None: there is none."""


def summary_of(ended: RunReport, options: RunOptions, *, code: int) -> dict[str, Any]:
    """Return how a run has ended.

    Args:
        ended: the run.
        options: of it.
        code: the exit code.
    """
    ending = ended.ending
    batch = ending.batch
    fewest, most = batch.workers
    wrong = ending.unsaved or ending.failure or ending.source_error
    return {
        "items": batch.total_items,
        "succeeded": batch.succeeded,
        "failed": batch.failed,
        "failures": {str(kind): count for kind, count in sorted(batch.failures.items())},
        "recalled": batch.recalled,
        "saved": ended.saved,
        "bad_lines": ended.bad_count,
        "refusals": batch.refusals,
        "workers": {"fewest": fewest, "most": most},
        "usage": attrs.asdict(batch.usage),
        "cost": batch.cost,
        "models": _uses(batch.models),
        "top_alone": _uses(batch.top_alone),
        "seconds": round(batch.seconds, 3),
        "stopped": None
        if batch.stopped is None
        else {"kind": str(batch.stopped.kind), "message": batch.stopped.message},
        "signal": ending.signal,
        "error": None if wrong is None else str(wrong.__cause__ or wrong),
        "output": "stdout" if options.output == STREAM else options.output,
        "journal": None if ended.kept is None else _kept(ended.kept),
        "exit_code": code,
    }


def _kept(kept: JournalSummary) -> dict[str, Any]:
    counts = kept.counts
    return {
        "path": kept.path,
        "items": counts.total,
        "succeeded": counts.succeeded,
        "failures": dict(sorted(counts.failures.items())),
        "pending": counts.pending,
    }


def _uses(uses: Sequence[ModelUse]) -> list[dict[str, Any]]:
    return [
        {
            "model": use.model,
            "calls": use.calls,
            "accepted": use.accepted,
            "usage": attrs.asdict(use.usage),
            "cost": use.cost,
        }
        for use in uses
    ]
