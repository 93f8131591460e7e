"""Full disks, missing permissions, clocks set back, vanished files: each is reported in one sentence, and no result is lost."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
from contextlib import closing, suppress
from pathlib import Path

import anyio
import pytest

from paceline import CallableStrategy, ParallelBatchProcessor, process_prompts, run_prompts
from paceline.exceptions import JournalError, UnsavedError
from paceline.journal import SqliteJournal
from paceline.journal.reader import JournalReader
from paceline.journal.writer import JournalWriter

from .support import UPPER, Reading, as_nobody, done, item, python, rows, rows_elsewhere, started_writer

root = pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root may take another user, and mount")

FILLS = """if True:
    import json, resource, sys
    import anyio
    from paceline import CallableStrategy, run_prompts
    from paceline.exceptions import UnsavedError
    path, limit, items = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    called = []
    async def answer(prompt):
        called.append(prompt)
        await anyio.sleep(0.001)
        return prompt * 100
    error, shown, unsaved = None, [], []
    try:
        batch = run_prompts(CallableStrategy(answer), [f"prompt {i}" for i in range(items)], journal=path)
    except UnsavedError as failure:
        error, batch, unsaved = str(failure), failure.batch, failure.unsaved
    print(json.dumps({
        "error": error,
        "called": called,
        "shown": {r.item_id: r.output for r in batch.results if r.success},
        "pending": [r.item_id for r in batch.results if not r.success],
        "unsaved": {r.item_id: r.output for r in unsaved},
    }))
"""


def fill(path, limit, items=400):
    return json.loads(python(FILLS, path, limit, items).stdout)


def check_full(path, reported, items=400):
    """Check the outcome of a batch whose journal could not grow: every result is in the journal or reported as unsaved."""
    assert len(reported["shown"]) + len(reported["pending"]) + len(reported["unsaved"]) == items
    assert not set(reported["shown"]) & set(reported["unsaved"])
    assert len(reported["called"]) == len(reported["shown"]) + len(reported["unsaved"]) < items, (
        "only the calls in flight finished after that"
    )
    assert all(repr(name) in reported["error"] for name in list(reported["unsaved"])[:20]), "they are named"
    with JournalReader(path) as reader:
        assert {kept.id: kept.data() for kept in reader.results()} == reported["shown"]


async def answer(prompt):
    return prompt * 100


def check_resumed(path, before, items=400):
    """Resume a batch; check that it is complete, and that no stored item is called again."""
    after = run_prompts(CallableStrategy(answer), [f"prompt {i}" for i in range(items)], journal=path)
    assert after.succeeded == items
    assert after.recalled == len(before["shown"])


@pytest.mark.parametrize("limit", [150_000, 300_000])
def test_a_file_that_cannot_grow_stops_the_batch_which_resumes_when_it_can(path, limit):
    reported = fill(path, limit)
    assert "run.db: cannot be written (disk I/O error): is a limit set on the size of files?; " in reported["error"]
    check_full(path, reported)
    check_resumed(path, reported)


@root
@pytest.mark.parametrize("size", [350])
def test_a_full_disk_stops_the_batch_which_resumes_when_there_is_space(tmp_path, size):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", disk]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not permitted here")
    try:
        reported = fill(disk / "run.db", 0, 800)
        assert "run.db: cannot be written: the disk is full; " in reported["error"]
        check_full(disk / "run.db", reported, 800)
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        check_resumed(disk / "run.db", reported, 800)
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("limit", [1, 10_000])
def test_a_journal_that_cannot_be_created_makes_no_call(path, limit):
    run = python(FILLS, path, limit, 10, check=False)
    assert run.returncode == 1
    assert "JournalError" in run.stderr
    assert "run.db: " in run.stderr.splitlines()[-1]


def test_a_writer_on_a_full_disk_raises_and_continues_when_there_is_space(path):
    names = [str(i) for i in range(200)]
    with started_writer(path, *names) as writer:
        with writer.transaction() as db:
            pages = db.execute("PRAGMA page_count").fetchone()[0]
            db.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(JournalError, match=r"run\.db: cannot be written: the disk is full"):
            writer.commit([done(name, "x" * 1_000) for name in names], {})
        assert rows(path) == []
        with writer.transaction() as db:
            db.execute("PRAGMA max_page_count = 10000")
        writer.commit([done(name, "x" * 1_000) for name in names], {})
        assert len(rows(path)) == 200


# ------------------------------------------------------------------------------------------------ missing permissions


@root
def test_a_file_of_another_user_is_refused_and_named(tmp_path, path):
    open_to_all(tmp_path)
    run_prompts(UPPER, ["a"], journal=path)
    assert as_nobody(lambda: JournalWriter(path)) == f"JournalError: {path}: cannot be written: Permission denied"
    Path(path).chmod(0o644)
    assert as_nobody(lambda: JournalWriter(path)) == f"JournalError: {path}: cannot be written: Permission denied"


@root
def test_a_directory_that_may_not_be_written_is_refused_and_named(tmp_path, path):
    open_to_all(tmp_path)
    assert as_nobody(lambda: JournalWriter(path)) == f"JournalError: {path}: cannot be written: Permission denied"
    run_prompts(UPPER, ["a"], journal=path)
    os.chown(path, 65534, 65534)
    reported = as_nobody(lambda: JournalWriter(path).begin_run())
    assert reported.startswith(f"JournalError: {path}: ")
    os.chown(path, 0, 0)
    assert run_prompts(UPPER, ["a"], journal=path).recalled == 1


@root
def test_a_finished_journal_can_be_read_where_nothing_may_be_written(tmp_path, path):
    open_to_all(tmp_path)
    run_prompts(UPPER, ["a", "b"], journal=path)
    assert [file.name for file in tmp_path.iterdir()] == ["run.db"]
    Path(path).chmod(0o644)
    assert as_nobody(lambda: [kept.data() for kept in Reading(path).results()]) == "['A', 'B']"
    assert [file.name for file in tmp_path.iterdir()] == ["run.db"]


def open_to_all(directory):
    """Let all users read a directory and its parents, which pytest made private."""
    for folder in (directory, *directory.parents):
        with suppress(PermissionError):
            folder.chmod(folder.stat().st_mode | 0o055)


# ------------------------------------------------------------------------------------------------ clocks


def test_a_clock_that_was_set_back_a_day_changes_nothing(path):
    run_prompts(UPPER, ["a", "b"], journal=path)
    with closing(sqlite3.connect(path)) as db:  # as if it had been written in the future
        db.execute("UPDATE results SET settled = settled + 86400")
        db.execute("UPDATE runs SET began = began + 86400, ended = ended + 86400")
        db.commit()
    batch = run_prompts(UPPER, ["a", "b", "c"], journal=path)
    assert (batch.recalled, batch.succeeded) == (2, 3)
    with JournalReader(path) as reader:
        assert [kept.id for kept in reader.results()] == ["0", "1", "2"]
        assert [kept.id for kept in reader.results(after=2)] == ["2"]
        assert [run.run for run in reader.runs()] == [1, 2]


def test_a_pace_learned_in_the_future_counts_as_learned_now(path):
    with started_writer(path) as writer:
        fields = {"limit": 7, "rate": 9.0, "token_rate": None, "latency": 0.5, "learned": 4e9}
        writer.set_fact("knowledge", {"version": 1, "quotas": {"upper": fields}})

    async def main():
        async with ParallelBatchProcessor(journal=path) as processor:
            await processor.add_work(item("a"))
            return (await processor.process_all()).succeeded

    assert anyio.run(main, backend="trio") == 1


# ------------------------------------------------------------------------------------------------ files that vanish


def vanishing(path, act):
    """Run a batch during which `act` changes the file; return the called prompts and the exception."""
    called = []

    async def answer(prompt):
        called.append(prompt)
        is_sixtieth = len(called) == 60
        await anyio.sleep(0.002)
        if is_sixtieth:
            act()
        return prompt

    with pytest.raises(UnsavedError) as raised:
        run_prompts(CallableStrategy(answer), [f"p{i}" for i in range(500)], journal=path)
    return called, raised.value


@pytest.mark.parametrize("how", ["removed", "moved", "replaced"])
def test_a_journal_that_vanishes_while_it_is_written_stops_the_batch(path, tmp_path, how):
    def act():
        match how:
            case "removed":
                Path(path).unlink()
            case "moved":
                Path(path).rename(tmp_path / "elsewhere.db")
            case "replaced":
                (tmp_path / "new").touch()
                (tmp_path / "new").replace(path)

    called, error = vanishing(path, act)
    assert "run.db: was removed or replaced by another file while it was being written" in str(error)
    assert len(called) < 500
    shown = [result for result in error.batch.results if result.success]
    assert len(called) == len(shown) + len(error.unsaved)
    assert error.unsaved, "uncommitted results are reported"


def test_a_relative_path_survives_a_change_of_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with started_writer("run.db", "a") as writer:
        monkeypatch.chdir("/")
        writer.commit([done("a")], {})
    assert rows(str(tmp_path / "run.db")) == [("a",)]


def test_a_journal_behind_a_symbolic_link_is_the_file_behind_it(tmp_path, path):
    (tmp_path / "link").symlink_to(path)
    with started_writer(str(tmp_path / "link"), "a") as writer:
        writer.commit([done("a")], {})
    assert rows(path) == [("a",)]


# ------------------------------------------------------------------------------------------------ power


COPIES = """if True:
    import os, signal, sys
    from paceline.journal.writer import JournalWriter
    from tests.journal.support import started_writer, done
    names = [str(i) for i in range(50)]
    writer = started_writer(sys.argv[1], *names)
    for name in names:
        writer.commit([done(name)], {})
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_log_that_a_kill_leaves_is_read(path):
    assert python(COPIES, path, check=False, cwd=Path(__file__).parents[2]).returncode == -9
    assert Path(path + "-wal").stat().st_size > 0
    with JournalReader(path) as reader:
        assert reader.counts().succeeded == 50
    with JournalWriter(path) as writer:
        assert writer.begin_run() == 2
    assert rows_elsewhere(path) == 50


@pytest.mark.anyio
async def test_the_journal_after_a_power_failure_is_consistent_and_resumes(path, tmp_path):
    copies, called = [], []

    async def answer(prompt):
        called.append(prompt)
        is_twentieth = len(called) % 20 == 0 and len(called) < 150
        await anyio.sleep(0.001)
        if is_twentieth:
            copies.append(_copied(path, tmp_path / f"cut{len(copies)}"))
        return prompt

    strategy, prompts = CallableStrategy(answer), [f"p{i}" for i in range(150)]
    await process_prompts(strategy, prompts, journal=SqliteJournal(path, durability="full"))
    assert len(copies) >= 5
    least = 0
    for copy in copies:
        with JournalReader(copy) as reader:
            kept = {row.id: row.data() for row in reader.results()}
        assert rows(copy, "PRAGMA integrity_check") == [("ok",)]
        assert all(output == f"p{name}" for name, output in kept.items())
        assert len(kept) >= least, "earlier commits are kept"
        least = len(kept)
    again = await process_prompts(strategy, prompts, journal=copies[-1])
    assert (again.succeeded, again.recalled) == (150, least)
    assert len(called) == 150 + 150 - least


def _copied(path, folder):
    """Copy the file and its write-ahead log in their current state."""
    folder.mkdir()
    for suffix in ("", "-wal"):
        if Path(path + suffix).exists():
            shutil.copy(path + suffix, folder / f"run.db{suffix}")
    return str(folder / "run.db")


def test_a_truncated_log_has_the_commits_before_the_cut(path, tmp_path):
    names = [str(i) for i in range(40)]
    with started_writer(path, *names) as writer:
        rows(path, "PRAGMA wal_checkpoint(TRUNCATE)")
        for name in names:
            writer.commit([done(name)], {})
        copies = [_copied(path, tmp_path / f"cut{share}") for share in range(0, 101, 10)]
    counts = []
    for share, copy in zip(range(0, 101, 10), copies, strict=True):
        log = Path(copy + "-wal")
        log.write_bytes(log.read_bytes()[: log.stat().st_size * share // 100])
        assert rows(copy, "PRAGMA integrity_check") == [("ok",)]
        counts.append(Reading(copy).counts().succeeded)
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, 40)
    assert len(set(counts)) > 5


def test_a_damaged_file_is_reported(path):
    names = [str(i) for i in range(2_000)]
    with started_writer(path, *names) as writer:
        writer.commit([done(name, "x" * 100) for name in names], {})
    content = bytearray(Path(path).read_bytes())
    content[8_192:200_000] = bytes(200_000 - 8_192)
    Path(path).write_bytes(content)
    with pytest.raises(
        JournalError, match=r"run\.db: is damaged .* recover what is readable with: sqlite3 .*run\.db \.recover"
    ):
        list(Reading(path).results(in_input_order=True))
