"""Connections: no more calls are in flight than the client of their strategies has connections, so that no call waits on its own time."""

from __future__ import annotations

import anyio
import pytest

from paceline import LLMWorkItem, ParallelBatchProcessor, ProcessorConfig, RateLimitError, process_prompts
from paceline.abc import LLMCallStrategy
from paceline.typing import Connections

from .support import FixedPace

pytestmark = pytest.mark.anyio


class Pool:
    """A pool in which a call waits for a connection, as that of an HTTP client."""

    def __init__(self, size):
        self.limiter = anyio.CapacityLimiter(size)
        self.most = self.in_flight = 0


class Pooled(LLMCallStrategy):
    """Takes a second for each call, with a connection of its pool."""

    def __init__(self, pool, connections, quota="lane", errors=()):
        self.pool, self.connections, self._quota, self.errors = pool, connections, quota, list(errors)

    @property
    def quota(self):
        return self._quota

    async def execute(self, prompt, attempt, timeout):
        pool = self.pool
        pool.in_flight += 1
        pool.most = max(pool.most, pool.in_flight)
        try:
            async with pool.limiter:
                await anyio.sleep(1)
        finally:
            pool.in_flight -= 1
        if self.errors:
            raise self.errors.pop()
        return prompt, None


OPTIONS = {"config": ProcessorConfig(timeout_per_item=1.5), "pace": lambda _: FixedPace(50)}


async def run(items):
    async with ParallelBatchProcessor(**OPTIONS) as processor:
        for item in items:
            await processor.add_work(item)
        return await processor.process_all()


async def test_no_call_waits_for_a_connection_on_its_own_time():
    strategy = Pooled(Pool(3), Connections(3))
    started = anyio.current_time()
    batch = await process_prompts(strategy, [f"p{n}" for n in range(30)], **OPTIONS)
    assert (batch.succeeded, strategy.pool.most) == (30, 3)
    assert {len(result.attempts) for result in batch.results} == {1}
    assert anyio.current_time() - started == pytest.approx(10, abs=0.5)


async def test_without_it_calls_time_out_while_they_wait():
    strategy = Pooled(Pool(3), None)
    batch = await process_prompts(strategy, [f"p{n}" for n in range(30)], **OPTIONS)
    assert strategy.pool.most > 3
    assert sum(len(result.attempts) for result in batch.results) > 30


async def test_lanes_share_the_connections_of_one_client():
    pool, connections = Pool(4), Connections(4)
    lanes = [Pooled(pool, connections, f"lane {n}") for n in range(3)]
    batch = await run([LLMWorkItem(f"{n}", lanes[n % 3], "p") for n in range(36)])
    assert (batch.succeeded, pool.most) == (36, 4)
    assert {len(result.attempts) for result in batch.results} == {1}


async def test_a_lane_with_other_connections_does_not_wait():
    busy, free = Pooled(Pool(1), Connections(1), "busy"), Pooled(Pool(9), Connections(9), "free")
    items = [LLMWorkItem(f"b{n}", busy, "p") for n in range(9)] + [LLMWorkItem(f"f{n}", free, "p") for n in range(9)]
    started = anyio.current_time()
    batch = await run(items)
    ends = {result.item_id: result.attempts[-1].started for result in batch.results}
    assert batch.succeeded == 18
    assert max(ends[f"f{n}"] for n in range(9)) < 1
    assert anyio.current_time() - started == pytest.approx(9, abs=0.5)


async def test_failed_refused_and_timed_out_calls_give_their_connection_back():
    pool = Pool(2)
    strategy = Pooled(
        pool, Connections(2), errors=[ValueError("a bug"), RateLimitError(), ConnectionError(), TimeoutError()]
    )
    batch = await process_prompts(strategy, [f"p{n}" for n in range(12)], **OPTIONS)
    assert (batch.succeeded, batch.failed, pool.most) == (11, 1, 2)


async def test_a_property_that_raises_or_returns_something_else_limits_nothing():
    class Broken(Pooled):
        connections = property(lambda _: 1 / 0)

        def __init__(self, pool):
            self.pool, self._quota, self.errors = pool, "lane", []

    for strategy in (Broken(Pool(5)), Pooled(Pool(5), "five")):
        batch = await process_prompts(strategy, ["a", "b", "c", "d", "e"], **OPTIONS)
        assert (batch.succeeded, strategy.pool.most) == (5, 5)
