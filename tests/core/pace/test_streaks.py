"""Whether a provider has closed, or has fallen ill."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline._core.pace.breaker import Streaks

MANY = 20  # calls ever admitted: from then on one refusal closes nothing


@given(st.integers(0, 100), st.integers(1, 40), st.integers(1, 40))
def test_it_has_closed_where_refusals_are_three_and_most_of_the_calls_between_them(admitted, refusals, spread):
    streaks = Streaks()
    orders = sorted({round(n * spread / 10) for n in range(refusals)})
    for order in orders:
        streaks.refused(order, 10.0 + order)
    share = len(orders) / (orders[-1] - orders[0] + 1)
    enough = len(orders) >= 3 or admitted < MANY
    assert streaks.has_closed(admitted) == (enough and share >= 0.6)


@given(st.permutations(range(5)))
def test_the_order_in_which_refusals_come_back_makes_no_difference(order):
    streaks = Streaks()
    for number in order:
        streaks.refused(number, 10.0 + number)
    assert streaks.has_closed(MANY)
    assert streaks.refused_since == 10.0


def test_an_admission_ends_a_row_unless_the_call_was_older_than_it():
    streaks = Streaks()
    for number in range(3):
        streaks.refused(number, 10.0 + number)
    streaks.admitted(9.9)
    assert streaks.has_closed(MANY)
    streaks.admitted(10.0)
    assert not streaks.has_closed(MANY)
    streaks.refused(7, 20.0)
    assert streaks.refused_since == 20.0
    assert not streaks.has_closed(MANY)


def test_nothing_has_closed_before_a_refusal():
    assert not Streaks().has_closed(0)
    assert not Streaks().has_failed()
    assert not Streaks().is_ill(1.0)


def test_five_faults_in_a_row_are_a_closure():
    streaks = Streaks()
    for number in range(5):
        assert not streaks.has_failed()
        streaks.failed(10.0 + number, counts=True)
    assert streaks.has_failed()
    assert streaks.failed_since == 10.0
    streaks.served(9.0)
    assert streaks.has_failed(), "that one had started before them"
    streaks.served(10.0)
    assert not streaks.has_failed()


def test_open_again_it_starts_anew():
    streaks = Streaks()
    for number in range(5):
        streaks.failed(10.0, counts=False)
        streaks.refused(number, 10.0)
    streaks.restart()
    assert not streaks.has_failed()
    assert not streaks.has_closed(MANY)


@given(st.lists(st.booleans(), max_size=200))
def test_it_is_ill_where_more_than_a_fifth_of_the_latest_fifty_failed(failures):
    streaks = Streaks()
    for failed in failures:
        streaks.failed(1.0, counts=True) if failed else streaks.served(1.0)
    latest = failures[-50:]
    assert streaks.is_ill(1.0) == (sum(latest) > 0.2 * max(20, len(latest)))


def test_one_illness_is_answered_once():
    streaks = Streaks()
    for _ in range(30):
        streaks.failed(1.0, counts=True)
    streaks.spare(5.0)
    assert not streaks.is_ill(6.0)
    for _ in range(30):
        streaks.failed(4.9, counts=True)
    assert not streaks.is_ill(6.0)
    for _ in range(30):
        streaks.failed(5.0, counts=True)
    assert streaks.is_ill(6.0)
    assert not streaks.is_ill(5.0)


@pytest.mark.parametrize("counts", [True, False])
def test_faults_count_for_an_illness_only_where_they_are_no_closure(counts):
    streaks = Streaks()
    for _ in range(30):
        streaks.failed(1.0, counts=counts)
    assert streaks.is_ill(2.0) == counts


moves = st.tuples(
    st.sampled_from(["admitted", "refused", "served", "failed", "spare", "restart"]),
    st.floats(-1e9, 1e9),
    st.integers(0, 10**9),
)


@given(st.lists(moves, max_size=100), st.integers(0, 100))
def test_any_sequence_is_understood(history, admitted):
    streaks = Streaks()
    for name, time, order in history:
        match name:
            case "refused":
                streaks.refused(order, time)
                assert streaks.refused_since <= time
            case "failed":
                streaks.failed(time, counts=bool(order % 2))
            case "restart":
                streaks.restart()
            case _:
                getattr(streaks, name)(time)
        assert streaks.has_closed(admitted) in (True, False)
        assert streaks.is_ill(math.inf) in (True, False)
        assert not math.isnan(streaks.refused_since)
