"""The pacer: slow start, claims, and how much one call may cost."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from paceline._core.pace.pacer import Pacer
from paceline._core.quota import QuotaLimit

from ...pace.histories import limits
from ...pace.worlds import logarithmic

START = 5.0  # calls a second
LEAST = 1 / 600  # calls a second
AIM = 0.97
DOUBLES = 15.0  # seconds


class Recent:
    """The recent rate of admission, as the test sets it."""

    value = 0.0

    def __call__(self):
        return self.value


def pacer(recent=0.0):
    of = Recent()
    of.value = recent
    made = Pacer(lambda call: 1.0, of)
    made.bucket.restart(0.0, 1.0)
    return made


def per_second(rate):
    return QuotaLimit(limit=60.0 * rate, period=60.0)


@given(logarithmic(0.01, 1e5))
def test_an_unknown_rate_is_twice_the_rate_of_admission_and_at_least_a_few_calls(recent):
    assert pacer(recent).pace(0.0) == max(START, 2 * recent)


@given(logarithmic(0.01, 1e5), st.floats(0, 10), st.floats(0, 10))
def test_slow_start_is_held_back_while_a_refusal_waits_for_its_verdict(recent, until, now):
    made = pacer(recent)
    made.hold_until(until)
    made.hold_until(until - 5.0)
    assert made.pace(now) == max(START, (0.5 if now < until else 2.0) * recent)


def test_a_known_rate_is_not_held_back():
    made = pacer(50.0)
    made.rate.value = 30.0
    made.hold_until(10.0)
    assert made.pace(0.0) == made.limit == 30.0
    assert made.is_known
    assert made.has_limit


@given(logarithmic(0.1, 1e3), st.floats(0, 300))
def test_a_claim_bounds_the_rate_and_doubles(rate, seconds):
    made = pacer(1e9)
    made.claim(100.0, per_second(rate))
    assert made.pace(100.0 + seconds) == pytest.approx(min(2e9, AIM * rate * 2 ** (seconds / DOUBLES)))
    assert made.limit == pytest.approx(AIM * rate)
    assert made.has_limit
    assert not made.is_known


def test_only_the_first_claim_counts_and_none_after_a_measurement():
    made = pacer(1e9)
    made.claim(0.0, per_second(10.0))
    made.claim(5.0, per_second(2.0))
    assert made.limit == AIM * 10.0
    made.drop_claim()
    assert made.limit == math.inf
    made.rate.value = 7.0
    made.claim(5.0, per_second(2.0))
    made.rate.value = math.inf
    assert made.limit == math.inf


@pytest.mark.parametrize(
    ("limit", "rate"),
    [
        (QuotaLimit(limit=600.0, period=60.0), 10.0),
        (QuotaLimit(limit=600.0, remaining=500.0, reset=10.0), 10.0),
        (QuotaLimit(limit=600.0, remaining=596.0, reset=10.0), None),
        (QuotaLimit(limit=600.0, remaining=595.0, reset=10.0), 0.5),
        (QuotaLimit(limit=600.0, remaining=600.0, reset=10.0), None),
        (QuotaLimit(limit=600.0, remaining=0.0, reset=0.0), None),
        (QuotaLimit(limit=600.0, remaining=0.0, reset=86_400.0), None),
        (QuotaLimit(limit=600.0, period=86_400.0), None),
        (QuotaLimit(limit=600.0, period=0.0), None),
        (QuotaLimit(limit=0.0, period=60.0), None),
        (QuotaLimit(period=60.0), None),
        (QuotaLimit(limit=600.0), None),
    ],
)
def test_a_limit_is_a_claim_if_it_says_enough(limit, rate):
    made = pacer()
    made.claim(0.0, limit)
    assert made.limit == (math.inf if rate is None else pytest.approx(AIM * rate))


def test_a_call_that_costs_more_than_the_claim_waits_until_the_claim_has_doubled():
    made = pacer(1e9)
    made.claim(0.0, per_second(1.0))
    made.bucket.restart(0.0)
    assert made.wait(0.0, 1.0) == pytest.approx(1 / AIM)
    assert made.wait(0.0, 100.0) == DOUBLES
    made.rate.value = 1.0
    assert made.wait(0.0, 100.0) == pytest.approx(100.0)


def test_a_time_in_which_a_known_rate_was_not_used_is_excluded_from_the_measure():
    made = pacer()
    made.rate.value = 10.0
    made.rate.anchor(0.0)
    made.wait(100.0, 1.0)
    made.rate.admitted += 30.0
    made.rate.cut(103.0, 103.0, 1.0, 1, 10.0)
    assert made.rate.value == pytest.approx(AIM * 30.5 / 3.005, rel=0.01)


@given(st.floats(-1e6, 1e308), logarithmic(0.1, 1e6))
def test_no_single_usage_counts_more_than_a_thousand_mean_calls(excess, mean):
    made = pacer()
    made.rate.mean = mean
    before = made.rate.admitted
    made.correct(excess)
    assert made.rate.admitted - before == pytest.approx(min(excess, 1000 * mean))


@given(st.floats(0, 1e308))
def test_no_usage_delays_calls_by_more_than_a_minute_of_a_known_rate(excess):
    made = pacer()
    made.rate.value = 10.0
    for _ in range(3):
        made.correct(excess)
    assert made.wait(0.0, 1.0) <= 60.0 + 1.0 / 10.0 + 1e-6


def test_usage_beyond_expectation_delays_the_next_calls():
    made = pacer()
    made.rate.value = 10.0
    made.correct(100.0)
    assert made.wait(0.0, 1.0) == pytest.approx(10.0)


@given(logarithmic(1e-9, 1e6))
def test_a_warm_start_starts_at_the_learned_rate_as_a_claim(rate):
    made = pacer()
    made.warm_start(50.0, rate)
    start = AIM * max(LEAST, rate)
    assert made.limit == pytest.approx(start)
    assert made.pace(50.0) == pytest.approx(start)
    assert made.pace(50.0 + DOUBLES) == pytest.approx(min(2 * start, max(START, start)))
    assert not made.is_known


@given(logarithmic(1e-2, 1e6), logarithmic(1e-2, 1e6))
def test_what_is_learned_of_a_claim_is_the_claim_or_what_was_admitted_beyond_it(claimed, admitted):
    made = pacer(admitted)
    assert made.learned == math.inf, "without a claim nothing was learned about a limit"
    made.warm_start(50.0, claimed)
    assert made.learned == pytest.approx(max(claimed, admitted))
    made.rate.value = 7.0
    assert made.learned == 7.0, "a measurement is better than either"


@given(logarithmic(0.1, 1e4))
def test_a_restart_starts_at_the_rate_of_the_presumed_window_and_doubles_soon(rate):
    made = pacer(1e9)
    made.rate.value = 5.0
    made.restart(0.0, rate)
    assert not made.is_known
    assert made.pace(0.0) == pytest.approx(max(LEAST, rate))
    assert made.pace(4.0) == pytest.approx(2 * max(LEAST, rate))


def test_a_restart_after_what_was_no_window_is_a_slow_start():
    made = pacer(10.0)
    made.rate.value = 5.0
    made.restart(0.0, math.inf)
    assert made.pace(0.0) == 20.0


moves = st.one_of(
    st.tuples(st.just("claim"), limits),
    st.tuples(st.just("warm_start"), logarithmic(1e-12, 1e12)),
    st.tuples(st.just("restart"), logarithmic(1e-3, 1e9)),
    st.tuples(st.just("correct"), st.floats(-1e6, 1e308)),
    st.tuples(st.just("hold_until"), st.floats(-1e9, 1e9)),
    st.tuples(st.just("drop_claim"), st.none()),
    st.tuples(st.just("recent"), logarithmic(1e-9, 1e9)),
    st.tuples(st.just("cut"), logarithmic(1e-3, 1e6)),
)


@given(st.lists(st.tuples(st.floats(0, 1e5), moves), max_size=40), logarithmic(0.1, 1e6))
def test_rates_stay_positive_and_finite_and_waits_bounded_after_any_sequence(history, cost):
    recent = Recent()
    made, now = Pacer(lambda call: 1.0, recent), 0.0
    for seconds, (name, value) in history:
        now += seconds
        if name == "recent":
            recent.value = value
        elif name in ("claim", "warm_start", "restart"):
            getattr(made, name)(now, value)
        elif name == "cut":
            made.rate.cut(now, now, value, 1, recent())
        elif name == "drop_claim":
            made.drop_claim()
        else:
            getattr(made, name)(value)
        assert 0 < made.pace(now) < math.inf
        assert 0 < made.limit <= math.inf
        assert 0 <= made.wait(now, cost) <= 700.0


MINUTE = 60.0  # seconds of the pace: what a call may cost to be paced by its cost


@given(logarithmic(0.1, 1e9), logarithmic(1, 1e5), logarithmic(0.01, 1e6))
@example(50.0, 100.0, 0.1)
def test_a_call_is_paced_by_its_cost_up_to_a_minute_of_the_pace_and_a_larger_one_like_a_mean_call(cost, mean, rate):
    made = pacer()
    made.rate.mean, made.rate.value = mean, rate
    paced = made.paced_cost(0.0, cost)
    assert paced == (mean if cost > max(mean, MINUTE * rate) else cost)
    assert paced <= max(mean, MINUTE * rate)


@given(logarithmic(0.1, 1e9))
def test_while_no_limit_is_known_or_claimed_each_call_is_paced_by_its_cost(cost):
    assert pacer().paced_cost(0.0, cost) == cost


@given(logarithmic(1.01, 1e9), logarithmic(1e-3, 1e3))
def test_a_claimed_limit_bounds_what_a_call_is_paced_by_too(cost, rate):
    made = pacer(1e12)
    made.claim(0.0, per_second(rate))
    assert made.paced_cost(0.0, cost) == (1.0 if cost > max(1.0, MINUTE * made.pace(0.0)) else cost)
