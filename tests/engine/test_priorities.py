"""Batches and calls in one lane: the higher priority goes first, the lower keeps its share, tenants take turns."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import anyio
import pytest

from paceline import open_pool

from .support import Echo, FixedPace

pytestmark = pytest.mark.anyio


def narrow(_known):
    return FixedPace(1)


async def test_a_call_goes_before_the_items_of_a_batch():
    strategy = Echo()
    async with open_pool(pace=narrow) as pool, anyio.create_task_group() as nursery:
        nursery.start_soon(pool.process_prompts, strategy, [str(i) for i in range(50)])
        await anyio.sleep(10.5)
        start = anyio.current_time()
        assert (await pool.call(strategy, "now")).success
        assert anyio.current_time() - start <= 2.0
        nursery.cancel_scope.cancel()


async def test_a_batch_keeps_its_share_while_calls_wait():
    strategy = Echo()
    async with open_pool(pace=narrow) as pool, anyio.create_task_group() as nursery:
        nursery.start_soon(pool.process_prompts, strategy, [f"batch {i}" for i in range(100)])
        for index in range(400):
            nursery.start_soon(pool.call, strategy, f"call {index}")
        await anyio.sleep(200.5)
        nursery.cancel_scope.cancel()
    started = Counter(prompt.split()[0] for _, prompt in strategy.board.starts)
    assert 8 <= started["batch"] <= 14  # 5 % of 200
    first = [index for index, (_, prompt) in enumerate(strategy.board.starts) if prompt.startswith("batch")]
    assert all(later - earlier <= 25 for earlier, later in pairwise(first))


async def test_tenants_of_one_priority_take_turns_whatever_the_number_of_their_calls():
    strategy = Echo()
    async with open_pool(pace=narrow) as pool, anyio.create_task_group() as nursery:

        async def call(tenant: str, index: int) -> None:
            await pool.call(strategy, f"{tenant} {index}", tenant=tenant)

        for index in range(100):
            nursery.start_soon(call, "large", index)
        await anyio.sleep(0.5)
        for index in range(10):
            nursery.start_soon(call, "small", index)
        await anyio.sleep(22)
        nursery.cancel_scope.cancel()
    started = Counter(prompt.split()[0] for _, prompt in strategy.board.starts)
    assert started["small"] == 10
    assert started["large"] >= 10


async def test_batches_of_one_tenant_take_turns():
    strategy = Echo()
    async with open_pool(pace=narrow) as pool, anyio.create_task_group() as nursery:
        nursery.start_soon(pool.process_prompts, strategy, [f"first {i}" for i in range(100)])
        await anyio.sleep(5.5)
        batch = await pool.process_prompts(strategy, [f"second {i}" for i in range(10)])
        assert batch.succeeded == 10
        assert batch.seconds <= 22
        nursery.cancel_scope.cancel()


async def test_the_lane_is_used_by_the_lower_priority_when_the_higher_has_nothing():
    strategy = Echo()
    async with open_pool(pace=lambda _: FixedPace(4)) as pool:
        batch = await pool.process_prompts(strategy, [str(i) for i in range(40)], priority=-5)
    assert batch.seconds == pytest.approx(10.0)


async def test_a_stream_that_nobody_reads_holds_up_no_call():
    strategy = Echo(0.01)
    async with open_pool(pace=lambda _: FixedPace(4)) as pool, pool.stream(strategy, map(str, range(5_000))) as stream:
        await anyio.sleep(60)
        assert len(stream.undelivered) < 1_000
        start = anyio.current_time()
        assert (await pool.call(strategy, "now", priority=-1)).success
        assert anyio.current_time() - start < 1.0
