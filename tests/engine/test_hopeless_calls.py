"""Hopeless calls: a call whose turn comes too late for an answer is not sent, and its timeout tells the pace nothing."""

from __future__ import annotations

from collections import Counter
from typing import Any

import anyio
import pytest

from paceline import FaultKind, open_pool
from paceline.exceptions import Busy
from paceline.testing import Service, SimulatedProvider, SimulatedStrategy, TokenBucket

from .support import Echo, FixedPace

pytestmark = pytest.mark.anyio


async def learn(pool: Any, strategy: Any) -> None:
    """Let some calls be answered."""
    for number in range(8):
        assert (await pool.call(strategy, f"before {number}")).success


async def test_a_call_whose_turn_comes_too_late_for_an_answer_is_not_paid():
    strategy, results = Echo(2.0), {}

    async def call(name: str, timeout: float) -> None:
        start = anyio.current_time()
        result = await pool.call(strategy, name, timeout=timeout)
        results[name] = result, anyio.current_time() - start

    async with open_pool(pace=lambda _: FixedPace(1)) as pool:
        await learn(pool, strategy)
        await anyio.sleep(100)  # no pace is known of an idle lane
        async with anyio.create_task_group() as nursery:
            nursery.start_soon(pool.call, strategy, "first")
            await anyio.sleep(0.1)
            nursery.start_soon(call, "hopeless", 3.3)
            await anyio.sleep(0.1)
            nursery.start_soon(call, "in time", 9.0)
    result, seconds = results["hopeless"]
    assert result.error.kind is FaultKind.TIMEOUT
    assert "it was not sent" in result.error.message
    assert not result.attempts
    assert seconds < 3.3
    assert strategy.board.calls["hopeless"] == 0
    assert results["in time"][0].success
    assert results["in time"][1] == pytest.approx(3.8)  # the one before it took no time


async def test_before_anything_was_measured_every_call_is_made():
    strategy = Echo(2.0)
    async with open_pool(pace=lambda _: FixedPace(1)) as pool, anyio.create_task_group() as nursery:
        nursery.start_soon(pool.call, strategy, "first")
        await anyio.sleep(0.1)
        result = await pool.call(strategy, "late", timeout=2.5)
        assert result.error.kind is FaultKind.TIMEOUT
        assert strategy.board.calls["late"] == 1


async def test_a_call_that_need_not_wait_is_made_however_short_its_timeout_is():
    strategy = Echo(2.0)
    async with open_pool() as pool:
        await learn(pool, strategy)
        assert (await pool.call(strategy, "short", timeout=0.5)).error.kind is FaultKind.TIMEOUT
        assert strategy.board.calls["short"] == 1


async def test_long_calls_of_a_batch_keep_no_short_call_from_being_made():
    strategy = Echo(0.3)
    async with open_pool(pace=lambda _: FixedPace(2)) as pool, anyio.create_task_group() as nursery:
        nursery.start_soon(pool.process_prompts, Echo(20.0), [str(number) for number in range(40)])
        await anyio.sleep(201.0)
        result = await pool.call(strategy, "short", timeout=20)
        assert result.success
        nursery.cancel_scope.cancel()


async def start_cold(seed: int) -> tuple[Counter[str], Any]:
    """Let 20 callers with a timeout start beside a batch, at a provider of which nothing is known yet."""
    service = Service(limits=(TokenBucket(50, 50),), latency=0.5, sigma=0.4)
    strategy = SimulatedStrategy(SimulatedProvider(service, seed=seed))
    outcomes: Counter[str] = Counter()

    async def call(number: int) -> None:
        try:
            result = await pool.call(strategy, f"Question {number}", timeout=2)
        except Busy:
            outcomes["busy"] += 1
        else:
            paid = "paid" if result.attempts else "not paid"
            outcomes["answered" if result.success else f"{result.error.kind}, {paid}"] += 1

    async with open_pool() as pool, anyio.create_task_group() as group:
        group.start_soon(pool.process_prompts, strategy, [f"Text {number}" for number in range(600)])
        await anyio.sleep(0.2)
        async with anyio.create_task_group() as callers:
            for number in range(20):
                callers.start_soon(call, number)
        (lane,) = pool._pool._scheduler.lanes.values()
        history = list(lane.pace.history)
        pool.drain()
    return outcomes, history


@pytest.mark.parametrize("seed", range(3))
async def test_calls_cut_off_by_their_timeouts_at_a_cold_start_do_not_close_the_lane(seed):
    # the pace begins with 5 calls a second and doubles: 20 callers with 2 seconds are too many for it, and some have no time left
    outcomes, history = await start_cold(seed)
    assert outcomes["answered"] >= 10
    assert outcomes["timeout, paid"] <= outcomes.total() * 0.45
    assert [change for change in history if change.handle == "gate"] == []


async def test_a_call_that_is_cut_off_after_much_longer_than_usual_tells_the_pace_of_a_slow_provider():
    pace = FixedPace(4)
    pace.knowledge = lambda now: Known()
    strategy = Echo(9.0)
    async with open_pool(pace=lambda _: pace) as pool:
        await pool.call(strategy, "soon", timeout=2.0)
        await pool.call(strategy, "late", timeout=4.0)
    assert [type(signal).__name__ for signal in pace.signals] == ["Abandoned", "Faulted"]


class Known:
    """What a controller knows of its quota."""

    latency = 1.0
    limit = 4
    rate = token_rate = 100.0
