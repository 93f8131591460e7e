"""Charges: a cut that is taken back leaves the rate as if it had never been made."""

from __future__ import annotations

import math
from random import Random

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline._core.pace.charges import Charges, Cut
from paceline._core.pace.pacer import Pacer

from ...pace.worlds import logarithmic

INTERVAL = 1.0  # seconds between two refusals
KEPT = 64  # cuts


def pacer(value=math.inf):
    made = Pacer(lambda call: 1.0, lambda: 0.0)
    made.rate.value = value
    return made


def refuse(charges, of, order, admitted, cost=1.0):
    """Refuse call number `order`, after some admissions in an interval."""
    now = order * INTERVAL
    of.rate.admitted += admitted
    of.rate.refused += cost
    charges.charge(order, of, Cut(now, now, cost, 1, admitted / INTERVAL))


def rates_after(admissions, orders):
    """Return the rate after refusals of these calls alone, with the admissions of all intervals."""
    of, charges = pacer(), Charges()
    for order, admitted in enumerate(admissions):
        if order in orders:
            refuse(charges, of, order, admitted)
        else:
            of.rate.admitted += admitted
    return of.rate


many = st.lists(st.integers(1, 200).map(float), min_size=1, max_size=12)


@given(many, st.data())
def test_the_rate_is_as_if_the_cut_had_never_been_made(admissions, data):
    of, charges = pacer(), Charges()
    for order, admitted in enumerate(admissions):
        refuse(charges, of, order, admitted)
    taken = data.draw(st.integers(0, len(admissions) - 1))
    before = of.rate.value
    expected = rates_after(admissions, set(range(len(admissions))) - {taken})
    raised = charges.take_back(taken)
    if expected.value > before:
        assert raised is of
        assert attrs.astuple(of.rate) == attrs.astuple(expected)
    else:
        assert raised is None
        assert of.rate.value == before


@given(many, st.integers(0, 10**6), logarithmic(0.1, 1e4) | st.just(math.inf))
def test_taken_back_in_any_order_all_cuts_leave_the_rate_before_the_first(admissions, seed, value):
    of, charges = pacer(value), Charges()
    for order, admitted in enumerate(admissions):
        refuse(charges, of, order, admitted)
    orders = list(range(len(admissions)))
    Random(seed).shuffle(orders)
    for order in orders:
        before = of.rate.value
        charges.take_back(order)
        assert of.rate.value >= before
    assert of.rate.value == value


@given(many, st.floats(1, 3), st.integers(0, 12))
def test_growth_since_the_cut_is_kept_where_it_was_more(admissions, factor, taken):
    of, charges = pacer(50.0), Charges()
    for order, admitted in enumerate(admissions):
        refuse(charges, of, order, admitted)
        of.rate.value *= factor
    before = of.rate.value
    raised = charges.take_back(taken)
    assert of.rate.value >= before
    assert (raised is of) is (of.rate.value > before)


@pytest.mark.parametrize("order", [-1, 3, 10**6])
def test_a_call_that_was_not_charged_changes_nothing(order):
    of, charges = pacer(), Charges()
    for number in range(3):
        refuse(charges, of, number, 20.0)
    before = attrs.astuple(of.rate)
    assert charges.take_back(order) is None
    assert attrs.astuple(of.rate) == before


def test_a_cut_is_taken_back_once():
    of, charges = pacer(), Charges()
    refuse(charges, of, 0, 20.0)
    assert charges.take_back(0) is of
    of.rate.value = 7.0
    assert charges.take_back(0) is None
    assert of.rate.value == 7.0


def test_all_cuts_for_one_call_are_taken_back():
    of, charges = pacer(), Charges()
    refuse(charges, of, 0, 20.0)
    charges.charge(0, of, Cut(1.0, 1.0, 1.0, 2, 5.0))
    assert charges.take_back(0) is of
    assert of.rate.value == math.inf


def test_the_cuts_of_another_pacer_stay():
    requests, tokens, charges = pacer(), pacer(), Charges()
    refuse(charges, requests, 0, 20.0)
    refuse(charges, tokens, 1, 20.0)
    refuse(charges, requests, 2, 20.0)
    stays = tokens.rate.value
    charges.take_back(0)
    charges.take_back(2)
    assert requests.rate.value == math.inf
    assert tokens.rate.value == stays
    assert charges.take_back(1) is tokens


def test_refunded_cuts_are_forgotten_and_those_before_them_are_not():
    of, charges = pacer(), Charges()
    for order in (0, 1, 2):
        refuse(charges, of, order, 20.0 - order)
    charges.forget(1 * INTERVAL)
    assert charges.take_back(2) is None
    assert charges.take_back(1) is None
    assert of.rate.value < math.inf
    assert charges.take_back(0) is of
    assert of.rate.value == math.inf


def test_forgotten_cuts_and_old_ones_stay():
    of, charges = pacer(), Charges()
    refuse(charges, of, 0, 20.0)
    charges.forget(0.0)
    assert charges.take_back(0) is None
    for order in range(1, KEPT + 2):
        refuse(charges, of, order, 20.0)
    value = of.rate.value
    assert charges.take_back(1) is None
    assert of.rate.value == value < math.inf
