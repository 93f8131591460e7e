"""Damage: whatever is in the tables of a journal, it is read, or refused in one sentence that says where."""

from __future__ import annotations

import json
import math
import shutil
import sqlite3
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline.cli import main
from paceline.cli.commands.explain import csv_lines, story_lines
from paceline.cli.commands.status import render_status
from paceline.exceptions import JournalError
from paceline.journal import damage
from paceline.journal.reader import JournalReader
from paceline.report.page import render
from paceline.runs import ExportOptions, RunOptions, export, report, run, status
from paceline.runs.journal_report import pace_of

TABLES = ("facts", "runs", "strategies", "items", "results", "attempts", "pace", "limits")
VALUES = (
    st.none()
    | st.integers(-(2**63), 2**63 - 1)
    | st.sampled_from([0, 1, -1, 2**53 - 1, 2**63 - 1])
    | st.floats(allow_nan=True)
    | st.text(max_size=20)
    | st.sampled_from(["", "{", "null", "[]", '{"a": 1}\n{"id": "forged"}', "\x1b]52;c;x\x07", "denied", '{"path": 3}'])
    | st.binary(max_size=20)
)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """The folder of a run that has answers, failures and items that are pending."""
    folder = tmp_path_factory.mktemp("run")
    lines = [{"id": f"q{n}", "prompt": f"say {n}", "context": {"n": n}} for n in range(6)]
    (folder / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    options = RunOptions(
        input=str(folder / "in.jsonl"), output=str(folder / "out.jsonl"), model="sim:latency=0", limit=5
    )
    assert run(options).batch.succeeded == 5
    journal = folder / "out.jsonl.journal"
    with closing(sqlite3.connect(journal)) as db, db:
        db.execute("UPDATE results SET kind = 'invalid', message = 'no', output = NULL WHERE seq = 2")
        db.execute("DELETE FROM results WHERE seq = 3")
        db.execute(
            "INSERT INTO pace (run, at, quota, handle, old, new, reason) VALUES (1, 0.5, 'sim', 'rate', NULL, 2.0, 'x')"
        )
    return folder


def with_any_types(journal):
    """Let the columns of a journal's tables take any value, as in a file that someone else has made."""
    with closing(sqlite3.connect(journal)) as db, db:
        db.execute("PRAGMA writable_schema = ON")
        for table in TABLES:
            columns = ", ".join(row[1] for row in db.execute(f"PRAGMA table_info({table})"))
            db.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
            db.execute(f"CREATE TABLE {table} ({columns})")
            db.execute(f"INSERT INTO {table} SELECT {columns} FROM old_{table}")  # noqa: S608 - names of this module


def read_all(journal, folder):
    """Read everything of a journal that any command reads."""
    with JournalReader(journal) as reader:
        list(reader.results())
        list(reader.rows(in_input_order=True))
        list(reader.pending_ids())
        reader.counts(), reader.messages(), reader.models(), reader.runs(), reader.pace(), reader.strategies()
        reader.identities(), reader.knowledge(), reader.places(settled=True), reader.writer(), reader.known()
        reader.items(["q0", "q1"]), reader.shared(1), reader.progress_of(1), reader.item_uses(3)
    render_status(status(journal))
    render(report(journal, with_text=True))
    with pace_of(journal) as pace:
        list(story_lines(pace)), list(csv_lines(pace))
    for name in ("all.jsonl", "all.csv"):
        export(journal, ExportOptions(output=str(folder / name), overwrite=True))


@given(st.sampled_from(TABLES), st.data())
def test_any_value_in_any_column_is_read_or_refused_in_one_sentence(original, tmp_path_factory, table, data):
    folder = tmp_path_factory.mktemp("copy")
    journal = str(folder / "run.journal")
    shutil.copy(original / "out.jsonl.journal", journal)
    with_any_types(journal)
    with closing(sqlite3.connect(journal)) as db, db:
        columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
        column, value = data.draw(st.sampled_from(columns)), data.draw(VALUES)
        rows = db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - as above
        row = data.draw(st.integers(0, max(0, rows - 1)))
        db.execute(
            f"UPDATE {table} SET {column} = ? WHERE rowid = (SELECT rowid FROM {table} LIMIT 1 OFFSET ?)",  # noqa: S608 - as above
            (value, row),
        )
    try:
        read_all(journal, folder)
    except JournalError as refused:
        assert len(str(refused).splitlines()) == 1  # noqa: PT017
        assert str(refused).startswith(journal)  # noqa: PT017
        return
    for name in ("all.jsonl",):
        for line in (folder / name).read_bytes().splitlines():
            assert "forged" not in json.loads(line)["id"]


@given(st.binary(max_size=200), st.integers(0, 60_000))
def test_any_bytes_in_the_file_are_read_or_refused(original, tmp_path_factory, garbage, place):
    folder = tmp_path_factory.mktemp("copy")
    journal = folder / "run.journal"
    content = bytearray((original / "out.jsonl.journal").read_bytes())
    place = min(place, len(content))
    content[place : place + len(garbage)] = garbage
    journal.write_bytes(content)
    try:
        read_all(str(journal), folder)
    except JournalError as refused:
        assert str(journal) in str(refused)  # noqa: PT017
        assert len(str(refused).splitlines()) == 1  # noqa: PT017


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE results SET output = '{\"a\"'", "at row 1 of its results: output must be JSON on one line, or null"),
        ("UPDATE results SET output = '1\n{}' WHERE seq = 4", "at row 3 of its results: output must be JSON"),
        (
            "UPDATE results SET input_tokens = -1 WHERE seq = 2",
            "at row 2 of its results: input_tokens must be a whole number",
        ),
        ("UPDATE results SET seconds = 9e999", "at row 1 of its results: seconds must be a finite number"),
        ("UPDATE results SET kind = 'nice'", "at row 1 of its results: kind must be a kind of fault or null"),
        ("UPDATE items SET place = 4000000000000", "at row 1 of its items: place must be a whole number below"),
    ],
)
def test_what_is_wrong_is_named_with_its_row_and_column(original, tmp_path, change, words, capsys):
    journal = str(tmp_path / "run.journal")
    shutil.copy(original / "out.jsonl.journal", journal)
    with closing(sqlite3.connect(journal)) as db, db:
        db.execute(change)
    with pytest.raises(JournalError) as refused:
        read_all(journal, tmp_path)
    assert words in str(refused.value)
    assert main(["results", journal, "-o", str(tmp_path / "x.jsonl")]) in {0, 2}
    assert "Traceback" not in capsys.readouterr().err


def test_counts_that_a_server_has_claimed_do_not_break_the_sums(original, tmp_path):
    journal = str(tmp_path / "run.journal")
    shutil.copy(original / "out.jsonl.journal", journal)
    with closing(sqlite3.connect(journal)) as db, db:
        db.execute("UPDATE attempts SET input_tokens = ?", (2**63 - 1,))
    with JournalReader(journal) as reader:
        (use, _), *_ = reader.models()
    assert use.usage.input_tokens > 0
    assert main(["status", journal]) == 0


@given(st.lists(st.tuples(st.integers(0, 9), st.text(max_size=3)), max_size=5))
def test_sound_rows_pass_unchanged(rows):
    columns = [("n", lambda value: type(value) is int, "a number"), ("t", lambda value: type(value) is str, "a text")]
    assert list(damage.sound(rows, columns, "x", "rows")) == rows


COLUMNS = [
    *damage.counts("count"),
    *damage.counts_or_null("count or null"),
    *damage.texts("text"),
    *damage.texts_or_null("text or null"),
    *damage.numbers("number"),
    *damage.summands_or_null("summand or null"),
    *damage.KIND,
    *[column for column in damage.RESULT if column[0] == "output"],
]
SOUND_ROW = (0, None, "", None, 0.5, None, None, None)
OTHER_VALUES = [None, 0, -1, 1, 2**63, True, 1e300, math.inf, -math.inf, "", "x", b"", "denied", '{"a": 1}', '"a" "b"']
ROWS = 300  # more than are checked together


def verdict_on(rows):
    passed, found = [], None
    try:
        for row in damage.sound(iter(rows), COLUMNS, "path {}", "results"):
            passed.append(row)  # noqa: PERF402 - those before the error count
    except JournalError as error:
        found = str(error)
    return passed, found


@pytest.mark.parametrize("place", [0, ROWS - 1])
@pytest.mark.parametrize("column", range(len(COLUMNS)))
def test_rows_that_are_checked_together_pass_as_if_each_were_checked_alone(column, place):
    name, check, words = COLUMNS[column]
    for value in OTHER_VALUES:
        rows = [SOUND_ROW] * ROWS
        rows[place] = (*SOUND_ROW[:column], value, *SOUND_ROW[column + 1 :])
        if check(value):
            assert verdict_on(rows) == (rows, None)
        else:
            problem = f"path {{}}: is damaged at row {place + 1} of its results: {name} must be {words}"
            assert verdict_on(rows) == (rows[:place], problem)


@pytest.mark.parametrize(
    "text", ['"a" "b"', ' {"a": 1}', '{"a": 1} ', '{"a": 1}}', "", " ", "NaN", "nul", "[" * 10_000, "1" * 5_000]
)
def test_an_output_is_json_if_it_can_be_loaded(text):
    is_json_as_it_loads(text)


@given(st.text(alphabet='{}[]",:truefalsn1.eE-\\ \t', max_size=8))
def test_any_output_is_json_if_it_can_be_loaded(text):
    is_json_as_it_loads(text)


def is_json_as_it_loads(text):
    (check,) = [check for name, check, _ in damage.RESULT if name == "output"]
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        assert not check(text)
    else:
        assert check(text)
