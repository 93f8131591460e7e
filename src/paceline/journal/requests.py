"""Requests: asks the run that writes a journal to do something, by a row in the journal, from another process.

The row is written without the lock of the run, in a short transaction of SQLite's own. The run reads it within a second, and answers.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing

from .._core.control_request import ControlRequest
from .._core.exceptions import JournalError
from . import schema
from .connection import journal_errors

_BUSY_TIMEOUT = 5.0  # seconds


def ask(path: str, run: int, request: ControlRequest) -> int:
    """Ask a run to do something; return the number of the request.

    Raises:
        JournalError: The journal cannot be written, or an earlier version of paceline writes it.
    """
    with journal_errors(path), closing(_connect(path)) as db:
        if schema.check(db, path) < schema.SIGHT:
            raise JournalError(f"{path}: is written by an earlier version of paceline, which takes no commands")
        cursor = db.execute(
            "INSERT INTO control (run, asked, command, workers) VALUES (?, ?, ?, ?)",
            (run, time.time(), str(request.command), request.workers),
        )
        return cursor.lastrowid or 0


def withdraw(path: str, number: int) -> None:
    """Withdraw a request that was not answered.

    Raises:
        JournalError: The journal cannot be written.
    """
    with journal_errors(path), closing(_connect(path)) as db:
        db.execute("DELETE FROM control WHERE request = ? AND obeyed IS NULL", (number,))


def _connect(path: str) -> sqlite3.Connection:
    if not os.access(path, os.W_OK):
        raise JournalError(f"{path}: you may not write it; a run is controlled by whoever started it")
    quoted = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    return sqlite3.connect(f"file:{quoted}?mode=rw", uri=True, timeout=_BUSY_TIMEOUT, isolation_level=None)
