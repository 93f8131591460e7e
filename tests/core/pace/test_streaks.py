"""Streaks: when refusals or faults in a row open the breaker, and when the provider counts as degraded."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline._core.pace.breaker import Streaks

MANY = 20  # calls ever admitted: from then on one refusal is not enough


@given(st.integers(0, 100), st.integers(1, 40), st.integers(1, 40))
def test_three_refusals_that_are_most_of_the_calls_between_them_open_the_breaker(admitted, refusals, spread):
    streaks = Streaks()
    orders = sorted({round(n * spread / 10) for n in range(refusals)})
    for order in orders:
        streaks.record_refusal(order, 10.0 + order)
    share = len(orders) / (orders[-1] - orders[0] + 1)
    enough = len(orders) >= 3 or admitted < MANY
    assert streaks.is_refusing(admitted) == (enough and share >= 0.6)


@given(st.permutations(range(5)))
def test_the_order_in_which_refusals_come_back_makes_no_difference(order):
    streaks = Streaks()
    for number in order:
        streaks.record_refusal(number, 10.0 + number)
    assert streaks.is_refusing(MANY)
    assert streaks.refused_since == 10.0


def test_an_admission_ends_a_row_unless_the_call_was_older_than_it():
    streaks = Streaks()
    for number in range(3):
        streaks.record_refusal(number, 10.0 + number)
    streaks.record_admission(9.9)
    assert streaks.is_refusing(MANY)
    streaks.record_admission(10.0)
    assert not streaks.is_refusing(MANY)
    streaks.record_refusal(7, 20.0)
    assert streaks.refused_since == 20.0
    assert not streaks.is_refusing(MANY)


def test_a_new_streak_opens_no_breaker_and_shows_no_degradation():
    assert not Streaks().is_refusing(0)
    assert not Streaks().is_failing()
    assert not Streaks().is_degraded(1.0)


def test_five_faults_in_a_row_open_the_breaker():
    streaks = Streaks()
    for number in range(5):
        assert not streaks.is_failing()
        streaks.record_fault(10.0 + number, counts=True)
    assert streaks.is_failing()
    assert streaks.failed_since == 10.0
    streaks.record_answer(9.0, 9.5)
    assert streaks.is_failing(), "that one had started before them"
    streaks.record_answer(10.0, 10.5)
    assert not streaks.is_failing()


def test_ended_rows_count_from_zero():
    streaks = Streaks()
    for number in range(5):
        streaks.record_fault(10.0, counts=False)
        streaks.record_refusal(number, 10.0)
    streaks.end_rows()
    assert not streaks.is_failing()
    assert not streaks.is_refusing(MANY)


@given(st.lists(st.booleans(), max_size=200))
def test_faults_of_more_than_a_fifth_of_the_latest_fifty_calls_are_a_degradation(failures):
    streaks = Streaks()
    for failed in failures:
        streaks.record_fault(1.0, counts=True) if failed else streaks.record_answer(1.0, 1.5)
    latest = failures[-50:]
    assert streaks.is_degraded(1.0) == (sum(latest) > 0.2 * max(20, len(latest)))


def test_calls_from_before_a_slowdown_cause_no_second_one():
    streaks = Streaks()
    for _ in range(30):
        streaks.record_fault(1.0, counts=True)
    streaks.restart_share(5.0)
    assert not streaks.is_degraded(6.0)
    for _ in range(30):
        streaks.record_fault(4.9, counts=True)
    assert not streaks.is_degraded(6.0)
    for _ in range(30):
        streaks.record_fault(5.0, counts=True)
    assert streaks.is_degraded(6.0)
    assert not streaks.is_degraded(5.0)


@pytest.mark.parametrize("counts", [True, False])
def test_faults_count_as_degradation_only_while_the_breaker_is_closed(counts):
    streaks = Streaks()
    for _ in range(30):
        streaks.record_fault(1.0, counts=counts)
    assert streaks.is_degraded(2.0) == counts


moves = st.tuples(
    st.sampled_from(["record_admission", "refused", "record_answer", "failed", "restart_share", "end_rows"]),
    st.floats(-1e9, 1e9),
    st.integers(0, 10**9),
)


@given(st.lists(moves, max_size=100), st.integers(0, 100))
def test_any_sequence_is_accepted(history, admitted):
    streaks = Streaks()
    for name, time, order in history:
        match name:
            case "refused":
                streaks.record_refusal(order, time)
                assert streaks.refused_since <= time
            case "failed":
                streaks.record_fault(time, counts=bool(order % 2))
            case "end_rows":
                streaks.end_rows()
            case "record_answer":
                streaks.record_answer(time, time + order)
            case _:
                getattr(streaks, name)(time)
        assert streaks.is_refusing(admitted) in (True, False)
        assert streaks.is_degraded(math.inf) in (True, False)
        assert 0 <= streaks.latest_faults <= 50
        assert not math.isnan(streaks.refused_since)


def overdue(streaks, *starts):
    for start in starts:
        streaks.record_fault(start, counts=True, overdue=True)


def test_five_overdue_calls_that_started_since_the_latest_answer_show_that_nothing_is_answered():
    streaks = Streaks()
    streaks.record_answer(1.0, 2.0)
    overdue(streaks, 1.5, 1.6, 1.7, 1.8, 1.9, 2.0, 2.1, 2.2, 2.3)
    assert not streaks.is_silent()
    overdue(streaks, 2.4)
    assert streaks.is_silent()


def test_an_answer_in_between_shows_that_some_are_answered():
    streaks = Streaks()
    overdue(streaks, 1.0, 2.0, 3.0, 4.0)
    streaks.record_answer(0.5, 2.5)
    overdue(streaks, 5.0)
    assert not streaks.is_silent()


def test_other_faults_are_not_silence():
    streaks = Streaks()
    for number in range(20):
        streaks.record_fault(float(number), counts=True)
    assert streaks.is_failing()
    assert not streaks.is_silent()
