"""Turns in a pool: what counts as ahead of a call, and what does not."""

from __future__ import annotations

import anyio
import pytest

from paceline import FaultKind, open_pool
from paceline.exceptions import Busy

from .support import Echo, FixedPace

pytestmark = pytest.mark.anyio


async def test_calls_whose_timeout_has_passed_are_not_ahead_of_later_ones():
    strategy = Echo(100)
    faults = []

    async def give_up_soon():
        faults.append((await pool.call(strategy, "b", timeout=5)).error.kind)

    async with open_pool(pace=lambda _: FixedPace(1), max_waiting=1) as pool, anyio.create_task_group() as group:
        group.start_soon(pool.call, strategy, "a")
        await anyio.sleep(1)
        group.start_soon(give_up_soon)
        await anyio.sleep(6)
        assert faults == [FaultKind.TIMEOUT]
        group.start_soon(pool.call, strategy, "c")
        await anyio.sleep(1)
        with pytest.raises(Busy) as busy:
            await pool.call(strategy, "d")
        assert busy.value.ahead == 1
        group.cancel_scope.cancel()


async def test_a_long_batch_of_the_same_priority_is_no_reason_to_refuse_a_call():
    strategy = Echo(1)
    async with open_pool(pace=lambda _: FixedPace(4)) as pool, anyio.create_task_group() as group:
        group.start_soon(lambda: pool.process_prompts(strategy, ["x"] * 1000, priority=1))
        await anyio.sleep(20.5)
        for _ in range(5):
            with anyio.fail_after(2.6):
                assert (await pool.call(strategy, "now", priority=1, timeout=2.6)).output == "NOW"
        group.cancel_scope.cancel()


async def test_calls_that_came_rarely_do_not_mean_that_calls_start_slowly():
    strategy = Echo(1)
    answers = []

    async def call():
        answers.append((await pool.call(strategy, "x", timeout=10)).error)

    async with open_pool(pace=lambda _: FixedPace(5)) as pool:
        for _ in range(5):
            await call()
            await anyio.sleep(100)
        async with anyio.create_task_group() as group:
            for _ in range(30):
                group.start_soon(call)
    assert answers == [None] * 35


async def test_the_end_of_a_call_starts_the_next_one_at_once():
    strategy = Echo(1)
    async with open_pool(pace=lambda _: FixedPace(2)) as pool:
        begun = anyio.current_time()
        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(pool.call, strategy, "x")
        assert anyio.current_time() - begun == pytest.approx(5.0)
