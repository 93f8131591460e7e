"""Growth: a handle grows only where it binds (law 3), and no faster than known admissions justify (law 12)."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paceline._core.pace import SERVED

from ..search import examples
from .limits import Bucket, Service
from .test_bursts import SERVICES, warmed
from .world import World
from .worlds import buckets, caps, in_worlds, knees, logarithmic, seeds, windows

LEAST_PACE = 20.0  # calls a second that may start before anything is known, besides those of one caller that makes one after the other
FEW = 120  # workers before anything is known: 20, and 4 for each of some 25 answers until the latency is known
AHEAD = 3.0  # times the most calls that were ever in flight
JUDGED = 0.6  # seconds after which a call counts as admitted, before a refusal was timed
MEASURED = 16  # admissions that a rate is measured over, or all if there were fewer
SLACK = 2.0  # calls: the bucket's depth, and timers


@pytest.mark.parametrize("name", SERVICES)
@given(st.integers(0, 3), st.floats(0.05, 0.6), st.floats(0.1, 3))
@settings(max_examples=examples(10))
def test_a_handle_that_does_not_bind_does_not_grow(name, seed, part, latency):
    caller = warmed(name, seed)
    controller = caller.controller
    limit, rate = controller.limit, controller.rate
    busy = max(1, int(part * (limit - 2)))
    gap = max(latency / busy, 3 / rate)
    for _ in range(400):
        caller.now += gap
        while len(caller.open) >= busy:
            caller.settle(caller.open.pop(0), SERVED)
        at = caller.ask()
        assert at <= caller.now or rate == math.inf, "the rate does bind"
        caller.now = max(caller.now, at)
        caller.start()
        assert controller.limit <= limit
        assert controller.rate <= 1.01 * rate


class Ahead:
    """Checks how far the limit is above the calls that were in flight."""

    def __init__(self, client):
        self.client = client
        client.watch = self

    def __call__(self, now):
        client = self.client
        assert client.controller.limit <= max(FEW, AHEAD * client.peak)


@given(buckets() | caps() | knees() | windows(), st.integers(1, 400), seeds)
@settings(in_worlds, max_examples=examples(12, at_most=20))
def test_the_limit_never_runs_far_ahead_of_what_was_in_flight(service, most, seed):
    world = World(service, seed=seed)
    Ahead(world.client(most=most))
    world.run(100.0)


@given(st.integers(1, 19), logarithmic(0.05, 10), seeds)
@settings(in_worlds)
def test_workers_that_the_caller_never_uses_are_not_added(most, latency, seed):
    world = World(Service(latency=latency), seed=seed)
    client = world.client(most=most)
    before = client.controller.limit
    world.run(200.0 * latency)
    assert client.controller.limit <= max(before, AHEAD * most)


class Admissions:
    """Counts by hand the admissions that a controller can know at each start, before the first refusal."""

    def __init__(self, client):
        self.client, self.best = client, 0.0
        self._judged = 0

    def pace(self, now, settled_by):
        """Return the best rate over successive calls that have settled, or are old enough, by now."""
        starts = self.client.started_at
        while self._judged < len(starts) and (starts[self._judged] <= now - JUDGED or self._judged < settled_by):
            last = self._judged
            self._judged += 1
            if calls := min(MEASURED, last):
                self.best = max(self.best, calls / max(1e-9, starts[last] - starts[last - calls]))
        return max(LEAST_PACE, 2 * self.best)


@given(logarithmic(0.02, 20), st.sampled_from([0.0, 0.5]), seeds)
@settings(in_worlds, max_examples=examples(15, at_most=30))
def test_before_the_first_refusal_calls_start_at_no_more_than_twice_the_rate_at_which_they_were_admitted(
    latency, spread, seed
):
    world = World(Service(latency=latency, spread=spread), seed=seed)
    client = world.client(most=2_000, works=lambda _, client: len(client.started_at) < 3_000)
    known = Admissions(client)
    one_by_one = math.exp(4 * spread) / latency  # calls a second of one caller, if all were as fast as the fastest
    allowed = [LEAST_PACE]

    def watch(now):
        pace = max(one_by_one, known.pace(now, len(client.served_at)))
        starts = client.started_at
        if len(allowed) < len(starts):
            allowed.append(pace)
        if len(starts) > LEAST_PACE:
            first = len(starts) - 1 - int(LEAST_PACE)
            assert pace * (starts[-1] - starts[first]) + SLACK + 0.005 * pace >= LEAST_PACE

    client.watch = watch
    world.run(min(120.0, 10.0 + 2 * latency))
    assert len(client.started_at) > 20


@given(logarithmic(0.001, 0.2), st.integers(20, 200), seeds)
@settings(in_worlds)
def test_where_nothing_limits_them_calls_reach_the_pace_of_a_fixed_pool_within_some_round_trips(latency, workers, seed):
    calls, fixed = 200 * workers, workers / latency
    world = World(Service(latency=latency, spread=0.2), seed=seed)
    client = world.client(most=workers, works=lambda _, client: len(client.started_at) < calls)
    world.run(25 * latency)
    before = len(client.served_at)
    world.run(35 * latency)
    assert len(client.served_at) - before >= 0.9 * 10 * latency * fixed
    world.run(300 * latency)
    assert len(client.served_at) == calls
    assert client.served_at[-1] <= 1.15 * calls / fixed


@given(buckets(), seeds)
@settings(in_worlds)
def test_a_cold_start_meets_its_first_refusal_gently(service, seed):
    world = World(service, seed=seed)
    client = world.client()
    world.run(60.0)
    first = client.refused_at[0] if client.refused_at else math.inf
    in_the_second_before = sum(1 for at in client.started_at if first - 1.0 < at <= first)
    in_the_next_second = sum(1 for at in client.refused_at if at < first + 1.0)
    assert in_the_next_second <= max(LEAST_PACE, in_the_second_before)


def test_calls_start_faster_where_nothing_is_refused():
    world = World(Service(latency=1.0))
    client = world.client()
    world.run(20.0)
    assert client.served.between(15, 20) > 5 * 100


def test_a_rate_grows_where_it_binds():
    world = World(Service(limits=(Bucket(10.0, 10.0),)), steps=[(60.0, Service())])
    client = world.client()
    world.run(60.0)
    rate = client.controller.rate
    world.run(120.0)
    assert client.controller.rate > 1.25 * rate
