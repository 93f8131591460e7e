"""Connection: opens a journal for reading, and translates SQLite's errors into messages that name the file."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from .._core.exceptions import JournalError
from .._core.printable import printable

_BUSY_TIMEOUT = 30.0  # seconds: a writer never blocks readers for long


def _journal_error(path: str, error: sqlite3.Error) -> JournalError:
    """Return an SQLite error as a `JournalError` that names the file and, where one is known, a remedy."""
    name, words = (
        getattr(error, "sqlite_errorname", ""),
        printable(str(error), keep=""),
    )  # it may quote what the file holds
    if name == "SQLITE_NOTADB":
        return JournalError(f"{path}: is not a journal; name another file")
    if name.startswith("SQLITE_FULL"):
        return JournalError(f"{path}: cannot be written: the disk is full; make space, then run again")
    if name.startswith("SQLITE_READONLY"):
        return JournalError(
            f"{path}: cannot be written: it is read-only; change its permissions, or name another journal"
        )
    if name.startswith("SQLITE_CORRUPT"):
        command = f"sqlite3 {path} .recover | sqlite3 NEW"
        return JournalError(f"{path}: is damaged ({words}); recover what is readable with: {command}")
    if name.startswith("SQLITE_IOERR_WRITE"):
        return JournalError(f"{path}: cannot be written ({words}): is a limit set on the size of files?")
    return JournalError(f"{path}: {words}")


@contextmanager
def journal_errors(path: str) -> Iterator[None]:
    """Raise SQLite errors of the block as `JournalError`s that name the file."""
    try:
        yield
    except sqlite3.Error as error:
        raise _journal_error(path, error) from error


def connect_to_read(path: str) -> sqlite3.Connection:
    """Open a file for reading; another process may write it at the same time.

    Raises:
        sqlite3.Error: The file does not exist, or is not a database.
    """
    try:
        return _connect(path, "mode=ro")
    except sqlite3.OperationalError:
        if os.path.exists(f"{path}-wal"):  # noqa: PTH110 - a path as the user gave it
            raise
        # In a directory where no write-ahead log can be made, and where no process writes one.
        return _connect(path, "immutable=1")


def _connect(path: str, mode: str) -> sqlite3.Connection:
    quoted = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    db = sqlite3.connect(
        f"file:{quoted}?{mode}", uri=True, timeout=_BUSY_TIMEOUT, isolation_level=None, check_same_thread=False
    )
    try:
        db.execute("SELECT EXISTS (SELECT * FROM sqlite_master)")
    except BaseException:
        db.close()
        raise
    return db
