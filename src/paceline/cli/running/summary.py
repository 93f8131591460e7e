"""How a batch has ended, for machines: one JSON object in a line.

It goes to stdout; where the rows go there, it is the last line of stderr. Its keys are documented, and stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from ..._core.account import ModelUse
from ..asking.options import STREAM, RunOptions
from .ended import Ended, Kept


def summary_of(ended: Ended, options: RunOptions, *, code: int) -> dict[str, Any]:
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


def _kept(kept: Kept) -> dict[str, Any]:
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
