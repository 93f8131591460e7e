"""The suite of a real model, as far as it needs none: its questions, and what is said of the times."""

from __future__ import annotations

import json

import attrs
import pytest
from benchmarks.live.real_model import SUITE, Turn, report, strategy_for

from paceline.suites import find, read_result

from ..suites.results import write_result


@pytest.fixture
def result(tmp_path):
    return read_result(write_result(tmp_path / "out", {f"q{n}": [1.0] for n in range(50)}))


def turns(**seconds):
    return {name.replace("_", " "): [Turn(one, 50) for one in found] for name, found in seconds.items()}


def test_it_has_50_questions_with_answers():
    questions = list(find(str(SUITE)))
    assert len({question.id for question in questions}) == 50
    assert all(question.target and question.fields["country"] for question in questions)


def test_the_model_is_asked_for_short_answers_that_do_not_depend_on_earlier_ones():
    identity = json.dumps(strategy_for("http://127.0.0.1:1").identity)
    assert '"cache_prompt": false' in identity
    assert '"temperature": 0' in identity


def test_the_least_time_of_the_controller_is_compared_with_that_of_the_best_number(result):
    text, is_met = report(result, turns(paceline=[14.0, 10.9], four_workers=[10.0, 12.0], one_worker=[20.0, 19.0]), 1.0)
    assert is_met
    assert "1.09 of the time of the best fixed number, four workers: met" in text
    assert not report(result, turns(paceline=[11.1], four_workers=[10.0]), 1.0)[1]


@pytest.mark.parametrize("change", [{"refusals": 1}, {"unanswered": {"timeout": 1}}])
def test_a_refusal_or_a_lost_answer_misses_the_target(result, change):
    assert not report(attrs.evolve(result, **change), turns(paceline=[1.0], four_workers=[1.0]), 1.0)[1]


def test_a_turn_without_all_answers_misses_the_target(result):
    found = turns(paceline=[1.0], four_workers=[1.0])
    found["four workers"] = [Turn(0.5, 49)]
    assert not report(result, found, 1.0)[1]
