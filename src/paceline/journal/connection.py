"""What SQLite raises, in a sentence that names the file; and how the file is opened for reading."""

from __future__ import annotations

import os
import sqlite3

from .._core.exceptions import JournalError

_PATIENCE = 30.0  # seconds: a writer never holds up readers for long


def told(path: str, error: sqlite3.Error) -> JournalError:
    """Return what SQLite raised as an error that names the file."""
    name = getattr(error, "sqlite_errorname", "")
    if name == "SQLITE_NOTADB":
        return JournalError(f"{path}: is not a journal; name another file")
    if name.startswith("SQLITE_FULL"):
        return JournalError(f"{path}: cannot be written: the disk is full")
    if name.startswith("SQLITE_READONLY"):
        return JournalError(f"{path}: cannot be written: it is read-only")
    if name.startswith("SQLITE_CORRUPT"):
        how = f"sqlite3 {path} .recover | sqlite3 NEW"
        return JournalError(f"{path}: is damaged ({error}); what can be read is rebuilt by: {how}")
    if name.startswith("SQLITE_IOERR_WRITE"):
        return JournalError(f"{path}: cannot be written ({error}): is a limit set on the size of files?")
    return JournalError(f"{path}: {error}")


def connect_to_read(path: str) -> sqlite3.Connection:
    """Open a file for reading, which may be written at the same time.

    Raises:
        sqlite3.Error: it is not there, or is no database.
    """
    try:
        return _connected(path, "mode=ro")
    except sqlite3.OperationalError:
        if os.path.exists(f"{path}-wal"):  # noqa: PTH110 - a path as the user gave it
            raise
        return _connected(path, "immutable=1")  # in a directory where no log can be made, and where nobody writes one


def _connected(path: str, how: str) -> sqlite3.Connection:
    quoted = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    db = sqlite3.connect(
        f"file:{quoted}?{how}", uri=True, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
    )
    try:
        db.execute("SELECT EXISTS (SELECT * FROM sqlite_master)")
    except BaseException:
        db.close()
        raise
    return db
