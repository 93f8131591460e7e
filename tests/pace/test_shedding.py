"""Shedding: refusals by chance do not lower the rate (law 18), and no limit is taken for chance."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paceline._core.pace.shedding import BURST, Shedding

from ..search import examples
from .limits import Bucket, Cap, Service, Shed
from .tally import jain
from .world import World, heavy_tailed
from .worlds import buckets, in_worlds, logarithmic, seeds, windows

AGE = 0.2  # seconds


def shedding(share, seed, *, knee=60, limits=()):
    """Return a service that refuses a share of the calls by chance."""
    return Service(limits=(Shed(share, seed), *limits), latency=1.0, knee=knee, refusal_latency=(0.01, 0.03))


@given(st.floats(0.0, 0.2), st.integers(20, 80), seeds)
@settings(in_worlds, max_examples=examples(5, at_most=10))
def test_refusals_by_chance_do_not_lower_the_rate(share, knee, seed):
    world = World(shedding(share, seed, knee=knee), seed=seed)
    client = world.client()
    world.run(240.0)
    assert world.use(60.0, 240.0) >= 0.75
    assert client.controller.rate >= 0.4 * knee
    assert client.refused.between(60, 240) <= (1.2 * share / (1 - share) + 0.01) * client.served.between(60, 240)


@pytest.mark.parametrize(("share", "wanted"), [(0.01, 0.95), (0.03, 0.93), (0.1, 0.88)])
def test_a_server_that_sheds_calls_is_used_nearly_as_well_as_one_that_does_not(share, wanted):
    used = []
    for seed in (1, 2):
        world = World(shedding(share, seed), seed=seed)
        world.client()
        used.append(world.run(240.0).use(0.0, 240.0))
    assert sum(used) / len(used) >= wanted


@given(buckets(5, 60) | windows(), seeds)
@settings(in_worlds, max_examples=examples(5, at_most=10))
def test_no_limit_is_taken_for_chance(service, seed):
    world = World(service, seed=seed)
    client = world.client()
    for until in range(30, 300, 10):
        world.run(float(until))
        assert not client.controller._attribution.is_shed


def test_a_limit_on_tokens_is_not_taken_for_chance():
    world = World(Service(limits=(Bucket(1e5, 5e5, tokens=True),), latency=4.0, spread=0.6), seed=1, tokens=True)
    client = world.client(cost=heavy_tailed)
    for until in range(10, 200, 10):
        world.run(float(until))
        assert not client.controller._attribution.is_shed
    assert client.refused.between(60, 190) <= 0.015 * len([at for at in client.served_at if at > 60])


def at_once(service, seconds, **fields):
    """Return how many calls started in bursts, after the slow start had ended."""
    world = World(service, seed=1, **fields)
    client = world.client(cost=heavy_tailed) if fields else world.client()
    world.run(seconds)
    started = Counter(at for at in client.started_at if at > 30)
    return sum(calls for calls in started.values() if calls >= BURST)


@pytest.mark.parametrize("tokens_per_second", [2e4, 1e5])
def test_a_limit_on_tokens_is_not_tested_by_bursts(tokens_per_second):
    """Right after a large call was refused small ones fit in: a burst would say nothing, and cost refusals."""
    limit = Bucket(tokens_per_second, 5 * tokens_per_second, tokens=True)
    assert not at_once(Service(limits=(limit,), latency=4.0, spread=0.6), 200.0, tokens=True)


def test_a_limit_of_less_than_two_calls_a_second_is_not_tested_by_bursts():
    """There a burst would be a large share of the calls."""
    slow = Service(limits=(Bucket(1.0, 3.0),))
    assert not at_once(slow, 600.0)
    assert at_once(Service(limits=(Bucket(10.0, 3.0), Shed(0.05))), 200.0)


def test_strangers_who_share_a_limit_do_not_take_each_other_for_chance():
    for seed, starts in enumerate([(0.0, 1.0, 2.0, 3.0), (0.0, 10.0, 20.0, 30.0), (0.0, 5.0, 60.0, 90.0)]):
        world = World(Service(limits=(Bucket(80.0, 80.0),), latency=4.0), seed=seed)
        for start in starts:
            world.client(start=start)
        world.run(240.0)
        assert not any(client.controller._attribution.is_shed for client in world.clients)
        assert jain([client.served.between(180, 240) for client in world.clients]) >= 0.9


@given(st.floats(0.02, 0.12), logarithmic(15, 40), seeds)
@settings(in_worlds, max_examples=examples(3, at_most=6))
def test_a_limit_that_follows_shedding_is_found(share, rate, seed):
    limited = Service(limits=(Bucket(rate, rate),), latency=1.0, refusal_latency=(0.01, 0.03))
    world = World(shedding(share, seed), [(120.0, limited)], seed=seed)
    client = world.client()
    world.run(300.0)
    assert world.use(180.0, 300.0) >= 0.9
    assert client.refused.between(180, 300) <= 0.06 * client.served.between(180, 300)


@pytest.mark.parametrize(("limit", "wanted"), [(Bucket(40.0, 40.0), 0.9), (Cap(40), 0.6)])
def test_a_limit_beside_shedding_is_used(limit, wanted):
    world = World(shedding(0.03, 1, knee=10**6, limits=(limit,)), seed=1)
    client = world.client()
    world.run(240.0)
    rate = limit.rate if isinstance(limit, Bucket) else limit.calls
    assert client.served.between(60, 240) >= wanted * rate * 180
    assert client.refused.between(60, 240) <= 0.25 * client.served.between(60, 240)


# ---------------------------------------------------------------------------------------- the test by itself


def record(state, admitted):
    """Record that as many calls were admitted, and then one refused; return whether chance explains it."""
    for _ in range(admitted):
        state.record_admission()
    return state.record_refusal()


def suspicious(state, *, at, early=True, refusals=100):
    """Record cuts until one of them is followed by a burst; return how many there were."""
    for number in range(1, refusals):
        record(state, 30)
        if state.record_cut(at + number, at + number + AGE, early=early):
            return number
    return None


def believing(admitted=30, *, measured_over=0):
    """Return a state that has proof of shedding, whose share was measured over some refusals before."""
    state = Shedding()
    for _ in range(measured_over):
        record(state, admitted)
    now = 0.0
    while not state.share:
        record(state, admitted)
        if state.record_cut(now, now + AGE, early=True):
            for _ in range(BURST):
                state.record_burst(refused=False)
        now += 1.0
    return state


def test_early_refusals_are_suspected_and_others_never():
    assert suspicious(Shedding(), at=0.0) == 4
    assert suspicious(Shedding(), at=0.0, early=False) is None


def test_each_verdict_for_a_limit_doubles_what_the_next_suspicion_takes():
    state, found, now = Shedding(), [], 0.0
    for _ in range(6):
        found.append(suspicious(state, at=now))
        now += 200.0
        for _ in range(BURST):
            assert not state.record_burst(refused=True)
    assert found == [4, 8, 16, 32, 64, 64]
    assert not state.share


def test_bursts_that_are_admitted_prove_shedding_and_measure_its_share():
    state = believing(admitted=19)
    assert state.share == pytest.approx(0.05, rel=0.3)


def test_one_burst_follows_at_a_time():
    state = Shedding()
    suspicious(state, at=0.0)
    assert not state.record_cut(4.1, 4.1 + AGE, early=True)
    assert state.record_cut(4.3, 4.3 + AGE, early=True)


def test_a_provider_that_refuses_a_third_of_the_calls_is_never_thought_to_shed_them():
    state = Shedding()
    for number in range(200):
        record(state, 2)
        assert not state.record_cut(float(number), number + AGE, early=True)


@given(st.integers(15, 60))
def test_chance_explains_refusals_at_its_share_and_not_many_more(admitted):
    state = believing(admitted)
    assert all(record(state, admitted) for _ in range(50))
    assert not all(record(state, 0) for _ in range(20))


@pytest.mark.parametrize(("admitted", "refused", "share"), [(1, 1, 1.0), (10, 10, 0.1), (20, 1, 0.05)])
def test_the_share_is_that_of_the_calls_after_an_admitted_one(admitted, refused, share):
    """A row of refusals is one event, as of a limit that is exhausted."""
    state = Shedding()
    for _ in range(300):
        record(state, admitted)
        for _ in range(refused - 1):
            state.record_refusal()
    assert state.measured == pytest.approx(share, rel=0.15)


def test_the_share_is_of_the_latest_refusals():
    state = Shedding()
    assert state.measured == 0.5, "one call of each kind is assumed beforehand"
    for admitted in (5, 50):
        for _ in range(200):
            record(state, admitted)
    assert state.measured == pytest.approx(0.02, rel=0.2)


def test_early_refusals_are_suspected_however_many_others_came_before_and_not_as_long_as_others_come_too():
    state = Shedding()
    assert suspicious(state, at=0.0, early=False) is None
    assert suspicious(state, at=200.0) == 4
    state = Shedding()
    for number in range(100):
        record(state, 30)
        assert not state.record_cut(float(number), number + AGE, early=number % 2 == 0)


def test_each_suspicion_is_weighed_by_its_own_bursts():
    state = Shedding()
    for at, refused in ((0.0, (True,) * BURST), (200.0, (True, *(False,) * 40))):
        for number in range(40):
            record(state, 5)
            if state.record_cut(at + number, at + number + AGE, early=True):
                break
        proofs = [state.record_burst(refused=each) for each in refused]
        assert any(proofs) == (at > 0)


def test_a_proof_is_of_the_share_by_then_and_forgets_what_was_before():
    state = Shedding()
    for at in (0.0, 200.0):
        suspicious(state, at=at)
        for _ in range(BURST):
            state.record_burst(refused=True)
    for at in (400.0, 600.0):
        suspicious(state, at=at)
        for _ in range(10):
            record(state, 60)
        while not state.share:
            state.record_burst(refused=False)
        assert state.share == state.measured
        assert record(state, 30), "the excess of an earlier belief is forgotten"
        while record(state, 0):
            pass
        assert suspicious(state, at=at + 100.0) == 4
        for _ in range(40):
            state.record_burst(refused=False)
        while record(state, 0):
            pass


@pytest.mark.parametrize(("admitted", "charged"), [(50, 5), (7, 9)])
def test_refusals_are_too_many_at_five_in_a_hundred_more_and_at_twice_the_share(admitted, charged):
    state, row = believing(admitted, measured_over=200), 1
    while record(state, 0):
        row += 1
    assert row == pytest.approx(charged, abs=1)


def test_the_first_excess_is_charged_and_ends_the_belief():
    state = believing()
    while record(state, 0):
        assert state.share
    assert not state.share
    assert not record(state, 30)
