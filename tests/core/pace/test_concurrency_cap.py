"""The concurrency cap: the rank test that proves it, what refutes it, and its probes."""

from __future__ import annotations

import itertools
import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline._core.pace.concurrency_cap import ConcurrencyCap

START = 20
PROOF, DOUBT = 200.0, 5.0  # odds that prove a cap; factor for each earlier test that refuted one
EVERY = 60  # admissions at a cap before it is probed
OFTEN, LONG = 24, 30.0  # admissions and seconds that are enough together
SURE = 0.8  # chance that a cap refuses a call with as many in flight, as far as is known


class Provider:
    """A provider with calls at given numbers in flight, one after another, each judged at once."""

    def __init__(self, concurrency=None):
        self.concurrency = ConcurrencyCap(maximum=4000.0) if concurrency is None else concurrency
        self.now = 0.0
        self.refunds = []

    def admit(self, *in_flight):
        for number in in_flight:
            self.now += 1.0
            self.concurrency.record_admission(number, self.now)

    def refuse(self, *in_flight, rate=100.0):
        for number in in_flight:
            self.now += 1.0
            proof = self.concurrency.record_refusal(number, self.now, rate)
            if proof is not None:
                self.refunds.append(proof.rate)

    @property
    def proven(self):
        return bool(self.refunds)


def odds(refused, admitted):
    return math.comb(refused + admitted, refused)


# ------------------------------------------------------------------------------------------------ the test


@given(st.integers(1, 4000), st.integers(1, 30), st.integers(0, 10**6))
def test_a_true_cap_is_proven_as_soon_as_chance_would_be_too_unlikely(cap, between, seed):
    provider, chance = Provider(), Random(seed)
    provider.concurrency.limit = float(cap + 5)
    refused = admitted = 0
    while not provider.proven:
        assert refused <= 4 + math.log2(PROOF), "a true cap is proven within a bounded number of refusals"
        provider.refuse(cap)
        refused += 1
        if provider.proven:
            break
        assert refused < 2 or 0.9 * SURE**refused * odds(refused, admitted) < PROOF
        below = [chance.randrange(cap) for _ in range(between)]
        provider.admit(*below)
        admitted += between
    assert odds(refused, admitted) >= PROOF
    assert refused >= 2
    assert provider.concurrency.limit == provider.concurrency.cap == provider.concurrency.probed == cap
    assert provider.refunds == [100.0]


@given(st.integers(1, 1000), st.integers(1, 100))
def test_refusals_without_an_admission_between_them_count_once(cap, row):
    provider = Provider()
    for _ in range(2):
        provider.refuse(*[cap] * row)
        provider.admit(*[cap - 1] * 10)
    assert not provider.proven
    provider.refuse(cap)
    assert provider.proven


@given(st.integers(2, 1000), st.integers(0, 500))
def test_admissions_above_the_refused_number_refute_a_cap(cap, above):
    provider = Provider()
    for _ in range(2):
        provider.refuse(cap)
        provider.admit(*[0] * 10)
    provider.admit(*[cap + 3 + above] * 8)
    assert provider.concurrency.belief == 1
    provider.refuse(cap)
    assert not provider.proven


def test_one_call_admitted_as_a_place_becomes_free_refutes_nothing():
    provider = Provider()
    for _ in range(2):
        provider.refuse(30)
        provider.admit(*[10] * 20)
    provider.admit(31)
    provider.refuse(30)
    assert provider.proven
    provider = Provider()
    provider.refuse(30)
    provider.admit(*[30, 31, 32] * 5)
    assert provider.concurrency.test is None
    assert provider.concurrency.belief == 1


@given(st.integers(8, 200), st.integers(0, 10**6))
def test_a_cap_is_found_though_the_count_there_differs_by_a_few(cap, seed):
    """As on a busy machine, whose calls arrive late and overtake each other."""
    chance, provider = Random(seed), Provider()
    for turn in itertools.count():
        assert turn < 3_000
        number = cap - abs(round(chance.gauss(0, 4)))
        if number + chance.choice([-1, -1, 0, 0, 0, 1]) >= cap:
            provider.refuse(number)
        else:
            provider.admit(number)
        if provider.proven:
            break
    assert abs(provider.concurrency.limit - cap) <= 2


def test_calls_that_started_before_the_refusal_are_no_evidence():
    concurrency = ConcurrencyCap()
    concurrency.record_refusal(30, 10.0, 5.0)
    concurrency.record_admission(100, 10.0)
    assert concurrency.test is not None
    assert concurrency.test.admitted == [0, 0, 0, 0]
    concurrency.record_admission(100, 10.1)
    assert concurrency.test is None


@given(st.lists(st.integers(2, 6), min_size=3, max_size=60), st.integers(0, 30), st.integers(0, 10**6))
def test_refusals_at_ever_lower_numbers_as_the_calls_in_flight_drain_never_prove_a_cap(steps, admissions, seed):
    chance, provider = Random(seed), Provider()
    in_flight = 10 + sum(steps)
    for step in steps:
        provider.refuse(in_flight)
        in_flight -= step
        provider.admit(*[chance.randrange(max(1, in_flight)) for _ in range(admissions)])
    assert not provider.proven


def test_a_restarted_test_counts_from_its_first_refusal():
    provider = Provider()
    for _ in range(2):
        provider.refuse(50)
        provider.admit(*[10] * 5)
    for _ in range(2):
        provider.refuse(30)
        provider.admit(*[10] * 10)
    assert not provider.proven
    provider.refuse(30)
    assert provider.proven
    assert provider.concurrency.cap == 30


def test_refusals_at_nearly_one_number_prove_its_lowest():
    provider = Provider()
    for number in (31, 30, 30):
        provider.refuse(number)
        provider.admit(*[10] * 10)
    assert provider.proven
    assert provider.concurrency.cap == 30


@given(st.integers(0, 100))
def test_proof_of_a_cap_refunds_the_highest_rate_from_before_the_test(rate):
    provider = Provider()
    for charged in (50.0, float(rate), 20.0):
        provider.refuse(30, rate=charged)
        provider.admit(*[10] * 10)
    assert provider.refunds == [max(50.0, rate)]


@pytest.mark.parametrize("belief", range(5))
def test_the_more_often_it_was_a_rate_the_longer_the_odds_must_be(belief):
    provider = Provider(ConcurrencyCap(maximum=4000.0, belief=belief))
    needed = PROOF * DOUBT**belief
    refused, admitted = 0, 0
    while not provider.proven:
        provider.refuse(30)
        refused += 1
        if not provider.proven:
            provider.admit(*[10] * 4)
            admitted += 4
    assert odds(refused, admitted) >= needed > 0.9 * SURE ** (refused - 1) * odds(refused - 1, admitted - 4)
    assert provider.concurrency.belief == max(0, belief - 1)


def test_belief_is_bounded():
    provider = Provider()
    for _ in range(10):
        provider.refuse(10)
        provider.admit(100)
    assert provider.concurrency.belief == 4


def test_a_rate_is_hardly_ever_mistaken_for_a_cap():
    mistaken = 0
    for seed in range(300):
        chance, provider = Random(seed), Provider()
        for _ in range(60):
            number = chance.randrange(5, 25)
            provider.refuse(number) if chance.random() < 0.15 else provider.admit(number)
        mistaken += provider.proven
    assert mistaken <= 9


def test_a_cap_of_zero_is_never_proven():
    provider = Provider()
    for _ in range(20):
        provider.refuse(0)
        provider.admit(*[0] * 50)
    assert not provider.proven


def test_admissions_above_a_known_cap_undo_it():
    concurrency = ConcurrencyCap(maximum=4000.0)
    concurrency.warm_start(30.0)
    concurrency.record_refusal(20, 1.0, 5.0)
    concurrency.record_admission(40, 2.0)
    assert concurrency.probed == math.inf
    concurrency.warm_start(30.0)
    concurrency.record_refusal(20, 3.0, 5.0)
    concurrency.record_admission(25, 4.0)
    assert concurrency.probed == 30.0


# ------------------------------------------------------------------------------------------------ growing and probing


@given(st.floats(1, 100), st.integers(0, 200))
def test_without_a_known_cap_the_limit_grows_by_one_with_each_admission_that_it_delayed(most, admissions):
    concurrency = ConcurrencyCap(maximum=most, limit=1.0)
    for turn in range(admissions):
        concurrency.grow(float(turn), 0)
    assert concurrency.limit == min(most, 1.0 + admissions)


def admissions_until_it_grows(concurrency, *, gap=0.1, full=True):
    """Return how many calls that filled the limit were admitted before it grew."""
    before, now = concurrency.limit, 0.0
    for turn in range(1, 10_000):
        now += gap
        concurrency.grow(now, int(before) - (1 if full else 2))
        if concurrency.limit > before:
            return turn
    return math.inf


def capped(cap=30.0):
    concurrency = ConcurrencyCap(maximum=4000.0)
    concurrency.limit = cap
    concurrency.fail_probe(cap)
    return concurrency


def test_a_cap_is_probed_by_one_after_some_admissions_and_after_failures_later():
    concurrency = capped()
    waits = []
    for _ in range(4):
        waits.append(admissions_until_it_grows(concurrency))
        assert concurrency.limit == 31
        concurrency.fail_probe(concurrency.cap)
        assert concurrency.limit == concurrency.probed == concurrency.cap == 30
    assert waits == [2 * EVERY, 3 * EVERY, 3 * EVERY, 3 * EVERY]


def test_a_newly_proven_cap_is_probed_after_sixty():
    provider = Provider()
    for _ in range(3):
        provider.refuse(30)
        provider.admit(*[10] * 60)
    assert admissions_until_it_grows(provider.concurrency) == EVERY


def test_where_admissions_are_slow_to_come_half_a_minute_of_them_is_enough():
    assert admissions_until_it_grows(capped(), gap=2.0) == 2 * OFTEN, "twice as many after a probe that failed"
    assert admissions_until_it_grows(capped(), gap=0.5) == 2 * LONG + 1


def test_a_probe_is_made_only_where_it_will_fill_the_limit():
    assert admissions_until_it_grows(capped(), full=False) == math.inf


def test_probes_that_succeed_are_repeated_in_doubling_steps_up_to_a_fifth():
    concurrency = capped(100.0)
    limits = [concurrency.limit]
    for _ in range(7):
        admissions_until_it_grows(concurrency)
        limits.append(concurrency.limit)
    steps = [after - before for before, after in itertools.pairwise(limits)]
    assert steps[:5] == [1, 2, 4, 8, 16]
    assert all(step <= 0.2 * limit for step, limit in zip(steps, limits[1:], strict=False))
    assert concurrency.cap == limits[-2], "the highest limit that was filled is the cap"


def test_a_successful_probe_is_soon_followed_by_the_next():
    concurrency = capped(100.0)
    admissions_until_it_grows(concurrency)
    assert admissions_until_it_grows(concurrency) == 4
    for _ in range(3):
        admissions_until_it_grows(concurrency)
    assert admissions_until_it_grows(concurrency) == concurrency.limit - concurrency.cap or concurrency.limit > 120


def test_no_probe_goes_above_the_maximum():
    concurrency = capped(30.0)
    concurrency.maximum = 30.0
    assert admissions_until_it_grows(concurrency) == math.inf
    concurrency.maximum = 30.5
    admissions_until_it_grows(concurrency)
    assert concurrency.limit == 30.5


def test_the_limit_starts_at_twenty():
    assert ConcurrencyCap().limit == START


def test_a_cap_from_a_warm_start_is_probed_soon():
    concurrency = ConcurrencyCap(maximum=4000.0)
    concurrency.warm_start(40.0)
    assert concurrency.limit == concurrency.cap == 40
    assert admissions_until_it_grows(concurrency) == 20
    concurrency.warm_start(0.0)
    assert concurrency.limit == 1
    assert admissions_until_it_grows(concurrency) == 4


@given(st.floats(1, 4000))
def test_a_shrunk_limit_is_treated_as_a_cap(limit):
    concurrency = ConcurrencyCap(maximum=1e9, limit=limit)
    concurrency.shrink(0.7)
    assert concurrency.limit == concurrency.cap == concurrency.probed == max(1.0, 0.7 * limit)
    assert admissions_until_it_grows(concurrency) == EVERY
    assert concurrency.limit == pytest.approx(max(1.0, 0.7 * limit) + 1)


@given(st.floats(1, 100), st.integers(0, 200))
def test_a_cap_is_reached_where_it_is_known_and_as_many_calls_are_in_flight_or_one_fewer(cap, in_flight):
    concurrency = ConcurrencyCap(maximum=4000.0)
    assert not concurrency.is_reached(in_flight)
    concurrency.warm_start(float(cap))
    assert concurrency.is_reached(in_flight) == (in_flight >= max(1, int(cap) - 1))


moves = st.tuples(
    st.sampled_from(["admitted", "refused", "grow", "fail_probe", "warm_start", "shrink"]),
    st.integers(0, 5000),
    st.floats(0, 1e5),
    st.floats(1e-3, 1e308) | st.just(math.inf),
)


@given(st.lists(moves, max_size=80), st.floats(1, 4000))
def test_the_limit_stays_within_its_bounds_after_any_sequence(history, most):
    concurrency, now = ConcurrencyCap(maximum=most, limit=1.0), 0.0
    for name, number, seconds, rate in history:
        now += seconds
        if name == "admitted":
            concurrency.record_admission(number, now)
        elif name == "refused":
            proof = concurrency.record_refusal(number, now, rate)
            assert proof is None or (proof.rate >= rate and proof.since <= now)
        elif name == "grow":
            concurrency.grow(now, number)
        elif name == "fail_probe":
            if concurrency.limit > concurrency.cap:
                concurrency.fail_probe(concurrency.cap)
        elif name == "warm_start":
            concurrency.warm_start(min(most, float(number)))
        else:
            concurrency.shrink(0.7)
        assert 1.0 <= concurrency.limit <= max(most, 1.0)
        assert concurrency.cap >= 1.0
        assert 0 <= concurrency.belief <= 4
