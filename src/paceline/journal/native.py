"""Native jobs: the jobs of a provider's batch API, and which items are their rows.

Rules owned here:

1. A job and its rows are stored in one transaction, before anything of it is at the provider.
2. An answer is kept until its item has a result, or an attempt: it is deleted in the transaction that stores that, and so used once.
3. An answer counts for its item only if prompt and strategy of the item are those of the row: the input may have changed meanwhile.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import attrs
from cattrs import Converter
from cattrs.errors import BaseValidationError

from .._core.exceptions import JournalError
from .._core.native import job
from .inserts import marks, storable

_STATES: dict[str, type[Any]] = {
    "intended": job.Intended,
    "uploaded": job.Uploaded,
    "asked": job.Asked,
    "created": job.Created,
    "ended": job.Ended,
    "collected": job.Collected,
    "rescued": job.Rescued,
    "not created": job.NotCreated,
}
_NAMES = {kind: name for name, kind in _STATES.items()}
_FINAL = ("rescued", "not created")
_UNSETTLED = "NOT i.gone AND NOT EXISTS (SELECT 1 FROM results r WHERE r.item = i.item)"

_converter = Converter(forbid_extra_keys=True)


@attrs.frozen(kw_only=True)
class StoredJob:
    """A job as the journal has it."""

    number: int
    marker: str
    """Name that was chosen before it was created; the provider shows it, if it can."""
    began: float
    """When it was intended, in seconds since 1970."""
    kind: str
    """What its rows have in common, such as the model."""
    rows: int
    state: job.State


@attrs.frozen
class OpenItem:
    """An item without a result that is no row of a job under way."""

    item: int
    id: str
    place: int | None
    content: bytes
    jobs: int
    """Jobs of the run that the provider worked on, and in which the item was a row."""


class NativeTable:
    """The tables `native_jobs` and `native_rows` of one journal.

    Args:
        transaction: Function that begins a transaction, or joins the current one.
        path: Path of the journal, for messages.
    """

    def __init__(self, transaction: Callable[[], AbstractContextManager[sqlite3.Connection]], path: str) -> None:
        self._transaction = transaction
        self._path = path
        with transaction() as db:
            found = db.execute("SELECT EXISTS (SELECT 1 FROM native_rows WHERE answer IS NOT NULL)").fetchone()
        self.has_answers: bool = bool(found[0])
        """Whether there may be answers that are not used."""

    def add(self, marker: str, kind: str, items: Sequence[int], *, run: int, now: float) -> StoredJob:
        """Store an intended job.

        Args:
            marker: Its name, which no other job has.
            kind: What its rows have in common.
            items: Numbers of its items, in the order of its rows.
            run: Number of the run.
            now: Time, in seconds since 1970.
        """
        state = job.Intended()
        with self._transaction() as db:
            name, details = _encoded(state)
            number = db.execute(
                "INSERT INTO native_jobs (marker, run, began, kind, rows, state, details) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (marker, run, now, storable(kind), len(items), name, details),
            ).lastrowid
            db.executemany(
                "INSERT INTO native_rows (job, number, item, content, strategy) SELECT ?, ?, item, content, strategy FROM items WHERE item = ?",
                ((number, place, item) for place, item in enumerate(items)),
            )
        return StoredJob(number=number or 0, marker=marker, began=now, kind=kind, rows=len(items), state=state)

    def set_state(self, number: int, state: job.State) -> None:
        """Store the state of a job."""
        name, details = _encoded(state)
        with self._transaction() as db:
            db.execute("UPDATE native_jobs SET state = ?, details = ? WHERE job = ?", (name, details, number))

    def jobs(self, *, is_open: bool = False) -> list[StoredJob]:
        """Return the jobs, or those that are not final.

        Raises:
            JournalError: A state is not one that a run has stored.
        """
        where = f"WHERE state NOT IN ({marks(_FINAL)})" if is_open else ""
        query = f"SELECT job, marker, began, kind, rows, state, details FROM native_jobs {where} ORDER BY job"  # noqa: S608 - constants
        with self._transaction() as db:
            rows = db.execute(query, _FINAL if is_open else ()).fetchall()
        return [stored_job(row, self._path) for row in rows]

    def items_of(self, number: int) -> dict[int, int]:
        """Return the items of a job, by the number of their row, without those whose prompt or strategy has changed."""
        query = (
            "SELECT n.number, n.item FROM native_rows n JOIN items i USING (item) WHERE n.job = ? "
            "AND n.content = i.content AND n.strategy = i.strategy ORDER BY n.number"
        )
        with self._transaction() as db:
            return dict(db.execute(query, (number,)))

    def places_of(self, number: int) -> dict[int, int]:
        """Return the numbers of a job's rows by the places of their items in the input."""
        query = "SELECT i.place, n.number FROM native_rows n JOIN items i USING (item) WHERE n.job = ? AND i.place IS NOT NULL"
        with self._transaction() as db:
            return dict(db.execute(query, (number,)))

    def store_answers(self, number: int, answers: Iterable[tuple[int, int, str]]) -> None:
        """Store answers of a job: the number of the row, the HTTP status and the body; of a settled item none is kept.

        It may be done again, with the same answers.
        """
        query = (
            "UPDATE native_rows SET status = ?, answer = CASE WHEN EXISTS (SELECT 1 FROM results r WHERE r.item = native_rows.item) "
            "THEN NULL ELSE ? END WHERE job = ? AND number = ? AND status IS NULL"
        )
        with self._transaction() as db:
            db.executemany(query, ((status, storable(body), number, row) for row, status, body in answers))
        self.has_answers = True

    def answered(self, number: int) -> int:
        """Return how many rows of a job have, or had, an answer."""
        with self._transaction() as db:
            query = "SELECT COUNT(*) FROM native_rows WHERE job = ? AND status IS NOT NULL"
            return int(db.execute(query, (number,)).fetchone()[0])

    def forget_answers(self, items: Iterable[int]) -> None:
        """Delete the answers to some items: they are used."""
        with self._transaction() as db:
            query = "UPDATE native_rows SET answer = NULL WHERE item = ? AND answer IS NOT NULL"
            db.executemany(query, ((item,) for item in items))

    def unused_answers(self) -> dict[int, int]:
        """Return the items without a result to which there is an answer, by their places in the input."""
        query = (
            "SELECT DISTINCT i.place, i.item FROM native_rows n JOIN items i USING (item) WHERE n.answer IS NOT NULL "  # noqa: S608 - constants
            f"AND n.content = i.content AND n.strategy = i.strategy AND i.place IS NOT NULL AND {_UNSETTLED}"
        )
        with self._transaction() as db:
            return dict(db.execute(query))

    def answers_to(self, items: Sequence[int]) -> dict[int, tuple[int, str]]:
        """Return HTTP status and body of the unused answers to some items, of which there are at most 500."""
        query = (
            "SELECT item, status, answer FROM native_rows "  # noqa: S608 - question marks
            f"WHERE answer IS NOT NULL AND item IN ({marks(items)}) ORDER BY job"
        )
        with self._transaction() as db:
            return {item: (status, answer) for item, status, answer in db.execute(query, items)}

    def contents_under_way(self) -> set[bytes]:
        """Return the contents of the rows of jobs under way, and of those whose answer is not used."""
        query = (
            "SELECT DISTINCT n.content FROM native_rows n JOIN native_jobs j USING (job) "  # noqa: S608 - question marks
            f"WHERE j.state NOT IN ({marks(_FINAL)}) OR n.answer IS NOT NULL"
        )
        with self._transaction() as db:
            return {content for (content,) in db.execute(query, _FINAL)}

    def open_items(self, run: int) -> list[OpenItem]:
        """Return the items that have no result, no unused answer and no job under way, in the order of the input; with their jobs in a run."""
        is_busy = f"j.state NOT IN ({marks(_FINAL)}) OR (n.answer IS NOT NULL AND n.content = i.content AND n.strategy = i.strategy)"
        of_item = "FROM native_rows n JOIN native_jobs j USING (job) WHERE n.item = i.item"
        query = (
            f"SELECT i.item, i.id, i.place, i.content, (SELECT COUNT(*) {of_item} AND n.content = i.content AND j.run = ? AND j.state <> 'not created' AND j.details NOT LIKE '%\"outcome\": \"held\"%') "  # noqa: S608 - constants
            f"FROM items i WHERE {_UNSETTLED} AND NOT EXISTS (SELECT 1 {of_item} AND ({is_busy})) ORDER BY i.place, i.item"
        )
        with self._transaction() as db:
            return [OpenItem(*row) for row in db.execute(query, (run, *_FINAL))]


def stored_job(row: Sequence[Any], path: str) -> StoredJob:
    """Return a job from its row.

    Raises:
        JournalError: Its state is not one that a run has stored.
    """
    number, marker, began, kind, rows, name, details = row
    try:
        state = _converter.structure(json.loads(details), _STATES[name])
    except (BaseValidationError, ValueError, TypeError, KeyError, RecursionError):
        raise JournalError(f"{path}: is damaged: the state of native job {number} cannot be read") from None
    return StoredJob(number=number, marker=marker, began=began, kind=kind, rows=rows, state=state)


def _encoded(state: job.State) -> tuple[str, str]:
    return _NAMES[type(state)], json.dumps(_converter.unstructure(state))
