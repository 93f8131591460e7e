"""Late starts (law 19): on a busy machine, whose timers are late, what is allowed is used, a cap is found, and no rate runs away."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from ..search import examples
from .limits import Bucket, Cap, Service
from .world import World
from .worlds import in_worlds, logarithmic, seeds

STEP, SLACK = 1.25, 1.04  # a growth step; what is started may be a little more than the rate for a moment


@given(logarithmic(60, 150), st.floats(0.2, 0.4), st.floats(0.02, 0.05), seeds)
@settings(in_worlds, max_examples=examples(4, at_most=8))
def test_a_rate_is_used_and_never_runs_away_from_what_is_started(rate, burst, late, seed):
    world = World(Service(limits=(Bucket(rate, burst * rate),), latency=1.0), seed=seed)
    client = world.client(late=late)
    world.run(30.0)
    for second in range(31, 200):
        world.run(float(second))
        assert client.controller.rate <= STEP * STEP * rate, (
            "a step above what is started, which is at most a little more"
        )
    assert world.use(30.0, 200.0) >= 0.93
    assert len(client.refused_at) <= 20 + 0.015 * len(client.served_at)


@given(st.integers(8, 60), logarithmic(0.2, 2), st.floats(0.005, 0.02), seeds)
@settings(in_worlds, max_examples=examples(4, at_most=8))
def test_a_cap_is_found(cap, latency, late, seed):
    world = World(Service(limits=(Cap(cap),), latency=latency), seed=seed)
    client = world.client(late=late)
    world.run(30.0 + 20 * latency)
    assert client.controller.rate == math.inf or client.controller.rate > cap / latency
    end = 90.0 + 40 * latency
    world.run(end)
    assert world.use(30.0 + 20 * latency, end) >= 0.9 * latency / (latency + late / 2)
    assert len(client.refused_at) <= 20 + 0.015 * len(client.served_at)
