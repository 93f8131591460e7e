"""Admission: several limits at once, and changes of limits."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline.testing import ConcurrencyCap, FixedWindow, TokenBucket
from paceline.testing.admission import Admission

CALLS = st.lists(
    st.tuples(st.integers(0, 2_000), st.integers(1, 60), st.integers(0, 6)),  # milliseconds, tokens, in flight
    min_size=1,
    max_size=40,
)


class ByHand:
    """A bucket of requests, a window of tokens and a cap, replayed exactly from the calls admitted so far."""

    def __init__(self, bucket, window, cap):
        self.rate, self.burst, self.cap = bucket.rate, bucket.burst, cap.calls
        self.amount, self.seconds = window.amount, window.seconds
        self.kept = []

    def admits(self, now, tokens, in_flight):
        level, before, used = Fraction(self.burst), 0, 0
        for then, cost in self.kept:
            level = min(Fraction(self.burst), level + Fraction(self.rate * (then - before), 1_000)) - 1
            before = then
            if then // (self.seconds * 1_000) == now // (self.seconds * 1_000):
                used += min(cost, self.amount)
        level = min(Fraction(self.burst), level + Fraction(self.rate * (now - before), 1_000))
        if level >= 1 and used + min(tokens, self.amount) <= self.amount and in_flight < self.cap:
            self.kept.append((now, tokens))
            return True
        return False


@given(
    CALLS,
    st.builds(TokenBucket, st.integers(1, 5), st.integers(1, 5)),
    st.builds(FixedWindow, st.integers(1, 200), st.integers(1, 9), per=st.just("tokens")),
    st.builds(ConcurrencyCap, st.integers(0, 6)),
)
def test_several_limits_admit_what_each_of_them_would_and_a_refusal_charges_none_of_them(calls, bucket, window, cap):
    admission, model, now = Admission((bucket, window, cap)), ByHand(bucket, window, cap), 0
    for gap, tokens, in_flight in calls:
        now += gap
        verdict = admission.admit(now / 1_000, tokens, in_flight)
        assert (verdict is None) == model.admits(now, tokens, in_flight)


def test_a_refusal_by_the_second_limit_costs_the_first_its_refusal_cost():
    admission = Admission((TokenBucket(1, 10, refusal_cost=0.5), ConcurrencyCap(1)))
    for _ in range(19):
        refusal = admission.admit(0.0, 1, 1)
        assert refusal is not None
        assert refusal.limit == ConcurrencyCap(1)
    assert admission.admit(0.0, 1, 0).wait == pytest.approx(1.0), "10 - 19.5 / 2 is less than one call; a refusal more"


def test_the_wait_is_the_longest_of_all_limits_and_a_cap_does_not_hide_it():
    admission = Admission((ConcurrencyCap(1), TokenBucket(1, 1), FixedWindow(1, 30)))
    assert admission.admit(0.0, 1, 0) is None
    assert admission.admit(0.0, 1, 0).wait == pytest.approx(30.0)
    assert admission.admit(0.0, 1, 1).wait == pytest.approx(30.0)
    assert admission.admit(30.0, 1, 1).wait == math.inf, "only the cap refuses, and it has no time of its own"


def test_the_wait_of_an_outage_is_not_known_whatever_the_other_limits_say():
    assert Admission((ConcurrencyCap(0),)).admit(0.0, 1, 0).wait == math.inf
    admission = Admission((TokenBucket(1, 1),))
    admission.admit(0.0, 1, 0)
    admission.change((TokenBucket(1, 1), ConcurrencyCap(0)), 0.0)
    assert admission.admit(0.0, 1, 0).wait == math.inf


def test_a_change_pairs_several_limits_of_a_kind_in_their_order():
    admission = Admission((TokenBucket(1, 2), TokenBucket(1, 50)))
    assert [admission.admit(0.0, 1, 0) is None for _ in range(3)] == [True, True, False]
    admission.change((TokenBucket(0.001, 2), TokenBucket(0.001, 50)), 0.0)
    assert admission.admit(0.0, 1, 0).limit == TokenBucket(0.001, 2), "it is empty, and stays the first"
    admission.change((TokenBucket(0.001, 50),), 0.0)
    assert admission.admit(0.0, 1, 0) is not None, "the first takes over the first"


def test_a_change_keeps_the_level_of_a_bucket_up_to_the_new_burst():
    admission = Admission((TokenBucket(1, 10),))
    for _ in range(4):
        admission.admit(0.0, 1, 0)
    admission.change((TokenBucket(1, 100),), 1.0)
    assert [admission.admit(1.0, 1, 0) is None for _ in range(8)] == [True] * 7 + [False]
    admission.change((TokenBucket(50, 2),), 60.0)
    assert [admission.admit(60.0, 1, 0) is None for _ in range(3)] == [True, True, False]


def test_a_change_that_is_noticed_late_refills_at_each_rate_for_its_own_time():
    admission = Admission((TokenBucket(1, 1_000),))
    for _ in range(1_000):
        admission.admit(0.0, 1, 0)
    admission.change((TokenBucket(10, 1_000),), 5.0)
    assert [admission.admit(7.0, 1, 0) is None for _ in range(26)] == [True] * 25 + [False]


def test_a_change_pairs_limits_by_kind_and_measure_and_starts_the_others_full():
    old = (TokenBucket(1, 5), TokenBucket(1, 100, per="tokens"), FixedWindow(5, 10))
    admission = Admission(old)
    for _ in range(5):
        assert admission.admit(0.0, 20, 0) is None
    admission.change((TokenBucket(1, 100, per="tokens"),), 0.0)
    assert admission.admit(0.0, 1, 0) is not None, "the tokens are used up, whatever the order of the limits"
    admission.change((FixedWindow(5, 10), TokenBucket(1, 5)), 0.0)
    assert admission.admit(0.0, 1, 0) is None, "limits that were removed start full"


def test_a_change_keeps_the_count_of_a_window_of_the_same_times():
    admission = Admission((FixedWindow(5, 10),))
    for _ in range(5):
        admission.admit(0.0, 1, 0)
    admission.change((FixedWindow(7, 10),), 1.0)
    assert [admission.admit(1.0, 1, 0) is None for _ in range(3)] == [True, True, False]
    admission.change((FixedWindow(7, 20),), 2.0)
    assert admission.admit(2.0, 1, 0) is None
