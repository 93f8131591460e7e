"""`paceline status --watch`: follows a run from its journal, until that ends."""

from __future__ import annotations

import time

import pytest
from rich.console import Console

from paceline._codec import progress_data
from paceline._core.pace import PaceChange
from paceline.cli.commands.watch import watch
from paceline.journal.writer import JournalWriter
from paceline.runs import JournalWatch, status
from paceline.typing import Limitation, LimitReason

from ...progress.test_panel import figures
from ..conftest import prompts


@pytest.fixture
def running(tmp_path):
    writer = JournalWriter(tmp_path / "run.db")
    writer.begin_run()
    yield writer
    writer.close()


def store(writer, seconds, done, **more):
    limit = Limitation(reason=LimitReason.MAX_WORKERS, value=42)
    writer.record_progress(figures(seconds=seconds, done=done, time=time.time(), limitation=limit, **more))


def test_it_prints_what_the_run_stores_and_ends_with_the_run(running, capsys):
    store(running, 10.0, 100)
    naps = []

    def sleep(seconds):
        naps.append(seconds)
        if len(naps) == 3:
            running.end_run()
        else:
            store(running, 10.0 * (len(naps) + 1), 100 * (len(naps) + 1))

    watch(str(running.path), sleep=sleep)
    err = capsys.readouterr().err
    assert [f"{done} of 600 done" in err for done in (100, 200, 300)] == [True] * 3
    assert err.count("limit: the run's --max-workers: 42") == 1
    assert naps == [1.0] * 3


def test_it_prints_the_steps_of_the_pace_of_this_run(running, capsys):
    running.record_pace([("q", PaceChange(3.0, 20, 34, "all workers are busy"))], {})
    store(running, 10.0, 100)
    watch(str(running.path), sleep=lambda _: running.end_run())
    assert "20 → 34 workers: all workers are busy" in capsys.readouterr().err


def test_a_look_has_only_what_is_new_and_figures_of_this_run(running, tmp_path):
    change = PaceChange(3.0, 20, 34, "busy")
    store(running, 10.0, 100)
    running.record_pace([("q", change)], {})
    with JournalWatch(tmp_path / "run.db") as watched:
        first, second = watched.look(), watched.look()
        assert (first.is_running, first.run, first.progress.done, len(first.steps)) == (True, 1, 100, 1)
        assert second.steps == []
        assert 0 <= second.age < 60
        running.end_run()
        running.begin_run()
        running.record_pace([("q", change)], {})
        third = watched.look()
        assert (third.run, third.progress, len(third.steps)) == (2, None, 1)


def test_status_has_the_figures_of_the_run_under_way_only(running, tmp_path):
    store(running, 10.0, 100)
    found = status(tmp_path / "run.db")
    assert found.progress.done == 100
    assert progress_data(found.progress)["limitation"]["reason"] == "max_workers"
    running.end_run()
    assert status(tmp_path / "run.db").progress is None


def test_of_a_run_that_has_ended_the_status_is_shown_at_once(paceline, batch):
    journal = batch(prompts(3))
    found = paceline("status", journal, "--watch")
    assert found.code == 0
    assert found.err == f"paceline: {journal}: no run writes it now\n"
    assert "items     3: 3 succeeded, 0 failed, 0 pending" in found.out


def test_ctrl_c_ends_the_watch_and_not_the_run(running, paceline, monkeypatch):
    store(running, 10.0, 100)

    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupt)
    found = paceline("status", running.path, "--watch")
    assert (found.code, found.out) == (130, "")
    assert found.err.endswith("paceline: interrupted\n")
    assert running.requests() == []


def test_json_and_watch_exclude_each_other(paceline, batch):
    found = paceline("status", batch(prompts(1)), "--watch", "--json")
    assert found.code == 2
    assert "--watch and --json: give one of them" in found.err


def test_a_file_that_does_not_exist_is_one_sentence(paceline, tmp_path):
    found = paceline("status", tmp_path / "nothing", "--watch")
    assert (found.code, found.err.count("\n")) == (2, 1)


def test_on_a_terminal_it_draws_the_run_s_panel(running, monkeypatch, capsys):
    store(running, 10.0, 100, failures={"rejected": 2})
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    assert Console(stderr=True).is_terminal
    watch(str(running.path), sleep=lambda _: running.end_run())
    err = capsys.readouterr().err
    assert "100 of 600 done (16 %)" in err
    assert "the run's --max-workers: 42" in err
    assert "Traceback" not in err
