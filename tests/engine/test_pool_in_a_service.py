"""A pool in a service: many callers with a timeout beside a batch, and cancellation by nurseries."""

from __future__ import annotations

import logging
from collections import Counter

import anyio
import pytest
import trio

from paceline import FaultKind, LLMCallStrategy, open_pool
from paceline.exceptions import Busy
from paceline.testing import Service, SimulatedProvider, SimulatedStrategy, TokenBucket

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("latency", "timeout"), [(0.3, 1.2), (1.0, 2.0), (1.0, 4.0)])
async def test_callers_that_could_not_be_answered_in_time_are_refused_at_once(latency, timeout):
    provider = SimulatedProvider(Service(limits=(TokenBucket(50, 50),), latency=latency, sigma=0.1))
    strategy = SimulatedStrategy(provider)
    outcomes: Counter[str] = Counter()

    async def call(number: int) -> None:
        try:
            result = await pool.call(strategy, f"Question {number}", timeout=timeout)
        except Busy as busy:
            outcomes["busy" if busy.retry_after > 0 else "no time to try again"] += 1
        else:
            outcomes["answered" if result.success else result.error.kind] += 1

    async with open_pool() as pool, anyio.create_task_group() as group:
        group.start_soon(pool.process_prompts, strategy, [f"Text {number}" for number in range(10_000)])
        await anyio.sleep(10)
        async with anyio.create_task_group() as callers:
            for number in range(300):
                callers.start_soon(call, number)
        pool.drain()
    assert outcomes.total() == 300
    assert outcomes["busy"] >= 100
    assert outcomes["answered"] >= 0.6 * 50 * (timeout - latency)
    assert outcomes[FaultKind.TIMEOUT] <= 0.1 * outcomes["answered"], outcomes


async def test_a_fresh_pool_refuses_by_the_pace_that_it_was_given():
    strategy = SimulatedStrategy(SimulatedProvider(Service(limits=(TokenBucket(20, 20),), latency=0.5)))
    async with open_pool() as pool:
        await pool.process_prompts(strategy, [f"Text {number}" for number in range(400)])
        knowledge = pool.knowledge()
    refused = 0

    async def call(number: int) -> None:
        nonlocal refused
        try:
            await pool.call(strategy, f"Question {number}", timeout=2)
        except Busy:
            refused += 1

    async with open_pool(knowledge=knowledge) as pool, anyio.create_task_group() as group:
        for number in range(200):
            group.start_soon(call, number)
    assert refused >= 120


class Nursery(LLMCallStrategy[str]):
    """Waits in a nursery of trio's, as its `open_tcp_stream` does."""

    async def execute(self, prompt, attempt, timeout):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 100)
            await trio.sleep(100)


@pytest.mark.parametrize("anyio_backend", ["trio"], indirect=True)
async def test_a_call_that_is_cancelled_in_a_nursery_is_no_warning(caplog):
    with caplog.at_level(logging.WARNING, "paceline"):
        async with open_pool() as pool:
            result = await pool.call(Nursery(), "Who?", timeout=1)
    assert result.error.kind is FaultKind.TIMEOUT
    assert [record.message for record in caplog.records if "dropped" in record.message] == []
