"""Writing results to files: each format, atomically, and what comes back when a file is read again."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from paceline import Fault, FaultKind, WorkItemResult, files
from paceline._codec import encode_row
from paceline._core.results import BatchResult
from paceline.exceptions import ConfigurationError
from paceline.files import OutputError, ResultFormat, WrittenFile

RESULTS = [
    WorkItemResult("a", 0, "yes", context={"n": 1}, model="m"),
    WorkItemResult("b", 1, error=Fault(FaultKind.REFUSED, "no")),
]


def test_rows_of_jsonl_are_those_of_the_command_line(tmp_path):
    path = tmp_path / "out.jsonl"
    assert files.write(path, RESULTS) == WrittenFile(path=str(path), format=ResultFormat.JSONL, succeeded=1, failed=1)
    assert path.read_bytes() == b"".join(map(encode_row, RESULTS))


def test_items_that_were_not_reached_are_counted_as_pending_and_not_as_failed(tmp_path):
    left = WorkItemResult("c", 2, error=Fault(FaultKind.PENDING, "stopped"))
    written = files.write(tmp_path / "out.jsonl", [*RESULTS, left])
    assert (written.succeeded, written.failed, written.pending, written.rows) == (1, 1, 1, 3)


@pytest.mark.parametrize(("name", "id_key"), [("openai", "custom_id"), ("gemini", "key"), ("anthropic", "custom_id")])
def test_rows_of_a_batch_api_have_its_keys(tmp_path, name, id_key):
    written = files.write(tmp_path / "out.x", RESULTS, format=name)
    assert (written.format, written.rows) == (name, 2)
    rows = [json.loads(line) for line in (tmp_path / "out.x").read_text("utf-8").splitlines()]
    assert [row[id_key] for row in rows] == ["a", "b"]


def test_csv_and_parquet_are_tables_of_the_same_rows(tmp_path):
    for name in ("out.csv", "out.parquet"):
        assert files.write(tmp_path / name, iter(RESULTS)).rows == 2
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    table = parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert [(row["id"], row["output"], row["success"]) for row in rows] == [("a", "yes", "true"), ("b", "", "false")]
    assert [(row["id"], row["output"], row["success"]) for row in table] == [("a", "yes", True), ("b", None, False)]


def test_a_batch_is_written_in_the_order_of_its_results(tmp_path):
    files.write(tmp_path / "out.csv", BatchResult(results=tuple(reversed(RESULTS))))
    assert [line[:2] for line in (tmp_path / "out.csv").read_text("utf-8").splitlines()[1:]] == ["b,", "a,"]


def test_a_batch_whose_results_were_streamed_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="handed over by a stream"):
        files.write(tmp_path / "out.csv", BatchResult(results=(), succeeded=3))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv", "out.parquet"])
def test_no_results_are_a_complete_file(tmp_path, name):
    assert files.write(tmp_path / name, []).rows == 0
    assert (tmp_path / name).exists()


def test_content_is_replaced_only_if_the_caller_allows_it(tmp_path):
    path = tmp_path / "out.jsonl"
    path.write_bytes(b"paid for\n")
    with pytest.raises(OutputError, match="has content"):
        files.write(path, RESULTS)
    assert path.read_bytes() == b"paid for\n"
    assert files.write(path, RESULTS, overwrite=True).rows == 2
    assert path.read_bytes() != b"paid for\n"


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv", "out.parquet"])
def test_an_exception_leaves_what_was_there_and_no_other_file(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"before")

    def results():
        yield from RESULTS
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="the source broke"):
        files.write(path, results(), overwrite=True)
    assert path.read_bytes() == b"before"
    assert [each.name for each in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("out.xlsx", []), "out.xlsx: its name does not show a format; set format to one of jsonl, openai"),
        (("out", []), "out: its name does not show a format"),
        (("-", []), "-: its name does not show a format"),
        (("out.csv", [], "tsv"), "format must be one of jsonl, openai, gemini, anthropic, csv, parquet, not 'tsv'"),
        (("-", [], "parquet"), "format must not be parquet for stdout"),
        (("out.csv", 7), "results must be a BatchResult or an iterable, not 7"),
        (("", []), "path must be a non-empty string or a path, not ''"),
        (("out.csv", ["text"]), "results must hold WorkItemResult, not str"),
    ],
)
def test_a_wrong_argument_is_refused(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    path, results, *kind = arguments
    with pytest.raises(ConfigurationError) as caught:
        files.write(path, results, format=kind[0] if kind else None)
    assert str(caught.value).startswith(message)
    assert list(tmp_path.iterdir()) == []


def test_writing_installs_no_signal_handler_and_prints_nothing(tmp_path, capfd):
    before = signal.getsignal(signal.SIGTERM)

    def results():
        assert signal.getsignal(signal.SIGTERM) is before
        yield from RESULTS

    files.write(tmp_path / "out.jsonl", results())
    assert capfd.readouterr() == ("", "")


def test_rows_can_be_written_to_stdout(tmp_path):
    code = (
        "from paceline import WorkItemResult, files\n"
        "print(files.write('-', [WorkItemResult('a', 0, 'x')], format='csv').rows)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[1:] == ["a,x,true,,,,0,0,0,0,0,0,0,0.0", "1"]


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"))


@given(st.lists(texts, min_size=1, max_size=5), st.sampled_from(["csv", "parquet"]))
def test_outputs_written_as_a_table_are_read_as_prompts_unchanged(tmp_path_factory, outputs, kind):
    path = tmp_path_factory.mktemp("out") / f"out.{kind}"
    files.write(path, [WorkItemResult(f"q{i}", i, output) for i, output in enumerate(outputs)], raw_csv=True)
    records = list(files.read(path, prompt="{output}"))
    assert [(record.id, record.prompt) for record in records] == [(f"q{i}", text) for i, text in enumerate(outputs)]
