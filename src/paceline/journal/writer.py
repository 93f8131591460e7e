"""How a journal's file is written: the transactions, each of which happens or does not.

Rules owned here:

1. One writer. Whoever opens the file for writing holds its lock until it is closed.
2. What SQLite raises becomes a `JournalError` that names the file; what the transaction had begun is undone.
3. A file that is no longer where it was is not written: nobody would find what is in it.
4. Results are numbered in the order in which they were committed, and no number is used twice: who has shown those up to one
   has only the later ones to show.

Times are those of the wall, for people: nothing depends on their order.
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

from .._codec import decode_knowledge, encode_knowledge
from .._core.accounting import Price
from .._core.config import Durability
from .._core.exceptions import ConfigurationError, JournalError, JournalInUseError
from .._core.pace import PaceChange, PaceKnowledge
from .._core.results import WorkItemResult, is_pending
from . import lock, schema
from .connection import connect_to_read, told
from .items import ItemTable
from .records import INSERT_ATTEMPT, INSERT_RESULT, attempt_values, result_values, storable

_SYNCHRONOUS = {"normal": "NORMAL", "full": "FULL"}
_BUSY = 30.0  # seconds: readers never hold up a writer for long
_CACHE = 16_384  # KiB of the file that are kept in memory

Connect: TypeAlias = Callable[..., sqlite3.Connection]


class Store:
    """A journal that is open for writing. Threads take turns: each transaction is one's.

    Args:
        path: of the file; made if it is not there.
        durability: what a commit survives.
        connect: opens the database, as `sqlite3.connect` does.

    Raises:
        JournalInUseError: somebody else writes it.
        JournalError: it cannot be written, or is something else.
        ConfigurationError: the durability is none.
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
        self.path = os.fspath(path)
        self._place = os.path.abspath(self.path)  # noqa: PTH100 - a symbolic link stays one
        self._lock: int | None = None
        self._run = 0
        self._turn = threading.RLock()
        try:
            self._lock = lock.acquire(self.path)
        except (OSError, ValueError) as error:
            raise JournalError(f"{self.path}: cannot be written: {getattr(error, 'strerror', None) or error}") from None
        if self._lock is None:
            raise JournalInUseError(self.path, _pid_of_writer(self.path))
        try:
            self._db = self._opened(durability, connect)
        except BaseException:
            lock.release(self._lock)
            raise
        self.items = ItemTable(self.transaction)
        """The items that it knows."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _opened(self, durability: Durability, connect: Connect) -> sqlite3.Connection:
        with self._told():
            db = connect(self.path, timeout=_BUSY, isolation_level=None, check_same_thread=False)
        try:
            with self._told():
                schema.check(db, self.path)  # before anything is changed in a file that is none of ours
                db.execute("PRAGMA journal_mode = WAL")
                db.execute(f"PRAGMA synchronous = {_SYNCHRONOUS[durability]}")
                db.execute(f"PRAGMA cache_size = -{_CACHE}")
                schema.ensure(db, self.path)
        except BaseException:
            db.close()
            raise
        return db

    # ---------------------------------------------------------------------------------------------- runs

    def begin_run(self) -> int:
        """Note that a run begins; return its number."""
        with self.transaction() as db:
            values = (os.getpid(), version("paceline"), time.time())
            self._run = db.execute("INSERT INTO runs (pid, version, began) VALUES (?, ?, ?)", values).lastrowid or 0
        return self._run

    def end_run(self) -> None:
        """Note that the run has ended."""
        with self.transaction() as db:
            db.execute("UPDATE runs SET ended = ? WHERE run = ?", (time.time(), self._run))

    def close(self) -> None:
        """Close the file, and let go of the lock. What is not committed is undone."""
        try:
            with suppress(sqlite3.Error):  # the last checkpoint; the log is read again when it is opened
                self._db.close()
        finally:
            descriptor, self._lock = self._lock, None
            if descriptor is not None:
                lock.release(descriptor)

    # ---------------------------------------------------------------------------------------------- facts

    def fact(self, name: str) -> Any:
        """Return what is noted under a name; None: nothing."""
        with self._told():
            row = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def note_fact(self, name: str, value: Any) -> None:
        """Note something under a name, in place of what was there."""
        with self.transaction() as db:
            db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, json.dumps(value, allow_nan=False)))

    def knowledge(self) -> dict[str, PaceKnowledge]:
        """Return what was learned of quotas; nothing, if it cannot be read."""
        found = self.fact("knowledge")
        try:
            return decode_knowledge(json.dumps(found)) if found is not None else {}
        except ConfigurationError:
            return {}

    def note_pace(self, changes: Sequence[tuple[str, PaceChange]], knowledge: Mapping[str, PaceKnowledge]) -> None:
        """Note what the pace did, with times in seconds since the batch began, and what was learned."""
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

    # ---------------------------------------------------------------------------------------------- results

    def commit(self, results: Sequence[WorkItemResult[Any]], prices: Mapping[str, Price]) -> None:
        """Keep results with their attempts; of pending ones only the attempts: they are not final.

        Raises:
            JournalError: they are not kept, none of them; or there is one of an item that was not noted.
        """
        now = time.time()
        rows = [result_values(result, self._run, now) for result in results if not is_pending(result)]
        attempts = [values for result in results for values in attempt_values(result, self._run, prices)]
        with self.transaction() as db:
            if db.executemany(INSERT_RESULT, rows).rowcount != len(rows) and rows:
                raise JournalError(f"{self.path}: was given the result of an item that it does not know")
            db.executemany(INSERT_ATTEMPT, attempts)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Do all that is in the block, or nothing of it. A transaction within another is a part of that."""
        with self._turn, self._told():
            if self._db.in_transaction:
                yield self._db
                return
            if self._lock is not None and not lock.is_of(self._lock, self._place):
                raise JournalError(f"{self.path}: was removed, or another file put in its place, while it was written")
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # some errors have undone it already
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise told(self.path, error) from error


def _pid_of_writer(path: str) -> int | None:
    """Return the process that writes a journal, as far as it says so: it may not have begun its run yet."""
    try:
        with closing(connect_to_read(path)) as db:
            row = db.execute("SELECT pid, ended FROM runs ORDER BY run DESC LIMIT 1").fetchone()
    except sqlite3.Error:  # it has just been made
        return None
    return int(row[0]) if row is not None and row[1] is None and lock.is_alive(row[0]) else None


def _finite(number: float) -> float | None:
    return number if abs(number) < float("inf") else None
