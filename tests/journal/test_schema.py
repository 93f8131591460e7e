"""Schema: a file becomes a journal, or is migrated, in one transaction each; any other file is refused and not changed."""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from paceline.exceptions import JournalError
from paceline.journal import schema
from paceline.journal.reader import JournalReader
from paceline.journal.writer import JournalWriter

from .support import Reading, forked

STEPS = (
    "CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1);",
    "CREATE TABLE b (y INTEGER); INSERT INTO b SELECT x + 1 FROM a;",
    "ALTER TABLE b ADD COLUMN z; UPDATE b SET z = y + 1; DROP TABLE a;",
)


@pytest.fixture
def db(path):
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def state(db):
    """Return the version and the content of the tables."""
    tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master ORDER BY name")]
    content = {name: db.execute(f"SELECT * FROM {name}").fetchall() for name in tables}  # noqa: S608 - names of ours
    return db.execute("PRAGMA user_version").fetchone()[0], content


def test_a_missing_file_becomes_a_journal(path):
    JournalWriter(path).close()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == len(schema.STEPS)
        assert db.execute("PRAGMA application_id").fetchone()[0] == schema.APPLICATION_ID
        assert db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def test_an_empty_file_becomes_a_journal(path):
    Path(path).touch()
    JournalWriter(path).close()
    assert Reading(path).counts().total == 0


def test_a_journal_is_opened_again_unchanged(path):
    JournalWriter(path).close()
    before = Path(path).read_bytes()
    JournalWriter(path).close()
    assert Path(path).read_bytes() == before


@pytest.mark.parametrize("last", range(4))
def test_each_version_is_migrated_step_by_step(db, path, last):
    for reached in sorted({last, 3}):
        schema.ensure(db, path, STEPS[:reached])
        assert state(db)[0] == reached
    assert state(db) == (3, {"b": [(2, 3)]})


def test_a_migration_that_fails_leaves_the_version_before_it(db, path):
    broken = (*STEPS[:2], "CREATE TABLE c (x); INSERT INTO c VALUES (1); INSERT INTO nothing VALUES (1);")
    with pytest.raises(sqlite3.OperationalError, match="nothing"):
        schema.ensure(db, path, broken)
    assert state(db) == (2, {"a": [(1,)], "b": [(2,)]})
    assert not db.in_transaction
    schema.ensure(db, path, STEPS)
    assert state(db)[0] == 3


@pytest.mark.parametrize("step", [0, 1, 2])
@pytest.mark.parametrize("moment", ["in the step", "before its end"])
def test_a_kill_during_a_migration_leaves_the_version_before_it(path, step, moment):
    def act():
        db = sqlite3.connect(path, isolation_level=None)
        db.execute("PRAGMA journal_mode = WAL")
        db.create_function("die", 0, lambda: os.kill(os.getpid(), signal.SIGKILL))
        dies, steps = "CREATE TABLE c AS SELECT die() AS d;", list(STEPS)
        steps[step] = dies + steps[step] if moment == "in the step" else steps[step] + dies
        schema.ensure(db, path, steps)

    assert forked(act)[0] == -signal.SIGKILL
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        assert state(db)[0] == step
        assert "c" not in state(db)[1]
        schema.ensure(db, path, STEPS)
        assert state(db) == (3, {"b": [(2, 3)]})


@pytest.mark.parametrize(
    "tables", ["CREATE TABLE t (x)", "PRAGMA user_version = 1", "PRAGMA application_id = 7; CREATE TABLE t (x)"]
)
def test_a_database_of_another_program_is_refused_and_not_changed(path, tables):
    with closing(sqlite3.connect(path)) as db:
        db.executescript(tables)
    before = Path(path).read_bytes()
    with pytest.raises(
        JournalError, match=r"run\.db: is a database of another program, not a journal; name another file"
    ):
        JournalWriter(path)
    with pytest.raises(JournalError, match="of another program"):
        JournalReader(path)
    assert Path(path).read_bytes() == before


@pytest.mark.parametrize("text", [b"hello", b'{"id": "q1"}\n' * 1000, b"\0" * 100, b"\0" * 5000, b"SQLite format 3\0"])
def test_a_file_that_is_not_a_database_is_refused_and_not_changed(path, text):
    Path(path).write_bytes(text)
    with pytest.raises(JournalError, match=r"run\.db: is not a journal; name another file"):
        JournalWriter(path)
    with pytest.raises(JournalError, match="is not a journal"):
        JournalReader(path)
    assert Path(path).read_bytes() == text
    assert [file.name for file in Path(path).parent.iterdir()] == ["run.db"]


def test_a_journal_of_a_later_version_is_refused_and_not_changed(path):
    JournalWriter(path).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
        db.execute("PRAGMA user_version = 99")
    before = Path(path).read_bytes()
    for opens in (JournalWriter, JournalReader):
        with pytest.raises(
            JournalError,
            match=rf"run\.db: was written by a later paceline \(journal version 99, this one knows up to {len(schema.STEPS)}\)",
        ):
            opens(path)
    assert Path(path).read_bytes() == before


def test_a_database_with_nothing_in_it_becomes_a_journal(db, path):
    db.execute("CREATE TABLE t (x)")
    db.execute("DROP TABLE t")
    JournalWriter(path).close()
    assert schema.check(db, path) == len(schema.STEPS)


def test_an_empty_file_cannot_be_read_as_a_journal(path):
    Path(path).touch()
    with pytest.raises(JournalError, match=r"run\.db: is empty: no run was started with it"):
        JournalReader(path)


def test_a_directory_is_refused(tmp_path):
    with pytest.raises(JournalError, match="cannot be written: Is a directory"):
        JournalWriter(tmp_path)
    with pytest.raises(JournalError, match="there is no such file"):
        JournalReader(tmp_path)


@pytest.mark.parametrize("name", ["a?b#c%d.db", "a b.db", "ä.db", "%41.db", "x?mode=rw.db"])
def test_any_file_name_is_accepted(tmp_path, name):
    JournalWriter(tmp_path / name).close()
    with JournalReader(tmp_path / name) as reader:
        assert reader.counts().total == 0
    assert name in [file.name for file in tmp_path.iterdir()]
    assert {file.name.removesuffix("-shm").removesuffix("-wal") for file in tmp_path.iterdir()} == {name}
