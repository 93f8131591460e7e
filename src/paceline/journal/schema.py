"""Schema: the tables of a journal, and the migrations between their versions.

Rules owned here:

1. A file is a journal if it has the application id below; a file without any table becomes one. Any other file is refused and
   not changed.
2. Creating the tables, and each migration from one version to the next, is one transaction: if the process is killed, the file
   is as it was before.
3. A file with a later version than this program knows is refused and not changed.

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

_WRITTEN_TOKENS = "".join(
    f"ALTER TABLE {table} ADD COLUMN {column} INTEGER NOT NULL DEFAULT 0;"
    for table in ("results", "attempts")
    for column in ("cache_written_tokens", "cache_written_1h_tokens")
)

_ANSWERS = "ALTER TABLE results ADD COLUMN reason TEXT; ALTER TABLE results ADD COLUMN answer TEXT;"

_SIGHT = """
CREATE TABLE limits (
    run INTEGER NOT NULL REFERENCES runs,
    at REAL NOT NULL,
    quota TEXT,
    reason TEXT NOT NULL,
    basis TEXT
);
CREATE TABLE control (
    request INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL REFERENCES runs,
    asked REAL NOT NULL,
    command TEXT NOT NULL,
    workers INTEGER,
    obeyed REAL,
    answer TEXT
);
"""

_NATIVE = """
CREATE TABLE native_jobs (
    job INTEGER PRIMARY KEY,
    marker TEXT NOT NULL UNIQUE,
    run INTEGER NOT NULL REFERENCES runs,
    began REAL NOT NULL,
    kind TEXT NOT NULL,
    rows INTEGER NOT NULL,
    state TEXT NOT NULL,
    details TEXT NOT NULL
);
CREATE TABLE native_rows (
    job INTEGER NOT NULL REFERENCES native_jobs,
    number INTEGER NOT NULL,
    item INTEGER NOT NULL REFERENCES items,
    content BLOB NOT NULL,
    strategy INTEGER NOT NULL REFERENCES strategies,
    status INTEGER,
    answer TEXT,
    PRIMARY KEY (job, number)
) WITHOUT ROWID;
CREATE INDEX native_rows_by_item ON native_rows (item);
"""

STEPS: Sequence[str] = (_TABLES, _WRITTEN_TOKENS, _ANSWERS, _SIGHT, _NATIVE)
"""Migrations: number `n` changes version `n` into `n + 1`; the first creates the tables in an empty file."""

WRITTEN_TOKENS = 2
"""Version from which on results and attempts have the tokens written to a cache. A reader does not migrate the tables."""
ANSWERS = 3
"""Version from which on results have the reason of a fault, and the answer that was not accepted."""
SIGHT = 4
"""Version from which on a journal says what limited the batch, and can be used to control a run."""
NATIVE = 5
"""Version from which on a journal has the jobs of a provider's batch API."""


def ensure(connection: sqlite3.Connection, path: str, steps: Sequence[str] = STEPS) -> None:
    """Create the tables, or migrate them to the current version.

    Args:
        connection: Connection in autocommit mode.
        path: Path of the file, for messages.
        steps: All migrations, starting from an empty file.

    Raises:
        JournalError: The file is not a journal, or has a later version.
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
    """Return the version of a file's tables; 0 for a file without tables.

    Raises:
        JournalError: The file is not a journal, or has a later version than `latest`.
    """
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        if version or connection.execute("SELECT EXISTS (SELECT * FROM sqlite_master)").fetchone()[0]:
            raise JournalError(f"{path}: is a database of another program, not a journal; name another file")
        return 0
    if version > latest:
        raise JournalError(
            f"{path}: was written by a later paceline (journal version {version}, this one knows up to {latest}); upgrade paceline"
        )
    return version
