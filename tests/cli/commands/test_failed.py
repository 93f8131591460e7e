"""`paceline failed`."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from pyarrow import parquet

from paceline import CallableStrategy, run_prompts

from ..conftest import FAST, lines_of, prompts, rows_of

REJECTING = f"{FAST},faults=rejected:0.4"


def failed_ids(tmp_path):
    return {row["id"] for row in rows_of(tmp_path / "out.jsonl") if not row["success"]}


def test_lines_of_failed_items_are_a_new_input_byte_for_byte(paceline, batch, tmp_path):
    content = "".join(f'{{"prompt":  "п {i}", "id":"ид-{i}"}} \r\n' for i in range(60)) + "broken\n"
    journal = batch(b"\xef\xbb\xbf" + content.encode(), model=REJECTING, code=1)
    run = paceline("failed", journal, "-o", tmp_path / "again.jsonl")
    assert run.code == 0, run.err
    ids = failed_ids(tmp_path)
    assert run.err == f"paceline: {len(ids)} of 60 prompts are in {tmp_path}/again.jsonl\n"
    lines = (tmp_path / "again.jsonl").read_bytes().splitlines(keepends=True)
    assert {json.loads(line)["id"] for line in lines} == ids
    assert [line for line in content.encode().splitlines(keepends=True) if line in lines] == lines
    assert paceline("run", tmp_path / "again.jsonl", "-o", tmp_path / "second.jsonl", "-m", FAST).code == 0
    assert {row["id"] for row in rows_of(tmp_path / "second.jsonl")} == ids


@pytest.mark.parametrize(
    ("key", "line"),
    [
        (
            "custom_id",
            {"method": "POST", "url": "/v1/chat/completions", "body": {"messages": [{"role": "user", "content": "?"}]}},
        ),
        ("key", {"request": {"contents": [{"role": "user", "parts": [{"text": "?"}]}]}}),
        ("custom_id", {"params": {"max_tokens": 5, "messages": [{"role": "user", "content": "?"}]}}),
    ],
    ids=["openai", "gemini", "anthropic"],
)
def test_lines_of_batch_apis_are_unchanged(paceline, batch, tmp_path, key, line):
    text = lines_of([{key: "NAME", **line}])
    content = "".join(text.replace("NAME", f"r{i}").replace("?", f"prompt {i}?") for i in range(40))
    journal = batch(content, model=REJECTING, code=1)
    run = paceline("failed", journal, "-o", "-")
    assert {row[key] for row in run.rows} == failed_ids(tmp_path)
    assert all(f"{text}\n" in content for text in run.out.splitlines())


def test_rows_of_csv_keep_their_header(paceline, batch, tmp_path):
    content = "id,text\n" + "".join(f'r{i},"a\n{i}"\n' for i in range(40))
    journal = batch(content, "--prompt", "Say {text}", name="in.csv", model=REJECTING, code=1)
    run = paceline("failed", journal, "-o", tmp_path / "again.csv")
    assert run.code == 0
    text = (tmp_path / "again.csv").read_text("utf-8")
    assert text == "id,text\n" + "".join(
        f'{name},"a\n{name[1:]}"\n' for name in sorted(failed_ids(tmp_path), key=lambda name: int(name[1:]))
    )
    run = paceline("failed", journal, "-o", tmp_path / "again.jsonl")
    assert run.err.endswith("; run them with --input-format csv\n")


def test_rows_of_parquet_become_lines_with_the_same_prompts(paceline, tmp_path):
    parquet.write_table(pa.table({"id": [f"r{i}" for i in range(40)], "n": list(range(40))}), tmp_path / "in.parquet")
    arguments = ("-o", tmp_path / "out.jsonl", "-m", REJECTING, "--prompt", "Say {n}")
    assert paceline("run", tmp_path / "in.parquet", *arguments).code == 1
    run = paceline("failed", tmp_path / "out.jsonl", "-o", "-")
    assert {row["id"] for row in run.rows} == failed_ids(tmp_path)
    assert all(row["prompt"] == f"Say {row['id'][1:]}" for row in run.rows)


def test_a_message_says_that_lines_of_text_get_other_ids(paceline, batch, tmp_path):
    journal = batch("".join(f"prompt {i}\n" for i in range(40)), name="in.txt", model=REJECTING, code=1)
    run = paceline("failed", journal, "-o", tmp_path / "again.txt")
    assert run.code == 0
    assert run.err.endswith("; their ids are the numbers of their lines, and differ in the new file\n")
    assert len((tmp_path / "again.txt").read_text().splitlines()) == len(failed_ids(tmp_path))


def test_kinds_and_pending_items_may_be_selected(paceline, batch):
    journal = batch(prompts(40), model=f"{FAST},faults=denied:1", code=1)
    (data,) = paceline("status", journal, "--json").rows
    denied, pending = data["failures"]["denied"], data["pending"]
    assert pending
    for arguments, count in (
        ([], denied),
        (["--kinds", "denied,timeout"], denied),
        (["--kinds", "transient"], denied),
        (["--kinds", "rejected"], 0),
        (["--kinds", "none", "--pending"], pending),
        (["--pending"], 40),
    ):
        assert len(paceline("failed", journal, "-o", "-", *arguments).rows) == count


def test_without_a_failed_item_no_file_is_made_and_one_that_may_be_replaced_is_emptied(paceline, batch, tmp_path):
    journal, path = batch(prompts(3)), tmp_path / "again.jsonl"
    for arguments, words in (
        ([], "no item failed"),
        (["--pending"], "no item failed or is pending"),
        (["--kinds", "refused"], "no item failed with one of these kinds"),
    ):
        run = paceline("failed", journal, "-o", path, *arguments)
        assert (run.code, run.out, run.err) == (0, "", f"paceline: {words}; nothing was written\n")
        assert not path.exists()
    path.write_text(prompts(2))
    run = paceline("failed", journal, "-o", path, "--overwrite")
    assert (run.code, run.err) == (0, f"paceline: no item failed; {path} is empty\n")
    assert path.read_text() == ""


def test_an_unknown_kind_is_one_sentence(paceline, batch):
    run = paceline("failed", batch(prompts(1)), "-o", "-", "--kinds", "tineout")
    assert (run.code, run.out) == (2, "")
    assert run.err.startswith("paceline: --kinds: must be transient, failed, none, or some of throttled")


def test_a_missing_or_changed_input_is_one_sentence(paceline, batch, tmp_path):
    journal, path, out = batch(prompts(20), model=REJECTING, code=1), tmp_path / "in.jsonl", tmp_path / "again.jsonl"
    moved = path.rename(tmp_path / "moved.jsonl")
    run = paceline("failed", journal, "-o", out)
    assert (run.code, run.err) == (
        2,
        f"{path}: cannot be read: No such file or directory; if it was moved, give its path: --input FILE\n",
    )
    assert paceline("failed", journal, "-o", out, "--input", moved).code == 0
    path.write_text(prompts(20).replace("prompt 3", "prompt 4"), "utf-8")
    run = paceline("failed", journal, "-o", out, "--overwrite")
    assert (run.code, run.err) == (
        2,
        f"{path}: has changed, and is not the input that {journal} was started with; if it was moved, give its path: --input FILE\n",
    )
    run = paceline("failed", journal, "-o", out, "--overwrite", "--input", tmp_path)
    assert (run.code, len(run.err.splitlines())) == (2, 1)


def test_a_limited_run_accepts_an_input_that_has_grown(paceline, batch, tmp_path):
    journal = batch(prompts(20), "--limit", "10", model=REJECTING, code=1)
    with (tmp_path / "in.jsonl").open("a") as file:
        file.write("more\n")
    assert {row["id"] for row in paceline("failed", journal, "-o", "-").rows} == failed_ids(tmp_path)


def test_an_input_from_stdin_must_be_given_as_a_file(paceline, tmp_path):
    run = paceline("run", "-", "-o", tmp_path / "out.jsonl", "-m", REJECTING, "-q", stdin=prompts(20))
    assert run.code == 1
    run = paceline("failed", tmp_path / "out.jsonl", "-o", "-")
    assert (run.code, run.err) == (
        2,
        f"paceline: {tmp_path}/out.jsonl.journal: its input was stdin; give a file with the same content: --input FILE\n",
    )
    (tmp_path / "same.txt").write_text(prompts(20), "utf-8")
    run = paceline("failed", tmp_path / "out.jsonl", "-o", "-", "--input", tmp_path / "same.txt")
    assert {row["id"] for row in run.rows} == failed_ids(tmp_path)


def test_input_and_journal_are_never_overwritten(paceline, batch, tmp_path):
    journal = batch(prompts(5), model=REJECTING, code=1)
    for path, role in ((tmp_path / "in.jsonl", "the input"), (journal, "the journal")):
        before = path.read_bytes()
        run = paceline("failed", journal, "-o", path, "--overwrite")
        assert (run.code, run.err) == (2, f"paceline: {path}: is {role}; name another file\n")
        assert path.read_bytes() == before


def test_a_journal_of_a_program_has_no_input(paceline, tmp_path):
    async def never(_):
        raise ValueError

    run_prompts(CallableStrategy(never), ["a"], journal=tmp_path / "run.db")
    run = paceline("failed", tmp_path / "run.db", "-o", "-")
    assert (run.code, run.out) == (2, "")
    assert run.err == (f"paceline: {tmp_path}/run.db: was not started by paceline run, and does not name its input\n")
