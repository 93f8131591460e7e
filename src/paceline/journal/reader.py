"""What is in a journal, for whoever looks at it: at any time, also while it is written.

Nothing is written here, and no lock is taken.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from typing import Any, Self

import attrs

from .._codec import decode_knowledge
from .._core.accounting import ModelUse
from .._core.exceptions import ConfigurationError, JournalError
from .._core.pace import PaceKnowledge
from .._core.usage import TokenUsage
from . import lock, schema
from .connection import connect_to_read, told
from .records import SELECT_RESULT, StoredResult, storable

_AT_ONCE = 1_000  # results that are fetched together


@attrs.frozen(kw_only=True)
class Counts:
    """How far a batch has come."""

    total: int
    """Items that the journal knows, but for those that the input has no longer."""
    succeeded: int
    failures: Mapping[str, int]
    """Items that are settled without an output, by the kind of their fault."""
    refusals: int
    """How often calls of settled items were throttled."""
    last: int
    """The number of the latest result; 0: there is none."""

    @property
    def settled(self) -> int:
        """Items that have a result."""
        return self.succeeded + sum(self.failures.values())

    @property
    def pending(self) -> int:
        """Items that have none yet."""
        return self.total - self.settled


@attrs.frozen(kw_only=True)
class RunRecord:
    """One run on the journal."""

    run: int
    pid: int
    version: str
    """Of paceline."""
    began: float
    """Seconds since the epoch, by the clock of the wall."""
    ended: float | None
    """None: it goes on, or was killed."""


@attrs.frozen
class PaceEntry:
    """One change of the pace."""

    run: int
    at: float
    """Seconds since its batch began."""
    quota: str
    handle: str
    old: float | None
    """None: no limit."""
    new: float | None
    reason: str


@attrs.frozen
class KnownItem:
    """An item that the journal knows."""

    content: bytes
    """`content_key` of its prompt."""
    strategy: int
    """The number of its strategy."""
    kind: str | None
    """Of its fault."""
    is_settled: bool
    """Whether it has a result."""


class JournalReader:
    """A journal that is open for reading.

    Args:
        path: of the file.

    Raises:
        JournalError: it is not there, or is none.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = os.fspath(path)
        if not os.path.isfile(self.path):  # noqa: PTH113 - a path as the user gave it
            raise JournalError(f"{self.path}: there is no such file")
        with self._told():
            self._db = connect_to_read(self.path)
        try:
            with self._told():
                if not schema.check(self._db, self.path):
                    raise JournalError(f"{self.path}: is empty; nothing was begun with it yet")
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

    def fact(self, name: str) -> Any:
        """Return what is noted under a name; None: nothing."""
        found = self._all("SELECT value FROM facts WHERE name = ?", (name,))
        return self._data(found[0][0]) if found else None

    def knowledge(self) -> dict[str, PaceKnowledge]:
        """Return what was learned of quotas."""
        try:
            return decode_knowledge(json.dumps(self.fact("knowledge") or {"version": 1, "quotas": {}}))
        except ConfigurationError:
            return {}

    def identities(self) -> list[dict[str, Any]]:
        """Return the identities of the strategies that answer its items."""
        rows = self._all(
            "SELECT identity FROM strategies WHERE strategy IN (SELECT strategy FROM items WHERE NOT gone) ORDER BY strategy"
        )
        return [self._data(identity) for (identity,) in rows]

    def strategies(self) -> dict[int, dict[str, Any]]:
        """Return the identities of all strategies that it knows, by their numbers."""
        return {number: self._data(one) for number, one in self._all("SELECT strategy, identity FROM strategies")}

    def known(self) -> int:
        """Return the number of items that it knows, those among them that the input has no longer."""
        return self._number("SELECT COUNT(*) FROM items")

    def items(self, ids: Sequence[str]) -> dict[str, KnownItem]:
        """Return what is known of items, by id."""
        names = {storable(name): name for name in ids}
        rows = self._all(
            f"SELECT id, content, items.strategy, kind, seq IS NOT NULL FROM items LEFT JOIN results USING (item) WHERE id IN ({_marks(names)})",  # noqa: S608 - only question marks
            tuple(names),
        )
        return {names[name]: KnownItem(content, number, kind, bool(done)) for name, content, number, kind, done in rows}

    def answered(self, contents: Collection[bytes], strategy: int) -> set[bytes]:
        """Return those of some contents of which an item has an output that the strategy of a number made."""
        rows = self._all(
            f"SELECT content FROM items JOIN results USING (item) WHERE kind IS NULL AND results.strategy = ? AND content IN ({_marks(contents)})",  # noqa: S608 - only question marks
            (strategy, *contents),
        )
        return {content for (content,) in rows}

    def counts(self) -> Counts:
        """Return how far the batch has come."""
        kinds = self._all(
            "SELECT kind, COUNT(*), SUM(refusals) FROM results r JOIN items i USING (item) WHERE NOT gone GROUP BY kind"
        )
        return Counts(
            total=self._number("SELECT COUNT(*) FROM items WHERE NOT gone"),
            succeeded=sum(count for kind, count, _ in kinds if kind is None),
            failures={kind: count for kind, count, _ in kinds if kind is not None},
            refusals=sum(refusals for *_, refusals in kinds),
            last=self._number("SELECT IFNULL(MAX(seq), 0) FROM results"),
        )

    def models(self) -> list[tuple[ModelUse, float | None]]:
        """Return what each model was used for over all runs, with its cost in USD; None: some price was not known."""
        rows = self._all("""
            SELECT IFNULL(model, quota), COUNT(*), SUM(kind IS NULL), SUM(input_tokens), SUM(output_tokens),
                SUM(cached_input_tokens), SUM(total_tokens), CASE WHEN COUNT(cost) = COUNT(*) THEN SUM(cost) END
            FROM attempts GROUP BY 1 ORDER BY 1
        """)
        return [
            (ModelUse(model=name, calls=calls, accepted=accepted, usage=TokenUsage(*tokens)), cost)
            for name, calls, accepted, *tokens, cost in rows
        ]

    def runs(self) -> list[RunRecord]:
        """Return the runs, the oldest first."""
        rows = self._all("SELECT run, pid, version, began, ended FROM runs ORDER BY run")
        return [RunRecord(run=run, pid=pid, version=v, began=began, ended=ended) for run, pid, v, began, ended in rows]

    def writer(self) -> int | None:
        """Return the process that is writing it now; None: nobody is, or it has not begun its run yet."""
        if not lock.is_held(self.path):
            return None
        latest = self.runs()[-1:]
        return next((run.pid for run in latest if run.ended is None and lock.is_alive(run.pid)), None)

    def pace(self) -> list[PaceEntry]:
        """Return what the pace did, over all runs."""
        rows = self._all("SELECT run, at, quota, handle, old, new, reason FROM pace ORDER BY run, at, rowid")
        return [PaceEntry(*row) for row in rows]

    def results(self, *, after: int = 0, in_input_order: bool = False, failed: bool = False) -> Iterator[StoredResult]:
        """Yield results, but for those of items that the input has no longer.

        Args:
            after: only those with a higher number.
            in_input_order: in the order of the input; otherwise in that of their numbers, in which they were committed.
            failed: only those without an output.
        """
        where = f"WHERE r.seq > ? AND NOT i.gone {'AND r.kind IS NOT NULL' if failed else ''}"
        order = "i.place, i.item" if in_input_order else "r.seq"
        with self._told():
            rows = self._db.execute(f"{SELECT_RESULT} {where} ORDER BY {order}", (after,))
            while some := rows.fetchmany(_AT_ONCE):
                yield from map(StoredResult.of, some)

    def pending_ids(self) -> Iterator[str]:
        """Yield the ids of items without a result, in the order of the input."""
        query = "SELECT id FROM items WHERE NOT gone AND item NOT IN (SELECT item FROM results) ORDER BY place, item"
        with self._told():
            yield from (name for (name,) in self._db.execute(query))

    def places(
        self, *, failed: Iterable[str] | None = None, settled: bool = False, unsettled: bool = False
    ) -> bytearray:
        """Return the places in the input of some items, as a bit each.

        Args:
            failed: those of items whose fault is of these kinds.
            settled: those of items that have a result.
            unsettled: those of items that have none.
        """
        bits = bytearray()
        kinds = sorted(failed or ())
        conditions = [f"r.kind IN ({_marks(kinds)})"]
        conditions += ["r.item IS NOT NULL"] if settled else []
        conditions += ["r.item IS NULL"] if unsettled else []
        query = f"SELECT place FROM items i LEFT JOIN results r USING (item) WHERE NOT gone AND place IS NOT NULL AND ({' OR '.join(conditions)})"  # noqa: S608 - only question marks
        with self._told():
            for (place,) in self._db.execute(query, kinds):
                byte, bit = divmod(place, 8)
                if byte >= len(bits):
                    bits.extend(bytes(max(byte + 1 - len(bits), len(bits))))
                bits[byte] |= 1 << bit
        return bits

    def _all(self, query: str, values: tuple[Any, ...] = ()) -> list[Any]:
        with self._told():
            return self._db.execute(query, values).fetchall()

    def _data(self, text: str) -> Any:
        try:
            return json.loads(text)
        except (ValueError, TypeError, RecursionError):
            raise JournalError(f"{self.path}: is damaged: what should be JSON in it is none") from None

    def _number(self, query: str) -> int:
        return int(self._all(query)[0][0])

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise told(self.path, error) from error
        except UnicodeDecodeError as error:  # of SQLite's own message, where it quotes what is damaged
            raise JournalError(f"{self.path}: is damaged, and cannot be read") from error


def _marks(values: Collection[object]) -> str:
    return ",".join("?" * len(values))


def has(bits: bytearray, place: int) -> bool:
    """Whether a place is among those of `JournalReader.places`."""
    byte, bit = divmod(place, 8)
    return byte < len(bits) and bool(bits[byte] >> bit & 1)
