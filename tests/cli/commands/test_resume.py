"""`paceline resume`."""

from __future__ import annotations

import json
import signal
import sqlite3
import time
from contextlib import closing

import pytest

from paceline import CallableStrategy, run_prompts
from paceline.journal.reader import JournalReader
from paceline.runs import ResumeOptions, RunOptions
from paceline.runs.resumption import with_changes

from ..conftest import FAST, lines_of, prompts, rows_of

DENYING = f"{FAST},faults=denied:1"
ANSWERING = ("-m", FAST, "--allow-changes", "-q")


def ids_of(path):
    return sorted(row["id"] for row in rows_of(path))


def test_missing_items_are_run_without_further_options(start, paceline, jsonl, tmp_path):
    out = tmp_path / "out.jsonl"
    started = start("run", jsonl(300), "-o", out, "-m", "sim:rate=none,latency=0.1", "-q", "--max-workers", "10")
    while not (out.exists() and out.stat().st_size):
        assert started.poll() is None
        time.sleep(0.01)
    started.send_signal(signal.SIGKILL)
    started.wait()
    run = paceline("resume", out, "--max-workers", 300)
    assert run.code == 0, run.err
    assert ids_of(out) == sorted(f"q{i}" for i in range(300))


def test_transient_faults_are_run_again_and_rows_are_written_once(paceline, batch, tmp_path):
    journal = batch(lines_of({"id": f"ид-{i}", "prompt": str(i)} for i in range(30)), model=DENYING, code=1)
    run = paceline("resume", journal, *ANSWERING)
    assert run.code == 0, run.err
    assert ids_of(tmp_path / "out.jsonl") == sorted(f"ид-{i}" for i in range(30))
    assert all(row["success"] for row in rows_of(tmp_path / "out.jsonl"))


def test_other_faults_are_run_again_with_retry_failed(paceline, batch, tmp_path):
    journal = batch(prompts(30), model=f"{FAST},faults=rejected:0.5", code=1)
    run = paceline("resume", journal, *ANSWERING)
    assert run.code == 1
    assert f"retry them with: paceline resume {journal} --retry failed" in run.err
    assert paceline("resume", journal, "--retry", "failed", "-q").code == 0
    assert ids_of(tmp_path / "out.jsonl") == sorted(f"q{i}" for i in range(30))


def test_retry_is_not_stored_in_the_journal(paceline, batch):
    journal = batch(prompts(5), model=f"{FAST},faults=rejected:1", code=1)
    assert paceline("resume", journal, "--retry", "failed", "-q").code == 1
    (plan,) = paceline("resume", journal, "--dry-run", "--json").rows
    assert (plan["wanted"], plan["journal"]["state"]["again"]) == (0, 0)


def test_given_options_win_and_are_stored(paceline, batch):
    journal = batch(prompts(5))
    assert paceline("resume", journal, "--max-workers", 7, "--timeout", 9, "-q").code == 0
    with JournalReader(journal) as reader:
        data = reader.fact("options")
    assert (data["max_workers"], data["timeout"], data["model"]) == (7, 9.0, FAST)
    assert data["journal"] == str(journal)


def test_another_model_replaces_a_ladder_and_a_ladder_a_model():
    ladder = RunOptions(input="i", output="o", escalate=("sim", "sim:rate=5"))
    assert with_changes(ladder, "j", ResumeOptions(model="sim:rate=9", input="in")).models == ("sim:rate=9",)
    single = RunOptions(input="i", output="o", model="sim")
    assert with_changes(single, "j", ResumeOptions(escalate=("a", "b"), input="in")).models == ("a", "b")


def test_another_model_is_a_change_that_must_be_allowed(paceline, batch):
    journal = batch(prompts(5), model=DENYING, code=1)
    run = paceline("resume", journal, "-m", FAST)
    assert run.code == 2
    assert "service was " in run.err
    assert "--allow-changes" in run.err


def test_a_moved_journal_with_a_moved_input_is_resumed(paceline, batch, tmp_path):
    journal = batch(prompts(10), model=DENYING, code=1)
    moved = journal.rename(tmp_path / "moved.db")
    (tmp_path / "in.jsonl").rename(tmp_path / "there.jsonl")
    run = paceline("resume", moved, *ANSWERING)
    assert (run.code, run.err) == (2, f"{tmp_path}/in.jsonl: cannot be read: No such file or directory\n")
    assert paceline("resume", moved, *ANSWERING, "--input", tmp_path / "there.jsonl").code == 0
    assert paceline("resume", moved, "-q").code == 0
    assert len(ids_of(tmp_path / "out.jsonl")) == 10


def test_rows_may_go_elsewhere(paceline, batch, tmp_path):
    journal = batch(prompts(10))
    assert paceline("resume", journal, "-o", tmp_path / "other.jsonl", "--output-format", "gemini", "-q").code == 0
    assert sorted(row["key"] for row in rows_of(tmp_path / "other.jsonl")) == sorted(f"q{i}" for i in range(10))
    run = paceline("resume", journal, "-o", "-", "--output-format", "own", "-q")
    assert sorted(row["id"] for row in run.rows) == sorted(f"q{i}" for i in range(10))


@pytest.mark.parametrize(
    ("name", "content", "arguments"),
    [
        ("in.csv", "id,text\n" + "".join(f"r{i},t{i}\n" for i in range(20)), ["--prompt", "Say {text}"]),
        (
            "in.jsonl",
            lines_of({"key": f"r{i}", "request": {"contents": [{"parts": [{"text": f"t{i}"}]}]}} for i in range(20)),
            [],
        ),
        (
            "in.jsonl",
            lines_of(
                {
                    "custom_id": f"r{i}",
                    "method": "POST",
                    "url": "/v1/chat/completions",
                    "body": {"messages": [{"role": "user", "content": f"t{i}"}]},
                }
                for i in range(20)
            ),
            ["--output-format", "openai"],
        ),
        ("in.txt", "".join(f"t{i}\n" for i in range(20)), ["--sample", "10"]),
    ],
    ids=["csv", "gemini", "openai", "text"],
)
def test_every_format_of_input_is_resumed(paceline, batch, name, content, arguments):
    journal = batch(content, *arguments, name=name, model=DENYING, code=1)
    assert paceline("resume", journal, *ANSWERING).code == 0
    rows = rows_of(journal.with_suffix(""))
    assert len(rows) == (10 if arguments[:1] == ["--sample"] else 20)
    assert all(row.get("success", True) and not row.get("error") for row in rows)


def test_exit_codes_are_those_of_a_run(paceline, batch):
    journal = batch(prompts(5), model=f"{FAST},faults=rejected:1", code=1)
    run = paceline("resume", journal, "--json", "-q")
    assert run.code == 1
    assert run.rows[0]["exit_code"] == 1
    assert run.rows[0]["journal"]["failures"] == {"rejected": 5}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--max-workers", "0"], "--max-workers: must be 1 or more, not 0"),
        (["--max-workers", "x"], "--max-workers: must be a whole number, not 'x'"),
        (["--timeout", "-1"], "--timeout: must be a number of seconds above 0"),
        (["--retry", "all"], "--retry: must be transient, failed, none, or some of"),
        (["-m", "sim", "--escalate", "sim"], "--model and --escalate: give one of them"),
        (["-m", "openai:m@http://user:hunter2@host/v1"], "the server's address must not contain"),
        (["--limit", "3"], "--limit"),
        (["--output-format", "xml"], "--output-format"),
    ],
)
def test_a_wrong_option_is_one_sentence(paceline, batch, arguments, words):
    run = paceline("resume", batch(prompts(2)), *arguments)
    assert (run.code, run.out) == (2, "")
    assert words in run.err
    assert len(run.err.splitlines()) == 1
    assert "hunter2" not in run.err


def test_a_journal_of_a_program_is_refused(paceline, tmp_path):
    async def upper(prompt):
        return prompt.upper()

    run_prompts(CallableStrategy(upper), ["a"], journal=tmp_path / "run.db")
    run = paceline("resume", tmp_path / "run.db")
    assert (run.code, run.out) == (2, "")
    assert run.err == (
        f"paceline: {tmp_path}/run.db: no options are stored: it was not started by paceline run, or that ended early; "
        "start it again as before\n"
    )


@pytest.mark.parametrize("data", [[1], {"output": "o", "modle": "x"}, {"model": "sim"}, {"output": 3, "model": "sim"}])
def test_stored_options_that_cannot_be_read_are_one_sentence(paceline, batch, data):
    journal = batch(prompts(2))
    with closing(sqlite3.connect(journal)) as db, db:
        db.execute("UPDATE facts SET value = ? WHERE name = 'options'", (json.dumps(data),))
    run = paceline("resume", journal)
    assert (run.code, len(run.err.splitlines())) == (2, 1)
    assert run.err.startswith(f"paceline: {journal}: ")
    assert paceline("status", journal).code == 0


def test_an_input_from_stdin_is_piped_in_again_or_given_as_a_file(paceline, tmp_path):
    out = tmp_path / "out.jsonl"
    assert paceline("run", "-", "-o", out, "-m", DENYING, "-q", stdin=prompts(10)).code == 1
    assert paceline("resume", out, *ANSWERING, stdin="").code == 2
    run = paceline("resume", out, *ANSWERING, stdin=prompts(10))
    assert run.code == 0, run.err
    (tmp_path / "same.jsonl").write_text(prompts(10), "utf-8")
    assert paceline("resume", out, "-q", "--input", tmp_path / "same.jsonl").code == 0
    assert len(ids_of(out)) == 10


def test_a_config_file_applies_to_resume(paceline, batch, tmp_path):
    journal = batch(prompts(5), model=DENYING, code=1)
    config = tmp_path / "c.toml"
    config.write_text(
        f'quiet = true\nlimit = 3\n[resume]\nmodel = "{FAST}"\nallow-changes = true\ninput = "in.jsonl"\n'
    )
    run = paceline("resume", journal, "--config", config)
    assert run.code == 0, run.err
    config.write_text("[resume]\nlimit = 3\n")
    run = paceline("resume", journal, "--config", config)
    assert (run.code, run.err) == (2, f"paceline: {config}: resume.limit is not an option\n")


def test_a_journal_that_a_process_writes_is_not_resumed(start, paceline, jsonl, tmp_path):
    out = tmp_path / "out.jsonl"
    started = start("run", jsonl(20), "-o", out, "-m", "sim:rate=none,latency=60,faults=rejected:0.5", "-q")
    while not (out.exists() and out.stat().st_size):
        assert started.poll() is None
        time.sleep(0.01)
    run = paceline("resume", out)
    assert run.code == 2
    assert str(started.pid) in run.err
    plan = paceline("resume", out, "--dry-run")
    assert plan.code == 2
    assert f"a run would be refused: the journal is being written by process {started.pid}" in plan.out


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv"])
def test_an_output_that_was_deleted_is_said_to_be_written_again(paceline, jsonl, tmp_path, name):
    out = tmp_path / name
    arguments = ("run", jsonl(3), "-o", out, "-m", FAST, "-q")
    assert paceline(*arguments).code == 0
    out.unlink()
    run = paceline(*arguments)
    assert f"all 3 items were done already; {out} was written again, with 3 rows" in run.err
    assert out.exists()
