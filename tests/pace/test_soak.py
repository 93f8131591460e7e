"""Soak: over many simulated hours of a service that keeps changing, refusals, stalls and goodput stay within bounds."""

from __future__ import annotations

import os
from random import Random

import attrs
import pytest

from paceline._core.fault import FaultKind

from .limits import Bucket, Cap, Outage, Service, Window, says_nothing, says_the_truth
from .tally import worst_gap
from .world import World
from .worlds import says_anything

IS_THOROUGH = os.environ.get("PACELINE_SEARCH") == "thorough"
DAY = 86_400 if IS_THOROUGH else 43_200  # seconds
ADJUSTING = 120  # seconds after each change that do not count for the goodput


@attrs.frozen
class Phase:
    """A part of the day."""

    begin: float
    end: float
    service: Service
    down: bool = False
    idle: bool = False


def _usual(chance):
    latency = chance.uniform(1.0, 5.0)
    rate = chance.uniform(1.0, 10.0)
    hint = says_anything if chance.random() < 0.1 else chance.choice([says_nothing, says_the_truth])
    limit = chance.choice(
        [
            lambda: Bucket(rate, max(1.0, rate * chance.uniform(0.3, 3))),
            lambda: Bucket(rate, max(1.0, rate * chance.uniform(0.3, 3))),
            lambda: Window(int(rate * 60), 60.0, chance.uniform(0, 60)),
            lambda: Cap(max(4, int(rate * latency))),
        ]
    )()
    slow = chance.random() < 0.1
    return Service(
        limits=(limit,),
        latency=latency,
        refuse=hint,
        refusal_latency=(1.0, 2.5) if slow else (0.1, 0.2),
        faults=chance.choice([0.0, 0.0, 0.005]),
    )


def _down(usual, chance):
    if chance.random() < 0.5:
        return attrs.evolve(usual, limits=(Outage(),), refusal_latency=(0.1, 0.2))
    return attrs.evolve(usual, faults=1.0, kind=FaultKind.OVERLOADED)


def a_day(seed):
    """Return the phases of a day."""
    chance = Random(seed)
    phases, now = [], 0.0
    while now < DAY:
        usual = _usual(chance)
        end = min(DAY, now + chance.uniform(900, 3_600))
        phases.append(Phase(now, end, usual))
        now = end
        if chance.random() < 0.4 and now < DAY:
            end = min(DAY, now + chance.uniform(10, 900))
            phases.append(Phase(now, end, _down(usual, chance), down=True))
            now = end
        elif chance.random() < 0.2 and now < DAY:
            end = min(DAY, now + chance.uniform(60, 3_600))
            phases.append(Phase(now, end, usual, idle=True))
            now = end
    return phases


DAYS = (1, 3, 5, 7) if IS_THOROUGH else (5,)
"""Seeds of days; half of one has some twenty-five changes, of every kind."""


@pytest.mark.parametrize("seed", DAYS)
def test_a_day_of_changing_limits(seed):
    phases = a_day(seed)
    world = World(phases[0].service, [(phase.begin, phase.service) for phase in phases[1:]], seed=seed)
    idle = set()
    client = world.client(works=lambda now, _: not idle)
    for phase in phases:
        if phase.idle:
            world.at(phase.begin, idle.add, phase)
            world.at(phase.end, idle.discard, phase)
            world.at(phase.end, client.pump, phase.end)
    uses, stalls, lost = [], [], 0.0
    for before, phase in zip([None, *phases], phases, strict=False):
        world.run(phase.end - 1e-6)
        if phase.down or phase.idle:
            lost = phase.end - phase.begin if phase.down else 0.0
            continue
        begin = phase.begin + ADJUSTING + (lost if before is not None and before.down else 0.0)
        if begin + 60 < phase.end:
            uses.append((world.use(begin, phase.end), phase))
        period = max((limit.seconds for limit in phase.service.limits if isinstance(limit, Window)), default=0.0)
        allowed = max(lost, 60.0) + period + 4 * phase.service.latency
        stalls.append((worst_gap(client.served_at, phase.begin, phase.end) - allowed, phase))
        lost = 0.0
    worst_use, where = min(uses, key=lambda each: each[0])
    assert worst_use >= 0.7, where  # a bucket of one call leaves no room for errors
    assert sum(use for use, _ in uses) / len(uses) >= 0.95
    worst_stall, where = max(stalls, key=lambda each: each[0])
    assert worst_stall <= 0.0, where
    assert len(client.refused_at) <= 0.035 * len(client.served_at)
