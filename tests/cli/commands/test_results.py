"""`paceline results`."""

from __future__ import annotations

import csv
import io
import json
import os
import resource
import signal
import sqlite3
import subprocess
import time
from contextlib import closing

import pytest
from pyarrow import parquet

from paceline.journal.writer import JournalWriter

from ...journal.support import done, failed, started_writer
from ..conftest import FAST, lines_of, prompts, rows_of

REJECTING = f"{FAST},faults=rejected:0.3"


def test_the_output_is_restored_byte_for_byte(paceline, batch, tmp_path):
    journal = batch(prompts(300), model=REJECTING, code=1)
    again = tmp_path / "again.jsonl"
    run = paceline("results", journal, "-o", again)
    assert (run.code, run.out, run.err) == (0, "", f"paceline: {again}: 300 rows\n")
    assert again.read_bytes() == (tmp_path / "out.jsonl").read_bytes()
    assert paceline("results", journal, "-o", "-").out == again.read_text("utf-8")
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.endswith(".part")) == []


def test_the_number_of_rows_is_said_also_if_there_are_none(paceline, batch, tmp_path):
    journal = batch(prompts(1))
    run = paceline("results", journal, "-o", tmp_path / "f.csv", "--only", "failed")
    assert (run.code, run.err) == (0, f"paceline: {tmp_path / 'f.csv'}: 0 rows\n")
    assert paceline("results", journal, "-o", "-").err == "paceline: stdout: 1 row\n"


def test_rows_may_be_in_the_order_of_the_input(paceline, batch):
    journal = batch(prompts(100))
    run = paceline("results", journal, "-o", "-", "--in-order")
    assert [row["id"] for row in run.rows] == [f"q{i}" for i in range(100)]


def test_only_succeeded_or_only_failed_items_may_be_exported(paceline, batch):
    journal = batch(prompts(100), model=REJECTING, code=1)
    succeeded = paceline("results", journal, "-o", "-", "--only", "succeeded").rows
    rejected = paceline("results", journal, "-o", "-", "--only", "failed").rows
    assert all(row["success"] for row in succeeded)
    assert not any(row["success"] for row in rejected)
    assert {row["id"] for row in succeeded} | {row["id"] for row in rejected} == {f"q{i}" for i in range(100)}
    assert len(succeeded) + len(rejected) == 100


def test_tables_have_the_content_of_the_rows(paceline, batch, tmp_path):
    rows = [{"id": f"ид-{i}", "prompt": f'say "{i}",\n{i}', "context": {"n": i}} for i in range(50)]
    journal = batch(lines_of(rows), model=REJECTING, code=1)
    expected = {row["id"]: row for row in paceline("results", journal, "-o", "-").rows}
    for name in ("t.csv", "t.parquet", "t.pq"):
        assert paceline("results", journal, "-o", tmp_path / name, "--in-order").code == 0
    table = list(csv.DictReader(io.StringIO((tmp_path / "t.csv").read_text("utf-8"))))
    assert [row["id"] for row in table] == [row["id"] for row in rows]
    for name in ("t.parquet", "t.pq"):
        columns = parquet.read_table(tmp_path / name).to_pylist()
        assert [row["id"] for row in columns] == [row["id"] for row in rows]
        for row in columns:
            before = expected[row["id"]]
            assert (row["output"], row["attempts"], row["seconds"]) == tuple(
                before[key] for key in ("output", "attempts", "seconds")
            )
            assert row["n"] == before["context"]["n"], "the input's own fields come back as columns"
            assert row["error_kind"] == (before["error"] or {}).get("kind")
    assert paceline("results", journal, "-o", "-", "--as", "csv").out.startswith("id,n,output,success,")


@pytest.mark.parametrize(
    ("form", "key"), [("openai", "custom_id"), ("gemini", "key"), ("anthropic", "custom_id"), ("own", "id")]
)
def test_lines_may_have_the_format_of_a_batch_api(paceline, batch, form, key):
    journal = batch(prompts(10))
    rows = paceline("results", journal, "-o", "-", "--output-format", form).rows
    assert sorted(row[key] for row in rows) == sorted(f"q{i}" for i in range(10))


def test_an_output_with_content_is_not_replaced_without_overwrite(paceline, batch, tmp_path):
    journal = batch(prompts(3))
    mine = tmp_path / "mine.jsonl"
    mine.write_text("mine\n")
    mine.chmod(0o600)
    run = paceline("results", journal, "-o", mine)
    assert (run.code, mine.read_text()) == (2, "mine\n")
    assert run.err == f"paceline: {mine}: has content; name another file, or set --overwrite to replace it\n"
    assert paceline("results", journal, "-o", mine, "--overwrite").code == 0
    assert len(rows_of(mine)) == 3
    assert mine.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["-o", "x.csv", "--output-format", "openai"],
            "--output-format: applies to jsonl only; csv has columns of its own",
        ),
        (["-o", "-", "--as", "parquet"], "--as parquet: needs a file, not stdout"),
        (["-o", "x", "--as", "xml"], "--as"),
        (["-o", "x", "--only", "some"], "--only"),
        (["-o", "."], "cannot be written to: Is a directory"),
        (["-o", "none/x"], "none: no such folder; create it"),
        (["-o", "JOURNAL", "--overwrite"], "is the journal; name another file"),
        ([], "--output"),
    ],
)
def test_an_export_that_is_impossible_is_one_sentence(paceline, batch, arguments, words):
    journal = batch(prompts(2))
    before = journal.read_bytes()
    run = paceline("results", journal, *(journal if one == "JOURNAL" else one for one in arguments))
    assert (run.code, run.out) == (2, "")
    assert words in run.err
    assert len(run.err.splitlines()) == 1
    assert journal.read_bytes() == before


def test_the_output_of_the_runs_may_be_replaced_only_by_the_same_rows(paceline, batch, tmp_path):
    journal, out = batch(prompts(40)), tmp_path / "out.jsonl"
    before = out.read_bytes()
    for other in (["--in-order"], ["--only", "failed"], ["--output-format", "openai"], ["--as", "csv"]):
        run = paceline("results", journal, "-o", out, "--overwrite", *other)
        assert (run.code, out.read_bytes()) == (2, before)
        assert "is the output of the journal's runs, which continue it" in run.err
    out.unlink()
    assert paceline("results", journal, "-o", out).code == 0
    assert out.read_bytes() == before
    assert paceline("resume", journal, "-q").code == 0
    assert out.read_bytes() == before


def test_results_are_exported_while_the_batch_runs(start, paceline, jsonl, tmp_path):
    out = tmp_path / "out.jsonl"
    started = start(
        *("run", jsonl(1_000), "-o", out, "-m", "sim:rate=none,latency=0.05,seed=1", "-q", "--max-workers", 20)
    )
    while not (out.exists() and out.stat().st_size):
        assert started.poll() is None
        time.sleep(0.01)
    seen = [len({row["id"] for row in paceline("results", out, "-o", "-").rows}) for _ in range(3)]
    run = paceline("results", out, "-o", out, "--overwrite")
    assert (run.code, run.err) == (
        2,
        f"paceline: {out}: is being written by process {started.pid}; name another file\n",
    )
    assert 0 < seen[0] <= seen[1] <= seen[2] <= 1_000
    assert started.wait() == 0
    assert len(paceline("results", out, "-o", "-").rows) == len(rows_of(out)) == 1_000


@pytest.fixture(scope="module")
def big(tmp_path_factory):
    """Write a journal that takes a while to be read; return its path."""
    path = tmp_path_factory.mktemp("journal") / "big.journal"
    ids = [f"q{i}" for i in range(30_000)]
    with started_writer(str(path), *ids) as store:
        store.commit([done(name, "x" * 300) for name in ids], {})
    return path


@pytest.mark.parametrize(
    ("number", "code", "words"), [(signal.SIGINT, 130, "paceline: interrupted\n"), (signal.SIGTERM, 143, "")]
)
def test_an_interruption_leaves_the_old_file(start, big, tmp_path, number, code, words):  # noqa: PLR0913, PLR0917 - fixtures
    out = tmp_path / "out.jsonl"
    out.write_text("before\n")
    started = start("results", big, "-o", out, "--overwrite", "--in-order")
    while not list(tmp_path.glob("*.part")):
        assert started.poll() is None
        os.sched_yield()
    started.send_signal(number)
    assert started.wait() == code
    assert started.stderr.read() == words
    assert out.read_text() == "before\n"
    assert list(tmp_path.glob("*.part")) == []


def test_a_reader_that_closes_the_pipe_ends_the_export_quietly(start, big):
    started = start("results", big, "-o", "-")
    assert json.loads(started.stdout.readline())["id"] == "q0"
    started.stdout.close()
    assert started.wait() == 141
    assert started.stderr.read() == ""


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_full_disk_is_one_sentence_and_leaves_the_old_file(process, big, tmp_path, kind):
    out = tmp_path / "out.x"
    out.write_text("before\n")
    run = process(
        *("results", big, "-o", out, "--overwrite", "--as", kind),
        limits=(resource.RLIMIT_FSIZE, 100_000, 100_000),
    )
    assert (run.code, run.err) == (3, f"paceline: {out}: File too large; the results are in {big}\n")
    assert out.read_text() == "before\n"
    assert list(tmp_path.glob("*.part")) == []


def test_devices_and_pipes_are_written_to_directly(process, big, tmp_path):
    assert process("results", big, "-o", "/dev/null").code == 0
    run = process("results", big, "-o", "/dev/full")
    assert (run.code, len(run.err.splitlines())) == (3, 1)
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "copy").open("wb") as copy, subprocess.Popen(["cat", tmp_path / "pipe"], stdout=copy):
        assert process("results", big, "-o", tmp_path / "pipe").code == 0
    assert len(rows_of(tmp_path / "copy")) == 30_000


def test_a_journal_without_results_gives_an_empty_file(paceline, tmp_path):
    with JournalWriter(tmp_path / "x.journal"):
        pass
    assert paceline("results", tmp_path / "x.journal", "-o", tmp_path / "o.jsonl").code == 0
    assert (tmp_path / "o.jsonl").read_bytes() == b""
    assert paceline("results", tmp_path / "x.journal", "-o", tmp_path / "o.csv").code == 0
    assert (tmp_path / "o.csv").read_text().count("\n") == 1


def test_items_that_are_no_longer_in_the_input_are_not_exported(paceline, tmp_path):
    with started_writer(str(tmp_path / "x.journal"), "a", "b") as store:
        store.commit([done("a"), failed("b")], {})
        store.items.mark_all_gone()
    assert paceline("results", tmp_path / "x.journal", "-o", "-").out == ""


def test_a_damaged_answer_in_the_journal_is_one_sentence(paceline, batch, tmp_path):
    journal = batch(prompts(5))
    with closing(sqlite3.connect(journal)) as db, db:
        db.execute("UPDATE results SET output = 'no json'")
    run = paceline("results", journal, "-o", tmp_path / "x.csv")
    assert (run.code, len(run.err.splitlines())) == (2, 1)
    assert "is damaged" in run.err


@pytest.mark.parametrize(
    ("kind", "answer"), [("truncated", "The beginning"), ("invalid", "An answer"), ("refused", "I cannot")]
)
def test_an_answer_that_was_not_accepted_is_in_the_rows_the_journal_and_the_table(
    paceline, jsonl, tmp_path, kind, answer
):
    out, table = tmp_path / "out.jsonl", tmp_path / "again.csv"
    run = paceline("run", jsonl(2), "-o", out, "-m", f"{FAST},faults={kind}:1", "-v")
    assert run.code == 1
    assert answer not in run.err
    errors = [row["error"] for row in rows_of(out)]
    assert all(error["answer"].startswith(answer) for error in errors)
    assert len(errors) == 2
    assert [row["error"] for row in paceline("results", out, "-o", "-").rows] == errors
    assert paceline("results", out, "-o", table).code == 0
    with table.open(newline="") as file:
        assert [row["error_answer"] for row in csv.DictReader(file)] == [error["answer"] for error in errors]
