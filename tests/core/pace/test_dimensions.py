"""The test of whether requests or tokens are limited, by the sizes of refused calls."""

from __future__ import annotations

import math
from collections import deque
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from paceline._core.pace import SERVED, PaceController, Throttled
from paceline._core.pace.dimensions import DimensionTest

from ...pace.histories import amounts


def decided(*, tokens):
    test = DimensionTest()
    for _ in range(100):
        test.record_refusal(*((2.0, 1.0) if tokens else (1.0, 2.0)))
    assert test.tokens == tokens
    return test


def test_requests_are_charged_at_first():
    assert not DimensionTest().tokens


@given(st.floats(0, 1e6), st.integers(0, 200))
def test_calls_of_equal_size_are_no_evidence(tokens, refusals):
    test = DimensionTest()
    for _ in range(refusals):
        test.record_refusal(tokens, tokens)
    assert not test.tokens


def refusals_until(test, *, tokens):
    for number in range(1, 100):
        test.record_refusal(*((2.0, 1.0) if tokens else (1.0, 2.0)))
        if test.tokens == tokens:
            return number
    raise AssertionError("never")


def test_refusals_of_larger_calls_show_a_limit_on_tokens():
    assert refusals_until(DimensionTest(), tokens=True) == 9


def test_a_verdict_can_be_reversed_by_twice_the_evidence():
    assert refusals_until(decided(tokens=True), tokens=False) == 9
    assert refusals_until(decided(tokens=False), tokens=True) <= 18


def test_chance_is_rarely_mistaken_for_a_difference_in_size():
    mistaken = 0
    for seed in range(400):
        chance, test = Random(seed), DimensionTest()
        for _ in range(60):
            test.record_refusal(chance.random(), chance.random())
        mistaken += test.tokens
    assert mistaken <= 12


@given(st.booleans(), st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), max_size=60))
def test_what_the_provider_names_is_not_tested(tokens, refusals):
    test = DimensionTest()
    test.record_statement(tokens=tokens)
    assert test.stated
    for pair in refusals:
        test.record_refusal(*pair)
    assert test.tokens == tokens
    test.record_statement(tokens=not tokens)
    assert test.tokens != tokens


@given(st.lists(st.tuples(amounts, amounts).filter(lambda pair: None not in pair), max_size=100))
def test_any_sequence_ends_in_a_verdict(refusals):
    test = DimensionTest()
    for pair in refusals:
        test.record_refusal(*pair)
    assert test.tokens in (True, False)
    assert not test.stated


@given(st.floats(1, 1e6), st.lists(st.floats(0.81, 1.24), min_size=20, max_size=40))
def test_sizes_that_hardly_differ_are_no_evidence_however_often(size, proportions):
    test = DimensionTest()
    for proportion in proportions:
        test.record_refusal(proportion * size, size)
    assert not test.tokens


def test_a_late_refusal_says_nothing_about_sizes_as_estimates_change_with_time():
    controller = PaceController()
    now, calls = 0.0, deque()
    for number in range(400):  # each call is refused or answered after 3 s, and the estimate falls as answers come
        now += 0.02
        while calls and calls[0][0] <= now:
            _, index, ticket = calls.popleft()
            controller.settled(ticket, now, Throttled() if index % 5 == 0 else SERVED)
        cost = 1.0 + 100.0 / (1 + number / 20)
        controller.admit_at(now, cost)  # judges the calls that are old enough
        calls.append((now + 3.0, number, controller.started(now, cost)))
    assert controller.rate < math.inf
    assert controller.token_rate == math.inf
