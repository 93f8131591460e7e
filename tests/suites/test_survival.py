"""A suite that is killed, at any time, ends with the scores of one that was not, and pays for no answer twice."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress

import pytest

from paceline.cli import main
from paceline.suites import read_result, read_transcript

SUITE = """name = "words"
items = "words.jsonl"
prompt = "{question}"
target = "right"
score = { name = "matches", pattern = "[aeiou]{target}" }
"""
ITEMS, SAMPLES = 150, 2


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Write a suite some of whose answers are right; return the command that runs it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words.toml").write_text(SUITE)
    rows = [{"id": f"w{n}", "question": f"Say word {n}", "right": "tsnrl"[n % 5]} for n in range(ITEMS)]
    (tmp_path / "words.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    model = "sim:rate=200,latency=0.05,output=3,seed=5"
    return [
        "suite",
        "run",
        "words.toml",
        "-m",
        model,
        "--samples",
        str(SAMPLES),
        "--seed",
        "1",
        "-q",
        "--price",
        "in=1,out=2",
    ]


def scores(folder):
    return {(row["item"], row["sample"]): (row["score"], row["output"]) for row in read_transcript(folder)}


def test_killing_and_resuming_a_suite_changes_no_score_and_pays_no_answer_twice(command, tmp_path):
    assert main([*command, "-o", "whole"]) == 0
    for answers in (40, 160):  # in the journal when it is killed
        process = subprocess.Popen(
            [sys.executable, "-m", "paceline", *command, "-o", "killed"], stdout=subprocess.DEVNULL
        )
        _wait_for(answers, tmp_path / "killed" / "journal.db", process)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed" / "result.json").exists()
    assert main([*command, "-o", "killed"]) == 0
    whole, killed = read_result("whole"), read_result("killed")
    assert 0 < whole.accuracy < 1
    assert (killed.accuracy, killed.interval, killed.pass_at) == (whole.accuracy, whole.interval, whole.pass_at)
    assert len(scores("killed")) == ITEMS * SAMPLES
    assert scores("killed") == scores("whole")
    assert killed.cost == pytest.approx(whole.cost)
    with closing(sqlite3.connect(tmp_path / "killed" / "journal.db")) as journal:
        assert journal.execute("SELECT COUNT(*), COUNT(DISTINCT item) FROM attempts").fetchone() == (300, 300)


def _wait_for(answers, journal, process):
    """Wait until a process has stored so many answers, or has ended."""
    give_up = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < give_up:
        with suppress(sqlite3.OperationalError), closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as db:
            if db.execute("SELECT COUNT(*) FROM attempts").fetchone()[0] >= answers:
                return
        time.sleep(0.02)
