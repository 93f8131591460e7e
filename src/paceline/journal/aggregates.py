"""Aggregates: sums over a journal's tables for a report, made by SQLite.

Rules owned here:

1. Memory does not grow with the number of rows: sums are made by SQLite, and what is read row by row is yielded.
2. Before a table is summed its columns are checked, in one pass. A sum would hide a value that no run has written.
3. What a table can have without bound (models, lanes, messages) is cut to the most frequent; the rest is counted. Of a text, which anyone may
   have made as long as a file can be, the beginning is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import attrs

from .._core.usage import MOST_TOKENS, TokenUsage
from . import damage, schema
from .figures import LimitEntry, PaceEntry
from .inserts import marks
from .reader import JournalReader, bounded_sum

MOST_MESSAGES: Final = 100_000
"""Different messages of failed items that are read; failures with others are counted by kind alone."""
_READ = 1_000  # characters of a message: fault groups compare no more
_NAME = 400  # characters of an id, a model or a lane that are read
_FETCH_SIZE = 2_000  # rows that are read into memory at once

# What must hold of a value, in SQL; `{0}` is the column. In the order of values numbers come before texts, and texts before bytes, so that
# a range tells the type: that takes a third of the time of `typeof`.
_COUNT = "{0} BETWEEN 0 AND 9223372036854775807"
_NUMBER = f"{{0}} BETWEEN -{damage.MOST_SUMMAND} AND {damage.MOST_SUMMAND}"
_TEXT = "({0} >= '' AND {0} < x'')"
_TOKENS = ("input_tokens", "output_tokens", "cached_input_tokens", "total_tokens")
_WRITTEN = ("cache_written_tokens", "cache_written_1h_tokens")

_ATTEMPT: Final[damage.Columns] = [
    *damage.counts("run"),
    *damage.summands("started", "seconds"),
    *damage.texts("quota"),
    *damage.texts_or_null("model"),
    *damage.summands_or_null("cost"),
    *damage.counts(*_TOKENS),
]
_RESULT: Final[damage.Columns] = [
    *damage.counts("run"),
    *damage.summands("settled", "seconds"),
    *damage.counts("refusals"),
]
_SQL_CHECKS: Final = {
    **dict.fromkeys(("run", "refusals", *_TOKENS, *_WRITTEN), _COUNT),
    **dict.fromkeys(("started", "settled", "seconds"), _NUMBER),
    "quota": _TEXT,
    "model": f"({{0}} IS NULL OR {_TEXT})",
    "cost": f"({{0}} IS NULL OR {_NUMBER})",
}
_SUMS: Final[damage.Columns] = [
    *damage.texts("model"),
    *damage.counts("calls", "accepted"),
    *damage.numbers("cost"),
    *damage.counts("priced"),
]
_RUN_SUMS: Final[damage.Columns] = [
    *damage.counts("run", "calls", "accepted"),
    *damage.numbers_or_null("cost"),
    *damage.numbers("ended"),
]
_REFUSED: Final[damage.Columns] = damage.counts("run", "interval", "refusals")


def _begin(column: str, characters: int = _NAME) -> str:
    """Return the expression of the beginning of a text; a value of another type stays, and is found when it is read."""
    return f"CASE WHEN typeof({column}) = 'text' THEN SUBSTR({column}, 1, {characters}) ELSE {column} END"


_MODEL = f"SUBSTR(IFNULL(model, quota), 1, {_NAME})"  # their types were checked, as that of the next
_LANE = f"SUBSTR(quota, 1, {_NAME})"


@attrs.frozen(kw_only=True)
class ModelTotals:
    """What one model was used for, over all runs."""

    model: str
    """Name of the model, or the lane if the strategy has no model."""
    calls: int
    """Calls that counted."""
    accepted: int
    """Calls whose output was accepted."""
    usage: TokenUsage
    """Tokens of all these calls."""
    accepted_usage: TokenUsage
    """Tokens of the accepted ones."""
    cost: float
    """USD of the calls whose cost is known."""
    priced: int
    """Number of these calls."""


@attrs.frozen(kw_only=True)
class RunTotals:
    """What one run has done."""

    calls: int
    """Calls that counted."""
    accepted: int
    """Calls whose output was accepted."""
    cost: float | None
    """USD of the calls whose cost is known; None: of no call."""
    last: float
    """When its last call ended, in seconds since its batch began."""


@attrs.frozen(kw_only=True)
class ItemTotals:
    """One item of a list of the slowest or the dearest."""

    id: str
    """Id of the item."""
    seconds: float
    """Seconds from the start of the first attempt to the end of the last."""
    cost: float | None
    """USD of its calls over all runs, as far as known; None: not known."""
    attempts: int
    """Calls that counted, in the run that settled it."""
    refusals: int
    """Calls that were throttled, in that run."""
    tokens: int
    """Tokens of these calls."""
    kind: str | None
    """Kind of its fault; None: it has an output."""
    model: str | None
    """Model that was called last."""
    output: str | None
    """The beginning of its output as JSON; None: it has no output, or texts are not read."""


class JournalAggregates(JournalReader):
    """A journal that is open for the figures of a report; the arguments are those of `JournalReader`."""

    def check(self) -> None:
        """Check every column that is summed.

        Raises:
            JournalError: A row has a value that no run has written; the message names the row and the column.
        """
        written = damage.counts(*_WRITTEN) if self._version >= schema.WRITTEN_TOKENS else []
        for table, columns in (("attempts", [*_ATTEMPT, *written]), ("results", _RESULT)):
            names = [name for name, _, _ in columns]
            sound = " AND ".join(_SQL_CHECKS[name].format(name) for name in names)
            if self._number(f"SELECT EXISTS (SELECT 1 FROM {table} WHERE ({sound}) IS NOT 1)"):  # noqa: S608 - constants
                rows = self._pages(f"SELECT {', '.join(names)} FROM {table}")  # noqa: S608 - as above
                for _ in self._sound(rows, columns, table):
                    pass

    def model_totals(self, most: int) -> tuple[list[ModelTotals], int]:
        """Return the totals of the models with the most calls, and how many calls other models had.

        Args:
            most: Number of models.
        """
        written = _WRITTEN if self._version >= schema.WRITTEN_TOKENS else ()
        names = (*_TOKENS, *written)
        sums = [bounded_sum(name) for name in names]
        accepted = [f"{total} FILTER (WHERE kind IS NULL)" for total in sums]
        rows = self._all(
            f"SELECT {_MODEL}, COUNT(*), SUM(kind IS NULL), TOTAL(cost), COUNT(cost), {', '.join([*sums, *accepted])} "  # noqa: S608 - constants
            "FROM attempts GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT ?",
            (most,),
        )
        columns = [*_SUMS, *damage.counts(*names), *damage.counts_or_null(*names)]
        found = [
            ModelTotals(
                model=name,
                calls=calls,
                accepted=good,
                cost=cost,
                priced=priced,
                usage=TokenUsage(*tokens[: len(sums)]),
                accepted_usage=TokenUsage(*(count or 0 for count in tokens[len(sums) :])),
            )
            for name, calls, good, cost, priced, *tokens in self._sound(rows, columns, "attempts by model")
        ]
        return found, self._number("SELECT COUNT(*) FROM attempts") - sum(one.calls for one in found)

    def mix(self, model: str) -> tuple[float, float, float, float, float]:
        """Return, over the calls of a model whose cost is known, the sums of what its price can be computed from.

        Returns:
            The squares of the tokens of input, of the tokens of output, their products, and the products of USD with both.
        """
        sent, answered = (f"1.0 * MIN({name}, {MOST_TOKENS})" for name in ("input_tokens", "output_tokens"))
        rows = self._all(
            f"SELECT TOTAL({sent} * {sent}), TOTAL({answered} * {answered}), TOTAL({sent} * {answered}), "  # noqa: S608 - constants
            f"TOTAL(cost * {sent}), TOTAL(cost * {answered}) FROM attempts WHERE {_MODEL} = ? AND cost IS NOT NULL",
            (model,),
        )
        found: tuple[float, float, float, float, float] = rows[0]
        return found

    def run_totals(self) -> dict[int, RunTotals]:
        """Return the totals of each run that made a call which counted, by the number of the run."""
        rows = self._all(
            "SELECT run, COUNT(*), SUM(kind IS NULL), SUM(cost), MAX(started + seconds) FROM attempts GROUP BY run"
        )
        return {
            run: RunTotals(calls=calls, accepted=accepted, cost=cost, last=last)
            for run, calls, accepted, cost, last in self._sound(rows, _RUN_SUMS, "attempts by run")
        }

    def lanes(self, most: int) -> list[str]:
        """Return the lanes with the most calls, the busiest first.

        Args:
            most: Number of lanes.
        """
        rows = self._all(f"SELECT {_LANE} FROM attempts GROUP BY 1 ORDER BY COUNT(*) DESC, 1 LIMIT ?", (most,))  # noqa: S608 - constants
        return [quota for (quota,) in rows]

    def starts(
        self, width: float, last: int, quotas: Sequence[str]
    ) -> Iterator[tuple[int, str | None, int, int, float]]:
        """Yield run, lane, interval, and of the calls that started in it: how many, the sum of the times of their starts.

        Args:
            width: Seconds of an interval.
            last: Number of the last interval; what is later is in it.
            quotas: Lanes that are kept apart; the others are None.
        """
        yield from self._pages(
            f"SELECT run, {_lane(quotas)}, {_INTERVAL.format('started')}, COUNT(*), TOTAL(started) FROM attempts GROUP BY 1, 2, 3",  # noqa: S608 - constants
            (*quotas, last, width),
        )

    def ends(
        self, width: float, last: int, quotas: Sequence[str]
    ) -> Iterator[tuple[int, str | None, int, int, float, int, int, float]]:
        """Yield run, lane, interval, and of the calls that ended in it: how many, the sum of the times of their ends, how many were
        accepted, tokens of output, USD.

        The arguments are those of `starts`.
        """
        yield from self._pages(
            f"SELECT run, {_lane(quotas)}, {_INTERVAL.format('started + seconds')}, COUNT(*), TOTAL(started + seconds), SUM(kind IS NULL), "  # noqa: S608 - constants
            f"{bounded_sum('output_tokens')}, TOTAL(cost) FROM attempts GROUP BY 1, 2, 3",
            (*quotas, last, width),
        )

    def refusals(self, width: float, last: int) -> Iterator[tuple[int, int, int]]:
        """Yield run, interval, and how many calls had been throttled of the items that were settled in it.

        Args:
            width: Seconds of an interval.
            last: Number of the last interval; what is later is in it.
        """
        rows = self._pages(
            f"SELECT r.run, {_INTERVAL.format('settled - began')}, SUM(refusals) FROM results r JOIN runs USING (run) "  # noqa: S608 - constants
            "WHERE refusals > 0 GROUP BY 1, 2",
            (last, width),
        )
        yield from self._sound(rows, _REFUSED, "throttled calls")

    def settled(self) -> dict[int, float]:
        """Return when the last item of each run was settled, in seconds of Unix time, by the number of the run."""
        return dict(self._all("SELECT run, MAX(settled) FROM results GROUP BY run"))

    def latencies(self) -> Iterator[tuple[str, float]]:
        """Yield the model and the seconds of each call that counted."""
        yield from self._pages(f"SELECT {_MODEL}, seconds FROM attempts")  # noqa: S608 - constants

    def pace_entries(self, *, by_lane: bool = False) -> Iterator[PaceEntry]:
        """Yield the changes of the pace over all runs, the oldest first.

        Args:
            by_lane: Whether those of one lane come before those of the next.
        """
        order = "quota, run, at" if by_lane else "run, at"
        rows = self._pages(
            f"SELECT run, at, {_begin('quota')}, {_begin('handle')}, old, new, {_begin('reason', _READ)} FROM pace ORDER BY {order}, rowid"  # noqa: S608 - constants
        )
        yield from (PaceEntry(*row) for row in self._sound(rows, damage.PACE, "changes of the pace"))

    def limit_entries(self) -> Iterator[LimitEntry]:
        """Yield what limited the batch over all runs, oldest first, as `limits` returns it."""
        if self._version >= schema.SIGHT:
            rows = self._pages(
                f"SELECT run, at, {_begin('quota')}, {_begin('reason')}, {_begin('basis')} FROM limits ORDER BY run, at, rowid"  # noqa: S608 - constants
            )
            yield from (LimitEntry(*row) for row in self._sound(rows, damage.LIMIT, "limits"))

    def failures(self) -> Iterator[tuple[str, str, int, str | None, str]]:
        """Yield kind, message (its beginning), number, reason and the id of one of them, for the items that failed."""
        reason = "MIN(r.reason)" if self._version >= schema.ANSWERS else "NULL"
        rows = self._pages(
            f"SELECT r.kind, IFNULL({_begin('r.message', _READ)}, ''), COUNT(*), {reason}, {_begin('MIN(i.id)')} FROM results r "  # noqa: S608 - constants
            "JOIN items i USING (item) WHERE r.kind IS NOT NULL AND NOT i.gone GROUP BY 1, 2 LIMIT ?",
            (MOST_MESSAGES,),
        )
        yield from self._sound(rows, _FAILURE, "faults")

    def answer_of(self, item_id: str, most: int) -> str | None:
        """Return the beginning of the answer of an item that was not accepted; None if the journal has no such answer.

        Args:
            item_id: Id of the item.
            most: Number of characters.
        """
        if self._version < schema.ANSWERS:
            return None
        rows = self._all(
            "SELECT SUBSTR(answer, 1, ?) FROM results JOIN items USING (item) WHERE id = ? AND typeof(answer) = 'text'",
            (most, item_id),
        )
        return rows[0][0] if rows else None

    def slowest(self, most: int, characters: int) -> list[ItemTotals]:
        """Return the items that took longest, the slowest first.

        Args:
            most: Number of items.
            characters: Characters of their outputs that are read.
        """
        return self._items(
            "SELECT item FROM results WHERE attempts > 0 ORDER BY seconds DESC, item LIMIT ?", most, characters
        )

    def dearest(self, most: int, characters: int) -> list[ItemTotals]:
        """Return the items that cost most, the dearest first; the arguments are those of `slowest`."""
        query = "SELECT item FROM attempts WHERE cost > 0 GROUP BY item ORDER BY SUM(cost) DESC, item LIMIT ?"
        return self._items(query, most, characters)

    def _items(self, query: str, most: int, characters: int) -> list[ItemTotals]:
        found = []
        for (item,) in self._all(query, (most,)):
            rows = self._all(
                f"SELECT {_begin('i.id')}, r.seconds, (SELECT SUM(cost) FROM attempts a WHERE a.item = r.item), r.attempts, r.refusals, "  # noqa: S608 - constants
                f"MIN(r.total_tokens, ?), r.kind, {_begin('r.model')}, SUBSTR(r.output, 1, ?) "
                "FROM results r JOIN items i USING (item) WHERE item = ? AND NOT gone",
                (2**53 - 1, characters, item),
            )
            for name, seconds, cost, attempts, refusals, tokens, kind, model, output in self._sound(
                rows, _ITEM, "items"
            ):
                found.append(
                    ItemTotals(
                        id=name,
                        seconds=seconds,
                        cost=cost,
                        attempts=attempts,
                        refusals=refusals,
                        tokens=tokens,
                        kind=kind,
                        model=model,
                        output=output or None,
                    )
                )
        return found

    def _pages(self, query: str, values: Sequence[Any] = ()) -> Iterator[Any]:
        with self._as_journal_errors():
            rows = self._db.execute(query, tuple(values))
            while page := rows.fetchmany(_FETCH_SIZE):
                yield from page


def _lane(quotas: Sequence[str]) -> str:
    return f"CASE WHEN {_LANE} IN ({marks(quotas)}) THEN {_LANE} END"


_INTERVAL = "MAX(0, MIN(?, CAST(MIN(({}) / ?, 1e15) AS INTEGER)))"
_FAILURE: Final[damage.Columns] = [
    *damage.KIND,
    *damage.texts("message"),
    *damage.counts("number"),
    *damage.texts_or_null("reason"),
    *damage.texts("id"),
]
_ITEM: Final[damage.Columns] = [
    *damage.texts("id"),
    *damage.numbers("seconds"),
    *damage.numbers_or_null("cost"),
    *damage.counts("attempts", "refusals", "tokens"),
    *damage.KIND,
    *damage.texts_or_null("model", "output"),
]
