"""Writer: the transactions on a journal, each of which is committed completely or not at all.

Rules owned here:

1. There is one writer: it holds the file's lock from opening to closing.
2. An SQLite error becomes a `JournalError` that names the file, and the transaction is rolled back.
3. A file that was moved, removed or replaced is not written: its results would be lost with it.
4. Results are numbered in the order of commits, and no number is used twice: an output that has all results up to a number
   only lacks those with higher numbers.

Times are wall-clock times, for people: nothing depends on their order.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from importlib.metadata import version
from os import PathLike
from typing import Any, Self, TypeAlias

from .._codec import decode_knowledge, encode_knowledge, progress_data
from .._core.accounting import Price
from .._core.budget import Spent
from .._core.config import Durability
from .._core.exceptions import ConfigurationError, JournalError, JournalInUseError
from .._core.limitation import Limitation
from .._core.pace import PaceChange, PaceKnowledge
from .._core.progress import RunProgress
from .._core.results import WorkItemResult, is_pending
from . import lock, schema
from .connection import connect_to_read, journal_errors
from .costs import spent_in
from .inserts import CommitRows, storable
from .items import ItemTable
from .native import NativeTable
from .records import OUTPUT, SEQ, ResultRow

_SYNCHRONOUS = {"normal": "NORMAL", "full": "FULL"}
_BUSY_TIMEOUT = 30.0  # seconds: readers never block a writer for long
_MOST_REQUESTS = 100  # that are read at once
_CACHE_KIB = 16_384  # of the file in memory
_MOST_RECENT = 4_096  # results in memory for an output that follows: more than one that keeps up needs
_MOST_CHARACTERS = 8 * 2**20  # of their outputs

Connect: TypeAlias = Callable[..., sqlite3.Connection]


class JournalWriter:
    """A journal that is open for writing. It may be used by several threads: each transaction is one thread's.

    Args:
        path: Path of the file; it is created if it does not exist.
        durability: What a commit survives: see `SqliteJournal`.
        connect: Function that opens the database, as `sqlite3.connect` does.

    Raises:
        JournalInUseError: Another writer has the journal open.
        JournalError: The file cannot be written, or is not a journal; methods raise it too.
        ConfigurationError: The durability is unknown.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        durability: Durability = "normal",
        connect: Connect = sqlite3.connect,
    ) -> None:
        if durability not in _SYNCHRONOUS:
            raise ConfigurationError(f"durability must be normal or full, not {durability!r}")
        self.path: str = os.fspath(path)
        if not self.path:
            raise JournalError("journal is an empty path; give the path of a file")
        self._absolute_path = os.path.abspath(self.path)  # noqa: PTH100 - a symbolic link stays one
        self._lock: int | None = None
        self._run = 0
        self._mutex = threading.RLock()
        self._uncommitted: list[ResultRow] = []
        """Results of the open transaction."""
        self._recent: RecentResults | None = None
        try:
            self._lock = lock.acquire(self.path)
        except (OSError, ValueError) as error:
            raise JournalError(f"{self.path}: cannot be written: {getattr(error, 'strerror', None) or error}") from None
        if self._lock is None:
            raise JournalInUseError(self.path, _pid_of_writer(self.path))
        try:
            self._db = self._open(durability, connect)
        except BaseException:
            lock.release(self._lock)
            raise
        self.items: ItemTable = ItemTable(self.transaction)
        """The registered items."""
        self.native: NativeTable = NativeTable(self.transaction, self.path)
        """Jobs of a provider's batch API."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, durability: Durability, connect: Connect) -> sqlite3.Connection:
        with journal_errors(self.path):
            db = connect(self.path, timeout=_BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
        try:
            with journal_errors(self.path):
                schema.check(db, self.path)  # before anything is changed in a file of another program
                lock.make_private(self.path)
                db.execute("PRAGMA journal_mode = WAL")
                db.execute(f"PRAGMA synchronous = {_SYNCHRONOUS[durability]}")
                db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
                schema.ensure(db, self.path)
        except BaseException:
            db.close()
            raise
        return db

    # ---------------------------------------------------------------------------------------------- runs

    def begin_run(self) -> int:
        """Record the start of a run; return its number."""
        with self.transaction() as db:
            values = (os.getpid(), version("paceline"), time.time())
            self._run = db.execute("INSERT INTO runs (pid, version, began) VALUES (?, ?, ?)", values).lastrowid or 0
            late = (time.time(), "not done: the run had ended")
            db.execute("UPDATE control SET obeyed = ?, answer = ? WHERE obeyed IS NULL", late)
        return self._run

    @property
    def run(self) -> int:
        """Number of the run; 0 before it has begun."""
        return self._run

    def end_run(self) -> None:
        """Record the end of the run."""
        with self.transaction() as db:
            db.execute("UPDATE runs SET ended = ? WHERE run = ?", (time.time(), self._run))

    def close(self) -> None:
        """Close the file and release the lock. An open transaction is rolled back."""
        try:
            with suppress(sqlite3.Error):  # the last checkpoint failed: the log is read when the file is opened again
                self._db.close()
        finally:
            descriptor, self._lock = self._lock, None
            if descriptor is not None:
                lock.release(descriptor)

    # ---------------------------------------------------------------------------------------------- facts

    def fact(self, name: str) -> Any:
        """Return the fact stored under a name; None if there is no such fact."""
        with journal_errors(self.path):
            row = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def set_fact(self, name: str, value: Any) -> None:
        """Store a fact under a name, and replace the one that was there.

        Args:
            name: Name of the fact.
            value: JSON data.
        """
        with self.transaction() as db:
            db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, json.dumps(value, allow_nan=False)))

    def knowledge(self) -> dict[str, PaceKnowledge]:
        """Return the learned pace by quota key; empty if it is missing or invalid."""
        fact = self.fact("knowledge")
        try:
            return decode_knowledge(json.dumps(fact)) if fact is not None else {}
        except ConfigurationError:
            return {}

    def record_pace(self, changes: Sequence[tuple[str, PaceChange]], knowledge: Mapping[str, PaceKnowledge]) -> None:
        """Store changes of the pace, with times in seconds since the batch started, and the learned pace."""
        rows = [
            (
                self._run,
                change.time,
                storable(quota),
                change.handle,
                _finite(change.old),
                _finite(change.new),
                change.reason,
            )
            for quota, change in changes
        ]
        with self.transaction() as db:
            db.executemany("INSERT INTO pace VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            if knowledge:
                values = ("knowledge", encode_knowledge(knowledge).decode())
                db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", values)

    def record_limits(self, limits: Sequence[tuple[float, Limitation]]) -> None:
        """Store what limits the batch from some times on, in seconds since the batch started."""
        rows = [
            (
                self._run,
                at,
                None if limit.quota is None else storable(limit.quota),
                str(limit.reason),
                None if limit.basis is None else str(limit.basis),
            )
            for at, limit in limits
        ]
        with self.transaction() as db:
            db.executemany("INSERT INTO limits VALUES (?, ?, ?, ?, ?)", rows)

    def requests(self) -> list[tuple[int, Any, Any]]:
        """Return what is asked of this run: number, command and workers of each request, which any program may have written."""
        with self._mutex, journal_errors(self.path):
            query = "SELECT request, command, workers FROM control WHERE obeyed IS NULL AND run = ? ORDER BY request LIMIT ?"
            return self._db.execute(query, (self._run, _MOST_REQUESTS)).fetchall()

    def answer_requests(self, answers: Sequence[tuple[int, str]]) -> None:
        """Store what was done about requests, given by their numbers."""
        rows = [(time.time(), answer, number) for number, answer in answers]
        with self.transaction() as db:
            db.executemany("UPDATE control SET obeyed = ?, answer = ? WHERE request = ?", rows)

    def record_progress(self, progress: RunProgress) -> None:
        """Store the figures of the run at this moment, in place of those before."""
        self.set_fact("progress", {"run": self._run, **progress_data(progress)})

    # ---------------------------------------------------------------------------------------------- results

    def commit(self, results: Sequence[WorkItemResult[Any]], prices: Mapping[str, Price]) -> None:
        """Store results with their attempts; of pending results only the attempts, as they are not final.

        Args:
            results: Results of registered items.
            prices: Known prices by model, for attempts without a cost.

        Raises:
            JournalError: Nothing was stored: the file cannot be written, or an item is not registered.
        """
        names = [storable(result.item_id) for result in results]
        if len(set(names)) < len(names):  # an item may have two results, the later of which replaces the other
            with self.transaction():
                for result in results:
                    self.commit([result], prices)
            return
        rows = CommitRows(self._run, time.time(), prices, keep=self._recent is not None)
        with self.transaction() as db:
            numbers = self.items.numbers(names, self._run)
            if len(numbers) < len(names):
                raise JournalError(f"{self.path}: cannot store the result of an item that is not registered")
            seq = self._last_number(db)
            for name, result in zip(names, results, strict=True):
                item, strategy, first = numbers[name]
                if not is_pending(result):
                    seq += 1
                    rows.add_result(seq, name, item, strategy, result)
                rows.add_attempts(item, first, result.attempts)
            rows.insert(db)
            if self.native.has_answers:
                used = (
                    name
                    for name, result in zip(names, results, strict=True)
                    if result.attempts or not is_pending(result)
                )
                self.native.forget_answers(numbers[name][0] for name in used)
            self._uncommitted += rows.recent or ()

    def spent(self) -> Spent:
        """Return what the attempts of all runs have cost."""
        with journal_errors(self.path):
            return spent_in(self._db, self.path)

    def keep_recent(self) -> None:
        """Keep results in memory from now on, for `take_recent`."""
        with self._mutex:
            self._recent = self._recent or RecentResults()

    def take_recent(self, *, after: int) -> list[ResultRow]:
        """Return the results that follow a number, as far as they are in memory, and forget them.

        Args:
            after: Number of a result.

        Returns:
            Committed results whose numbers are `after + 1` and those that follow without a gap; empty if the next one is not in memory.
        """
        return [] if self._recent is None else self._recent.take(after)

    def _last_number(self, db: sqlite3.Connection) -> int:
        """Return the highest number that a result ever had; 0 before the first."""
        row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'results'").fetchone()
        return 0 if row is None else int(row[0])

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit all changes of the block, or none of them. A nested transaction is a part of the outer one."""
        with self._mutex, journal_errors(self.path):
            if self._db.in_transaction:
                yield self._db
                return
            if self._lock is not None and not lock.is_same_file(self._lock, self._absolute_path):
                raise JournalError(f"{self.path}: was removed or replaced by another file while it was being written")
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
                if self._recent is not None:
                    self._recent.add(self._uncommitted)
            except BaseException:
                with suppress(sqlite3.Error):  # some errors have rolled it back already
                    self._db.execute("ROLLBACK")
                raise
            finally:
                self._uncommitted = []


class RecentResults:
    """The latest committed results, for a reader in the same process that follows them; without one that does, they are dropped."""

    def __init__(self) -> None:
        self._rows: list[ResultRow] = []
        self._characters = 0
        self._mutex = threading.Lock()

    def add(self, rows: Sequence[ResultRow]) -> None:
        """Add committed results, in the order of their numbers; those before a gap are dropped."""
        if not rows:
            return
        with self._mutex:
            if self._rows and self._rows[-1][SEQ] + 1 != rows[0][SEQ]:
                self._clear()
            self._rows += rows
            self._characters += sum(
                len(row[OUTPUT] or row[-1] or "") for row in rows
            )  # the answer that was not accepted is the last
            if len(self._rows) > _MOST_RECENT or self._characters > _MOST_CHARACTERS:
                self._clear()

    def take(self, after: int) -> list[ResultRow]:
        """Return the results from the number `after + 1` on, and forget all; empty if that number is not here."""
        with self._mutex:
            rows = self._rows
            self._clear()
        skipped = after + 1 - rows[0][SEQ] if rows else -1
        return rows[skipped:] if skipped >= 0 else []

    def _clear(self) -> None:
        self._rows, self._characters = [], 0


def _pid_of_writer(path: str) -> int | None:
    """Return the id of the process that writes a journal; None if it has not started its run yet."""
    try:
        with closing(connect_to_read(path)) as db:
            row = db.execute("SELECT pid, ended FROM runs ORDER BY run DESC LIMIT 1").fetchone()
    except sqlite3.Error:  # the file was created a moment ago
        return None
    return int(row[0]) if row is not None and row[1] is None and lock.is_alive(row[0]) else None


def _finite(number: float) -> float | None:
    return number if abs(number) < float("inf") else None
