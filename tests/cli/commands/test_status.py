"""`paceline status`."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import time
from contextlib import closing

import pytest

from paceline import CallableStrategy, run_prompts
from paceline.cli.commands.status import render_status
from paceline.journal import JournalReader
from paceline.runs import status

from ..conftest import FAST, lines_of, prompts

SLOW = "sim:rate=none,latency=60,sigma=0"


def test_the_status_of_a_finished_batch_shows_its_calls_tokens_and_time(paceline, batch, tmp_path):
    journal = batch(prompts(20))
    run = paceline("status", journal)
    assert (run.code, run.err) == (0, "")
    lines = run.out.splitlines()
    assert lines[:6] == [
        f"journal   {journal}",
        f"input     {tmp_path}/in.jsonl: 20 prompts (jsonl)",
        "items     20: 20 succeeded, 0 failed, 0 pending",
        "throttled 0 calls",
        f"model     {FAST}",
        f"strategy  SimulatedStrategy, model sim, service {FAST}",
    ]
    assert lines[6] == "used      sim: 20 calls, 20 accepted; cost unknown"
    assert lines[7].startswith("            tokens ")
    assert lines[8].startswith("runs      1: 20")
    assert re.search(r", took [1-9]\d* s", lines[8])
    assert f"output    {tmp_path}/out.jsonl, format own" in lines
    assert not any(line.startswith("next") for line in lines)


def test_failures_are_shown_by_kind_with_the_command_that_retries_them(paceline, batch):
    journal = batch(prompts(30), model=f"{FAST},faults=rejected:0.4+refused:0.4", code=1)
    run = paceline("status", journal)
    (failed,) = [line for line in run.out.splitlines() if line.startswith("failed")]
    assert "rejected: " in failed
    assert "refused: " in failed
    assert run.out.splitlines()[-1] == f"next      paceline resume {journal} --retry failed"


def test_transient_failures_are_retried_by_a_plain_resume(paceline, batch):
    journal = batch(prompts(30), model=f"{FAST},faults=denied:1", code=1)
    run = paceline("status", journal, "--json")
    (data,) = run.rows
    assert data["failures"].keys() == {"denied"}
    assert data["pending"] == 30 - data["failures"]["denied"]
    assert data["next"] == f"paceline resume {journal}"


def test_the_path_in_a_command_is_quoted(paceline, jsonl, tmp_path):
    out = tmp_path / "it's 1.jsonl"
    assert paceline("run", jsonl(3), "-o", out, "-m", f"{FAST},faults=denied:1").code == 1
    (data,) = paceline("status", out, "--json").rows
    assert data["next"] == f"paceline resume '{tmp_path}/it'\"'\"'s 1.jsonl.journal'"


def test_the_faults_of_calls_are_named_in_the_summary_and_in_the_status(paceline, jsonl, tmp_path):
    out = tmp_path / "out.jsonl"
    model = "sim:rate=none,latency=0.01,sigma=0,faults=transient:1"
    run = paceline("run", jsonl(9), "-o", out, "-m", model, "-q", "--deadline", 0.4)
    (named,) = [line for line in run.err.splitlines() if line.startswith("faults    ")]
    assert " × transient: " in named
    assert named in paceline("status", out).out.splitlines()


def test_skipped_lines_are_shown(paceline, batch):
    journal = batch(prompts(3) + "broken\n", code=1)
    run = paceline("status", journal)
    assert "3 prompts (jsonl); 1 invalid line" in run.out
    assert "in.jsonl:4: not JSON" in run.out
    assert paceline("status", journal, "--json").rows[0]["bad_lines"] == 1


def test_json_has_all_of_it_in_one_object(paceline, batch, tmp_path):
    journal = batch(prompts(5))
    run = paceline("status", journal, "--json")
    (data,) = run.rows
    assert (run.code, run.err) == (0, "")
    assert data.keys() == {
        *("journal", "writer", "items", "succeeded", "failures", "pending", "bad_lines", "refusals", "usage", "cost"),
        *("models", "runs", "identities", "input", "options", "output", "pace", "next"),
        *("messages", "faults", "stopped", "progress", "calls_per_second", "left", "native_jobs"),
    }
    assert (data["messages"], data["faults"], data["stopped"]) == ([], [], None)
    assert (data["items"], data["succeeded"], data["failures"], data["pending"]) == (5, 5, {}, 0)
    assert (data["writer"], data["next"], data["cost"]) == (None, None, None)
    assert data["models"][0]["calls"] == 5
    assert data["usage"] == data["models"][0]["usage"]
    assert data["runs"][0].keys() == {"run", "pid", "version", "began", "ended", "seconds", "state"}
    assert data["runs"][0]["state"] == "ended"
    assert data["input"]["digest"]
    assert data["options"]["model"] == FAST
    assert data["output"]["path"] == str(tmp_path / "out.jsonl")


def test_recent_pace_changes_are_shown_with_reasons(paceline, batch):
    journal = batch(prompts(400), model="sim:rate=200,burst=20,latency=0.02")
    everything = paceline("status", journal, "--json", "--pace", 1000).rows[0]["pace"]
    assert len(everything) > 5
    assert paceline("status", journal, "--json").rows[0]["pace"] == everything[-2:]
    assert paceline("status", journal, "--json", "--pace", 0).rows[0]["pace"] == []
    printed = paceline("status", journal, "--pace", 2).out
    assert (
        max(len(line) for line in printed.splitlines() if str(journal.parent) not in line) <= 80
    )  # a path is not broken
    words = " ".join(printed.split())
    assert f"({everything[-2]['reason']})" in words
    assert f"({everything[-1]['reason']})" in words
    assert words.count(" run 1, ") == 2


@pytest.mark.parametrize("number", ["-1", "x", "1.5"])
def test_an_invalid_number_of_changes_is_one_sentence(paceline, batch, number):
    run = paceline("status", batch(prompts(1)), "--pace", number)
    assert (run.code, run.out) == (2, "")
    assert len(run.err.splitlines()) == 1


def test_the_status_is_available_during_the_run_and_after_a_kill(start, paceline, jsonl, tmp_path):
    out = tmp_path / "out.jsonl"
    started = start("run", jsonl(50), "-o", out, "-m", f"{SLOW},faults=rejected:0.5", "-q")
    while not (out.exists() and out.stat().st_size):
        assert started.poll() is None
        time.sleep(0.01)
    (data,) = paceline("status", out, "--json").rows
    assert (data["writer"], data["next"]) == (started.pid, None)
    assert data["runs"][0]["state"] == "running"
    assert data["runs"][0]["seconds"] >= 0
    assert data["calls_per_second"] > 0
    assert data["left"] > 0
    text = paceline("status", out).out
    assert f"(being written by process {started.pid})" in text
    assert re.search(r"^items     50: 0 succeeded, \d+ failed, \d+ pending \(\d+ % done\)$", text, re.MULTILINE)
    assert re.search(r"^rate      [\d.,]+ calls/(s|min), about .+ left$", text, re.MULTILINE)
    started.send_signal(signal.SIGKILL)
    started.wait()
    (data,) = paceline("status", out, "--json").rows
    assert data["writer"] is None
    assert (data["runs"][0]["state"], data["runs"][0]["seconds"]) == ("killed", None)
    assert (data["calls_per_second"], data["left"]) == (None, None)
    assert data["next"] == f"paceline resume {out}.journal"
    assert "killed or crashed" in paceline("status", out).out


def test_a_missing_output_is_reported(paceline, batch, tmp_path):
    journal = batch(prompts(2))
    (tmp_path / "out.jsonl").unlink()
    assert f"{tmp_path}/out.jsonl, format own; the file is missing" in paceline("status", journal).out


def test_a_journal_of_a_program_has_a_status_too(paceline, tmp_path):
    async def half(prompt):
        if prompt == "bad":
            raise ValueError(prompt)
        return prompt

    run_prompts(CallableStrategy(half), ["a", "bad"], journal=tmp_path / "run.db")
    run = paceline("status", tmp_path / "run.db")
    assert run.code == 0, run.err
    assert "items     2: 1 succeeded, 1 failed, 0 pending" in run.out.splitlines()
    (data,) = paceline("status", tmp_path / "run.db", "--json").rows
    assert (data["input"], data["options"], data["bad_lines"], data["next"]) == (None, None, None, None)


def test_ids_and_names_may_be_of_any_script(paceline, tmp_path):
    path = tmp_path / "Eingänge 数据.jsonl"
    path.write_text(lines_of([{"id": "ключ", "prompt": "?"}]), "utf-8")
    assert paceline("run", path, "-o", tmp_path / "ü.jsonl", "-m", FAST).code == 0
    assert f"{path}: 1 prompt" in paceline("status", tmp_path / "ü.jsonl").out


def test_of_many_runs_the_latest_are_shown(paceline, batch):
    journal = batch(prompts(2))
    for _ in range(6):
        assert paceline("resume", journal, "-q").code == 0
    lines = paceline("status", journal).out.splitlines()
    assert "runs      7, the latest of them:" in lines
    assert sum("took" in line and line.startswith("          ") for line in lines) == 5


def test_the_progress_that_a_second_run_stores_counts_what_the_first_has_done(batch):
    slow = "sim:rate=none,latency=0.5"
    journal = batch(prompts(40), "--limit", 15, model=slow)
    batch(prompts(40), "--max-workers", 2, model=slow)
    with JournalReader(journal) as reader:
        run, stored = reader.progress()
        assert run == 2
    assert stored.total == 40
    assert 15 <= stored.done <= 40
    assert stored.done - 15 <= stored.usage.input_tokens  # a token an item: those of this run only


@pytest.mark.parametrize("began", [1e20, -1e20])
def test_an_invalid_time_is_shown_as_unknown(paceline, batch, began):
    journal = batch(prompts(2))
    with closing(sqlite3.connect(journal)) as db, db:
        db.execute("UPDATE runs SET began = ?", (began,))
    assert "runs      1: at an unknown time, took" in paceline("status", journal).out
    assert paceline("status", journal, "--json").rows[0]["runs"][0]["began"] is None


def test_a_key_is_redacted_wherever_it_comes_from(batch):
    journal = batch(prompts(2))
    key = "AIza" + "x" * 35
    with closing(sqlite3.connect(journal)) as db, db:
        db.execute("UPDATE strategies SET identity = ?", (json.dumps({"strategy": "S", "key": key}),))
    assert key not in render_status(status(journal))
