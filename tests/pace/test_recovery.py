"""Recovery: no outage stops a controller, whatever the hints, and its probes cost little (laws 5, 6 and 14)."""

from __future__ import annotations

from itertools import pairwise

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline._core.fault import FaultKind

from .limits import Bucket, Cap, Outage, Rolling, Service, says_nothing, says_the_truth
from .tally import worst_gap
from .world import World
from .worlds import buckets, caps, in_worlds, knees, liars, logarithmic, says, says_anything, seeds

WARM = 120.0  # seconds
SOON = 60.0  # seconds after a short outage in which the capacity must be back
TRUSTED = 90.0  # seconds, where the provider asked for a minute or more: that may be obeyed
BACK = 0.9  # share of the capacity in use that counts as back
WATCHED = 60.0  # seconds over which that is measured
REFUSAL = 0.2  # seconds that a refusal takes, at most
PROBES = 30  # refusals that an outage may cost
PROBES_SHARE = 0.05  # of the calls that the outage prevented: refusals that it may cost in addition

outages = logarithmic(2, 600)


def through_an_outage(usual, down, *, begin, length, seed):
    """Return a world just before an outage, and when it ends."""
    world = World(usual, [(begin, down), (begin + length, usual)], seed=seed)
    world.client(most=600)
    world.run(begin)
    return world, begin + length


def assert_back(world, since, bound):
    """Assert that the capacity is in use within a bounded time after it is available again."""
    world.run(since + bound + WATCHED)
    use = world.use(since + bound, since + bound + WATCHED)
    assert use >= BACK, f"{bound:.0f} s after the outage {use:.0%} of the capacity is in use"


@given(buckets() | caps(), liars | st.sampled_from([says_nothing, says_anything]), outages, seeds)
@in_worlds
def test_after_an_outage_of_refusals_the_capacity_is_soon_in_use_again(usual, hint, length, seed):
    down = attrs.evolve(usual, limits=(Outage(),), refuse=hint)
    world, back = through_an_outage(usual, down, begin=WARM, length=length, seed=seed)
    assert_back(world, back, max(SOON if hint is says_nothing else TRUSTED, length))


@given(buckets() | caps() | knees(), outages, st.sampled_from([FaultKind.OVERLOADED, FaultKind.TRANSIENT]), seeds)
@in_worlds
def test_after_an_outage_of_errors_the_capacity_is_soon_in_use_again(usual, length, kind, seed):
    down = attrs.evolve(usual, faults=1.0, kind=kind)
    world, back = through_an_outage(usual, down, begin=WARM, length=length, seed=seed)
    assert_back(world, back, max(SOON, length))


@given(caps() | st.just(Service(latency=2.0)), st.floats(10, 60), st.floats(0.4, 0.6), seeds)
@in_worlds
def test_after_a_time_in_which_half_the_calls_failed_the_capacity_is_in_use_again(usual, length, share, seed):
    """N goes down repeatedly meanwhile, to any number; it recovers from each."""
    most = 100
    world = World(usual, [(WARM, attrs.evolve(usual, faults=share)), (WARM + length, usual)], seed=seed)
    world.client(most=most)
    world.run(WARM + length + 360.0)
    since, until = WARM + length + 300.0, WARM + length + 360.0
    capacity = min([most, *(limit.calls for limit in usual.limits)])
    assert world.busy.between(since, until) >= BACK * capacity * (until - since)


@given(buckets() | caps(), liars | st.sampled_from([says_nothing, says_anything]), outages, seeds)
@in_worlds
def test_a_service_that_is_down_at_first_is_found_when_it_comes_up(usual, hint, length, seed):
    down = attrs.evolve(usual, limits=(Outage(),), refuse=hint)
    world, back = through_an_outage(usual, down, begin=0.5, length=length, seed=seed)
    # A few calls and then a minute of refusals look like a quota of a few calls a minute: the rate climbs from there.
    assert_back(world, back, max(TRUSTED, length) + SOON)


@pytest.mark.parametrize("limits", [(), (Bucket(50.0, 50.0),), (Cap(100),)], ids=["none", "bucket", "cap"])
@pytest.mark.parametrize("begin", [0.0, 0.5, 2.0, 3.0, 6.0])
def test_a_hundred_seconds_in_which_everything_is_refused_are_not_taken_for_a_limit_of_few_calls(limits, begin):
    """Few calls and then a long time of refusals may be a small window, and may be an outage: only the next one shows it."""
    usual, length = Service(limits=limits, latency=1.0), 100.0
    down = attrs.evolve(usual, limits=(Outage(),))
    world, back = through_an_outage(usual, down, begin=begin, length=length, seed=1)
    world.run(back + 80.0)
    assert sum(at > back for at in world.only.served_at) >= 200


@given(buckets(), liars | st.just(says_anything), seeds)
@in_worlds
def test_hints_at_ordinary_refusals_neither_freeze_nor_flood(usual, hint, seed):
    world = World(attrs.evolve(usual, refuse=hint), seed=seed)
    client = world.client()
    world.run(300.0)
    assert world.use(100.0, 300.0) >= 0.85
    assert len(client.refused_at) <= 20 + 0.05 * len(client.served_at)


@given(caps(), liars | st.just(says_anything), seeds)
@in_worlds
def test_hints_at_the_refusals_of_a_cap_neither_freeze_nor_flood(usual, hint, seed):
    world = World(attrs.evolve(usual, refuse=hint), seed=seed)
    client = world.client()
    world.run(300.0)
    assert world.use(100.0, 300.0) >= 0.85
    assert len(client.refused_at) <= 50 + 0.05 * len(client.served_at)


@given(buckets() | caps(), st.sampled_from([says_nothing, says(1.0), says(1e-9)]), logarithmic(30, 300), seeds)
@in_worlds
def test_an_outage_costs_few_probes_and_one_at_a_time(usual, hint, length, seed):
    down = attrs.evolve(usual, limits=(Outage(),), refuse=hint)
    world, back = through_an_outage(usual, down, begin=WARM, length=length, seed=seed)
    client = world.only
    rate = len(client.served_at) / WARM
    refused = len(client.refused_at)
    closed = WARM + usual.latency + 10.0  # by then what was in flight has ended
    world.run(back - REFUSAL)
    probes = [at for at in client.started_at if closed < at]
    assert len(client.refused_at) - refused <= PROBES + PROBES_SHARE * rate * length
    assert probes or length < 60
    assert all(later - earlier >= 0.1 for earlier, later in pairwise(probes))


@given(outages, seeds)
@in_worlds
def test_no_stall_outlasts_an_outage_by_its_own_length(length, seed):
    usual = Service(limits=(Cap(20),))
    world, back = through_an_outage(
        usual, attrs.evolve(usual, limits=(Outage(),)), begin=WARM, length=length, seed=seed
    )
    world.run(back + length + SOON)
    assert worst_gap(world.only.served_at, back, back + length + SOON) <= max(10.0, length)


@pytest.mark.parametrize("hint", [says_nothing, says_the_truth])
def test_a_cap_that_is_zero_for_a_while_is_found_again(hint):
    usual = Service(limits=(Cap(30),), refuse=hint)
    world, back = through_an_outage(usual, attrs.evolve(usual, limits=(Cap(0),)), begin=WARM, length=90.0, seed=1)
    assert_back(world, back, 90.0)


@pytest.mark.parametrize("calls", [100, 1_000, 5_000])
def test_a_rolling_minute_that_was_spent_at_once_does_not_freeze_the_pace(calls):
    """Calls that were admitted slowly expire slowly a minute later: a low rate that is true for some seconds only."""
    world = World(Service(limits=(Rolling(calls, 60.0),), latency=4.0), seed=2)
    world.client()
    world.run(600.0)
    assert world.use(120.0, 600.0) >= 0.85


@given(logarithmic(1, 10), st.floats(600, 7_200), seeds)
@in_worlds
def test_an_idle_time_is_no_evidence_of_a_low_rate(rate, idle, seed):
    """Calls admitted just before a refusal are a measure, but not over an hour in which nothing was called."""
    usual = Service(limits=(Cap(24),), latency=2.8)
    less = attrs.evolve(usual, limits=(Bucket(rate, 3.0),))
    begin, end = 600.0, 600.0 + idle
    world = World(usual, [(end, less)], seed=seed)
    client = world.client(works=lambda now, _: not begin <= now < end)
    world.at(end, client.pump, end)
    world.run(end + 200.0)
    assert world.use(end + 60.0, end + 200.0) >= 0.7


@pytest.mark.parametrize("idle", [600.0, 3_600.0, 36_000.0])
def test_an_idle_time_while_the_breaker_is_open_does_not_lengthen_the_outage(idle):
    """No call was made in it, so none was refused: the next probes come as soon as the first ones did."""
    usual = Service(limits=(Bucket(20.0, 20.0),), latency=2.0)
    down, stop, again = 90.0, 100.0, 100.0 + idle
    world = World(usual, [(down, attrs.evolve(usual, limits=(Outage(),))), (again + 10.0, usual)], seed=3)
    client = world.client(works=lambda now, _: now < stop or now >= again)
    world.at(again, client.pump, again)
    world.run(again + 200.0)
    assert worst_gap(client.served_at, again + 10.0, again + 200.0) <= 45.0
