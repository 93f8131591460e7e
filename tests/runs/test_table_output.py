"""Outputs that are tables: written out of the journal when a run ends."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from pyarrow import parquet

from paceline import runs
from paceline.exceptions import ConfigurationError
from paceline.runs import ExportOptions, ResumeOptions, RunOptions

from ..cli.conftest import FAST

pytestmark = pytest.mark.usefixtures("virtual_time")

ROWS = [(f"r{n}", f"text {n}", "x" if n % 2 else "") for n in range(12)]


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "in.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("id", "text", "model"), *ROWS])
    return path


@pytest.fixture
def options(table, tmp_path):
    def make(output="out.csv", **more):
        return RunOptions(
            **{"input": table, "model": FAST, "prompt": "Say {text}", "output": tmp_path / output, **more}
        )

    return make


def read(path):
    if Path(path).suffix == ".parquet":
        return parquet.read_table(path).to_pylist()
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", ["out.csv", "out.parquet", "OUT.CSV"])
def test_the_name_of_the_output_decides_that_it_is_a_table_with_the_columns_of_the_input(options, name):
    report = runs.run(options(name))
    rows = read(report.output)
    assert [(row["id"], row["text"], row["input_model"]) for row in rows] == ROWS
    assert all(row["output"] == f"simulated: Say {row['text']}" for row in rows)
    assert report.saved == len(rows)


def test_lines_are_written_where_the_name_says_csv_if_that_is_given(options):
    report = runs.run(options(output_format="own"))
    assert json.loads(Path(report.output).read_text().splitlines()[0])["success"]


def test_an_unfinished_run_has_a_table_of_its_results_and_is_resumed(options, tmp_path):
    first = runs.run(options(model="sim:rate=1,burst=4,latency=0.01", deadline=2.5))
    assert 0 < len(read(tmp_path / "out.csv")) < len(ROWS)
    assert first.journal.counts.pending
    runs.resume(tmp_path / "out.csv")
    assert [row["id"] for row in read(tmp_path / "out.csv")] == [name for name, *_ in ROWS]
    assert sorted(path.name for path in tmp_path.glob("out*")) == ["out.csv", "out.csv.journal"]


def test_a_run_that_was_killed_before_the_table_was_written_loses_nothing(options, tmp_path):
    runs.run(options())
    before = read(tmp_path / "out.csv")
    (tmp_path / "out.csv").unlink()  # as if it had never been written
    report = runs.resume(tmp_path / "out.csv.journal")
    assert report.batch.total_items == 0
    assert read(tmp_path / "out.csv") == before


def test_the_same_command_again_leaves_the_table_as_it_is(options, tmp_path):
    runs.run(options())
    before = (tmp_path / "out.csv").read_bytes()
    runs.run(options())
    assert (tmp_path / "out.csv").read_bytes() == before
    assert not (tmp_path / "out.csv.1").exists()


def test_failed_items_that_run_again_replace_their_rows(options, tmp_path):
    runs.run(options(model="sim:rate=none,latency=0.01,faults=refused:0.5"))
    before = [row["id"] for row in read(tmp_path / "out.csv") if row["success"] == "false"]
    assert 0 < len(before) < len(ROWS)
    runs.resume(tmp_path / "out.csv", ResumeOptions(retry="failed", model=FAST, allow_changes=True))
    rows = read(tmp_path / "out.csv")
    assert [row["id"] for row in rows] == [name for name, *_ in ROWS]
    assert {row["success"] for row in rows} == {"true"}
    assert not (tmp_path / "out.csv.1").exists()


def test_a_table_that_was_changed_is_kept_under_another_name(options, tmp_path):
    runs.run(options())
    (tmp_path / "out.csv").write_text((tmp_path / "out.csv").read_text().replace("r0", "R0"))  # of the same size
    messages = []
    runs.run(options(), on_message=messages.append)
    assert "R0" in (tmp_path / "out.csv.1").read_text()
    assert "R0" not in (tmp_path / "out.csv").read_text()
    assert messages == [f"{tmp_path}/out.csv: differs from what was written; it is kept as {tmp_path}/out.csv.1"]


def test_a_file_with_content_is_refused_before_the_first_call_unless_it_may_be_replaced(options, tmp_path):
    (tmp_path / "out.csv").write_text("mine\n")
    with pytest.raises(ConfigurationError, match="has content; name another file, or set --overwrite to replace it"):
        runs.run(options())
    assert not (tmp_path / "out.csv.journal").exists()
    assert (tmp_path / "out.csv").read_text() == "mine\n"
    runs.run(options(overwrite=True))
    assert len(read(tmp_path / "out.csv")) == len(ROWS)


def test_the_input_is_never_the_output(options, table):
    with pytest.raises(ConfigurationError, match="is the input"):
        runs.run(options(output=table, overwrite=True))


def test_lines_that_an_older_version_wrote_under_such_a_name_are_kept(options, tmp_path):
    runs.run(options(output_format="own", limit=5))
    lines = (tmp_path / "out.csv").read_bytes()
    assert runs.resume(tmp_path / "out.csv").output.endswith("out.csv")
    assert (tmp_path / "out.csv").read_bytes() == lines  # resumed as it was started
    runs.run(options())
    assert (tmp_path / "out.csv.1").read_bytes() == lines
    assert len(read(tmp_path / "out.csv")) == len(ROWS)


def test_another_output_of_a_resumed_run_has_the_format_of_its_name(options, tmp_path):
    runs.run(options("out.jsonl"))
    runs.resume(tmp_path / "out.jsonl", ResumeOptions(output=tmp_path / "b.csv"))
    assert len(read(tmp_path / "b.csv")) == len(ROWS)
    runs.resume(tmp_path / "out.jsonl.journal", ResumeOptions(output=tmp_path / "c.jsonl"))
    assert len((tmp_path / "c.jsonl").read_text().splitlines()) == len(ROWS)


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_the_fields_of_a_schema_are_columns(options, tmp_path, name):
    schema = tmp_path / "label.json"
    properties = {"label": {"enum": ["good", "bad"]}, "text": {"type": "string"}}
    schema.write_text(json.dumps({"type": "object", "properties": properties, "required": ["label", "text"]}))
    runs.run(options(name, schema=schema))
    runs.export(tmp_path / f"{name}.journal", ExportOptions(output=tmp_path / f"b-{name}", in_order=True))
    for path in (tmp_path / name, tmp_path / f"b-{name}"):
        for row in read(path):
            answer = json.loads(row["output"])
            assert (row["label"], row["output_text"]) == (answer["label"], answer["text"])
            assert row["text"].startswith("text ")


def test_an_export_does_not_spoil_the_table_of_the_runs(options, tmp_path):
    runs.run(options())
    with pytest.raises(ConfigurationError, match="which write it when they end; name another file"):
        runs.export(tmp_path / "out.csv", ExportOptions(output=tmp_path / "out.csv", overwrite=True))


def test_a_disk_that_does_not_take_the_table_leaves_the_results_in_the_journal(options, tmp_path):
    folder = tmp_path / "gone"
    folder.mkdir()

    def remove_folder(_):
        if folder.exists():
            folder.rmdir()

    report = runs.run(options("gone/out.csv", journal=tmp_path / "j"), on_progress=remove_folder)
    assert report.output_error is not None
    assert report.journal.counts.succeeded == len(ROWS)
    folder.mkdir()
    assert len(read(runs.resume(tmp_path / "j").output)) == len(ROWS)
