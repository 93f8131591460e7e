"""What is in a journal's file: the tables, and how a file comes to have those of today.

Rules owned here:

1. A file is a journal if its application id says so; one without any table becomes one. Any other is left alone.
2. Tables are made, and changed from one version to the next, in one transaction each: a kill in between leaves the file as it
   was before.
3. A file of a later version than this program knows is left alone too.

The tables are documented in docs/reference/journal.md: users may query them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from .._core.exceptions import JournalError

APPLICATION_ID = 0x7061636C  # "pacl"

_TABLES = """
CREATE TABLE facts (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE runs (
    run INTEGER PRIMARY KEY,
    pid INTEGER NOT NULL,
    version TEXT NOT NULL,
    began REAL NOT NULL,
    ended REAL
);
CREATE TABLE strategies (
    strategy INTEGER PRIMARY KEY,
    identity TEXT NOT NULL UNIQUE
);
CREATE TABLE items (
    item INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    content BLOB NOT NULL,
    strategy INTEGER NOT NULL REFERENCES strategies,
    place INTEGER,
    gone INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX items_by_content ON items (content);
CREATE TABLE results (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    item INTEGER NOT NULL UNIQUE REFERENCES items,
    strategy INTEGER NOT NULL REFERENCES strategies,
    run INTEGER NOT NULL REFERENCES runs,
    settled REAL NOT NULL,
    kind TEXT,
    message TEXT,
    output TEXT,
    context TEXT,
    model TEXT,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cached_input_tokens INTEGER NOT NULL,
    total_tokens INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    refusals INTEGER NOT NULL,
    seconds REAL NOT NULL
);
CREATE TABLE attempts (
    item INTEGER NOT NULL REFERENCES items,
    run INTEGER NOT NULL REFERENCES runs,
    ordinal INTEGER NOT NULL,
    number INTEGER NOT NULL,
    started REAL NOT NULL,
    seconds REAL NOT NULL,
    quota TEXT NOT NULL,
    model TEXT,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cached_input_tokens INTEGER NOT NULL,
    total_tokens INTEGER NOT NULL,
    cost REAL,
    kind TEXT,
    message TEXT,
    PRIMARY KEY (item, run, ordinal)
) WITHOUT ROWID;
CREATE TABLE pace (
    run INTEGER NOT NULL REFERENCES runs,
    at REAL NOT NULL,
    quota TEXT NOT NULL,
    handle TEXT NOT NULL,
    old REAL,
    new REAL,
    reason TEXT NOT NULL
);
"""

STEPS: Sequence[str] = (_TABLES,)
"""Each makes of one version the next; the first makes version 1 of an empty file."""


def ensure(connection: sqlite3.Connection, path: str, steps: Sequence[str] = STEPS) -> None:
    """Make the tables, or change them into those of today.

    Args:
        connection: in autocommit mode.
        path: of the file, for messages.
        steps: those to do, from an empty file on.

    Raises:
        JournalError: the file is something else, or of a later version.
    """
    version = check(connection, path, latest=len(steps))
    for number in range(version, len(steps)):
        marks = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number + 1};"
        try:
            connection.executescript(f"BEGIN IMMEDIATE; {steps[number]} {marks} COMMIT;")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.rollback()
            raise


def check(connection: sqlite3.Connection, path: str, *, latest: int = len(STEPS)) -> int:
    """Return the version of a file's tables; 0: it has none.

    Raises:
        JournalError: the file is no journal, or of a later version than `latest`.
    """
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        if version or connection.execute("SELECT EXISTS (SELECT * FROM sqlite_master)").fetchone()[0]:
            raise JournalError(f"{path}: is a database of another program, not a journal; name another file")
        return 0
    if version > latest:
        raise JournalError(f"{path}: was written by a later paceline (its version is {version}, known is {latest})")
    return version
