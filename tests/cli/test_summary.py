"""`--json`: how a run has ended, for machines."""

from __future__ import annotations

import json

from .conftest import FAST, rows_of

KEYS = [
    *("items", "succeeded", "failed", "failures", "saved", "refusals", "workers", "usage", "cost", "models"),
    *("top_alone", "seconds", "stopped", "signal", "error", "output", "exit_code"),
]


def test_the_summary_is_one_object_on_stdout(paceline, jsonl, tmp_path):
    out = tmp_path / "out.jsonl"
    run = paceline("run", jsonl(30), "-o", out, "-m", f"{FAST},faults=rejected:0.5", "--json", "--quiet")
    (summary,) = run.rows
    failed = sum(not row["success"] for row in rows_of(out))
    assert list(summary) == KEYS
    assert run.code == summary["exit_code"] == 1
    assert (summary["items"], summary["saved"], summary["failed"]) == (30, 30, failed)
    assert summary["failures"] == {"rejected": failed}
    assert summary["output"] == str(out)
    assert summary["models"][0]["calls"] == 30
    assert (summary["signal"], summary["error"], summary["stopped"], summary["cost"]) == (None, None, None, None)


def test_it_is_the_last_line_of_stderr_where_rows_go_to_stdout(paceline, jsonl):
    run = paceline("run", jsonl(30), "-o", "-", "-m", f"{FAST},faults=denied:1", "--json")
    assert len(run.rows) == 30
    summary = json.loads(run.err.splitlines()[-1])
    assert summary["output"] == "stdout"
    assert summary["stopped"]["kind"] == "pending"
    assert "items     30" not in run.err
    assert "check it" in run.err


def test_results_that_were_not_saved_are_told(process, jsonl):
    run = process("run", jsonl(3), "-o", "/dev/full", "-m", FAST, "--json")
    (summary,) = run.rows
    assert run.code == summary["exit_code"] == 3
    assert (summary["items"], summary["saved"]) == (3, 0)
    assert "No space left on device" in summary["error"]


def test_what_is_wrong_before_the_first_call_is_a_sentence_all_the_same(paceline, jsonl):
    run = paceline("run", jsonl(3), "-o", "-", "-m", "simm", "--json")
    assert (run.code, run.out) == (2, "")
    assert len(run.err.splitlines()) == 1
