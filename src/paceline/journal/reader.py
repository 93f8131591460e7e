"""Reader: queries a journal, also while another process writes it.

A reader never writes and takes no lock.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from os import PathLike
from typing import Any, Self

from .._codec import decode_knowledge, decode_progress
from .._core.accounting import ModelUse
from .._core.exceptions import ConfigurationError, JournalError
from .._core.fault import FaultKind
from .._core.fault_groups import SHOWN_GROUPS, FaultGroup, group_faults
from .._core.pace import PaceKnowledge
from .._core.progress import RunProgress
from .._core.usage import MOST_TOKENS, TokenUsage
from . import damage, lock, schema
from .connection import connect_to_read, journal_errors
from .figures import Counts, ItemUse, LimitEntry, PaceEntry, RunRecord
from .inserts import marks, storable
from .items import KnownItem
from .native import StoredJob, stored_job
from .records import ResultRow, StoredResult, select_result

_PARAMETERS = 900  # of a statement: SQLite allows 999 in old versions
_FETCH_SIZE = 1_000  # results that are read into memory at once
_MOST_MESSAGES = 10_000  # different messages that are grouped; of more, the rarest are left out


class JournalReader:
    """A journal that is open for reading.

    Args:
        path: Path of the file.

    Raises:
        JournalError: The file does not exist, or is not a journal; methods raise it if the file cannot be read.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path: str = os.fspath(path)
        if not os.path.isfile(self.path):  # noqa: PTH113 - a path as the user gave it
            raise JournalError(f"{self.path}: there is no such file")
        with self._as_journal_errors():
            self._db = connect_to_read(self.path)
        try:
            with self._as_journal_errors():
                self._version = schema.check(self._db, self.path)
                if not self._version:
                    raise JournalError(f"{self.path}: is empty: no run was started with it")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def one_moment(self) -> Iterator[None]:
        """Within the block all queries see the journal as it is at the first of them, whatever another process writes."""
        with self._as_journal_errors():
            self._db.execute("BEGIN")
        try:
            yield
        finally:
            with self._as_journal_errors():
                self._db.execute("ROLLBACK")

    def fact(self, name: str) -> Any:
        """Return the fact stored under a name; None if there is no such fact."""
        rows = self._all("SELECT value FROM facts WHERE name = ?", (name,))
        return self._data(rows[0][0]) if rows else None

    def knowledge(self) -> dict[str, PaceKnowledge]:
        """Return the learned pace by quota key; empty if it is missing or invalid."""
        try:
            return decode_knowledge(json.dumps(self.fact("knowledge") or {"version": 1, "quotas": {}}))
        except ConfigurationError:
            return {}

    def native_jobs(self) -> list[StoredJob]:
        """Return the jobs of a provider's batch API, in the order in which they were intended."""
        if self._version < schema.NATIVE:
            return []
        query = "SELECT job, marker, began, kind, rows, state, details FROM native_jobs ORDER BY job"
        return [stored_job(row, self.path) for row in self._all(query)]

    def identities(self) -> list[dict[str, Any]]:
        """Return the identities of the strategies of the items in the input."""
        rows = self._all(
            "SELECT strategy, identity FROM strategies WHERE strategy IN (SELECT strategy FROM items WHERE NOT gone) ORDER BY strategy"
        )
        return [json.loads(identity) for _, identity in self._sound(rows, damage.STRATEGY, "strategies")]

    def strategies(self) -> dict[int, dict[str, Any]]:
        """Return the identities of all strategies by number."""
        rows = self._all("SELECT strategy, identity FROM strategies")
        return {number: json.loads(identity) for number, identity in self._sound(rows, damage.STRATEGY, "strategies")}

    def known(self) -> int:
        """Return the number of registered items, including those that are gone."""
        return self._number("SELECT COUNT(*) FROM items")

    def items(self, ids: Sequence[str]) -> dict[str, KnownItem]:
        """Return the registered ones among some items, by id."""
        names = {storable(name): name for name in ids}
        rows = self._all(
            f"SELECT id, content, items.strategy, kind, seq IS NOT NULL, gone, run FROM items LEFT JOIN results USING (item) WHERE id IN ({marks(names)})",  # noqa: S608 - only question marks
            tuple(names),
        )
        return {
            names[name]: KnownItem(content, number, kind, bool(done), bool(gone), run)
            for name, content, number, kind, done, gone, run in self._sound(rows, damage.ITEM, "items")
        }

    def answered(self, contents: Collection[bytes], strategy: int) -> set[bytes]:
        """Return those of some contents that have an output, made by the strategy with this number."""
        rows = self._all(
            f"SELECT content FROM items JOIN results USING (item) WHERE kind IS NULL AND results.strategy = ? AND content IN ({marks(contents)})",  # noqa: S608 - only question marks
            (strategy, *contents),
        )
        return {content for (content,) in rows}

    def shared(self, strategy: int) -> int:
        """Return how many items without a result need no call of their own if equal prompts share one.

        Args:
            strategy: Number of the strategy that answers them.
        """
        if self._number("SELECT COUNT(*) = COUNT(DISTINCT content) FROM items"):  # the index answers it
            return 0
        pending = "SELECT DISTINCT content FROM items LEFT JOIN results USING (item) WHERE seq IS NULL AND NOT gone"
        answered = "SELECT content FROM items JOIN results USING (item) WHERE kind IS NULL AND results.strategy = ?"
        calls = f"SELECT COUNT(*) FROM ({pending} AND content NOT IN ({answered}))"  # noqa: S608 - constants
        items = "SELECT COUNT(*) FROM items LEFT JOIN results USING (item) WHERE seq IS NULL AND NOT gone"
        return int(self._all(f"SELECT ({items}) - ({calls})", (strategy,))[0][0])

    def counts(self) -> Counts:
        """Count the items of the batch by their state."""
        kinds = self._all(
            "SELECT kind, COUNT(*), SUM(refusals) FROM results r JOIN items i USING (item) WHERE NOT gone GROUP BY kind"
        )
        kinds = list(self._sound(kinds, damage.STATE, "results"))
        return Counts(
            total=self._number("SELECT COUNT(*) FROM items WHERE NOT gone"),
            succeeded=sum(count for kind, count, _ in kinds if kind is None),
            failures={kind: count for kind, count, _ in kinds if kind is not None},
            refusals=sum(refusals for *_, refusals in kinds),
            last=self._number("SELECT IFNULL(MAX(seq), 0) FROM results"),
        )

    def progress_of(self, run: int) -> tuple[int, int]:
        """Return how many items a run has settled by calls so far, and with how many calls."""
        return (
            self._number("SELECT COUNT(*) FROM results WHERE run = ? AND attempts > 0", run),
            self._number("SELECT COUNT(*) FROM attempts WHERE run = ?", run),
        )

    def messages(self, most: int = SHOWN_GROUPS) -> tuple[FaultGroup, ...]:
        """Return the most frequent messages of items that failed, with their numbers.

        Args:
            most: Number of messages.
        """
        reason = "MIN(reason)" if self._version >= schema.ANSWERS else "NULL"
        rows = self._all(
            f"SELECT kind, IFNULL(message, ''), COUNT(*), {reason} FROM results r JOIN items i USING (item) "  # noqa: S608 - constants
            "WHERE kind IS NOT NULL AND NOT gone GROUP BY 1, 2 ORDER BY 3 DESC, MIN(seq) LIMIT ?",
            (_MOST_MESSAGES,),
        )
        known = set(FaultKind)
        return group_faults((row for row in self._sound(rows, damage.MESSAGE, "faults") if row[0] in known), most)

    def models(self) -> list[tuple[ModelUse, float | None]]:
        """Return each model's use over all runs, with its cost in USD; the cost is None if a price was not known."""
        written = self._version >= schema.WRITTEN_TOKENS
        rows = self._all(f"""
            SELECT IFNULL(model, quota), COUNT(*), SUM(kind IS NULL), {bounded_sum("input_tokens")}, {bounded_sum("output_tokens")},
                {bounded_sum("cached_input_tokens")}, {bounded_sum("total_tokens")},
                {f"{bounded_sum('cache_written_tokens')}, {bounded_sum('cache_written_1h_tokens')}" if written else "0, 0"},
                CASE WHEN COUNT(cost) = COUNT(*) THEN SUM(cost) END
            FROM attempts GROUP BY 1 ORDER BY 1
        """)  # noqa: S608 - all parts are constants
        return [
            (ModelUse(model=name, calls=calls, accepted=accepted, usage=TokenUsage(*tokens), cost=cost), cost)
            for name, calls, accepted, *tokens, cost in self._sound(rows, damage.MODEL, "attempts by model")
        ]

    def item_uses(self, most: int) -> list[ItemUse]:
        """Return what settled items have taken of each model: of all items, or of a part that is spread evenly over the order of their results.

        Args:
            most: Number of items.
        """
        last = self._number("SELECT IFNULL(MAX(seq), 0) FROM results")
        chosen = range(1, last + 1, max(1, -(-last // most)))
        rows: list[Any] = []
        for start in range(0, len(chosen), _PARAMETERS):
            part = chosen[start : start + _PARAMETERS]
            rows += self._all(
                f"""
                SELECT id, IFNULL(a.model, a.quota), COUNT(*), {bounded_sum("a.input_tokens")}, {bounded_sum("a.output_tokens")},
                    CASE WHEN COUNT(cost) = COUNT(*) THEN SUM(cost) END, TOTAL(a.seconds)
                FROM results r JOIN items i USING (item) JOIN attempts a USING (item)
                WHERE seq IN ({marks(part)}) AND attempts > 0 GROUP BY item, 2
                """,  # noqa: S608 - constants and question marks
                (*part,),
            )
        return [ItemUse(*row) for row in self._sound(rows, damage.ITEM_USE, "attempts by item")]

    def runs(self) -> list[RunRecord]:
        """Return the runs, oldest first."""
        rows = self._all("SELECT run, pid, version, began, ended FROM runs ORDER BY run")
        return [
            RunRecord(run=run, pid=pid, version=v, began=began, ended=ended)
            for run, pid, v, began, ended in self._sound(rows, damage.RUN, "runs")
        ]

    def writer(self) -> int | None:
        """Return the id of the process that writes the journal now; None if no process does, or its run has not started."""
        if not lock.is_held(self.path):
            return None
        latest = self.runs()[-1:]
        return next((run.pid for run in latest if run.ended is None and lock.is_alive(run.pid)), None)

    def pace(self) -> list[PaceEntry]:
        """Return the changes of the pace over all runs, oldest first."""
        rows = self._all("SELECT run, at, quota, handle, old, new, reason FROM pace ORDER BY run, at, rowid")
        return [PaceEntry(*row) for row in self._sound(rows, damage.PACE, "changes of the pace")]

    def new_pace(self, run: int, after: int = 0) -> tuple[int, list[PaceEntry]]:
        """Return the changes of the pace of a run since the last call, and the number to pass to the next one.

        Args:
            run: Number of the run.
            after: Number that the last call has returned.
        """
        rows = self._all(
            "SELECT rowid, run, at, quota, handle, old, new, reason FROM pace WHERE run = ? AND rowid > ? ORDER BY rowid",
            (run, after),
        )
        found = [PaceEntry(*row) for row in self._sound([row[1:] for row in rows], damage.PACE, "changes of the pace")]
        return max((row[0] for row in rows), default=after), found

    def limits(self) -> list[LimitEntry]:
        """Return what limited the batch over all runs, oldest first: each entry from its time on, up to the next of its run.

        Empty in a journal that was written by an earlier version.
        """
        if self._version < schema.SIGHT:
            return []
        rows = self._all("SELECT run, at, quota, reason, basis FROM limits ORDER BY run, at, rowid")
        return [LimitEntry(*row) for row in self._sound(rows, damage.LIMIT, "limits")]

    def progress(self) -> tuple[int, RunProgress] | None:
        """Return the number of the latest run that stored its figures, and these; None: none did, or they are not valid."""
        fact = self.fact("progress")
        run = fact.get("run") if isinstance(fact, dict) else None
        progress = decode_progress(fact)
        return None if type(run) is not int or progress is None else (run, progress)

    def answer(self, request: int) -> str | None:
        """Return what a run has done about a request, in words; None: it has not answered."""
        rows = self._all("SELECT answer FROM control WHERE request = ? AND obeyed IS NOT NULL", (request,))
        return str(rows[0][0]) if rows else None

    def results(self, *, after: int = 0, in_input_order: bool = False, failed: bool = False) -> Iterator[StoredResult]:
        """Yield the results of the items in the input: see `rows`."""
        return map(StoredResult.of, self.rows(after=after, in_input_order=in_input_order, failed=failed))

    def rows(self, *, after: int = 0, in_input_order: bool = False, failed: bool = False) -> Iterator[ResultRow]:
        """Yield the results of the items in the input as rows, which take less time than `StoredResult`.

        Args:
            after: Number of a result: only later ones are yielded.
            in_input_order: Whether to yield them in the order of the input, and not in the order of commits.
            failed: Whether to yield only results without an output.
        """
        where = f"WHERE r.seq > ? AND NOT i.gone {'AND r.kind IS NOT NULL' if failed else ''}"
        order = "i.place, i.item" if in_input_order else "r.seq"
        with self._as_journal_errors():
            rows = self._db.execute(f"{select_result(self._version)} {where} ORDER BY {order}", (after,))
            pages = iter(lambda: rows.fetchmany(_FETCH_SIZE), [])
            yield from self._sound(chain.from_iterable(pages), damage.RESULT, "results")

    def result_places(self, *, failed: bool = False) -> Iterator[int]:
        """Yield the places in the input of the items with a result, one for each of `rows` in the order of the input.

        Args:
            failed: Whether to yield only those of results without an output.
        """
        query = (
            "SELECT IFNULL(place, 0) FROM results r JOIN items i USING (item) "  # noqa: S608 - constants
            f"WHERE NOT i.gone {'AND r.kind IS NOT NULL' if failed else ''} ORDER BY i.place, i.item"
        )
        with self._as_journal_errors():
            for (place,) in self._sound(self._db.execute(query), damage.PLACE, "items"):
                yield place

    def pending_ids(self) -> Iterator[str]:
        """Yield the ids of items without a result, in the order of the input."""
        query = "SELECT id FROM items WHERE NOT gone AND item NOT IN (SELECT item FROM results) ORDER BY place, item"
        with self._as_journal_errors():
            yield from (name for (name,) in self._sound(self._db.execute(query), damage.ID, "items"))

    def places(
        self, *, failed: Iterable[str] | None = None, settled: bool = False, unsettled: bool = False
    ) -> bytearray:
        """Return the places of some items in the input, as a bitmap: see `has_place`.

        Args:
            failed: Kinds of faults: items that failed with one of them.
            settled: Whether to include items with a result.
            unsettled: Whether to include items without a result.
        """
        bits = bytearray()
        kinds = sorted(failed or ())
        conditions = [f"r.kind IN ({marks(kinds)})"]
        conditions += ["r.item IS NOT NULL"] if settled else []
        conditions += ["r.item IS NULL"] if unsettled else []
        query = f"SELECT place FROM items i LEFT JOIN results r USING (item) WHERE NOT gone AND place IS NOT NULL AND ({' OR '.join(conditions)})"  # noqa: S608 - only question marks
        with self._as_journal_errors():
            for (place,) in self._sound(self._db.execute(query, kinds), damage.PLACE, "items"):
                byte, bit = divmod(place, 8)
                if byte >= len(bits):
                    bits.extend(bytes(max(byte + 1 - len(bits), len(bits))))
                bits[byte] |= 1 << bit
        return bits

    def _sound(self, rows: Iterable[Any], columns: damage.Columns, table: str) -> Iterator[Any]:
        return damage.sound(rows, columns, self.path, table)

    def _all(self, query: str, values: tuple[Any, ...] = ()) -> list[Any]:
        with self._as_journal_errors():
            return self._db.execute(query, values).fetchall()

    def _data(self, text: str) -> Any:
        try:
            return json.loads(text)
        except (ValueError, TypeError, RecursionError):
            raise JournalError(f"{self.path}: is damaged: it has a value that is not JSON") from None

    def _number(self, query: str, *values: int) -> int:
        found: object = self._all(query, values)[0][0]
        if type(found) is not int:
            raise JournalError(f"{self.path}: is damaged: it has {found!r:.40} where a number must be")
        return found

    @contextmanager
    def _as_journal_errors(self) -> Iterator[None]:
        try:
            with journal_errors(self.path):
                yield
        except UnicodeDecodeError as error:  # raised for an SQLite message that quotes damaged text
            raise JournalError(f"{self.path}: is damaged, and cannot be read") from error


def bounded_sum(column: str) -> str:
    """Return the expression of a sum that cannot overflow, whatever a server has claimed or an earlier version stored."""
    return f"SUM(MIN({column}, {MOST_TOKENS}))"


def has_place(bits: bytearray, place: int) -> bool:
    """Return whether a place is in a bitmap of `JournalReader.places`."""
    byte, bit = divmod(place, 8)
    return byte < len(bits) and bool(bits[byte] >> bit & 1)
