"""Bursts: a burst of refusals (law 4) or of faults (law 8) is one event."""

from __future__ import annotations

import copy
from functools import cache
from itertools import pairwise

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paceline._core.fault import FaultKind
from paceline._core.pace import SERVED, Faulted, Throttled

from ..search import examples
from .histories import Caller
from .limits import Bucket, Cap, Outage, Service
from .world import World
from .worlds import in_worlds, seeds

WARM = 120.0  # seconds
ONE_CUT = 0.5  # of a handle: the deepest single cut
# Of the rate after the first cut: later refusals of a burst lower it further, and calls that were presumed admitted meanwhile had
# raised it by a few per cent.
SHARPER = 0.85
SERVICES = {
    "a rate": lambda: Service(limits=(Bucket(20.0, 10.0),)),
    "a high rate": lambda: Service(limits=(Bucket(80.0, 10.0),)),
    "a cap": lambda: Service(limits=(Cap(30),)),
    "no limit": Service,
}


@cache
def _after(name, seed, most):
    world = World(SERVICES[name](), seed=seed)
    client = world.client(most=most, works=lambda now, _: now < WARM)
    world.run(WARM + 30.0)
    assert client.in_flight == 0
    return client.controller, world.now


def warmed(name, seed, most=200):
    """Return a caller whose controller has met the limit, with no call in flight."""
    controller, now = _after(name, seed, most)
    return Caller(copy.deepcopy(controller), now=now)


def burst(caller, calls):
    """Start up to a number of calls, as fast as is allowed, within a second; return their tickets."""
    end = caller.now + 1.0
    for _ in range(calls):
        at = caller.ask()
        if at > end:
            break
        caller.now = max(caller.now, at)
        caller.start()
    return caller.open


def cuts(levels):
    """Return how often a handle was lowered by more than a rounding error."""
    return sum(after < before * (1 - 1e-9) for before, after in pairwise(levels))


@pytest.mark.parametrize("name", SERVICES)
@given(st.integers(0, 3), st.integers(2, 60), st.data())
def test_a_burst_of_refusals_cuts_once(name, seed, calls, data):
    caller = warmed(name, seed)
    controller = caller.controller
    flight = list(burst(caller, calls))
    order = data.draw(st.permutations(range(len(flight))) | st.just(range(len(flight))))
    apart = data.draw(st.sampled_from([0.0, 1e-3]))
    caller.now += 0.15
    levels = [(controller.limit, controller.rate)]
    for which in order:
        caller.open.remove(flight[which])
        caller.now += apart
        caller.settle(flight[which], Throttled())
        levels.append((controller.limit, controller.rate))
    limits, rates = zip(*levels, strict=True)
    assert cuts(limits) <= 1
    assert limits[-1] >= ONE_CUT * limits[0]
    first = next((rate for rate in rates if rate < rates[0]), rates[0])
    assert rates[-1] >= SHARPER * first


def refusing(service):
    """Return the service while it refuses everything."""
    return attrs.evolve(service, limits=(Outage(),), refusal_latency=(0.15, 0.3))


def failing(service):
    """Return the service while most calls fail."""
    return attrs.evolve(service, faults=0.8, kind=FaultKind.OVERLOADED)


@given(st.sampled_from(sorted(SERVICES)), st.sampled_from([refusing, failing]), st.floats(0.02, 0.15), seeds)
@settings(in_worlds, max_examples=examples(15, at_most=30))
def test_a_blip_costs_each_handle_one_cut(name, how, seconds, seed):
    usual = SERVICES[name]()
    down = how(usual)
    world = World(usual, [(WARM, down), (WARM + seconds, usual)], seed=seed)
    client = world.client(most=200)
    world.run(WARM)
    controller = client.controller
    levels = [(controller.limit, controller.rate)]
    client.watch = lambda _: levels.append((controller.limit, controller.rate))
    world.run(WARM + 1.0)
    limits, rates = zip(*levels, strict=True)
    assert cuts(limits) <= 1
    assert limits[-1] >= ONE_CUT * limits[0]
    used = client.admitted.between(WARM - 20.0, WARM) / 20.0
    assert rates[-1] >= ONE_CUT * min(rates[0], used)


@pytest.mark.parametrize("name", SERVICES)
@given(st.integers(0, 3), st.integers(20, 200), st.sampled_from([FaultKind.OVERLOADED, FaultKind.TRANSIENT]), st.data())
def test_errors_of_calls_from_before_a_cut_cause_no_second_one(name, seed, calls, kind, data):
    caller = warmed(name, seed)
    controller = caller.controller
    flight = list(burst(caller, calls))
    caller.now += 1.0
    served = data.draw(st.lists(st.booleans(), min_size=len(flight), max_size=len(flight)))
    levels = [(controller.limit, controller.rate)]
    for ticket, well in zip(flight, served, strict=True):
        caller.open.remove(ticket)
        caller.settle(ticket, SERVED if well else Faulted(kind))
        levels.append((controller.limit, controller.rate))
    limits, rates = zip(*levels, strict=True)
    assert cuts(limits) <= 1
    assert cuts(rates) <= 1
    assert limits[-1] >= ONE_CUT * limits[0]
    assert rates[-1] >= ONE_CUT * rates[0]


def test_many_faults_cut():
    caller = warmed("no limit", 0)
    before = caller.controller.limit
    for turn in range(10):
        for ticket in list(burst(caller, 40)):
            caller.open.remove(ticket)
            caller.now += 0.05
            caller.settle(ticket, SERVED if (turn + len(caller.open)) % 2 else Faulted(FaultKind.OVERLOADED))
    assert caller.controller.limit < before
