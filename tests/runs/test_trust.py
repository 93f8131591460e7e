"""A journal's word is data, not an order: what comes from elsewhere is confirmed by the user, and no file is changed for it."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import attrs
import pytest

from paceline.exceptions import ConfigurationError
from paceline.files.output import OutputError
from paceline.journal.writer import JournalWriter
from paceline.runs import ResumeOptions, RunOptions, resume, resumed_options, run, stamps
from paceline.runs.journal_facts import record_output, recorded_output, restart_output

MODEL = "sim:rate=1000,latency=0"


@pytest.fixture
def finished(tmp_path):
    """Return the options of a run that has ended."""
    (tmp_path / "in.jsonl").write_text(
        "".join(json.dumps({"id": f"q{n}", "prompt": f"say {n}"}) + "\n" for n in range(5))
    )
    options = RunOptions(input=str(tmp_path / "in.jsonl"), output=str(tmp_path / "out.jsonl"), model=MODEL)
    assert run(options).batch.succeeded == 5
    return options


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """Let the user be another one, with a key of their own."""

    def leave():
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    return leave


def edit(options, name, **changes):
    """Change a fact of a run's journal by hand."""
    with closing(sqlite3.connect(options.journal_file)) as db, db:
        (text,) = db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        db.execute("UPDATE facts SET value = ? WHERE name = ?", (json.dumps({**json.loads(text), **changes}), name))


def rows(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def test_a_journal_of_ones_own_is_resumed_without_a_question(finished):
    assert resume(finished.journal_file).journal.counts.succeeded == 5


@pytest.mark.parametrize(
    "change",
    [
        {"model": "openai:m@http://127.0.0.1:9/v1"},
        {"input": "/etc/passwd"},
        {"output": "/var/other.jsonl"},
        {"system": "/etc/hostname"},
        {"option": {"service_tier": "priority"}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_an_edited_journal_names_is_shown_and_not_used(finished, change):
    edit(finished, "options", **change)
    with pytest.raises(ConfigurationError) as refused:
        resumed_options(finished.journal_file)
    (value,) = change.values()
    assert (value if isinstance(value, str) else next(iter(value))) in str(refused.value)
    assert "add --yes" in str(refused.value)


def test_a_journal_of_another_user_or_machine_is_used_once_that_is_confirmed(finished, elsewhere):
    elsewhere()
    with pytest.raises(ConfigurationError, match=r"no run of yours on this machine.*in\.jsonl.*sim.*out\.jsonl"):
        resume(finished.journal_file)
    assert resume(finished.journal_file, ResumeOptions(trust_journal=True)).journal.counts.succeeded == 5
    assert resume(finished.journal_file).journal.counts.succeeded == 5  # it has been confirmed, and is recorded


def test_files_and_models_that_are_given_again_need_no_confirmation(finished, elsewhere):
    elsewhere()
    given = ResumeOptions(input=finished.input, output=finished.output, model=MODEL)
    assert resume(finished.journal_file, given).journal.counts.succeeded == 5


def test_a_key_that_others_can_write_proves_nothing(finished):
    key = stamps._path()
    key.chmod(0o666)
    try:
        with pytest.raises(ConfigurationError, match="no run of yours"):
            resume(finished.journal_file)
    finally:
        key.chmod(0o600)


def test_the_key_is_private_and_in_no_journal(finished):
    key = stamps._path()
    assert key.stat().st_mode & 0o777 == 0o600
    content = Path(finished.journal_file).read_bytes()
    assert key.read_bytes() not in content
    assert key.read_bytes().hex().encode() not in content


def test_without_a_place_for_a_key_a_run_goes_on_unstamped(finished, monkeypatch, tmp_path):
    (tmp_path / "a file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "a file"))
    assert run(finished).journal.counts.succeeded == 5
    assert len(rows(finished.output)) == 5


@pytest.mark.parametrize("size", [0, 10])
def test_no_file_is_cut_on_the_word_of_an_edited_journal(finished, size):
    edit(finished, "output", size=size, last=0, proved=0, tail=None)
    Path(finished.output).write_text("the work of a week\n")
    with pytest.raises(OutputError, match="has content"):
        run(finished)
    assert Path(finished.output).read_text() == "the work of a week\n"


def test_a_file_of_anothers_journal_is_continued_only_if_each_byte_of_it_is_in_the_journal(finished, elsewhere):
    elsewhere()
    whole = Path(finished.output).read_bytes()
    Path(finished.output).write_bytes(whole[:-7])  # a torn row
    assert run(finished).journal.counts.succeeded == 5
    assert Path(finished.output).read_bytes() == whole


@pytest.mark.parametrize("more", [b"x", b"\n", b"{}\n"])
def test_a_byte_of_others_keeps_the_file_as_it_is(finished, elsewhere, more):
    elsewhere()
    whole = Path(finished.output).read_bytes() + more
    Path(finished.output).write_bytes(whole)
    with pytest.raises(OutputError, match="has content"):
        run(finished)
    assert Path(finished.output).read_bytes() == whole


def test_ones_own_file_that_was_replaced_by_another_of_the_same_size_is_kept(finished):
    whole = Path(finished.output).read_bytes()
    other = bytes(byte if byte in b"\n" else byte ^ 1 for byte in whole)
    Path(finished.output).write_bytes(other)
    assert run(finished).journal.counts.succeeded == 5
    assert Path(finished.output + ".1").read_bytes() == other
    assert len(rows(finished.output)) == 5


def test_rows_that_are_out_of_date_are_replaced_in_ones_own_file_and_kept_in_others(finished, elsewhere):
    with JournalWriter(finished.journal_file) as store:
        restart_output(store)
    run(finished)
    assert len(rows(finished.output)) == 5
    assert not Path(finished.output + ".1").exists()
    edit(finished, "output", stamp="00")
    with JournalWriter(finished.journal_file) as store:
        restart_output(store)
        assert not recorded_output(store).is_own(finished.output)  # it has no stamp now either


def test_a_table_that_an_edited_journal_claims_is_not_replaced(tmp_path):
    (tmp_path / "in.jsonl").write_text(json.dumps({"id": "q", "prompt": "say"}) + "\n")
    options = RunOptions(input=str(tmp_path / "in.jsonl"), output=str(tmp_path / "out.csv"), model=MODEL)
    run(options)
    edit(options, "output", stamp="00")
    with pytest.raises(OutputError, match="has content"):
        run(options)


@pytest.mark.parametrize("more", [b"my notes\n", b'{"id": "torn', b"\n"])
def test_what_is_behind_ones_own_rows_is_kept_under_another_name(finished, more):
    whole = Path(finished.output).read_bytes()
    Path(finished.output).write_bytes(whole + more)
    run(finished)
    assert Path(finished.output + ".1").read_bytes() == whole + more
    assert Path(finished.output).read_bytes() == whole


@pytest.mark.parametrize("cut", [0, 1, 50])
def test_rows_behind_the_recorded_end_stay_and_a_torn_one_is_cut_off(finished, cut):
    whole = Path(finished.output).read_bytes()
    first = whole.index(b"\n") + 1
    with JournalWriter(finished.journal_file) as store:  # as before the latest second of a run that was killed
        recorded = recorded_output(store)
        tail = hashlib.sha256(whole[:first]).hexdigest()
        record_output(store, attrs.evolve(recorded, size=first, proved=first, last=1, tail=tail))
    Path(finished.output).write_bytes(whole[: len(whole) - cut])
    run(finished)
    assert Path(finished.output).read_bytes() == whole
    assert not Path(finished.output + ".1").exists()
