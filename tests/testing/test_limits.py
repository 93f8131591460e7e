"""Limits: buckets, windows and caps against models of them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline.exceptions import ConfigurationError
from paceline.testing import ConcurrencyCap, FixedWindow, TokenBucket

# Gaps between calls in milliseconds, and their tokens.
HISTORIES = st.lists(st.tuples(st.integers(0, 3_000), st.integers(1, 300)), min_size=1, max_size=40)
MEASURES = st.sampled_from(["requests", "tokens"])


def admitted(limit, history):
    """Play a history of calls against a limit; return (milliseconds, cost) of those it admits."""
    meter, now, kept = limit.meter(), 0, []
    for gap, tokens in history:
        now += gap
        if meter.wait(now / 1_000, tokens, 0) == 0:
            meter.charge(now / 1_000, tokens)
            kept.append((now, tokens if limit.per == "tokens" else 1))
        else:
            meter.refuse(now / 1_000, tokens)
    return kept


@given(HISTORIES, st.floats(0.1, 200), st.integers(1, 100), MEASURES, st.sampled_from([0.0, 0.5, 1.0]))
def test_a_bucket_never_admits_more_than_its_burst_and_its_refill(history, rate, burst, per, refusal_cost):
    calls = admitted(TokenBucket(rate, burst, per=per, refusal_cost=refusal_cost), history)
    for i, (begin, _) in enumerate(calls):
        total = 0.0
        for end, cost in calls[i:]:
            total += min(cost, burst)
            assert total <= burst + rate * (end - begin) / 1_000 + 1e-6 * total + 1e-9


@given(HISTORIES, st.integers(1, 100), st.integers(1, 90), st.integers(0, 89), MEASURES)
def test_a_window_never_admits_more_than_its_amount(history, amount, seconds, offset, per):
    counted: dict[int, int] = {}
    for now, cost in admitted(FixedWindow(amount, seconds, offset=offset, per=per), history):
        index = (now + offset * 1_000) // (seconds * 1_000)
        counted[index] = counted.get(index, 0) + min(cost, amount)
    assert all(total <= amount for total in counted.values())


@given(
    HISTORIES,
    st.one_of(
        st.builds(TokenBucket, st.floats(0.01, 1e5), st.floats(1, 1e5), per=MEASURES, refusal_cost=st.just(0.5)),
        st.builds(FixedWindow, st.floats(1, 1e3), st.floats(0.01, 90), offset=st.floats(0, 100), per=MEASURES),
    ),
)
def test_a_caller_that_waits_the_given_time_is_admitted_and_one_that_waits_less_is_not(history, limit):
    meter, now = limit.meter(), 0.0
    for gap, tokens in history:
        now += gap / 1_000
        if wait := meter.wait(now, tokens, 0):
            assert meter.wait(now + 0.99 * wait, tokens, 0) > 0
            now += wait
        assert meter.wait(now, tokens, 0) == 0
        meter.charge(now, tokens)


@given(st.integers(1, 10**9))
def test_a_call_larger_than_a_full_limit_is_admitted_and_empties_it(tokens):
    for limit in (TokenBucket(10, 50, per="tokens"), FixedWindow(50, 5, per="tokens")):
        meter = limit.meter()
        assert meter.wait(0.0, tokens, 0) == 0
        meter.charge(0.0, tokens)
        if tokens >= 50:
            assert meter.wait(0.0, 50, 0) == pytest.approx(5.0)


def test_a_refusal_costs_only_the_refusal_cost_and_the_level_stays_above_minus_burst():
    free, dear = TokenBucket(1, 4).meter(), TokenBucket(1, 4, refusal_cost=1.0).meter()
    for meter in (free, dear):
        for _ in range(4):
            meter.charge(0.0, 1)
        for _ in range(100):
            meter.refuse(0.0, 1)
    assert free.wait(0.0, 1, 0) == pytest.approx(1.0)
    assert dear.wait(0.0, 1, 0) == pytest.approx(5.0)


def test_a_window_does_not_carry_over_unused_amounts():
    meter = FixedWindow(2, 10, offset=4).meter()
    meter.charge(5.0, 1)
    meter.charge(6.0, 1)
    assert meter.wait(6.0, 1, 0) == 0, "the second window begins after six seconds"
    meter.charge(6.0, 1)
    assert meter.wait(6.0, 1, 0) == pytest.approx(10.0)


def test_a_window_begins_where_the_last_ends_though_sums_of_fractions_fall_short_of_it():
    meter, now = FixedWindow(1, 24.9, offset=9.5).meter(), 52.99
    meter.charge(now, 1)
    now += meter.wait(now, 1, 0)
    assert (now + 9.5) / 24.9 < 3
    meter.charge(now, 1)
    assert meter.wait(now, 1, 0) == pytest.approx(24.9)


@given(st.integers(0, 50), st.integers(0, 50))
def test_a_cap_admits_while_a_place_is_free(calls, in_flight):
    wait = ConcurrencyCap(calls).meter().wait(0.0, 1, in_flight)
    assert wait == (0.0 if in_flight < calls else math.inf)


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: TokenBucket(0, 5), "rate must be a number above 0, not 0"),
        (lambda: TokenBucket(math.inf, 5), "rate must be a number above 0, not inf"),
        (lambda: TokenBucket(10**400, 5), "rate must be a number above 0, not 1000"),
        (lambda: TokenBucket(True, 5), "rate must be a number above 0, not True"),
        (lambda: TokenBucket(1, 0.5), "burst must be a number, 1 or more, not 0.5"),
        (lambda: TokenBucket(1, 5, per="calls"), "per must be one of requests, tokens, not 'calls'"),
        (lambda: TokenBucket(1, 5, refusal_cost=-1), "refusal_cost must be a number, 0 or more, not -1"),
        (lambda: FixedWindow(0, 5), "amount must be a number, 1 or more, not 0"),
        (lambda: FixedWindow(5, 0), "seconds must be a number above 0, not 0"),
        (lambda: FixedWindow(5, 5, offset=math.nan), "offset must be a number, 0 or more, not nan"),
        (lambda: ConcurrencyCap(-1), "calls must be a whole number, 0 or more, not -1"),
        (lambda: ConcurrencyCap(2.5), "calls must be a whole number, 0 or more, not 2.5"),
    ],
)
def test_a_limit_out_of_bounds_is_refused_with_its_bound(build, sentence):
    with pytest.raises(ConfigurationError) as caught:
        build()
    assert str(caught.value).startswith(sentence)
