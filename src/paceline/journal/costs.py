"""Costs: what the attempts in a journal have cost, in sums."""

from __future__ import annotations

import sqlite3

from .._core.budget import Spent
from .._core.usage import MOST_TOKENS, TOKEN_COUNTS, TokenUsage
from . import damage


def spent_in(db: sqlite3.Connection, path: str) -> Spent:
    """Return what the attempts of all runs have cost, by model.

    Args:
        db: Connection to a journal of the current version.
        path: Path of the journal, for messages.

    Raises:
        JournalError: The journal has a value that no run has written.
    """
    sums = db.execute(
        f"SELECT IFNULL(model, quota), IFNULL(SUM(cost), 0.0), SUM(MIN(total_tokens, {MOST_TOKENS})) FROM attempts GROUP BY 1"  # noqa: S608 - a constant
    )
    known = list(damage.sound(sums, damage.SPENT, path, "attempts by model"))
    query = (
        f"SELECT IFNULL(model, quota), {', '.join(TOKEN_COUNTS)} FROM attempts WHERE cost IS NULL AND total_tokens > 0"  # noqa: S608 - as above
    )
    unpriced: dict[str, list[TokenUsage]] = {}
    for model, *counts in damage.sound(db.execute(query), damage.UNPRICED, path, "attempts without a cost"):
        unpriced.setdefault(model, []).append(TokenUsage(*counts))
    return Spent(
        usd={model: usd for model, usd, _ in known},
        tokens={model: tokens for model, _, tokens in known},
        unpriced=unpriced,
    )
