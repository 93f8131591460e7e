"""`--json`: how a run has ended, for machines."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from paceline.cli import console, main

from ..cli.conftest import FAST, clean_environment, rows_of

KEYS = [
    *(
        "items",
        "succeeded",
        "failed",
        "pending",
        "failures",
        "messages",
        "faults",
        "cut_off",
        "recalled",
        "saved",
        "bad_lines",
        "refusals",
        "retries",
        "workers",
        "usage",
    ),
    *("cost", "models", "top_alone", "seconds", "stopped", "signal", "error", "output", "journal", "exit_code"),
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


def test_the_summary_is_the_last_line_of_stderr_if_rows_go_to_stdout(paceline, jsonl):
    run = paceline("run", jsonl(30), "-o", "-", "-m", f"{FAST},faults=denied:1", "--json")
    assert len(run.rows) == 30
    summary = json.loads(run.err.splitlines()[-1])
    assert summary["output"] == "stdout"
    assert summary["stopped"]["kind"] == "pending"
    assert "items     30" not in run.err
    assert "check the key" in run.err


def test_unsaved_results_are_reported(process, jsonl):
    run = process("run", jsonl(3), "-o", "/dev/full", "-m", FAST, "--json")
    (summary,) = run.rows
    assert run.code == summary["exit_code"] == 3
    assert (summary["items"], summary["saved"]) == (3, 0)
    assert "No space left on device" in summary["error"]


def test_an_error_before_the_first_call_is_a_sentence_with_json_too(paceline, jsonl):
    run = paceline("run", jsonl(3), "-o", "-", "-m", "simm", "--json")
    assert (run.code, run.out) == (2, "")
    assert len(run.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("redirection", "words", "code"),
    [(">&-", '"items": 3', 0), (">/dev/full", "stdout: cannot be written to: No space left on device", 3)],
)
def test_a_closed_or_full_stdout_loses_no_result(jsonl, tmp_path, redirection, words, code):
    out = tmp_path / "out.jsonl"
    command = f"{sys.executable} -m paceline run {jsonl(3)} -o {out} -m {FAST} --json --quiet {redirection}"
    run = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=clean_environment(), check=False)
    assert run.returncode == code
    assert words in run.stderr
    assert len(run.stderr.splitlines()) == 1
    assert len(rows_of(out)) == 3


def test_a_state_that_cannot_be_printed_is_not_exit_code_0(paceline, jsonl, tmp_path, monkeypatch):
    out = tmp_path / "out.jsonl"
    paceline("run", jsonl(3), "-o", out, "-m", FAST, "-q")
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        monkeypatch.setattr(console, "STDOUT", full.fileno())
        assert [main(["status", str(out), *more]) for more in ([], ["--json"])] == [3, 3]
    monkeypatch.undo()
    assert main(["status", str(out)]) == 0


def test_paths_that_cannot_be_encoded_are_printed(tmp_path):
    path = os.fsencode(tmp_path) + b"/in\xff.txt"
    with open(path, "wb") as file:  # noqa: PTH123 - its name is not a string
        file.write(b"one\n")
    for last, word in (b"--quiet", b"in\\udcff.txt: 1 prompt"), (b"--json", b'in\\udcff.txt"'):
        command = [*(sys.executable.encode(), b"-m", b"paceline", b"run", path, b"-o", b"-", b"-m", FAST.encode())]
        done = subprocess.run([*command, b"--dry-run", last], capture_output=True, check=False, env=clean_environment())
        assert (done.returncode, done.stderr) == (0, b"")
        assert word in done.stdout
