"""The waiting room of a pool: which calls it refuses, what fills it, and when refused callers come back; in virtual time."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from paceline import Media, ProcessorConfig, Request, RetryPolicy, open_pool
from paceline.exceptions import Busy
from paceline.typing import Backoff

from .support import Echo, FixedPace, Scripted, Status

pytestmark = pytest.mark.anyio


def narrow(_known):
    return FixedPace(1)


async def timed(call: Any) -> tuple[Any, float]:
    start = anyio.current_time()
    result = await call
    return result, anyio.current_time() - start


async def test_a_full_waiting_room_refuses_the_next_call():
    async with open_pool(pace=lambda _: FixedPace(1, gate=50.0), max_waiting=3) as pool:
        async with anyio.create_task_group() as nursery:
            for prompt in "abc":
                nursery.start_soon(pool.call, Echo(), prompt)
            await anyio.sleep(1)
            with pytest.raises(Busy) as caught:
                await pool.call(Echo(), "d")
        assert caught.value.ahead == 3
        assert caught.value.retry_after > 0
        assert (await pool.call(Echo(), "d")).success


async def test_long_prompts_fill_the_waiting_room():
    async with (
        open_pool(pace=lambda _: FixedPace(1, gate=50.0), max_waiting_bytes=10_000) as pool,
        anyio.create_task_group() as nursery,
    ):
        nursery.start_soon(pool.call, Echo(), "x" * 8_000)
        await anyio.sleep(1)
        with pytest.raises(Busy, match="bytes"):
            await pool.call(Echo(), "x" * 3_000)
        assert (await pool.call(Echo(), "x" * 1_000)).success


async def test_a_hopeless_deadline_is_refused_at_once():
    async with open_pool(pace=narrow) as pool, anyio.create_task_group() as nursery:
        for index in range(60):
            nursery.start_soon(pool.call, Echo(), str(index))
        await anyio.sleep(10.5)
        with pytest.raises(Busy) as caught:
            await pool.call(Echo(), "late", timeout=5)
        assert 10 < caught.value.retry_after < 100
        nursery.start_soon(pool.call, Echo(), "patient")


async def test_a_burst_after_a_quiet_time_is_not_refused():
    strategy, answered = Echo(), []

    async def call() -> None:
        answered.append(str((await pool.call(strategy, "burst", timeout=20)).error))

    async with open_pool(pace=lambda _: FixedPace(20)) as pool:
        for _ in range(5):
            await pool.call(strategy, "now and then")
            await anyio.sleep(30)
        async with anyio.create_task_group() as nursery:
            for _ in range(100):
                nursery.start_soon(call)
    assert answered == ["None"] * 100


async def test_calls_that_have_timed_out_are_not_ahead_of_later_ones():
    async with open_pool(pace=lambda _: FixedPace(20, gate=100.0), max_waiting=100) as pool:
        for _ in range(3):
            async with anyio.create_task_group() as nursery:
                for index in range(100):
                    nursery.start_soon(lambda index=index: pool.call(Echo(), str(index), timeout=1))
        result, seconds = await timed(pool.call(Echo(), "last", timeout=200))
        assert result.success
        assert seconds < 100.0


async def test_the_prompts_of_calls_in_flight_fill_no_room():
    async with (
        open_pool(pace=lambda _: FixedPace(2), max_waiting_bytes=10_000) as pool,
        anyio.create_task_group() as nursery,
    ):
        for number in range(2):
            nursery.start_soon(pool.call, Echo(5.0), f"{number}" * 9_000)
        await anyio.sleep(1)
        nursery.start_soon(pool.call, Echo(5.0), "w" * 9_000)
        await anyio.sleep(1)
        with pytest.raises(Busy, match="bytes"):
            await pool.call(Echo(), "x" * 9_000)


async def test_the_prompt_of_a_call_that_is_repeated_fills_room_until_then():
    strategy = Scripted({"a" * 9_000: [Status(503)]}, 1.0)
    retry = RetryPolicy(backoff=Backoff(base=10.0, longest=10.0))
    async with (
        open_pool(ProcessorConfig(retry=retry), pace=lambda _: FixedPace(2), max_waiting_bytes=10_000) as pool,
        anyio.create_task_group() as nursery,
    ):
        nursery.start_soon(pool.call, strategy, "a" * 9_000)
        await anyio.sleep(0.5)
        assert (await pool.call(Echo(0.1), "b" * 9_000)).success
        await anyio.sleep(0.5)
        with pytest.raises(Busy, match="bytes"):
            await pool.call(Echo(0.1), "c" * 9_000)
        await anyio.sleep(20)
        assert (await pool.call(Echo(0.1), "c" * 9_000)).success


@pytest.mark.parametrize(
    "prompt",
    [
        ("What is this?", Media("image/png", b"x" * 9_000)),
        Request(
            "openai", {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "x" * 9_000}]}]}
        ),
    ],
    ids=["media", "request"],
)
async def test_images_fill_the_waiting_room(prompt):
    class Sees(Echo):
        takes_requests = True

    async with (
        open_pool(pace=lambda _: FixedPace(1, gate=50.0), max_waiting_bytes=10_000) as pool,
        anyio.create_task_group() as nursery,
    ):
        nursery.start_soon(pool.call, Sees(), prompt)
        await anyio.sleep(1)
        with pytest.raises(Busy, match="bytes"):
            await pool.call(Echo(), "x" * 3_000)
        nursery.cancel_scope.cancel()


async def test_room_is_free_again_however_calls_end():
    strategy = Scripted({"a": [Status(400)], "b": [LookupError()], "c": [Status(503), Status(503), Status(503)]}, 1.0)
    async with open_pool(pace=narrow) as pool:
        async with anyio.create_task_group() as nursery:
            for prompt in "abcdef":
                nursery.start_soon(lambda prompt=prompt: pool.call(strategy, prompt, timeout=9))
            with anyio.move_on_after(1.5):
                await pool.call(strategy, "cancelled while it waits")
            nursery.start_soon(pool.call, strategy, "x")
        with anyio.move_on_after(0.5):
            await pool.call(strategy, "cancelled in flight")
        async with anyio.create_task_group() as nursery:
            nursery.start_soon(pool.call, strategy, "y" * 1_000)
            await anyio.sleep(0.5)
            assert pool.statistics().in_flight == 1
    async with open_pool(pace=lambda _: FixedPace(1, gate=50.0), max_waiting_bytes=10_000) as pool:
        for _ in range(10):
            with anyio.move_on_after(1):
                await pool.call(strategy, "z" * 9_000)
        async with anyio.create_task_group() as nursery:
            nursery.start_soon(pool.call, strategy, "z" * 4_000)
            await anyio.sleep(1)
            assert (await pool.call(strategy, "z" * 4_000)).success  # all others have left


async def test_a_thousand_refused_callers_do_not_come_back_together():
    async with open_pool(pace=narrow, max_waiting=5) as pool, anyio.create_task_group() as nursery:
        for number in range(6):
            nursery.start_soon(pool.call, Echo(), str(number))
        await anyio.sleep(0.5)
        times = []
        for number in range(1_000):
            with pytest.raises(Busy) as caught:
                await pool.call(Echo(), str(number))
            times.append(caught.value.retry_after)
    seconds = [sum(int(time) == second for time in times) for second in range(int(max(times)) + 1)]
    assert len([count for count in seconds if count]) >= 4
    assert max(seconds) <= 400
