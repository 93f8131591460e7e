"""The scenarios R: what is special in them is measured as such."""

from __future__ import annotations

import anyio
import pytest
from benchmarks.pace.contenders import contender
from benchmarks.pace.measures import measured
from benchmarks.pace.real_servers import BUILDERS, TARGETS
from benchmarks.pace.run import backend_options
from benchmarks.pace.scenarios import SCENARIOS, scenario
from benchmarks.pace.tables import targets
from benchmarks.pace.trial import Trial, service, steady
from benchmarks.pace.world import World

from paceline import FaultKind
from paceline.testing import ConcurrencyCap

BACKENDS = ("trio", "asyncio")


def trial(**fields):
    return Trial(**({"name": "R", "seed": 1, "about": ""} | steady(1.0, 30.0, lag=0.0) | fields))


def figures(chosen, who="fixed5"):
    world = World(chosen, contender(who).drive(), 60.0)
    anyio.run(world.run, backend="trio", backend_options=backend_options(chosen, "trio"))
    return measured(world)


def test_a_503_of_a_limiter_is_a_refusal_and_one_by_chance_is_an_error():
    limiter = service(ConcurrencyCap(2), refusal_status=503, latency=1.0)
    limited, faulty = (
        figures(trial(service=limiter)),
        figures(trial(service=service(faults={FaultKind.OVERLOADED: 0.5}))),
    )
    assert limited["refusals"] > 0
    assert limited["errors"] == 0
    assert faulty["refusals"] == 0
    assert faulty["errors"] > 0


def test_the_calls_in_flight_are_compared_with_the_slots():
    found = figures(trial(service=service(latency=1.0, slots=2), slots=2))
    assert found["load"] == pytest.approx(2.5, rel=0.1)


def test_late_starts_reach_the_provider_late():
    on_time, late = (
        figures(trial(service=service(latency=1.0, sigma=0.0), late_starts=seconds)) for seconds in (0.0, 0.5)
    )
    assert late["calls"] == pytest.approx(on_time["calls"] / 1.25, rel=0.1)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_busy_machine_wakes_up_late_and_then_does_all_that_is_due(backend):
    late = trial(service=service(), late_timers=0.5)
    times = []

    async def sleep_until(at):
        await anyio.sleep_until(at)
        times.append((at, anyio.current_time()))

    async def main():
        began = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            for step in range(400):
                tasks.start_soon(sleep_until, began + 0.1 * step)

    anyio.run(main, backend=backend, backend_options=backend_options(late, backend))
    delays = [woken - at for at, woken in times]
    assert min(delays) >= 0
    assert 0.4 < max(delays) <= 0.5
    assert len({woken for _, woken in times}) < 250  # several that were due woke up at one moment


@pytest.mark.parametrize("backend", BACKENDS)
def test_other_machines_wake_up_on_time(backend):
    async def main():
        began = anyio.current_time()
        await anyio.sleep(1.0)
        return anyio.current_time() - began

    assert anyio.run(main, backend=backend, backend_options=backend_options(trial(service=service()), backend)) == 1.0


def test_a_window_with_a_constant_wait_has_whole_windows():
    for name, windows, amount in (("R5", 31, 200), ("R5b", 11, 60)):
        each = scenario(name, seed=1)
        (limit,) = each.service.limits
        assert (each.seconds + limit.offset) / limit.seconds == windows
        assert limit.amount == amount
        assert each.service.retry_after(0.1) == f"{limit.seconds:.0f}"


def test_every_scenario_has_a_target():
    assert TARGETS.keys() == BUILDERS.keys()


def test_what_misses_its_target_is_bold():
    each = {"contender": "paceline", "about": "A limit.", "lost": 0.0, "t90": 1.0}
    found = [
        each | {"trial": "R1", "good": 0.96, "refusals": 0.05},
        each | {"trial": "R1", "good": 0.98, "refusals": 0.07},
        each | {"trial": "R15", "good": 0.5, "refusals": 0.01, "jain": 0.9},
        each | {"trial": "R13", "good": 0.9, "refusals": 0.0, "t90": None},
        each | {"trial": "S1", "good": 0.5, "refusals": 0.0},
    ]
    first, fair, fast = targets(found, "paceline").splitlines()[2:]
    assert "0.970 (>= 0.95)" in first
    assert "**0.0600** (<= 0.03)" in first
    assert "**0.900** (>= 0.97)" in fair
    assert "**never** (<= 1)" in fast
    assert targets(found, "fixed5") == targets(found[-1:], "paceline") == ""


def test_there_is_a_scenario_for_each_kind_that_was_seen():
    assert {f"R{number}" for number in range(1, 16)} <= set(SCENARIOS)
