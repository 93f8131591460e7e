"""Steadiness: stray faults (law 7), slower calls (law 9), a pause (law 14) and late refusals (law 15) do not slow the pace."""

from __future__ import annotations

import math

import attrs
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from paceline._core.fault import FaultKind
from paceline._core.pace import Faulted
from paceline._core.pace.controller import PaceController

from ..search import examples
from .limits import Bucket, Cap, Service
from .world import World
from .worlds import buckets, caps, in_worlds, knees, logarithmic, seeds, windows

HOUR = 3_600.0


class Unmoved(PaceController):
    """Asserts that no error lowers the limit."""

    def settled(self, ticket, now, signal):
        before = self.limit
        super().settled(ticket, now, signal)
        assert not isinstance(signal, Faulted) or self.limit >= before, f"from {before} to {self.limit} for {signal}"


@given(
    buckets() | caps() | knees(),
    st.floats(0.005, 0.012),
    st.sampled_from([FaultKind.TRANSIENT, FaultKind.OVERLOADED, FaultKind.TIMEOUT, FaultKind.BUG]),
    seeds,
)
@in_worlds
def test_one_error_in_a_hundred_lowers_nothing(service, faults, kind, seed):
    world = World(attrs.evolve(service, faults=faults, kind=kind), seed=seed)
    client = world.client(Unmoved(), most=500)
    world.run(200.0)
    assume(client.faulted)
    assert world.use(100.0, 200.0) >= 0.9


@given(buckets(4, 40) | caps(), seeds)
@in_worlds
def test_latency_that_triples_costs_hardly_anything(service, seed):
    step, end = 150.0, 350.0
    slower = attrs.evolve(service, latency=3 * service.latency)
    world = World(service, [(step, slower)], seed=seed)
    world.client()
    world.run(step)
    before = world.use(100.0, step)
    world.run(end)
    assert world.use(step, end) >= 0.95 * min(1.0, before)


@given(logarithmic(0.5, 3), logarithmic(0.5, 2.5), seeds)
@in_worlds
def test_latency_that_triples_costs_hardly_anything_with_few_calls_in_flight(rate, latency, seed):
    step, end = 600.0, 1_200.0
    service = Service(limits=(Bucket(rate, max(1.0, 2 * rate)),), latency=latency)
    world = World(service, [(step, attrs.evolve(service, latency=3 * latency))], seed=seed)
    client = world.client()
    world.run(step)
    before = world.use(200.0, step)
    world.run(end)
    assert client.in_flight <= 40
    assert world.use(step, end) >= 0.95 * min(1.0, before)


@given(logarithmic(20, 150), logarithmic(0.5, 2), st.floats(4, 15), seeds)
@settings(in_worlds, max_examples=examples(4, at_most=6))
def test_a_rate_is_kept_up_by_calls_that_take_many_times_as_long(rate, latency, times, seed):
    """More calls in flight are useful then, though each takes far longer than the first ones did: a trial shows it."""
    step = 100.0
    service = Service(limits=(Bucket(rate, rate),), latency=latency)
    slower = attrs.evolve(service, latency=times * latency)
    world = World(service, [(step, slower)], seed=seed)
    world.client()
    again = step + 60.0 + 12 * slower.latency
    world.run(again + 100.0)
    assert world.use(again, again + 100.0) >= 0.9


@given(logarithmic(0.5, 4), seeds)
@settings(in_worlds, max_examples=examples(3, at_most=5))
def test_where_nothing_limits_them_calls_that_take_three_times_as_long_are_made_all_the_same(latency, seed):
    most, step, end = 150, 100.0, 300.0
    world = World(Service(latency=latency), [(step, Service(latency=3 * latency))], seed=seed)
    world.client(most=most)
    world.run(end)
    assert world.busy.between(50.0, step) >= 0.95 * most * (step - 50.0)
    assert world.busy.between(step, end) >= 0.88 * most * (end - step)


@given(buckets(4, 40) | caps(), logarithmic(60, 10 * HOUR), seeds)
@in_worlds
def test_a_pause_between_two_batches_changes_little(service, pause, seed):
    stop, again = 150.0, 150.0 + pause
    world = World(service, seed=seed)
    client = world.client(works=lambda now, _: now < stop or now >= again)
    world.run(stop)
    controller = client.controller
    limit, rate = controller.limit, controller.rate
    world.at(again, client.pump, again)
    world.run(again + 5.0)
    if isinstance(service.limits[0], Cap):
        assert 0.8 * limit <= controller.limit <= 1.25 * limit
    else:
        assert rate == controller.rate or 0.8 * rate <= controller.rate <= 1.25 * rate
    world.run(again + 65.0)
    assert world.use(again + 5.0, again + 65.0) >= 0.9


@pytest.mark.parametrize("rate", [4.0, 10.0, 30.0])
@pytest.mark.parametrize("burst", [0.2, 1.0, 3.0])
def test_no_measure_includes_a_pause(rate, burst):
    service = Service(limits=(Bucket(rate, max(1.0, rate * burst)),), latency=1.0)
    stop, again = 150.0, 150.0 + HOUR
    world = World(service, seed=7)
    client = world.client(works=lambda now, _: now < stop or now >= again)
    world.run(stop)
    least = min(rate, client.controller.rate)
    world.at(again, client.pump, again)
    for second in range(60):
        world.run(again + second)
        assert client.controller.rate >= 0.7 * least, f"{second} s after a pause"
    assert world.use(again, again + 60.0) >= 0.9


@given(buckets(8, 40), st.floats(0.1, 0.6), seeds)
@in_worlds
def test_a_time_of_little_work_changes_little(service, part, seed):
    (bucket,) = service.limits
    stop, again = 150.0, 450.0
    budget = part * bucket.rate

    def works(now, client):
        return not stop <= now < again or client.started_at[-1] + 1 / budget <= now

    world = World(service, seed=seed)
    client = world.client(works=works)
    for tick in range(int((again - stop) * budget)):
        world.at(stop + tick / budget, client.pump, stop + tick / budget)
    world.run(stop)
    rate = client.controller.rate
    refused = len(client.refused_at)
    world.at(again, client.pump, again)
    world.run(again + 5.0)
    assert client.controller.rate == rate or 0.8 * rate <= client.controller.rate <= 1.25 * rate
    world.run(again + 65.0)
    assert world.use(again + 5.0, again + 65.0) >= 0.9
    assert len(client.refused_at) - refused <= 10 + 0.05 * bucket.rate * 65


@given(st.floats(1.5, 3.0), logarithmic(10, 50), st.sampled_from([2.0, 4.0, 8.0]), seeds)
@settings(in_worlds, max_examples=examples(5, at_most=8))
def test_refusals_that_come_late_are_attributed_correctly(latest, rate, latency, seed):
    late = (latest - 1.0 if latest > 2.5 else latest / 2, latest)
    service = Service(limits=(Bucket(rate, rate),), latency=latency, refusal_latency=late)
    world = World(service, seed=seed)
    client = world.client()
    world.run(300.0)
    assert world.use(60.0, 300.0) >= 0.93
    settled = sum(at > 100.0 for at in client.refused_at)
    assert settled <= 0.03 * len(client.served_at)
    at_first = len(client.refused_at) - settled  # they come back when all other calls are in flight already
    assert at_first <= 0.06 * len(client.served_at)


@given(st.integers(2, 6), logarithmic(8, 40), seeds)
@settings(in_worlds, max_examples=examples(5, at_most=8))
def test_a_small_cap_with_slow_calls_is_used_with_few_refusals(cap, latency, seed):
    world = World(Service(limits=(Cap(cap),), latency=latency), seed=seed)
    client = world.client()
    known, end = 30 * latency, 150 * latency
    world.run(end)
    assert world.use(known, end) >= 0.93
    assert sum(at > known for at in client.refused_at) <= 2 + 0.02 * len(client.served_at)


@given(windows(), seeds)
@settings(in_worlds, max_examples=examples(5, at_most=8))
def test_windows_are_used_up_with_few_refusals(service, seed):
    (window,) = service.limits
    world = World(service, seed=seed)
    client = world.client()
    world.run(6 * window.seconds)
    assert world.use(window.seconds, 6 * window.seconds) >= 0.85
    assert len(client.refused_at) <= 30 + 0.06 * len(client.served_at)


@given(buckets() | caps() | knees(), seeds)
@settings(in_worlds, max_examples=examples(8, at_most=12))
def test_what_is_allowed_is_used(service, seed):
    world = World(service, seed=seed)
    client = world.client()
    world.run(180.0)
    assert world.use(60.0, 180.0) >= 0.9
    assert len(client.refused_at) <= 30 + 0.04 * len(client.served_at)


@given(knees(), seeds)
@settings(in_worlds, max_examples=examples(5, at_most=8))
def test_a_server_that_only_grows_slow_is_not_buried(service, seed):
    world = World(service, seed=seed)
    client = world.client()
    world.run(200.0)
    assert client.peak <= max(64, 6 * service.knee)
    assert client.in_flight <= max(20, 2.5 * service.knee)
    assert world.use(100.0, 200.0) >= 0.9


@given(logarithmic(20, 60), seeds)
@settings(in_worlds, max_examples=examples(3, at_most=5))
def test_refusals_that_use_up_the_quota_do_not_end_in_refusals_only(rate, seed):
    service = Service(limits=(Bucket(rate, rate, refusals_cost=1.0),), latency=4.0)
    world = World(service, seed=seed)
    client = world.client()
    world.run(240.0)
    assert world.use(60.0, 240.0) >= 0.8
    assert len(client.refused_at) <= 0.08 * len(client.served_at)


def test_a_limit_on_the_rate_does_not_let_the_workers_run_away():
    world = World(Service(limits=(Bucket(10.0, 10.0),), latency=2.0), seed=3)
    client = world.client()
    world.run(200.0)
    assert client.peak <= 10 * 2.0 * 4
    assert client.controller.rate < math.inf
