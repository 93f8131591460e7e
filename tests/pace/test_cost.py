"""Cost: a call costs a bounded number of arithmetic steps, however many calls are in flight; they are counted, not timed."""

from __future__ import annotations

import math

import pytest

from paceline._core.pace import SERVED, Throttled

from .counted import Counted
from .histories import Caller
from .limits import Bucket, Service
from .world import World

FEW, MANY = 100, 3_000
AT_ONCE = 0.4  # seconds in which all calls start: none of them can be judged yet
STEPS = 400  # of arithmetic, for one call: admit_at, started and settled together


def steps_of_a_call(in_flight, refused_of_ten):
    """Return the mean and the maximum number of steps of a call, with `in_flight` calls in flight."""
    caller = Caller(now=Counted(1_000.0))
    _fill(caller, in_flight)
    gap = AT_ONCE / in_flight
    taken = []
    for turn in range(600):
        before = Counted.steps
        caller.now = Counted(caller.now + Counted(gap))
        caller.settle(caller.open.pop(0), Throttled() if turn % 10 < refused_of_ten else SERVED)
        caller.ask(Counted(1.0))
        caller.start(Counted(1.0))
        taken.append(Counted.steps - before)
    return sum(taken) / len(taken), max(taken)


def _fill(caller, in_flight):
    for _ in range(in_flight):
        caller.now = Counted(caller.now + Counted(AT_ONCE / in_flight))
        caller.ask(Counted(1.0))
        caller.start(Counted(1.0))


@pytest.mark.parametrize("refused_of_ten", [0, 1, 5])
def test_a_call_takes_no_more_steps_with_thousands_in_flight_than_with_few(refused_of_ten):
    few, _ = steps_of_a_call(FEW, refused_of_ten)
    many, _ = steps_of_a_call(MANY, refused_of_ten)
    assert many <= STEPS
    assert many <= 3 * few * math.log2(MANY) / math.log2(FEW)


def test_late_refusals_take_no_more_steps_than_others():
    caller = Caller(now=Counted(1_000.0))
    _fill(caller, MANY)
    caller.now = Counted(caller.now + Counted(5.0))
    caller.ask(Counted(1.0))
    before = Counted.steps
    for _ in range(MANY):
        caller.now = Counted(caller.now + Counted(0.001))
        caller.settle(caller.open.pop(0), Throttled())
    assert (Counted.steps - before) / MANY <= STEPS


@pytest.mark.parametrize("rate", [2.0, 50.0])
def test_a_controller_is_asked_a_few_times_for_each_call(rate):
    world = World(Service(limits=(Bucket(rate, rate),), latency=4.0))
    client = world.client()
    world.run(200.0)
    assert client.asked <= 6 * len(client.started_at)
