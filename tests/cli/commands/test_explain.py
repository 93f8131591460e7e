"""`paceline explain`: the decisions of the controllers in lines of at most 80 columns, and as CSV."""

from __future__ import annotations

import csv
import io
import re
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paceline.cli.commands.explain import story_lines
from paceline.runs.journal_report import pace_of

from ...report.journals import BEGAN, empty_journal, make_journal

REFUSED = "refused with 212 in flight, but 230 were admitted 3 s before: a limit on the rate"
BUSY = "all workers are busy, and no call is refused"


@pytest.fixture(autouse=True)
def _utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def journal_of(tmp_path, pace, runs=((BEGAN, BEGAN + 10.0),)):
    return make_journal(tmp_path / "x.journal", runs=runs, pace=pace)


def test_the_story_has_times_evidence_and_what_followed(paceline, tmp_path):
    journal = journal_of(
        tmp_path,
        [
            (1, 1.0, "lane", "workers", 20.0, 30.0, BUSY),
            (1, 2.0, "lane", "workers", 30.0, 41.0, BUSY),
            (1, 4.0, "lane", "calls a second", None, 96.2, REFUSED),
        ],
    )
    done = paceline("explain", journal)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "lane lane",
        "run 1, 2026-09-21",
        "  14:13:21  all workers are busy, and no call is refused; workers 20 -> 41",
        "            within 1 s",
        "  14:13:24  refused with 212 in flight, but 230 were admitted 3 s before: a",
        "            limit on the rate; pace 96.2 calls/s",
    ]


def test_the_date_is_given_again_when_it_changes(paceline, tmp_path):
    journal = journal_of(
        tmp_path, [(1, 0.0, "a", "workers", 1.0, 2.0, "x"), (1, 86_400.0, "a", "workers", 2.0, 3.0, "y")]
    )
    assert [line for line in paceline("explain", journal).out.splitlines() if line.startswith("run")] == [
        "run 1, 2026-09-21",
        "run 1, 2026-09-22",
    ]


def test_lanes_come_one_after_the_other(paceline, tmp_path):
    pace = [(1, float(n), "ab"[n % 2], "workers", 1.0, float(n), "x") for n in range(4)]
    out = paceline("explain", journal_of(tmp_path, pace)).out
    assert [line for line in out.splitlines() if line.startswith("lane")] == ["lane a", "lane b"]


def test_a_batch_without_changes_says_so(paceline, tmp_path):
    assert paceline("explain", empty_journal(tmp_path / "x.journal")).out == "the pace was not changed yet\n"


def test_csv_has_every_change_and_no_formula(paceline, tmp_path):
    journal = journal_of(
        tmp_path,
        [(1, 1.5, "=cmd()", "workers", 20.0, 30.0, '+a "quoted", reason'), (1, 2.0, "b", "gate", None, 0.0, "x\ny")],
    )
    rows = [*csv.reader(io.StringIO(paceline("explain", journal, "--csv").out))]
    assert rows == [
        ["run", "time", "at", "lane", "handle", "old", "new", "reason"],
        ["1", "2026-09-21T14:13:21.500+00:00", "1.5", "'=cmd()", "workers", "20.0", "30.0", '\'+a "quoted", reason'],
        ["1", "2026-09-21T14:13:22.000+00:00", "2.0", "b", "gate", "", "0.0", "x\\ny"],
    ]


def test_damage_is_one_sentence_with_its_row(paceline, tmp_path):
    journal = journal_of(tmp_path, [(1, 1.0, "a", "workers", 1.0, "two", "x")])
    done = paceline("explain", journal)
    assert done.code == 2
    assert "is damaged at row 1 of its changes of the pace: new must be a finite number or null" in done.err
    assert len(done.err.splitlines()) == 1


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(
    st.lists(st.tuples(st.floats(-1e300, 1e300), TEXTS, TEXTS, TEXTS), min_size=1, max_size=5),
    st.sampled_from([BEGAN, 1e200, -1e18]),
)
def test_any_texts_and_times_fit_80_columns_and_cannot_be_obeyed(tmp_path, changes, began):
    for file in tmp_path.iterdir():
        file.unlink()
    pace = [(1, at, quota, handle, None, 2.0, reason) for at, quota, handle, reason in changes]
    with pace_of(journal_of(tmp_path, pace, runs=[(began, None)])) as entries:
        lines = [*story_lines(entries)]
    assert all(len(line) <= 80 for line in lines)
    assert not re.search("[\x00-\x08\x0a-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", "".join(lines))
