"""The token bucket: calls start at an even rate."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline._core.pace.pacer import Bucket

from ...pace.worlds import logarithmic

LONGEST = 600.0  # seconds
SLACK = 0.005  # seconds of the rate
DEBT = 60.0  # seconds of the rate

costs = st.lists(logarithmic(0.1, 1e4), min_size=2, max_size=40)


def obey(bucket, now, rate, cost):
    """Start a call as soon as it may; return when."""
    bucket.fill(now, rate, cost)
    at = now + bucket.wait(rate, cost)
    bucket.fill(at, rate, cost)
    assert bucket.wait(rate, cost) * rate <= 1e-6 * cost
    bucket.spend(cost)
    return at


@given(logarithmic(0.01, 1e4), costs, st.floats(0, 1e3))
def test_starts_in_any_time_are_bounded_by_the_rate_one_call_and_the_slack(rate, costs, idle):
    bucket = Bucket()
    bucket.restart(0.0)
    largest = max(costs)
    bucket.fill(idle, rate, largest)
    began = now = idle
    spent = 0.0
    for cost in costs:
        now = obey(bucket, now, rate, cost)
        spent += cost
        if now + LONGEST * rate < math.inf:
            assert (
                spent <= (now - began + SLACK) * rate + largest + 1e-6 * spent + max(0, largest - LONGEST * rate) * 40
            )


@given(logarithmic(0.1, 1e3), st.integers(2, 50))
def test_waiting_calls_start_evenly(rate, calls):
    bucket = Bucket()
    bucket.restart(0.0, 1.0)
    now = 0.0
    for turn in range(calls):
        now = obey(bucket, now, rate, 1.0)
        assert now == pytest.approx(turn / rate, abs=1e-9)


def test_a_late_timer_is_made_up_for_by_a_few_milliseconds_of_the_rate():
    bucket = Bucket()
    bucket.restart(0.0, 1.0)
    bucket.spend(1.0)
    assert bucket.fill(0.104, 10.0, 1.0) == 0.0
    bucket.spend(1.0)
    assert bucket.wait(10.0, 1.0) == pytest.approx(0.1 - 0.004)


@given(logarithmic(0.1, 1e3), st.floats(0.1, 1e3))
def test_an_overflow_is_reported_in_seconds(rate, idle):
    bucket = Bucket()
    bucket.restart(0.0, 1.0)
    assert bucket.fill(idle, rate, 1.0) == pytest.approx(max(0.0, idle - SLACK))
    assert bucket.fill(idle, rate, 1.0) == 0.0


def test_a_level_saved_for_a_larger_call_is_not_reported_as_overflow():
    bucket = Bucket()
    bucket.restart(0.0, 10.0)
    assert bucket.fill(0.5, 1.0, 1.0) == pytest.approx(0.5)


@given(st.floats(1e-3, 1e6), st.floats(0, 1e300), st.floats(0, 1e12))
def test_no_call_waits_longer_than_the_longest_wait_and_the_debt(rate, debt, cost):
    bucket = Bucket()
    bucket.restart(0.0)
    bucket.correct(debt)
    bucket.fill(0.0, rate, cost)
    assert 0 <= bucket.wait(rate, cost) <= LONGEST + DEBT


def test_unexpected_cost_delays_calls_by_a_minute_at_most():
    bucket = Bucket()
    bucket.restart(0.0)
    bucket.correct(30.0)
    bucket.fill(0.0, 1.0, 1.0)
    assert bucket.wait(1.0, 1.0) == pytest.approx(31.0)
    bucket.correct(1e300)
    bucket.fill(0.0, 1.0, 1.0)
    assert bucket.wait(1.0, 1.0) == pytest.approx(61.0)


def test_cost_can_be_given_back():
    bucket = Bucket()
    bucket.restart(0.0, 1.0)
    bucket.spend(1.0)
    bucket.correct(-1.0)
    assert bucket.wait(1.0, 1.0) == 0.0


def test_calls_that_start_out_of_turn_cost_no_more_than_one_of_them():
    bucket = Bucket()
    bucket.restart(0.0)
    for _ in range(10):
        bucket.spend(5.0)
    bucket.fill(0.0, 1.0, 5.0)
    assert bucket.wait(1.0, 5.0) == pytest.approx(10.0)


moves = st.lists(
    st.tuples(
        st.sampled_from(["fill", "spend", "correct", "restart"]),
        st.floats(0, 1e9),
        st.floats(1e-3, 1e9),
        st.floats(-1e308, 1e308),
    ),
    max_size=60,
)


@given(moves)
def test_waits_stay_finite_and_bounded_after_any_sequence(history):
    bucket, now = Bucket(), 0.0
    for name, seconds, rate, amount in history:
        now += seconds
        if name == "fill":
            assert 0 <= bucket.fill(now, rate, min(abs(amount), 1e12)) < math.inf
        elif name == "restart":
            bucket.restart(now)
        else:
            getattr(bucket, name)(abs(amount) if name == "spend" else max(amount, -1e12))
        bucket.fill(now, rate, 1.0)
        assert 0 <= bucket.wait(rate, 1.0) <= max(LONGEST, DEBT + 1 / rate) + 1
