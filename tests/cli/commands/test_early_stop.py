"""Runs that stop early because all calls fail alike: what is shown, what is stored, and how they are resumed."""

from __future__ import annotations

import json
import socket

import pytest

from paceline.journal.reader import JournalReader
from paceline.journal.writer import JournalWriter
from paceline.runs.journal_facts import LatestRun, record_latest_run, recorded_latest_run

from ..conftest import FAST, prompts, rows_of

REJECTING = f"{FAST},faults=rejected:1"


def test_a_run_whose_calls_all_fail_alike_stops_and_says_why(paceline, jsonl, tmp_path):
    run = paceline("run", jsonl(500), "-o", tmp_path / "out.jsonl", "-m", REJECTING)
    assert run.code == 1
    with JournalReader(tmp_path / "out.jsonl.journal") as reader:
        counts = reader.counts()
    failed = counts.failures["rejected"]
    assert 10 <= failed <= 40
    assert counts.pending == 500 - failed
    assert f"items     500: 0 succeeded, {failed} failed, {500 - failed} pending" in run.err
    assert f"            rejected: {failed}\n              {failed} × " in run.err
    (stopped,) = [line for line in run.err.splitlines() if line.startswith("stopped")]
    assert "the first 10 calls of sim failed alike and none succeeded: rejected: SimulatedError: 400 " in stopped
    assert stopped.endswith("check the model's name, its options and the prompts")
    assert "--keep-going makes all calls" in run.err
    assert f"{500 - failed} are pending; resume with: paceline resume" in run.err
    assert "--model NAME --allow-changes" in run.err


def test_the_objects_of_run_and_status_agree(paceline, jsonl, tmp_path):
    (summary,) = paceline("run", jsonl(500), "-o", tmp_path / "out.jsonl", "-m", REJECTING, "--json", "-q").rows
    (status,) = paceline("status", tmp_path / "out.jsonl", "--json").rows
    for key in ("items", "succeeded", "failures", "pending", "messages", "refusals"):
        assert summary[key] == status[key], key
    assert summary["stopped"] == {"kind": "pending", "message": status["stopped"]}
    assert summary["failed"] == sum(status["failures"].values()) == status["messages"][0]["count"]
    assert status["messages"][0]["kind"] == "rejected"
    assert status["faults"] == []


def test_status_shows_the_messages_and_why_the_run_stopped(paceline, batch):
    journal = batch(prompts(500), model=REJECTING, code=1)
    lines = paceline("status", journal).out.splitlines()
    failed = next(index for index, line in enumerate(lines) if line.startswith("failed    rejected: "))
    assert " × rejected: " in lines[failed + 1]
    assert lines[failed + 2].startswith("stopped   the first 10 calls of ")


def test_a_plain_resume_runs_the_pending_items_and_those_that_failed_alike(paceline, batch, tmp_path):
    journal = batch(prompts(100), model=REJECTING, code=1)
    (plan,) = paceline("resume", journal, "-m", FAST, "--allow-changes", "--dry-run", "--json").rows
    assert plan["wanted"] == 100
    assert plan["journal"]["state"]["again"] == len(rows_of(tmp_path / "out.jsonl"))
    run = paceline("resume", journal, "-m", FAST, "--allow-changes", "-q")
    assert run.code == 0, run.err
    assert {row["id"] for row in rows_of(tmp_path / "out.jsonl")} == {f"q{number}" for number in range(100)}
    assert all(row["success"] for row in rows_of(tmp_path / "out.jsonl"))
    assert paceline("status", journal, "--json").rows[0]["stopped"] is None


def test_with_retry_none_the_items_that_failed_alike_stay_failed(paceline, batch):
    journal = batch(prompts(100), model=REJECTING, code=1)
    (before,) = paceline("status", journal, "--json").rows
    run = paceline("resume", journal, "-m", FAST, "--allow-changes", "-q", "--retry", "none")
    (after,) = paceline("status", journal, "--json").rows
    assert run.code == 1
    assert after["failures"] == before["failures"]
    assert (after["succeeded"], after["pending"]) == (before["pending"], 0)


def test_items_that_failed_alike_in_a_run_that_went_on_are_not_run_again(paceline, batch):
    journal = batch(prompts(60), "--keep-going", model=REJECTING, code=1)
    (plan,) = paceline("resume", journal, "--dry-run", "--json").rows
    assert (plan["wanted"], plan["journal"]["state"]["again"]) == (0, 0)
    assert paceline("status", journal, "--json").rows[0]["failures"] == {"rejected": 60}


def test_keep_going_may_stand_in_a_config_file_and_is_kept_for_resumption(paceline, jsonl, tmp_path):
    config = tmp_path / "paceline.toml"
    config.write_text(f'model = "{REJECTING}"\nkeep-going = true\n')
    out = tmp_path / "out.jsonl"
    assert paceline("run", jsonl(60), "-o", out, "--config", config, "-q", "--deadline", "0.02").code == 1
    run = paceline("resume", out, "-q", "--json")
    assert json.loads(run.out)["journal"]["failures"] == {"rejected": 60}


def test_without_a_journal_the_items_that_are_left_have_rows_that_are_pending(paceline, jsonl):
    run = paceline("run", jsonl(100), "-o", "-", "-m", REJECTING, "-q")
    kinds = [row["error"]["kind"] for row in run.rows]
    assert len(kinds) == 100
    assert set(kinds) == {"rejected", "pending"}
    assert "failed alike" in run.rows[-1]["error"]["message"]


def test_a_server_that_refuses_connections_is_named_in_time(process, jsonl, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # no program listens here
        server = f"http://127.0.0.1:{taken.getsockname()[1]}"
        run = process("run", jsonl(200), "-o", tmp_path / "out.jsonl", "-m", f"openai:x@{server}/v1")
    assert run.code == 1
    assert f"connection refused by {server}" in run.err
    assert "0 succeeded, 0 failed, 200 pending" in run.err
    assert "check the server's address, and that it is running" in run.err


def test_faults_of_a_run_that_goes_on_are_shown_until_it_ends(tmp_path, paceline):
    journal = tmp_path / "x.journal"
    with JournalWriter(journal) as store:
        store.begin_run()
        groups = [{"kind": "transient", "count": 7, "message": "connection refused by http://127.0.0.1:9"}]
        store.set_fact("latest run", {"run": store.run, "faults": groups, "stopped": None, "systematic": []})
        assert paceline("status", journal, "--json").rows[0]["faults"] == groups
        assert "faults    7 × transient: connection refused by http://127.0.0.1:9" in paceline("status", journal).out
        store.end_run()
        store.begin_run()
        assert paceline("status", journal, "--json").rows[0]["faults"] == []


@pytest.mark.parametrize("fact", [None, 3, [], {"run": "one"}, {"run": 1, "systematic": ["unheard-of"]}])
def test_a_record_of_the_latest_run_that_is_damaged_is_left_out(tmp_path, fact):
    with JournalWriter(tmp_path / "x.journal") as store:
        store.set_fact("latest run", fact)
        assert recorded_latest_run(store) is None
        known = LatestRun(run=1, stopped="because")
        record_latest_run(store, known)
        assert recorded_latest_run(store) == known
