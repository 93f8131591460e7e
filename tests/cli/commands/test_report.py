"""`paceline report`: a page in a file, or figures on stdout; a wrong command line is one sentence."""

from __future__ import annotations

import json

import attrs
import pytest

from paceline.runs import report

from ...report.journals import BEGAN, Call, Result, make_journal


@pytest.fixture
def journal(tmp_path):
    return make_journal(
        tmp_path / "out.jsonl.journal",
        items=["a", "b"],
        calls=[Call(item=1, cost=0.01), Call(item=2, kind="invalid", cost=0.01)],
        results=[Result(item=1), Result(item=2, kind="invalid", message="no JSON")],
    )


def test_the_page_is_written_beside_a_sentence(paceline, journal, tmp_path):
    done = paceline("report", tmp_path / "out.jsonl", "-o", tmp_path / "r.html")
    assert (done.code, done.out) == (0, "")
    assert done.err == f"paceline: {tmp_path / 'r.html'}: report on 2 items\n"
    assert "1 of 2 items succeeded" in (tmp_path / "r.html").read_text("utf-8")


def test_the_page_can_go_to_stdout(paceline, journal):
    done = paceline("report", journal, "-o", "-")
    assert done.code == 0
    assert done.out.startswith("<!DOCTYPE html>")


def test_json_and_the_library_give_the_same_figures(paceline, journal):
    done = paceline("report", journal, "--json")
    data, found = json.loads(done.out), report(journal)
    assert data["cost"] == found.cost
    assert data["counts"] == {**attrs.asdict(found.counts), "pending": 0}
    assert data["models"] == json.loads(json.dumps(attrs.asdict(found)["models"]))
    assert data["runs"][0]["started"].startswith("2026-09-21T")
    assert data.keys() == {*attrs.asdict(found), "seconds"}


def test_json_beside_a_page_writes_both(paceline, journal, tmp_path):
    done = paceline("report", journal, "--json", "-o", tmp_path / "r.html")
    assert json.loads(done.out)["counts"]["total"] == 2
    assert (tmp_path / "r.html").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "-o FILE is required, or --json for the figures alone"),
        (["--json", "-o", "-"], "--json and -o -: one of them can go to stdout"),
    ],
)
def test_a_wrong_command_line_is_one_sentence(paceline, journal, options, words):
    done = paceline("report", journal, *options)
    assert done.code == 2
    assert words in done.err
    assert len(done.err.splitlines()) == 1


def test_a_file_with_content_is_not_replaced(paceline, journal, tmp_path):
    (tmp_path / "r.html").write_text("mine")
    done = paceline("report", journal, "-o", tmp_path / "r.html")
    assert done.code == 2
    assert "--overwrite" in done.err
    assert (tmp_path / "r.html").read_text() == "mine"


def test_what_is_not_a_journal_is_refused_in_one_sentence(paceline, tmp_path):
    (tmp_path / "x.journal").write_text("nothing")
    done = paceline("report", tmp_path / "x.journal", "--json")
    assert done.code == 2
    assert len(done.err.splitlines()) == 1


def test_the_time_of_a_run_under_way_counts_from_its_start(paceline, tmp_path):
    journal = make_journal(
        tmp_path / "x.journal", items=["a"], runs=[(BEGAN, None)], calls=[Call(item=1, started=2.0, seconds=3.0)]
    )
    data = json.loads(paceline("report", journal, "--json").out)
    assert data["seconds"] == 5.0
