"""`paceline control`: what it says where there is nothing to control, and a real run in another process that obeys."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing

import pytest

from paceline.exceptions import ConfigurationError, JournalError
from paceline.journal import JournalReader
from paceline.journal.writer import JournalWriter
from paceline.runs.remote_control import control

from ..conftest import prompts


def test_a_journal_that_no_run_has_open_is_one_sentence_and_exit_code_2(paceline, batch):
    journal = batch(prompts(3))
    done = paceline("control", journal, "--pause")
    assert done.code == 2
    assert done.err == f"paceline: {journal}: no run has it open, so there is nothing to control\n"
    assert done.out == ""


@pytest.mark.parametrize("arguments", [(), ("--pause", "--continue"), ("--max-workers", "3", "--drain")])
def test_exactly_one_thing_is_asked_for(paceline, batch, arguments):
    done = paceline("control", batch(prompts(3)), *arguments)
    assert done.code == 2
    assert "give one of --pause, --continue, --max-workers N and --drain" in done.err


def test_a_file_that_is_not_a_journal_is_one_sentence(paceline, tmp_path):
    (tmp_path / "x").write_text("hello")
    done = paceline("control", tmp_path / "x", "--drain")
    assert done.code == 2
    assert done.err.count("\n") == 1


def test_a_number_of_workers_that_no_run_can_have_is_refused_before_anything_is_written(paceline, tmp_path):
    for number in (0, -3, 10**9):
        with pytest.raises(ConfigurationError, match="max_workers must be a whole number"):
            control(tmp_path / "run.db", "max_workers", max_workers=number)


def test_a_run_that_does_not_answer_is_said_and_the_request_is_withdrawn(tmp_path):
    path = tmp_path / "run.db"
    writer = JournalWriter(path)
    run = writer.begin_run()
    naps: list[float] = []
    found = control(path, "pause", sleep=naps.append)
    assert (found.pid, found.answer) == (os.getpid(), None)
    assert sum(naps) == pytest.approx(5.0)
    assert writer.requests() == []
    answered = control(path, "drain", sleep=lambda _: writer.answer_requests([(writer.requests()[0][0], "done")]))
    assert answered.answer == "done"
    assert run == 1
    writer.close()


def test_requests_of_an_earlier_run_are_not_obeyed(tmp_path):
    path = tmp_path / "run.db"
    with JournalWriter(path) as writer:
        writer.begin_run()
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("INSERT INTO control (run, asked, command) VALUES (2, 0, 'drain'), (1, 0, 'pause')")
        writer.begin_run()
        assert writer.requests() == []
    with JournalReader(path) as reader:
        assert reader.answer(1) == reader.answer(2) == "not done: the run had ended"


def test_a_journal_that_may_not_be_written_is_one_sentence(tmp_path, monkeypatch):
    path = tmp_path / "run.db"
    with JournalWriter(path) as writer:
        writer.begin_run()
        monkeypatch.setattr(os, "access", lambda *_: False)  # the tests may run as a user who may do all
        with pytest.raises(JournalError, match="you may not write it"):
            control(path, "pause")


def size_at_rest(path):
    """Return the size of a file that has not grown for half a second: on a busy machine the calls in flight take their time to be written."""
    size, before = path.stat().st_size, -1
    while size != before:
        time.sleep(0.5)
        size, before = path.stat().st_size, size
    return size


def test_a_run_in_another_process_pauses_continues_changes_its_workers_and_drains(paceline, start, tmp_path):
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text(prompts(20_000))
    process = start("run", source, "-o", output, "-m", "sim:rate=none,latency=0.05", "-q")
    deadline = time.monotonic() + 30
    while not (output.exists() and output.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert "paused" in paceline("control", output, "--pause").out
    size = size_at_rest(output)
    assert "at most 3 calls at once" in paceline("control", output, "--max-workers", "3").out
    assert output.stat().st_size == size
    assert paceline("control", output, "--continue").out.endswith(": continued\n")
    done = paceline("control", output, "--drain")
    assert (done.code, "no more calls start" in done.out) == (0, True)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (1, "")
    assert "resume with: paceline resume" in err
    assert output.stat().st_size > size
    with JournalReader(f"{output}.journal") as reader:
        counts = reader.counts()
        assert counts.failures == {}
        assert counts.pending + counts.succeeded == 20_000
        assert {"paused", "stopping", "ended"} & {entry.reason for entry in reader.limits()}
