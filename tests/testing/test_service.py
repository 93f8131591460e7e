"""Services: faults, latency, tokens and hints as configured."""

from __future__ import annotations

import math
import statistics
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline import FaultKind
from paceline.exceptions import ConfigurationError
from paceline.testing import Service
from paceline.testing.service import FAULTS, Chance, Dice

DRAWS = [Dice(5).draw(f"prompt {i}", 1) for i in range(4_000)]
MIDDLE = Chance(0.5, 0.5, 0.0, 0.0)


def test_faults_are_as_frequent_as_configured():
    wanted = {FaultKind.OVERLOADED: 0.1, FaultKind.INVALID: 0.05, FaultKind.TIMEOUT: 0.2}
    counted = Counter(Service(faults=wanted).fault_of(chance) for chance in DRAWS)
    for kind, probability in wanted.items():
        assert counted[kind] / len(DRAWS) == pytest.approx(probability, abs=0.02)
    assert set(counted) == {*wanted, None}


@given(st.permutations(FAULTS), st.sampled_from(DRAWS))
def test_the_order_in_which_faults_are_named_does_not_matter(kinds, chance):
    assert Service(faults=dict.fromkeys(kinds, 0.1)).fault_of(chance) is (
        Service(faults=dict.fromkeys(FAULTS, 0.1)).fault_of(chance)
    )


@given(st.sampled_from(FAULTS), st.sampled_from(DRAWS))
def test_a_fault_with_probability_1_occurs_in_every_call(kind, chance):
    assert Service(faults={kind: 1.0}).fault_of(chance) is kind


def test_later_changes_of_the_mapping_do_not_change_the_service():
    faults = {FaultKind.INVALID: 0.0}
    service = Service(faults=faults)
    faults[FaultKind.INVALID] = 1.0
    assert service.fault_of(MIDDLE) is None


def test_latency_is_lognormal_around_its_median():
    usage = Service().usage_of("", MIDDLE)
    seconds = [Service(latency=4.0, sigma=0.6).work_of(usage, chance) for chance in DRAWS]
    assert statistics.median(seconds) == pytest.approx(4.0, rel=0.05)
    assert statistics.stdev(map(math.log, seconds)) == pytest.approx(0.6, rel=0.05)
    assert {Service(latency=4.0, sigma=0).work_of(usage, chance) for chance in DRAWS} == {4.0}


def test_seconds_per_token_add_to_the_latency():
    service = Service(latency=1.0, sigma=0.0, seconds_per_token=0.003, output_tokens=0)
    assert service.work_of(service.usage_of("x" * 4_000, MIDDLE), MIDDLE) == pytest.approx(4.0)


@given(st.text(), st.sampled_from(DRAWS), st.floats(0, 1), st.sampled_from([0, 1, 250]))
def test_usage_is_a_token_for_four_characters_and_an_answer_around_its_median(prompt, chance, share, median):
    usage = Service(cached_share=share, output_tokens=median).usage_of(prompt, chance)
    assert usage.input_tokens == max(1, round(len(prompt) / 4))
    assert 0 <= usage.cached_input_tokens <= usage.input_tokens
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens
    assert (usage.output_tokens > 0) == (median > 0)


def test_output_tokens_lie_around_their_median():
    written = [Service(output_tokens=200).usage_of("", chance).output_tokens for chance in DRAWS]
    assert statistics.median(written) == pytest.approx(200, rel=0.05)


def test_a_refusal_takes_its_time_give_or_take_thirty_percent():
    seconds = [Service(refusal_seconds=1.0).refusal_seconds_of(chance) for chance in DRAWS]
    assert 0.7 <= min(seconds) < 0.71
    assert 1.29 < max(seconds) <= 1.3


def test_a_range_of_refusal_seconds_is_used_evenly():
    seconds = [Service(refusal_seconds=(1.5, 3.0)).refusal_seconds_of(chance) for chance in DRAWS]
    assert 1.5 <= min(seconds) < 1.51
    assert 2.99 < max(seconds) <= 3.0
    assert statistics.mean(seconds) == pytest.approx(2.25, rel=0.02)


def test_a_call_that_comes_again_is_drawn_again_and_the_same_in_each_run():
    first = [Dice(5).draw_again("a prompt", 1, times) for times in range(500)]
    assert first == [Dice(5).draw_again("a prompt", 1, times) for times in range(500)]
    assert statistics.mean(first) == pytest.approx(0.5, abs=0.05)
    assert first != [Dice(6).draw_again("a prompt", 1, times) for times in range(500)]


@pytest.mark.parametrize(
    ("hint", "wait", "header"),
    [
        ("none", 2.2, None),
        ("none", math.inf, None),
        ("exact", 2.2, "2.200"),
        ("exact", 0.00001, "0.001"),
        ("exact", math.inf, None),
        ("ceil", 2.2, "3"),
        ("ceil", 0.2, "1"),
        ("ceil", math.inf, None),
        ("one", 2.2, "1"),
        ("one", math.inf, "1"),
        (30.0, 2.2, "30"),
        (0.5, math.inf, "1"),
    ],
)
def test_each_hint_reports_the_wait_in_its_own_way(hint, wait, header):
    assert Service(hint=hint).retry_after(wait) == header


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"limits": [5]}, "limits must be a tuple of limits, not [5]"),
        ({"limits": (5,)}, "limits must hold TokenBucket, FixedWindow or ConcurrencyCap, not 5"),
        ({"latency": -1}, "latency must be a number, 0 or more, not -1"),
        ({"sigma": 6}, "sigma must be a number from 0 to 5, not 6"),
        ({"knee": 0}, "knee must be a whole number, 1 or more, not 0"),
        ({"faults": 0.1}, "faults must map kinds of faults to probabilities, not 0.1"),
        ({"faults": {FaultKind.BUG: 0.1}}, "faults has no kind 'bug'; the kinds are overloaded, "),
        ({"faults": {FaultKind.THROTTLED: 0.1}}, "faults has no kind 'throttled'; the kinds are overloaded, "),
        ({"faults": {"invalid": 0.1}}, "faults has no kind 'invalid'"),
        ({"faults": {FaultKind.INVALID: 2}}, "the probability of invalid must be a number from 0 to 1, not 2"),
        (
            {"faults": {FaultKind.INVALID: 0.7, FaultKind.DENIED: 0.7}},
            "the probabilities of faults must add up to 1 or less, not 1.4",
        ),
        ({"hint": "two"}, "hint must be one of none, exact, ceil, one, or a number of seconds, 0 or more, not 'two'"),
        ({"hint": -1}, "hint must be one of none, exact, ceil, one, or a number of seconds, 0 or more, not -1"),
        ({"refusal_status": 500}, "refusal_status must be one of 429, 503, 529, not 500"),
        (
            {"refusal_seconds": (3, 1)},
            "refusal_seconds must be a number or a range such as (1.5, 3.0), the smaller number first",
        ),
        ({"refusal_seconds": -1}, "refusal_seconds must be a number, 0 or more, not -1"),
        ({"shed_share": 1.5}, "shed_share must be a number from 0 to 1, not 1.5"),
        ({"slots": 0}, "slots must be a whole number, 1 or more, not 0"),
        ({"output_tokens": math.nan}, "output_tokens must be a number, 0 or more, not nan"),
        ({"cached_share": 1.1}, "cached_share must be a number from 0 to 1, not 1.1"),
    ],
)
def test_a_service_out_of_bounds_is_refused_with_its_bound(settings, sentence):
    with pytest.raises(ConfigurationError) as caught:
        Service(**settings)
    assert str(caught.value).startswith(sentence)
