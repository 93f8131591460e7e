"""Hints: what a provider says about its quotas helps where it is true, and does little harm where it is not (law 5)."""

from __future__ import annotations

import math

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline._core.pace import Served, Throttled
from paceline._core.quota import QuotaHint, QuotaLimit, Unit

from .limits import Bucket, Service, says_nothing
from .world import World, heavy_tailed
from .worlds import buckets, in_worlds, logarithmic, quota_hint, seeds, with_hints

RATE = 20.0  # calls a second
FORGIVEN = 300.0  # seconds after which a false hint must have no effect any more


def per_minute(rate):
    return 60.0 * rate


lies_too_low = st.builds(
    lambda factor, reset, refuses: (
        quota_hint(per_minute(RATE) / factor, remaining=0, reset=reset),
        quota_hint(per_minute(RATE) / factor, remaining=0, reset=reset, exceeded=refuses),
    ),
    logarithmic(4, 1_000),
    st.sampled_from([0.0, 1.0, 60.0, 3_600.0, 1e9]),
    st.booleans(),
)


@given(lies_too_low, seeds)
@in_worlds
def test_a_quota_that_is_said_to_be_far_too_low_does_not_hold_the_pace_down_for_long(lies, seed):
    service = with_hints(Service(limits=(Bucket(RATE, RATE),)), *lies)
    world = World(service, seed=seed)
    world.client()
    world.run(FORGIVEN + 100)
    assert world.use(FORGIVEN, FORGIVEN + 100) >= 0.9


@given(lies_too_low, seeds)
@in_worlds
def test_a_lie_that_begins_in_mid_run_does_not_hold_the_pace_down_for_long(lies, seed):
    honest = Service(limits=(Bucket(RATE, RATE),))
    world = World(honest, [(100.0, with_hints(honest, *lies))], seed=seed)
    world.client()
    world.run(100.0 + FORGIVEN + 100)
    assert world.use(100.0 + FORGIVEN, 100.0 + FORGIVEN + 100) >= 0.9


@given(logarithmic(2, 30), logarithmic(4, 1e9), st.booleans(), seeds)
@in_worlds
def test_a_quota_that_is_said_to_be_far_too_high_floods_nothing(rate, factor, exceeded, seed):
    limit = per_minute(rate) * factor
    lie = quota_hint(limit, remaining=limit), quota_hint(limit, remaining=limit, exceeded=exceeded)
    world = World(with_hints(Service(limits=(Bucket(rate, rate),)), *lie), seed=seed)
    client = world.client()
    world.run(300.0)
    assert len(client.refused_at) <= 40 + 0.05 * len(client.served_at)
    in_a_second = max(client.refused.between(second, second + 1) for second in range(300))
    assert in_a_second <= max(20.0, 4 * rate)
    assert world.use(100.0, 300.0) >= 0.85


class ShutWhenEmpty(Bucket):
    """A bucket that admits nothing for a second once it is empty."""

    _until = 0.0

    def wait(self, now, cost, in_flight):
        if now >= self._until and super().wait(now, cost, in_flight):
            self._until = now + 1.0
        return max(0.0, self._until - now)


@given(st.floats(5, 60), seeds)
@in_worlds
def test_a_wait_that_is_asked_for_and_far_too_long_is_waited_out_hardly_more_than_once(asked, seed):
    service = Service(limits=(ShutWhenEmpty(25.0, 25.0),), refuse=lambda wait, chance: Throttled(asked))
    world = World(service, seed=seed)
    client = world.client()
    world.run(400.0)
    assert world.use(100.0 + asked, 400.0) >= 0.8
    assert (
        world.use(asked / 3 + 10, asked / 3 + 60) >= 0.3
    )  # what that wait seems to measure does not hold the pace down
    assert len(client.refused_at) <= 0.05 * len(client.served_at)


@pytest.mark.parametrize("unit", [Unit.TOKENS, Unit.REQUESTS])
def test_a_hint_with_the_wrong_dimension_does_not_hold_the_pace_down(unit):
    quota = QuotaHint(limits=(QuotaLimit(unit=unit, exceeded=True),))
    bucket = Bucket(RATE, 20.0) if unit is Unit.TOKENS else Bucket(RATE * 1_000, 40_000.0, tokens=True)
    service = Service(limits=(bucket,), refuse=lambda wait, chance: Throttled(quota=quota))
    world = World(service, seed=1, tokens=bucket.tokens)
    client = world.client(cost=heavy_tailed)
    world.run(400.0)
    assert world.use(200.0, 400.0) >= 0.7
    assert len(client.refused_at) <= 0.15 * len(client.served_at)


@pytest.mark.parametrize("unit", [Unit.TOKENS, Unit.REQUESTS])
def test_the_limited_dimension_is_found_without_a_hint(unit):
    bucket = Bucket(RATE, 20.0) if unit is Unit.REQUESTS else Bucket(RATE * 1_000, 40_000.0, tokens=True)
    world = World(Service(limits=(bucket,)), seed=1, tokens=bucket.tokens)
    client = world.client(cost=heavy_tailed)
    world.run(300.0)
    assert world.use(100.0, 300.0) >= 0.93
    assert len(client.refused_at) <= 20 + 0.03 * len(client.served_at)


@given(buckets(), seeds)
@in_worlds
def test_the_truth_costs_no_refusals_that_silence_would_not_have_cost(service, seed):
    (bucket,) = service.limits
    limit = per_minute(bucket.rate)
    refused = []
    for manners in ({}, {"serve": _true(limit, exceeded=False, signal=Served)}):
        same = attrs.evolve(service, limits=(Bucket(bucket.rate, bucket.burst),), refuse=says_nothing, **manners)
        world = World(same, seed=seed)
        client = world.client()
        world.run(120.0)
        refused.append(len(client.refused_at))
        assert world.use(60.0, 120.0) >= 0.9
    silent, honest = refused
    assert honest <= 1.5 * silent + 5  # on average it is about half


def _true(limit, *, exceeded, signal):
    hint = quota_hint(limit, remaining=math.floor(limit / 60), reset=1.0, exceeded=exceeded)
    return lambda chance: signal(quota=hint)
