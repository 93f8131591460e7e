"""Lock: a journal has one writer, and any number of readers."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from paceline import run_prompts
from paceline.exceptions import JournalError, JournalInUseError
from paceline.journal.reader import JournalReader
from paceline.journal.writer import JournalWriter

from .support import UPPER, Reading, done, forked, python, rows_elsewhere, started_writer

HOLDS = """if True:
    import sys, time
    from paceline.journal.writer import JournalWriter
    writer = JournalWriter(sys.argv[1])
    writer.begin_run()
    print("held", flush=True)
    time.sleep(60)
"""
TRIES = """if True:
    import sys
    from paceline.exceptions import JournalInUseError
    from paceline.journal.writer import JournalWriter
    try:
        JournalWriter(sys.argv[1]).close()
    except JournalInUseError as error:
        print(error.pid)
    else:
        print("opened")
"""


@pytest.fixture
def holder(path):
    """Start a process that writes a journal."""
    process = subprocess.Popen([sys.executable, "-c", HOLDS, path], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_writer_is_refused_with_the_process_of_the_first(path, holder):
    with pytest.raises(JournalInUseError, match=rf"run\.db: is being written by process {holder.pid}; wait") as raised:
        JournalWriter(path)
    assert raised.value.pid == holder.pid
    with JournalReader(path) as reader:
        assert reader.writer() == holder.pid


def test_a_batch_on_a_journal_in_use_makes_no_call(path, holder):
    with pytest.raises(JournalInUseError):
        run_prompts(UPPER, ["a"], journal=path)


def test_a_kill_releases_the_lock(path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with JournalReader(path) as reader:
        assert reader.writer() is None
    with JournalWriter(path) as writer:
        assert writer.begin_run() == 2


def test_a_second_writer_in_the_same_process_is_refused(path):
    with started_writer(path), pytest.raises(JournalInUseError) as raised:
        JournalWriter(path)
    assert raised.value.pid == os.getpid()


def test_a_second_writer_is_refused_before_the_first_has_begun_a_run(path):
    with JournalWriter(path), pytest.raises(JournalInUseError, match="is being written by another process") as raised:
        JournalWriter(path)
    assert raised.value.pid is None


@pytest.mark.parametrize("end", ["ended", "killed"])
def test_the_process_of_an_earlier_run_is_not_reported_as_the_writer(path, holder, end):
    holder.kill()
    holder.wait()
    if end == "ended":
        with started_writer(path) as writer:
            writer.end_run()
    with JournalWriter(path), pytest.raises(JournalInUseError) as raised:
        JournalWriter(path)
    assert raised.value.pid is None
    with JournalWriter(path), JournalReader(path) as reader:
        assert reader.writer() is None


def test_another_name_of_the_file_is_the_same_journal(path, tmp_path):
    (tmp_path / "link.db").symlink_to(path)
    with started_writer(path), pytest.raises(JournalInUseError):
        JournalWriter(tmp_path / "link.db")


def test_two_journals_do_not_disturb_each_other(tmp_path):
    with JournalWriter(tmp_path / "a.db"), JournalWriter(tmp_path / "b.db"):
        assert Reading(tmp_path / "a.db").writer() is None, "no run has started"


def test_a_journal_may_be_opened_again_once_it_is_closed(path):
    for run in range(1, 4):
        with JournalWriter(path) as writer:
            assert writer.begin_run() == run
    assert python(TRIES, path).stdout == "opened\n"


def test_a_journal_that_could_not_be_opened_is_not_locked(path):
    Path(path).write_text("hello", "utf-8")
    with pytest.raises(JournalError):
        JournalWriter(path)
    Path(path).write_text("", "utf-8")
    JournalWriter(path).close()
    assert python(TRIES, path).stdout == "opened\n"


@pytest.mark.parametrize("look", ["a second writer", "a look at who writes", "a look from elsewhere", "a reader"])
def test_reading_a_journal_does_not_release_its_writer_s_lock(path, look):
    writer = started_writer(path, "a", "b")
    writer.commit([done("a")], {})
    match look:
        case "a second writer":
            with pytest.raises(JournalInUseError):
                JournalWriter(path)
        case "a look at who writes":
            with JournalReader(path) as reader:
                assert reader.writer() == os.getpid()
        case "a look from elsewhere":
            assert python(TRIES, path).stdout == f"{os.getpid()}\n"
        case "a reader":
            assert Reading(path).counts().succeeded == 1
    assert rows_elsewhere(path) == 1  # closing the database there would remove the log without the lock
    writer.commit([done("b")], {})
    assert rows_elsewhere(path) == 2
    assert Path(path + "-wal").exists()
    writer.close()
    assert rows_elsewhere(path) == 2


def test_one_of_many_concurrent_writers_gets_the_lock(path):
    stores, refused = [], []

    def attempt():
        try:
            stores.append(JournalWriter(path))
        except JournalInUseError as error:
            refused.append(error)

    threads = [threading.Thread(target=attempt) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(stores), len(refused)) == (1, 11)
    stores[0].close()


def test_a_fork_does_not_keep_the_lock_of_its_parent(path):
    writer = started_writer(path)
    writer.close()
    assert forked(lambda: JournalWriter(path).close()) == (0, "None"), "the parent no longer writes the file"


def test_a_fork_cannot_write_what_its_parent_writes(path):
    with started_writer(path):
        assert forked(lambda: JournalWriter(path))[1].startswith("JournalInUseError: ")


def test_a_reader_sees_what_is_committed_while_it_is_written(path):
    with started_writer(path, "a", "b") as writer, JournalReader(path) as reader:
        assert reader.counts().succeeded == 0
        writer.commit([done("a")], {})
        assert reader.counts().succeeded == 1
        with writer.transaction() as db:
            db.execute("DELETE FROM results")
            assert reader.counts().succeeded == 1, "not committed yet"
        assert reader.counts().succeeded == 0


def test_an_idle_reader_does_not_block_a_writer(path):
    names = [str(i) for i in range(2_000)]
    with started_writer(path, *names) as writer, JournalReader(path) as reader:
        writer.commit([done(name) for name in names], {})
        results = reader.results()
        assert next(results).id == "0"
        writer.commit([done("1", "another answer")], {})
        assert len(list(results)) == 1_999


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_a_journal_is_private_whatever_the_umask(path, umask):
    old = os.umask(umask)
    try:
        with started_writer(path, "a") as writer:
            writer.commit([done("a")], {})
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in Path(path).parent.iterdir()}
    finally:
        os.umask(old)
    assert modes == dict.fromkeys(["run.db", "run.db-shm", "run.db-wal"], 0o600)


def test_a_journal_that_others_may_read_is_made_private_and_another_file_is_left_as_it_is(tmp_path):
    path = tmp_path / "run.db"
    JournalWriter(path).close()
    path.chmod(0o664)
    JournalWriter(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as db:
        db.execute("CREATE TABLE t (x)")
    other.chmod(0o644)
    with pytest.raises(JournalError):
        JournalWriter(other)
    assert stat.S_IMODE(other.stat().st_mode) == 0o644
