"""Delivery: with answers of any two kinds, the rate times the latency of one of them is the number of calls in flight."""

from __future__ import annotations

import heapq
import math
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paceline._core.pace.delivery import Delivery

from ...pace.worlds import logarithmic
from ...search import examples

FEWEST = 16  # answers that a rate is measured over
LONGEST = 10.0  # seconds for which the best rate counts, or two latencies
HEAVIEST = 20.0  # times a call


def stream(delivery, in_flight, latency, other, share, answers=600, seed=1, begin=0.0):  # noqa: PLR0913, PLR0917 - what a stream is
    """Answer calls, of which always as many are in flight; return the time."""
    chance, now = Random(seed), begin

    def call(start):
        is_other = chance.random() < share
        return start + (other if is_other else latency) * chance.uniform(0.9, 1.1), start, is_other

    calls = []
    for _ in range(in_flight):  # some have been in flight for long at the beginning
        end, start, is_other = call(begin)
        ago = chance.random() * (end - start)
        calls.append((end - ago, start - ago, is_other))
    heapq.heapify(calls)
    for _ in range(answers):
        now, start, is_other = heapq.heapreplace(calls, call(calls[0][0]))
        delivery.record(now, now - start, by_l=not is_other, span=max(2.0, 2.0 * latency), unloaded=latency)
    return now


@given(st.integers(60, 120), logarithmic(0.3, 10), logarithmic(0.06, 16), st.sampled_from([0.0, 0.2, 0.5, 0.8]))
@settings(max_examples=examples(25), deadline=None)
def test_the_rate_times_the_latency_is_the_calls_in_flight_whatever_share_of_answers_is_of_the_other_kind(
    in_flight, latency, longer, share
):
    delivery = Delivery()
    mean = latency * (1.0 - share + share * longer)
    answers = int(in_flight / mean * (6.0 + 3.0 * latency))
    stream(delivery, in_flight, latency, longer * latency, share, answers=max(600, answers))
    assert 0.6 * in_flight <= delivery.best * latency <= 3.0 * in_flight, (
        "the best rate, of few answers, is above the mean"
    )


@pytest.mark.parametrize("share", [0.1, 0.3, 0.7])
@pytest.mark.parametrize("other", [0.05, 1.0, 5.0])
def test_after_a_swap_it_is_so_with_the_latency_of_the_other_kind(share, other):
    delivery = Delivery()
    now = stream(delivery, 50, 1.0, other, share, answers=2_000)
    delivery.swap()
    assert delivery.best == 0.0
    stream(delivery, 50, other, 1.0, 1.0 - share, answers=3_000, begin=now)
    assert delivery.best * other == pytest.approx(50, rel=0.5)


def test_the_latencies_of_the_two_kinds_are_swapped_at_once():
    delivery = Delivery()
    now = stream(delivery, 50, 1.0, 5.0, 0.5, answers=1_000)
    delivery.swap()
    stream(delivery, 50, 5.0, 1.0, 0.5, answers=10, begin=now)
    assert delivery.best * 5.0 <= 100


def test_a_few_answers_at_once_are_no_high_rate():
    delivery = Delivery()
    for _ in range(FEWEST + 1):
        delivery.record(1.0, 1.0, by_l=True, span=2.0, unloaded=1.0)
    assert delivery.best == FEWEST / 2.0


def test_the_rate_is_measured_at_the_first_answer_then_at_each_eighth_or_where_time_has_passed():
    delivery = Delivery()
    at_once = [delivery.record(1.0, 0.5, by_l=True, span=2.0, unloaded=0.5) for _ in range(17)]
    assert at_once == [number % 8 == 0 for number in range(17)]
    assert not delivery.record(1.0 + 2.0 / 257, 0.5, by_l=True, span=2.0, unloaded=0.5)
    assert delivery.record(1.0 + 2.0 / 255, 0.5, by_l=True, span=2.0, unloaded=0.5)


def test_the_best_rate_counts_for_a_time():
    delivery = Delivery()
    now = stream(delivery, 50, 0.1, 0.1, 0.0)
    best = delivery.best
    delivery.record(now + LONGEST - 1.0, 0.1, by_l=True, span=1.0, unloaded=0.1)
    assert delivery.best == best
    delivery.record(now + LONGEST + 1.0, 0.1, by_l=True, span=1.0, unloaded=0.1)
    assert delivery.best < 0.2 * best


def test_no_answer_counts_as_more_than_twenty_calls():
    delivery = Delivery()
    delivery.record(0.0, 0.001, by_l=True, span=1.0, unloaded=0.001)
    for second in range(1, 40):
        delivery.record(float(second), 1000.0, by_l=False, span=1.0, unloaded=0.001)
    assert delivery.best <= HEAVIEST * FEWEST


answers = st.tuples(
    logarithmic(1e-6, 1e4),
    logarithmic(1e-6, 1e5),
    st.booleans(),
    logarithmic(0.01, 100),
    st.just(0.0) | logarithmic(0.01, 100),
)


@given(st.lists(answers | st.none(), max_size=80))
def test_the_rate_is_finite_and_positive_after_any_history(history):
    delivery, now = Delivery(), 0.0
    for answer in history:
        if answer is None:
            delivery.swap()
            continue
        seconds, latency, by_l, span, unloaded = answer
        now += seconds
        delivery.record(now, latency, by_l=by_l, span=span, unloaded=unloaded)
        assert 0 <= delivery.best < math.inf
