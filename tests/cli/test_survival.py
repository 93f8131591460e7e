"""What a run on a journal survives: kills, signals, full disks, closed pipes, and whatever becomes of its output meanwhile."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from paceline.journal.reader import JournalReader
from paceline.journal.writer import JournalWriter
from paceline.runs.journal_facts import restart_output

from .conftest import FAST, rows_of
from .counting import calls_in, install

KILLS = int(os.environ.get("PACELINE_KILLS", "5"))
WORKERS = 20
SLOW = "counting:0.05"


@pytest.fixture
def environment(tmp_path):
    return install(tmp_path)


@pytest.fixture
def begin(start, environment):
    def popen(*arguments, **options):
        return start("run", *arguments, environment=environment, **options)

    return popen


@pytest.fixture
def complete(paceline, environment, monkeypatch):
    """Run the program in this process, in virtual time: what does the rest after a process has ended; see that all succeed."""
    monkeypatch.syspath_prepend(environment["PYTHONPATH"].partition(os.pathsep)[0])
    monkeypatch.setenv("CALLS", environment["CALLS"])

    def run(*arguments):
        done = paceline("run", *arguments)
        assert done.code == 0, done.err

    return run


def whole(out, items):
    """Whether an output has one row for each item, and each with its own answer."""
    rows = {row["id"]: row["output"] for row in rows_of(out)}
    return len(rows) == len(rows_of(out)) and rows == {f"q{i}": f"PROMPT {i}" for i in range(items)}


def wait_until(condition, process=None):
    while not condition():
        assert process is None or process.poll() is None
        time.sleep(0.005)


def test_kills_at_any_time_lose_nothing_and_repeat_no_more_than_was_in_flight(begin, complete, jsonl, tmp_path):
    items = 50 * KILLS
    source, out = jsonl(items), tmp_path / "out.jsonl"
    chance = random.Random(5)
    killed = 0
    while killed < KILLS:
        process = begin(source, "-o", out, "-m", SLOW, "--max-workers", WORKERS, "-q")
        before = len(calls_in(tmp_path))
        wait_until(lambda before=before: len(calls_in(tmp_path)) > before + chance.randrange(60), process)
        process.send_signal(signal.SIGKILL)
        process.wait()
        killed += 1
        acknowledged = {row["id"] for row in map(json.loads, out.read_bytes().splitlines(keepends=True)[:-1])}
        with JournalReader(f"{out}.journal") as journal:
            assert acknowledged <= {kept.id for kept in journal.results()}
    complete(source, "-o", out, "-m", SLOW, "-q")
    assert killed == KILLS
    assert whole(out, items)
    repeated = sum(count - 1 for count in Counter(calls_in(tmp_path)).values())
    assert repeated <= killed * WORKERS


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_keeps_what_was_in_flight_and_a_second_run_does_the_rest(  # noqa: PLR0913, PLR0917 - fixtures
    begin, complete, jsonl, tmp_path, number, code
):
    source, out = jsonl(300), tmp_path / "out.jsonl"
    process = begin(source, "-o", out, "-m", SLOW, "--max-workers", WORKERS, "-q")
    wait_until(lambda: len(calls_in(tmp_path)) > 60, process)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == code
    called = len(calls_in(tmp_path))
    assert len(rows_of(out)) == called < 300
    assert f"resume with: paceline resume {out}.journal" in err
    complete(source, "-o", out, "-m", SLOW, "-q")
    assert whole(out, 300)
    assert len(calls_in(tmp_path)) == 300


def test_the_second_signal_ends_the_run_at_once_and_loses_no_answer(begin, complete, jsonl, tmp_path):
    source, out = jsonl(300), tmp_path / "out.jsonl"
    process = begin(source, "-o", out, "-m", "counting:0.05", "--max-workers", WORKERS, "--verbose")
    wait_until(lambda: out.exists() and out.stat().st_size, process)
    process.send_signal(signal.SIGINT)
    process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 130
    with JournalReader(f"{out}.journal") as journal:
        assert {kept.id for kept in journal.results()} == {row["id"] for row in rows_of(out)}
    complete(source, "-o", out, "-m", SLOW, "-q")
    assert whole(out, 300)


def test_a_reader_that_closes_stdout_leaves_a_complete_journal(begin, jsonl, tmp_path):
    source, journal = jsonl(500), tmp_path / "run.journal"
    process = begin(source, "-o", "-", "--journal", journal, "-m", SLOW, "--max-workers", WORKERS)
    assert json.loads(process.stdout.readline())["success"]
    process.stdout.close()
    err = process.stderr.read()
    assert process.wait(30) == 141
    assert "Traceback" not in err
    assert f"the results are in {journal}" in err
    with JournalReader(journal) as reader:
        assert reader.counts().succeeded == len(calls_in(tmp_path))


def test_a_full_disk_stops_the_calls_and_the_unsaved_items_are_named(begin, complete, jsonl, tmp_path):
    source, out = jsonl(2_000), tmp_path / "out.jsonl"
    complete(source, "-o", out, "-m", SLOW, "--limit", "1", "-q")
    room = Path(f"{out}.journal").stat().st_size + 400_000

    process = begin(source, "-o", "-", "--journal", f"{out}.journal", "--allow-changes", "-m", "counting:0.001", "-q",
                    limits=(resource.RLIMIT_FSIZE, room, room), stdout=subprocess.DEVNULL)  # fmt: skip
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    called = len(calls_in(tmp_path))
    assert called < 2_000
    assert "could not be saved" in err
    assert "Traceback" not in err
    with JournalReader(f"{out}.journal") as reader:
        saved = reader.counts().succeeded
    assert called - 1_024 - 1_000 <= saved <= called
    complete(source, "-o", out, "--overwrite", "--allow-changes", "-m", "counting:0.001", "-q")


@pytest.fixture
def small_disk(tmp_path):
    """Mount a disk of its own; return where it is, and what changes its size."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if (
        os.geteuid()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", disk], check=False).returncode
    ):
        pytest.skip("needs to mount a small disk")
    yield disk, lambda size: subprocess.run(["mount", "-o", f"remount,size={size}", disk], check=True)
    subprocess.run(["umount", disk], check=True)


def test_an_output_that_cannot_grow_is_completed_by_the_next_run(begin, complete, jsonl, small_disk, tmp_path):
    disk, resize = small_disk
    arguments = (jsonl(200), "-o", disk / "out", "--journal", tmp_path / "run.journal", "-m", "counting:0.001", "-q")
    process = begin(*arguments)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3
    assert f"the results are in {tmp_path / 'run.journal'}" in err
    assert 0 < len(rows_of(disk / "out")) < 200
    resize("4m")
    complete(*arguments)
    assert whole(disk / "out", 200)
    assert len(calls_in(tmp_path)) == 200


def test_a_run_on_a_full_disk_is_resumed_once_there_is_room(begin, complete, jsonl, small_disk, tmp_path):
    disk, resize = small_disk
    arguments = (jsonl(600), "-o", disk / "out", "-m", "counting:0.01", "--max-workers", WORKERS, "-q")
    resize("260k")
    process = begin(*arguments)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    assert "Traceback" not in err
    called = len(calls_in(tmp_path))
    assert 0 < called < 600
    resize("40m")
    complete(*arguments)
    assert whole(disk / "out", 600)
    assert len(calls_in(tmp_path)) <= 600 + WORKERS + 20


@pytest.mark.parametrize(
    "damage",
    [
        lambda out: out.unlink(),
        lambda out: out.write_bytes(out.read_bytes()[:-20]),
        lambda out: out.write_bytes(out.read_bytes() + b'{"id": "q1", "succ'),
        lambda out: out.write_bytes(b""),
        lambda out: out.write_bytes(b"something else\n"),
    ],
    ids=["removed", "cut", "torn", "emptied", "replaced"],
)
def test_a_changed_output_is_restored_without_a_call(paceline, jsonl, tmp_path, damage):
    source, out = jsonl(30), tmp_path / "out.jsonl"
    assert paceline("run", source, "-o", out, "-m", FAST, "-q").code == 0
    rows = sorted(out.read_text().splitlines())
    damage(out)
    run = paceline("run", source, "-o", out, "-m", FAST, "-q")
    assert run.code == 0, run.err
    assert sorted(out.read_text().splitlines()) == rows


def test_a_foreign_file_in_the_place_of_the_output_is_kept(paceline, jsonl, tmp_path):
    source, out = jsonl(30), tmp_path / "out.jsonl"
    paceline("run", source, "-o", out, "-m", FAST, "-q")
    out.write_text("mine\n")
    run = paceline("run", source, "-o", out, "-m", FAST, "-q")
    assert (tmp_path / "out.jsonl.1").read_text() == "mine\n"
    assert f"{out}: differs from what was written; it is kept as {out}.1" in run.err


def test_a_second_process_is_refused_with_the_first_ones_number(begin, jsonl, tmp_path):
    source, out = jsonl(300), tmp_path / "out.jsonl"
    first = begin(source, "-o", out, "-m", SLOW, "--max-workers", WORKERS, "-q")
    wait_until(lambda: calls_in(tmp_path), first)
    first.send_signal(signal.SIGSTOP)  # otherwise it may have ended before the second has started
    second = begin(source, "-o", out, "-m", SLOW, "-q")
    _, err = second.communicate(timeout=30)
    first.send_signal(signal.SIGCONT)
    assert second.returncode == 2
    assert (
        err
        == f"paceline: {out}.journal: is being written by process {first.pid}; wait until it has ended, or name another journal\n"
    )
    assert first.wait(60) == 0
    assert whole(out, 300)


def test_few_file_descriptors_are_enough_for_many_workers(begin, jsonl, tmp_path):
    out = tmp_path / "out.jsonl"
    process = begin(jsonl(100), "-o", out, "-m", SLOW, "--max-workers", "200", "-q",
                    limits=(resource.RLIMIT_NOFILE, 64, 64))  # fmt: skip
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert whole(out, 100)
    assert "at most" in err


def test_a_changed_input_is_explained_and_refused_unless_allowed(paceline, jsonl, tmp_path):
    source, out = jsonl(30), tmp_path / "out.jsonl"
    paceline("run", source, "-o", out, "-m", FAST, "-q")
    rows = [json.loads(line) for line in source.read_text().splitlines()]
    rows[3]["prompt"] = "another"
    source.write_text("".join(json.dumps(row) + "\n" for row in [*rows[:20], {"id": "new", "prompt": "new"}]))
    refused = paceline("run", source, "-o", out, "-m", FAST, "-q")
    assert refused.code == 2
    assert refused.err == (
        f"paceline: {out}.journal: the prompt of 'q3' has changed; 10 items of the journal are no longer in the input; "
        "say --allow-changes to accept this: 1 changed prompt is called and paid for again; or start again with another --journal\n"
    )
    assert len(rows_of(out)) == 30
    assert paceline("run", source, "-o", out, "-m", FAST, "-q", "--allow-changes").code == 0
    assert {row["id"] for row in rows_of(out)} == {*(f"q{i}" for i in range(20)), "new"}
    assert len(rows_of(out)) == 21


def test_another_model_is_explained_and_refused_unless_allowed(paceline, jsonl, tmp_path):
    source, out = jsonl(30), tmp_path / "out.jsonl"
    paceline("run", source, "-o", out, "-m", FAST, "-q")
    refused = paceline("run", source, "-o", out, "-m", "sim:rate=none,latency=0.02", "-q")
    assert refused.code == 2
    assert f"service was {FAST}, is sim:rate=none,latency=0.02" in refused.err
    assert paceline("run", source, "-o", out, "-m", "sim:rate=none,latency=0.02", "-q", "--allow-changes").code == 0
    assert len(rows_of(out)) == 30


def test_equal_prompts_are_called_once_unless_dedupe_is_off(complete, tmp_path):
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps({"id": f"q{i}", "prompt": f"prompt {i % 3}"}) + "\n" for i in range(12)))
    complete(source, "-o", tmp_path / "a", "-m", SLOW, "-q")
    assert len(calls_in(tmp_path)) == 3
    rows = rows_of(tmp_path / "a")
    assert {row["id"]: row["output"] for row in rows} == {f"q{i}": f"PROMPT {i % 3}" for i in range(12)}
    assert sum(row["usage"]["total_tokens"] for row in rows) == 3 * 7
    complete(source, "-o", tmp_path / "b", "-m", SLOW, "--no-dedupe", "-q")
    assert len(calls_in(tmp_path)) == 3 + 12


def test_a_run_that_cannot_start_leaves_no_journal(paceline, jsonl, tmp_path):
    out = tmp_path / "out.jsonl"
    out.write_text("mine\n")
    assert paceline("run", jsonl(3), "-o", out, "-m", FAST).code == 2
    assert paceline("run", tmp_path / "no such input", "-o", tmp_path / "other", "-m", FAST).code == 2
    assert {path.name for path in tmp_path.iterdir()} == {"out.jsonl", "in.jsonl"}


def test_a_journal_that_has_lost_items_is_compared_with_the_input_again(paceline, jsonl, tmp_path):
    source, out = jsonl(30), tmp_path / "out.jsonl"
    paceline("run", source, "-o", out, "-m", FAST, "-q")
    with sqlite3.connect(f"{out}.journal") as db:
        db.execute("DELETE FROM results WHERE item > 20")
        db.execute("DELETE FROM items WHERE item > 20")
    db.close()
    plan = paceline("run", source, "-o", out, "-m", FAST, "--dry-run")
    assert (plan.code, "10 new items are added" in plan.out) == (0, True)
    run = paceline("run", source, "-o", out, "-m", FAST, "-q")
    assert (run.code, "10 items are added to the 20 of the journal" in run.err) == (0, True)
    assert {row["id"] for row in rows_of(out)} == {f"q{i}" for i in range(30)}
    assert len(rows_of(out)) == 30


def test_a_kill_between_deleting_results_and_running_again_duplicates_no_row(paceline, jsonl, tmp_path):
    source, out = jsonl(30), tmp_path / "out.jsonl"
    paceline("run", source, "-o", out, "-m", FAST + ",faults=rejected:0.5,seed=1", "-q")
    with JournalWriter(f"{out}.journal") as store, store.transaction():  # as `_take_note` does, and no more
        assert store.items.delete_results(["rejected"])
        restart_output(store)
    assert paceline("resume", out, "-q").code == 1
    assert {row["id"] for row in rows_of(out)} == {f"q{i}" for i in range(30)}
    assert len(rows_of(out)) == 30
