"""The benchmark of the pace: that it measures what it says, and the same each time."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
from benchmarks.pace import ablation, bounds
from benchmarks.pace.contenders import CONTENDERS, contender
from benchmarks.pace.cost import LOADS, cost, default_controller
from benchmarks.pace.families import FAMILIES, member
from benchmarks.pace.measures import jain, time_to
from benchmarks.pace.run import Job, run
from benchmarks.pace.scenarios import SCENARIOS, scenario
from benchmarks.pace.tables import details, overview, scenario_table
from benchmarks.pace.trial import Totals

from paceline.testing import ConcurrencyCap, FixedWindow, TokenBucket

NOTHING = Totals(served=0, admitted=0, busy=0, ended=1)


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_lasts_and_has_an_oracle(name):
    trial = scenario(name, seed=1)
    assert trial.seconds > 0
    assert trial.capacity(trial.seconds - 1) > 0
    assert trial.goodput(NOTHING) == 0


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_has_other_members_for_other_seeds(family):
    assert member(family, 1).about == member(family, 1).about
    assert len({member(family, seed).about for seed in range(10)}) == 10


def test_the_members_are_those_that_the_controller_was_designed_with():
    (window,) = member("win", 401).service.limits
    assert isinstance(window, FixedWindow)
    assert (window.amount, round(window.seconds)) == (1083, 89)
    (cap,) = member("cap", 401).service.limits
    assert cap == ConcurrencyCap(54)
    (bucket,) = member("tok", 401).service.limits
    assert isinstance(bucket, TokenBucket)
    assert (round(bucket.rate), round(bucket.burst), bucket.per) == (142_384, 150_815, "tokens")


def test_an_oracle_of_a_changing_limit_gets_what_each_part_allows():
    s5 = scenario("S5", seed=1)
    assert [s5.capacity(t) for t in (0, 149, 150, 299, 300)] == [200, 200, 50, 50, 200]


def test_time_to_ninety_percent_counts_only_what_came_after_the_start():
    events = [(float(second), 10.0) for second in range(100)]
    assert time_to(events, 0.0, 100.0, rate=10.0, horizon=10.0) == 8.0
    assert time_to(events, 50.0, 100.0, rate=10.0, horizon=10.0) == 8.0
    assert time_to(events, 0.0, 100.0, rate=20.0, horizon=10.0) == math.inf


def test_equal_shares_are_fair_and_one_owner_is_not():
    assert jain([5, 5, 5, 5]) == 1.0
    assert jain([1, 0, 0, 0]) == 0.25
    assert jain([0, 0]) == 0.0


@pytest.mark.parametrize(("who", "name"), [("paceline", "S11"), ("fixed5", "S11"), ("netflix", "S4")])
def test_a_run_comes_to_the_same_each_time(who, name):
    first, second = (run(Job(name, 1, who)) for _ in range(2))
    first.pop("cost"), second.pop("cost")
    assert first == second
    assert 0 < first["good"] <= 1.02
    assert first["series"]["served"]


def test_a_run_that_costs_too_much_says_when_it_was_stopped():
    result = run(Job("S11", 1, "fixed5", cpu=0.0))
    assert result["stopped_at"] == 0.0


def test_an_unknown_contender_is_refused():
    with pytest.raises(LookupError, match="unknown-rival"):
        contender("unknown-rival")


def test_a_dotted_path_is_a_controller():
    assert run(Job("S11", 1, "paceline._core.pace:PaceController"))["calls"] > 0


def test_tables_have_a_row_for_each_contender_and_say_what_failed():
    whole = run(Job("S11", 1, "fixed5"))
    broken = {"trial": "S11", "seed": 1, "contender": "netflix", "error": "Traceback"}
    table = scenario_table("S11", [whole, broken])
    assert CONTENDERS["fixed5"].label in table
    assert "failed" in table
    assert "failed" in overview([whole, broken])
    assert len(details([whole, broken])) == 1


def test_an_ablation_is_found_in_the_page_again_and_replaced(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"# A page\n\n{bounds.section([], '')}\n\nMore.\n")
    for figure in ("0.0161", "0.0124"):
        measured = f"| cycle | S7 refusals |\n| ----- | ----------: |\n| 5 s   | {figure} |\n\n_Seeds: 1 to 2; a note._"
        ablation.write(page, measured)
        assert ablation.find(page.read_text()) == measured
        assert page.read_text() == f"# A page\n\n{bounds.section([], measured)}\n\nMore.\n"
    assert ablation.find("# A page\n") == ""


def test_refusals_are_counted_by_when_they_came():
    series = {"width": 2.0, "refused": [1.0] * 100 + [0.5] * 50, "served": [50.0] * 150}
    runs = [
        {"trial": "S7", "contender": "paceline", "refusals": 0.0167, "series": series},
        {"trial": "S7", "contender": "fixed5", "refusals": 9.0, "series": series},
    ]
    assert "0.0167 | until 200 s 0.0200, then 0.0100 |" in bounds.section(runs, "")


def test_a_controller_is_asked_as_often_as_calls_start():
    found = cost(default_controller(), LOADS[0], calls=200, rounds=1)
    assert found.questions >= 1
    assert 0 < found.in_flight <= 200


def test_the_command_line_names_what_it_does_not_know():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.pace", "--scenarios", "S99"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "'S99' is not one of" in done.stderr
