"""Trials with the controller alone: they come to what the engine comes to, and the same each time."""

from __future__ import annotations

import anyio
import pytest
from benchmarks.pace.contenders import contender
from benchmarks.pace.core import CoreWorld
from benchmarks.pace.measures import measured
from benchmarks.pace.run import Job, backend_options, run
from benchmarks.pace.trial import Trial, service, steady
from benchmarks.pace.world import World

from paceline import FaultKind
from paceline.testing import ConcurrencyCap, FixedWindow, TokenBucket

SECONDS, RATE = 60.0, 10.0
LATE = {"late_timers": 0.02, "late_starts": 0.02}
KINDS = {
    "bucket": {"service": service(TokenBucket(RATE, RATE), latency=1.0, hint="ceil")},
    "window": {"service": service(FixedWindow(100, 10.0, offset=3.0), latency=1.0, hint=10.0), "seed": 2},
    "cap": {"service": service(ConcurrencyCap(12), latency=1.0, sigma=0.3, refusal_seconds=0.01)},
    "503": {"service": service(TokenBucket(RATE, RATE), latency=0.5, refusal_status=503, refusal_seconds=0.01)},
    "knee": {"service": service(knee=10, latency=1.0), "timeout": 60.0, "slots": 10},
    "slots": {"service": service(slots=10, latency=1.0, sigma=0.3), "timeout": 60.0, "slots": 10},
    "faults": {"service": service(TokenBucket(RATE, RATE), latency=1.0, faults={FaultKind.OVERLOADED: 0.05})},
    "tokens": {"service": service(TokenBucket(10_000, 20_000, per="tokens"), latency=1.0), "tokens": True},
    "late": {"service": service(TokenBucket(RATE, RATE), latency=1.0), **LATE},
    "steps": {
        "service": service(TokenBucket(RATE, RATE), latency=1.0),
        "steps": ((30.0, service(TokenBucket(RATE / 2, RATE / 2), latency=1.0)),),
    },
    "clients": {"service": service(TokenBucket(RATE, RATE), latency=1.0), "starts": (0.0, 10.0), "fair_from": 30.0},
}


def trial(**fields):
    return Trial(**({"name": "core", "seed": 1, "about": ""} | steady(RATE, SECONDS, lag=1.0) | fields))


def by_engine(chosen):
    world = World(chosen, contender("paceline").drive(), 60.0)
    anyio.run(world.run, backend="asyncio", backend_options=backend_options(chosen, "asyncio"))
    return measured(world)


def by_core(chosen):
    world = CoreWorld(chosen)
    world.run()
    return measured(world)


@pytest.mark.parametrize("kind", KINDS)
def test_the_controller_alone_comes_to_nearly_what_the_engine_comes_to(kind):
    engine, core = by_engine(trial(**KINDS[kind])), by_core(trial(**KINDS[kind]))
    assert core["good"] == pytest.approx(engine["good"], rel=0.08)
    assert core["refusals"] == pytest.approx(engine["refusals"], abs=0.05)
    assert core["errors"] == pytest.approx(engine["errors"], abs=0.01)
    assert core.keys() == engine.keys()


def test_refusals_by_chance_are_as_frequent_as_the_service_says():
    found = by_core(trial(service=service(shed_share=0.2, latency=0.1)))
    assert found["refusals"] == pytest.approx(0.25, abs=0.1)


def test_a_run_comes_to_the_same_each_time():
    first, second = (by_core(trial(**KINDS["late"])) for _ in range(2))
    assert first == second


def test_an_item_is_lost_after_its_attempts():
    world = CoreWorld(trial(service=service(faults={FaultKind.TRANSIENT: 0.7}), items=100, seconds=3_000.0))
    world.run()
    (log,) = (client.log for client in world.clients)
    assert log.lost == pytest.approx(100 * 0.7**5, abs=10)
    assert len(log.served_at) + log.lost == 100


def test_a_call_that_hangs_is_cut_off_and_made_again():
    found = by_core(trial(service=service(faults={FaultKind.TIMEOUT: 0.2}, latency=0.1), timeout=5.0, items=50))
    assert found["errors"] > 0
    assert found["makespan"] is not None


def test_a_batch_ends_with_its_last_item():
    found = by_core(trial(service=service(latency=0.1), items=500))
    assert found["calls"] == 500
    assert found["makespan"] < SECONDS


def test_the_command_runs_a_job_with_the_controller_alone_and_without_a_rule():
    whole, without = (run(Job("S11", 1, who, backend="core")) for who in ("paceline", "without:rate.patience"))
    assert whole["good"] > 0.9
    assert whole["series"]["rate"] != without["series"]["rate"]


def test_a_rival_has_no_controller_of_ours():
    with pytest.raises(ValueError, match="fixed5 has no controller that could run without it"):
        run(Job("S11", 1, "fixed5", backend="core"))
