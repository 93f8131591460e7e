"""`paceline.runs.report`: the figures of a journal, of any version, at any time; damage is named by its row."""

from __future__ import annotations

import sqlite3
import tracemalloc
from contextlib import closing

import attrs
import pytest

from paceline.exceptions import ConfigurationError, JournalError
from paceline.journal import schema
from paceline.journal.writer import JournalWriter
from paceline.runs import ReportOptions, report, write_report

from ..report.journals import BEGAN, Call, Result, empty_journal, make_journal


@pytest.fixture
def journal(tmp_path):
    """Return the path of a journal of two runs with a ladder of two models."""
    calls = [
        Call(item=1, started=0.5, seconds=1.0, model="lite", cost=0.001, tokens=(100, 10)),
        Call(item=2, started=1.0, seconds=2.0, model="lite", cost=0.001, tokens=(100, 10), kind="invalid"),
        Call(item=2, started=4.0, seconds=4.0, model="top", cost=0.02, tokens=(110, 30), ordinal=1, quota="top"),
        Call(item=3, started=1.5, seconds=0.5, model="lite", cost=0.001, tokens=(90, 0), kind="refused"),
        Call(item=3, started=0.1, seconds=3.0, model="lite", cost=0.002, tokens=(95, 7), run=2),
    ]
    results = [
        Result(item=1, settled=BEGAN + 1.6),
        Result(item=2, settled=BEGAN + 8.1, refusals=3, seconds=7.0),
        Result(item=3, run=2, settled=BEGAN + 104.0, kind="refused", message="declined", seconds=3.0),
    ]
    path = make_journal(
        tmp_path / "x.journal",
        items=["a", "b", "c", "d"],
        runs=[(BEGAN, BEGAN + 10.0), (BEGAN + 100.0, BEGAN + 105.0)],
        calls=calls,
        results=results,
        pace=[(1, 0.2, "lane", "workers", 20.0, 30.0, "all workers are busy, and no call is refused")],
        limits=[
            (1, 0.1, "lane", "starting", None),
            (1, 2.1, "lane", "requests", "learned"),
            (1, 9.1, None, "ended", None),
        ],
    )
    with closing(sqlite3.connect(path)) as db, db:
        identity = '{"strategy": "ModelEscalation", "steps": [{"model": "lite"}, {"model": "top"}]}'
        db.execute("UPDATE strategies SET identity = ?", (identity,))
    return path


def test_the_figures_are_those_of_the_tables(journal):
    found = report(journal)
    assert (found.counts.total, found.counts.succeeded, found.counts.failures) == (4, 2, {"refused": 1})
    assert [(one.model, one.tier, one.calls, one.accepted) for one in found.models] == [
        ("lite", 1, 4, 2),
        ("top", 2, 1, 1),
    ]
    assert found.cost == pytest.approx(0.025)
    assert (found.usage.input_tokens, found.usage.output_tokens) == (495, 57)
    assert [(run.run, run.state, run.seconds, run.calls) for run in found.runs] == [
        (1, "ended", 10.0, 4),
        (2, "ended", 5.0, 1),
    ]
    assert found.latency.calls == 5
    assert found.latency.most == 4.0
    assert sum(moment.refusals for moment in found.moments) == 3
    assert sum(moment.cost for moment in found.moments) == pytest.approx(0.025)
    assert [item.id for item in found.slowest] == ["b", "c", "a"]
    dearest = found.dearest[0]
    assert (dearest.id, dearest.cost) == ("b", pytest.approx(0.021))
    assert found.failures[0].message == "declined"
    assert found.failures[0].ids == ("c",)
    assert found.top_alone.model == "top"
    assert found.settings == {"strategy": "ModelEscalation: lite, then top"}


def test_what_the_runs_recorded_is_what_limited_them_and_the_rest_is_derived(journal):
    found = report(journal)
    longest = found.limits[0]
    assert (longest.limit, longest.seconds) == (
        "requests per minute of lane, learned",
        pytest.approx(7.0),
    )
    assert {(span.run, span.is_recorded) for span in found.limit_spans} == {(1, True), (2, False)}


def test_a_cost_that_is_not_known_makes_the_sum_unknown(journal):
    with closing(sqlite3.connect(journal)) as db, db:
        db.execute("UPDATE attempts SET cost = NULL WHERE item = 1")
    found = report(journal)
    assert found.cost is None
    assert [model.cost for model in found.models] == [None, 0.02]


@pytest.mark.parametrize("version", range(1, len(schema.STEPS) + 1))
def test_a_journal_of_each_version_has_a_report(tmp_path, version):
    path = make_journal(
        tmp_path / "x.journal",
        items=["a", "b"],
        calls=[Call(item=1), Call(item=2, kind="bug")],
        results=[Result(item=1), Result(item=2, kind="bug", message="TypeError")],
        version=version,
    )
    found = report(path, with_text=True)
    assert (found.counts.succeeded, found.counts.failures) == (1, {"bug": 1})
    assert found.failures[0].message == "TypeError"


def test_a_run_that_was_killed_before_it_recorded_anything_has_a_report(tmp_path):
    found = report(empty_journal(tmp_path / "x.journal"))
    assert [run.state for run in found.runs] == ["killed"]
    assert found.moments == ()
    assert found.latency is None
    assert found.top_alone is None


def test_a_journal_that_is_being_written_has_a_report(tmp_path):
    make_journal(tmp_path / "x.journal", items=["a"], runs=(), calls=[])
    with JournalWriter(tmp_path / "x.journal") as writer:
        writer.begin_run()
        found = report(tmp_path / "x.journal")
    assert found.writer is not None
    assert [run.state for run in found.runs] == ["running"]
    assert found.counts.pending == 1


DAMAGE = [
    ("attempts", "seconds", None, "attempts: seconds must be a number from -1e+15 to 1e+15"),
    ("attempts", "started", "soon", "attempts: started must be a number from -1e+15 to 1e+15"),
    ("attempts", "cost", "9e999", "attempts: cost must be a number from -1e+15 to 1e+15, or null"),
    ("attempts", "quota", b"x", "attempts: quota must be a text"),
    ("attempts", "model", 3, "attempts: model must be a text or null"),
    ("attempts", "input_tokens", -1, "attempts: input_tokens must be a whole number, 0 or more"),
    ("attempts", "cache_written_tokens", "many", "attempts: cache_written_tokens must be a whole number, 0 or more"),
    ("attempts", "run", None, "attempts: run must be a whole number, 0 or more"),
    ("results", "settled", "now", "results: settled must be a number from -1e+15 to 1e+15"),
    ("results", "refusals", None, "results: refusals must be a whole number, 0 or more"),
    ("results", "kind", "odd", "results: kind must be a kind of fault or null"),
    ("pace", "reason", None, "changes of the pace: reason must be a text"),
    ("limits", "at", None, "limits: at must be a finite number"),
    ("runs", "began", b"", "runs: began must be a finite number"),
]


@pytest.mark.parametrize(("table", "column", "value", "words"), DAMAGE, ids=[f"{one[0]}.{one[1]}" for one in DAMAGE])
def test_a_value_that_no_run_has_written_is_named_with_its_row(journal, table, column, value, words):
    value = float("inf") if value == "9e999" else value
    with closing(sqlite3.connect(journal)) as db, db:
        columns = ", ".join(row[1] for row in db.execute(f"PRAGMA table_info({table})"))
        for statement in (
            f"ALTER TABLE {table} RENAME TO old",
            f"CREATE TABLE {table} ({columns})",  # without types: any value fits
            f"INSERT INTO {table} SELECT {columns} FROM old",  # noqa: S608 - names of this module
        ):
            db.execute(statement)
        db.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = (SELECT MAX(rowid) FROM {table})", (value,))  # noqa: S608 - as above
    with pytest.raises(JournalError) as refused:
        report(journal)
    message = str(refused.value)
    assert message.startswith(f"{journal}: is damaged at row ")
    assert message.endswith(words)
    assert len(message.splitlines()) == 1


def test_a_count_with_a_fraction_is_named_too(journal):
    with closing(sqlite3.connect(journal)) as db, db:
        db.execute("UPDATE attempts SET output_tokens = 1.5 WHERE item = 1")
    with pytest.raises(JournalError, match="output_tokens must be a whole number"):
        report(journal)


@pytest.mark.parametrize("value", [1e14, -1e14, 2**40])
def test_absurd_times_make_no_absurd_number_of_intervals(journal, value):
    with closing(sqlite3.connect(journal)) as db, db:
        db.execute("UPDATE attempts SET started = ? WHERE item = 1", (value,))
        db.execute("UPDATE results SET settled = ? WHERE item = 2", (value,))
        db.execute("UPDATE runs SET ended = NULL WHERE run = 2")
    found = report(journal)
    assert len(found.moments) <= 250


def test_a_claim_of_absurdly_many_tokens_overflows_nothing(journal):
    with closing(sqlite3.connect(journal)) as db, db:
        db.execute("UPDATE attempts SET input_tokens = ?, total_tokens = ?", (2**63 - 1, 2**63 - 1))
    assert report(journal).usage.input_tokens > 0


def test_memory_does_not_grow_with_the_number_of_items(tmp_path):
    def peak(count):
        path = make_journal(
            tmp_path / f"{count}.journal",
            items=(f"item {n}" for n in range(1, count + 1)),
            calls=(Call(item=n, started=n / count, quota=f"lane {n}", model=f"model {n}") for n in range(1, count + 1)),
            results=(Result(item=n, kind="bug", message=f"no {n}") for n in range(1, count + 1)),
        )
        report(path)  # caches of modules and of SQLite
        tracemalloc.start()
        try:
            report(path)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(9_000) < 1.5 * peak(3_000)


def test_a_file_with_content_is_replaced_only_if_that_is_allowed(journal, tmp_path):
    page = tmp_path / "report.html"
    page.write_text("mine")
    with pytest.raises(ConfigurationError, match="has content; name another file, or set --overwrite"):
        write_report(journal, ReportOptions(output=str(page)))
    assert page.read_text() == "mine"
    write_report(journal, ReportOptions(output=str(page), overwrite=True))
    assert page.read_text().startswith("<!DOCTYPE html>")


def test_the_journal_is_never_replaced_by_its_report(journal):
    with pytest.raises(ConfigurationError, match="is the journal; name another file"):
        write_report(journal, ReportOptions(output=journal, overwrite=True))


def test_damage_leaves_no_file(journal, tmp_path):
    with closing(sqlite3.connect(journal)) as db, db:
        db.execute("UPDATE attempts SET seconds = 'x'")
    with pytest.raises(JournalError):
        write_report(journal, ReportOptions(output=str(tmp_path / "report.html")))
    assert not [*tmp_path.glob("*.html*")]


def test_the_report_is_a_frozen_record(journal):
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        report(journal).cost = 0.0
