"""The leave-one-out ablation: each rule can be switched off, alone and for one run; and what its absence costs is computed."""

from __future__ import annotations

import math

import pytest
from benchmarks.pace import ablation, leave_one_out
from benchmarks.pace.contenders import contender
from benchmarks.pace.rules import RULES, Rule, constants
from benchmarks.pace.run import Job, run

from paceline._core.pace import breaker, concurrency_cap, pacer, rate

SEED = 987_654  # nothing is stored for it
MOST_CONSTANTS = 186  # of the controller; the aim is 90


def result(who, trial, seed, **figures):
    return {"contender": who, "trial": trial, "seed": seed} | {"good": 0.9, "refusals": 0.01, "lost": 0.0} | figures


@pytest.mark.parametrize("name", RULES)
def test_a_rule_can_be_switched_off_and_is_back_afterwards(name):
    rule = RULES[name]
    assert not rule.is_gone, (
        f"{name} patches what the controller does not have: delete the rule, or correct {list(rule.patches)}"
    )
    before = [dict(vars(module)) for module in (rate, pacer, breaker, concurrency_cap)]
    with rule.switched_off():
        pass
    assert before == [dict(vars(module)) for module in (rate, pacer, breaker, concurrency_cap)]


def test_a_constant_is_patched_wherever_it_was_imported():
    with RULES["rate.aim"].switched_off():
        assert rate.AIM == pacer.AIM == 1.0
    assert rate.AIM == pacer.AIM == 0.97


def test_a_function_is_patched_with_the_original_at_hand():
    cap = concurrency_cap.ConcurrencyCap()
    with RULES["cap.refuted"].switched_off():
        cap.warm_start(30.0)
        cap.record_refusal(20, 1.0, 5.0)
        cap.record_admission(40, 2.0)
        assert cap.test is None, "the original did its work"
        assert cap.probed == 30.0
    with RULES["attribution.cap"].switched_off():
        cap.warm_start(5.0)
        assert not cap.is_reached(5)
    assert cap.is_reached(5)


def test_no_two_rules_are_switched_off_alike_and_each_says_how():
    assert len({rule.fingerprint for rule in RULES.values()}) == len(RULES)
    assert len({rule.how for rule in RULES.values()}) == len(RULES)
    assert RULES["rate.patience"].how == "_MAX_PATIENCE = 1"
    assert RULES["breaker.refusals"].how == "Streaks.is_refusing is always False"


def steps_of_growth(calls):
    """Return the growth with each of some calls, after a cut to half of the best rate."""
    grown, steps = rate.Rate(value=50.0, best=100.0, grown_from=50.0, cycle=100.0), []
    for _ in range(calls):
        before = grown.value
        grown.grow(1.0)
        steps.append(grown.value / before - 1)
    return steps


def test_cubic_growth_is_steep_flat_and_steep_again_and_only_while_it_is_a_contender():
    own = steps_of_growth(10)
    with contender("cubic").within():
        steps = steps_of_growth(700)
    flat = steps.index(min(steps))
    assert 100 < flat < 600
    assert steps[0] > 5 * steps[flat] < steps[-1]
    assert steps_of_growth(10) == own


def test_a_rule_whose_constant_does_not_exist_is_gone():
    assert Rule("rate.former", "It did something.", {"rate:_FORMER": 1.0}).is_gone
    assert Rule("former.rule", "It did something.", {"former:Module.function": 1.0}).is_gone


def test_a_run_without_a_rule_differs_and_leaves_no_trace():
    whole = run(Job("S11", 1, "paceline", backend="asyncio"))
    without = run(Job("S11", 1, "without:rate.patience", backend="asyncio"))
    again = run(Job("S11", 1, "paceline", backend="asyncio"))
    assert without["series"]["rate"] != whole["series"]["rate"] == again["series"]["rate"]
    assert contender("without:rate.patience").label == "without rate.patience"


def test_a_loss_is_the_mean_difference_on_the_same_seeds():
    found = [
        result("paceline", "S1", 1, good=0.95),
        result("paceline", "S1", 2, good=0.94),
        result("paceline", "S1", 3, good=0.10),
        result("without:rate.aim", "S1", 1, good=0.91, refusals=0.02),
        result("without:rate.aim", "S1", 2, good=0.906, refusals=0.025),
        result("without:rate.aim", "S1", 3, error="Traceback"),
    ]
    good, refusals, lost = leave_one_out.losses(found)["rate.aim"]
    assert (good.trial, good.figure) == ("S1", "good")
    assert good.mean == pytest.approx(0.037)
    assert good.error == pytest.approx(0.003)
    assert refusals.mean == pytest.approx(0.0125)
    assert good.counts
    assert refusals.counts
    assert not lost.counts


@pytest.mark.parametrize(
    ("mean", "error", "counts"),
    [(0.004, 0.001, False), (0.006, 0.001, True), (0.006, 0.003, False), (0.006, math.inf, True)],
)
def test_a_loss_counts_if_it_is_large_and_not_explained_by_chance(mean, error, counts):
    assert leave_one_out.Loss("S1", "good", mean, error).counts is counts


def test_the_report_has_the_costliest_absence_first_and_lists_what_is_not_needed():
    names = "cap.proof", "rate.aim", "pacer.slack"
    found = [result("paceline", "S7", 1, jain=0.99)]
    for name, good, share in zip(names, (0.5, 0.9, 0.89), (0.99, 0.99, 0.9), strict=True):
        found.append(result(f"without:{name}", "S7", 1, good=good, jain=share))
    text = leave_one_out.report(found, [RULES[name] for name in names])
    table, rest = text.split("\n\n", 1)
    assert [line.split("|")[1].strip() for line in table.splitlines()[2:]] == ["cap.proof", "pacer.slack", "rate.aim"]
    assert "**0.4000 (S7)**" in table
    assert "**0.0900 (S7)**" in table
    assert rest == "Rules whose absence costs nothing in these trials:\n\n- rate.aim: " + RULES["rate.aim"].about


def test_a_report_of_what_is_stored_runs_nothing():
    jobs = leave_one_out.jobs_of([RULES["rate.aim"]], ["S1"], [SEED], "asyncio")
    assert [(job.contender, job.seed) for job in jobs] == [("paceline", SEED), ("without:rate.aim", SEED)]
    assert leave_one_out.measure(jobs, processes=1, stored_only=True, say=print) == []


def test_the_listing_names_the_constants_that_no_rule_covers():
    text = leave_one_out.listing()
    assert "_PRICE" in constants()["rate"]
    assert "_PRICE" in text.rpartition("- rate: ")[2].splitlines()[0]
    assert "_MAX_PATIENCE" not in text.rpartition("- rate: ")[2].splitlines()[0]


def test_the_controller_does_not_gain_constants_unnoticed():
    """Whoever adds one takes another one away, or raises the bound and says in the commit what the table of the ablation shows for it."""
    assert sum(map(len, constants().values())) <= MOST_CONSTANTS


def test_the_section_of_the_page_is_added_and_replaced(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A page\n\n## What a controller costs\n\nMuch.\n")
    for measured in ("| a table |", "| another table |"):
        leave_one_out.write(page, leave_one_out.section(measured, "core"))
        section = leave_one_out.find(page.read_text())
        assert section.endswith(measured)
        assert page.read_text() == f"# A page\n\n{section}\n\n## What a controller costs\n\nMuch.\n"
    assert leave_one_out.find("# A page\n") == ""


def test_a_constant_may_have_another_value():
    with contender("with:rate:_CYCLE=7").within():
        assert rate._CYCLE == 7.0
    assert rate._CYCLE == 5.0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("with:rate:_FORMER=7", "the controller has no constant rate:_FORMER"),
        ("with:rate:_CYCLE=much", "'rate:_CYCLE=much' must be module:NAME=number"),
        ("without:rate.former", "rate.former"),
    ],
)
def test_a_change_that_cannot_be_made_is_refused(name, message):
    with pytest.raises(LookupError, match=message):
        contender(name)


def test_rules_are_chosen_by_name_or_module():
    options = ablation._parser().parse_args(
        ["--each", "--rules", "rate.aim,delivery", "--scenarios", "R", "--seeds", "1,2"]
    )
    assert [rule.name for rule in options.rules] == ["rate.aim", "delivery.best"]
    assert options.scenarios[:2] == ("R1", "R2")
    assert options.seeds == [1, 2]


def test_an_unknown_rule_is_refused(capsys):
    with pytest.raises(SystemExit):
        ablation._parser().parse_args(["--each", "--rules", "rate.former"])
    assert "'rate.former' is neither a rule nor a module with rules; --list shows them" in capsys.readouterr().err
