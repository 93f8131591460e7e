"""Runs that an earlier version has written and left unfinished can be resumed.

`stored/` holds the input, outputs and journals of version 0.1.0 as of November 2026 (commit 00b9b28), written in a folder `/data`:
`answers.jsonl` with 6 of 40 results, and `openai.jsonl` (in the form of OpenAI's batch API, of the first 12 lines) with 4 of 12.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from paceline.cli import main

STORED = Path(__file__).parent / "stored"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of the stored runs whose journals name the copy's folder, as if they had been written there."""
    for file in STORED.iterdir():
        shutil.copy(file, tmp_path)
    for journal in tmp_path.glob("*.journal"):
        with closing(sqlite3.connect(journal)) as connection, connection:
            connection.execute("UPDATE facts SET value = replace(value, '\"/data/', ?)", (f'"{tmp_path}/',))
    return tmp_path


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_an_unfinished_run_of_an_earlier_version_is_resumed_and_its_rows_stay(folder):
    before = (folder / "answers.jsonl").read_bytes()
    assert main(["resume", str(folder / "answers.jsonl"), "--yes", "--quiet"]) == 0
    assert (folder / "answers.jsonl").read_bytes().startswith(before)
    assert sorted(row["id"] for row in rows(folder / "answers.jsonl")) == sorted(f"q{n}" for n in range(40))


def test_the_same_command_line_continues_a_run_of_an_earlier_version(folder):
    before = (folder / "answers.jsonl").read_bytes()
    arguments = [
        "run",
        str(folder / "prompts.jsonl"),
        "-o",
        str(folder / "answers.jsonl"),
        "-m",
        "sim:rate=20,latency=0.2",
    ]
    assert main([*arguments, "--quiet"]) == 0
    assert (folder / "answers.jsonl").read_bytes().startswith(before)
    assert len(rows(folder / "answers.jsonl")) == 40


def test_formats_and_limits_that_an_earlier_version_recorded_are_kept(folder):
    before = (folder / "openai.jsonl").read_bytes()
    assert main(["resume", str(folder / "openai.jsonl"), "--yes", "--quiet"]) == 0
    assert (folder / "openai.jsonl").read_bytes().startswith(before)
    assert sorted(row["custom_id"] for row in rows(folder / "openai.jsonl")) == sorted(f"q{n}" for n in range(12))


def test_the_state_of_a_run_of_an_earlier_version_is_shown(folder, capfd):
    assert main(["status", str(folder / "answers.jsonl"), "--json"]) == 0
    state = json.loads(capfd.readouterr().out)
    assert (state["items"], state["succeeded"], state["pending"]) == (40, 6, 34)
    assert state["options"]["retry"] == sorted(state["options"]["retry"])


def test_results_of_an_earlier_version_are_exported(folder, capfd):
    assert main(["results", str(folder / "answers.jsonl"), "-o", str(folder / "all.csv")]) == 0
    assert len((folder / "all.csv").read_text().splitlines()) == 7


def test_a_journal_of_an_earlier_version_is_read_without_changing_it(folder, capfd):
    journal = folder / "answers.jsonl.journal"
    assert main(["status", str(journal), "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["usage"]["cache_written_tokens"] == 0
    assert main(["results", str(journal), "-o", str(folder / "all.jsonl")]) == 0
    assert {row["usage"]["cache_written_tokens"] for row in rows(folder / "all.jsonl")} == {0}
    with closing(sqlite3.connect(journal)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)


def test_a_resumed_journal_of_an_earlier_version_counts_tokens_written_to_a_cache(folder):
    assert main(["resume", str(folder / "answers.jsonl"), "--yes", "--quiet"]) == 0
    with closing(sqlite3.connect(folder / "answers.jsonl.journal")) as connection:
        rows = connection.execute("SELECT cache_written_tokens, cache_written_1h_tokens FROM results")
        assert set(rows) == {(0, 0)}
