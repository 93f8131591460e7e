"""Finding a journal by a path, and the message if it is missing: the same for every command."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing

import pytest

from paceline.journal.writer import JournalWriter
from paceline.runs.journal_facts import journal_at

from ..cli.conftest import FAST, prompts

COMMANDS = [["status"], ["results", "-o", "-"], ["failed", "-o", "-"], ["resume"]]


def test_a_journal_is_found_by_its_own_path_and_by_that_of_its_output(batch, tmp_path):
    journal = batch(prompts(2))
    out = tmp_path / "out.jsonl"
    assert journal_at(str(journal)) == journal_at(str(out)) == str(journal)
    out.unlink()
    assert journal_at(str(out)) == str(journal)
    shutil.copy(journal, tmp_path / "other")
    assert journal_at(str(tmp_path / "other")) == str(tmp_path / "other")
    assert journal_at(str(tmp_path / "none")) == str(tmp_path / "none")


@pytest.mark.parametrize("command", COMMANDS)
def test_an_input_in_place_of_its_journal_is_answered_with_the_path_of_the_journal(paceline, tmp_path, command):
    path = tmp_path / "q.txt"
    path.write_text("Why?\n")
    assert paceline("run", path, "-m", FAST).code == 0
    verb, *more = command
    run = paceline(verb, path, *more)
    assert (run.code, run.out) == (2, "")
    assert run.err == f"paceline: {path} is an input; its journal is {path}.results.jsonl.journal\n"


def is_missing(path):
    return "there is no such file"


def is_a_folder(path):
    path.mkdir()
    return "there is no such file"


def is_empty(path):
    path.touch()
    return "is empty: no run was started with it"


def is_text(path):
    path.write_text("no journal\n" * 100)
    return "is not a journal; name another file"


def is_of_another_program(path):
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE t (a)")
    return "is a database of another program, not a journal; name another file"


def is_of_a_later_version(path):
    JournalWriter(path).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    return "was written by a later paceline (journal version 99, this one knows up to "


def has_facts_that_are_none(path):
    with JournalWriter(path) as store, store.transaction() as db:
        db.executemany("INSERT INTO facts VALUES (?, '{')", [("input",), ("options",), ("output",)])
    return "is damaged: it has a value that is not JSON"


def is_cut_off(path):
    with JournalWriter(path) as store, store.transaction() as db:
        db.executemany("INSERT INTO facts VALUES (?, ?)", [(str(i), '"' + "x" * 3_000 + '"') for i in range(50)])
    with path.open("r+b") as file:
        file.truncate(3 * 4096)
    return "is damaged"


def has_a_table_that_is_none(path):
    JournalWriter(path).close()
    with path.open("r+b") as file:
        content = file.read()
        file.seek(content.index(b"CREATE TABLE facts"))
        file.write(b"CREATE \xc8ABLE")
    return "is damaged"


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
@pytest.mark.parametrize(
    "spoilt",
    [
        *(is_missing, is_a_folder, is_empty, is_text, is_of_another_program, is_of_a_later_version),
        *(has_facts_that_are_none, has_a_table_that_is_none, is_cut_off),
    ],
)
def test_an_unreadable_journal_is_one_sentence(paceline, tmp_path, command, spoilt):
    path = tmp_path / "x.journal"
    words = spoilt(path)
    name, *options = command
    run = paceline(name, path, *options)
    assert (run.code, run.out) == (2, "")
    assert run.err.startswith(f"paceline: {path}: ")
    assert words in run.err
    assert len(run.err.splitlines()) == 1


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_stream_is_not_a_journal(paceline, command):
    name, *options = command
    run = paceline(name, "-", *options)
    assert (run.code, run.out) == (2, "")
    assert run.err.startswith("paceline: a journal is a file, not a stream")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_journal_argument_is_required(paceline, command):
    run = paceline(*command)
    assert (run.code, run.out) == (2, "")
    assert "JOURNAL" in run.err
    assert len(run.err.splitlines()) == 1


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_the_help_of_a_command_fits_a_screen(paceline, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "80")
    run = paceline(command[0], "--help")
    assert (run.code, run.err) == (0, "")
    assert len(run.out.splitlines()) <= (61 if command[0] == "resume" else 24)
    assert max(map(len, run.out.splitlines())) <= 80
