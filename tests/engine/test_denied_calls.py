"""Denied calls (401): a denial ends the calls of one strategy for a while; no other's, and no batch."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from paceline import FaultKind, open_pool

from .support import Echo, FixedPace, Scripted, Status

pytestmark = pytest.mark.anyio


class WithKey(Echo):
    """A strategy whose key is valid or not; all have the same quota."""

    def __init__(self, *, is_valid: bool, seconds: float = 1.0) -> None:
        super().__init__(seconds, "shared")
        self.is_valid = is_valid

    async def execute(self, prompt: str, attempt: int, timeout: float) -> Any:
        answer = await super().execute(prompt, attempt, timeout)
        if not self.is_valid:
            raise Status(401)
        return answer


async def test_a_denied_strategy_is_not_called_for_a_while():
    denied = Scripted({"a": [Status(401)], "b": [Status(401)]}, quota="denied")
    async with open_pool() as pool:
        assert (await pool.call(denied, "a")).error.kind is FaultKind.DENIED
        at = anyio.current_time()
        closed = await pool.call(denied, "x")
        assert closed.error.kind is FaultKind.PENDING
        assert anyio.current_time() == at
        assert (await pool.call(Echo(), "other")).success
        await anyio.sleep(20)
        assert (await pool.call(denied, "y")).success
        assert (await pool.call(denied, "z")).success
        assert denied.board.calls["x"] == 0


@pytest.mark.parametrize("same", [False, True], ids=["another key", "the same key"])
async def test_a_denied_call_leaves_the_batches_of_its_lane_alone(same):
    good, bad = WithKey(is_valid=True), WithKey(is_valid=False)
    batches: list[Any] = []

    async def batch() -> None:
        batches.append(await pool.process_prompts(good, [str(number) for number in range(30)]))

    async with open_pool(pace=lambda _: FixedPace(3)) as pool:
        async with anyio.create_task_group() as nursery:
            nursery.start_soon(batch)
            await anyio.sleep(2.5)
            good.is_valid = not same  # each call has a copy of its strategy, so that only the next ones see it
            denied = await pool.call(good if same else bad, "bad")
            good.is_valid = True
            assert denied.error.kind is FaultKind.DENIED
    if same:
        assert batches[0].failures.keys() <= {FaultKind.DENIED, FaultKind.PENDING}  # its own calls were denied too
    else:
        assert batches[0].succeeded == 30


async def test_a_denied_call_leaves_calls_by_another_key_alone():
    good, bad, ends = WithKey(is_valid=True), WithKey(is_valid=False), {}

    async def call(name: str, strategy: WithKey) -> None:
        result = await pool.call(strategy, name)
        ends[name] = "answer" if result.success else result.error.kind

    async with open_pool(pace=lambda _: FixedPace(1)) as pool, anyio.create_task_group() as nursery:
        for number in range(4):
            nursery.start_soon(call, f"bad {number}", bad)
            await anyio.sleep(0.01)
            nursery.start_soon(call, f"good {number}", good)
            await anyio.sleep(0.01)
    assert {ends[f"good {number}"] for number in range(4)} == {"answer"}
    assert sorted(ends[f"bad {number}"] for number in range(4)) == [FaultKind.DENIED] + [FaultKind.PENDING] * 3
    assert bad.board.calls.total() == 1


async def test_a_denied_batch_leaves_the_calls_of_its_lane_alone():
    good, bad, answered = WithKey(is_valid=True), WithKey(is_valid=False), []
    async with open_pool(pace=lambda _: FixedPace(1)) as pool:
        async with anyio.create_task_group() as nursery:
            nursery.start_soon(pool.process_prompts, bad, ["x"] * 50)

            async def call(number: int) -> None:
                answered.append((await pool.call(good, str(number))).success)

            for number in range(5):
                nursery.start_soon(call, number)
        assert answered == [True] * 5
    assert bad.board.calls.total() <= 2


async def test_a_key_that_is_valid_again_serves_calls_again():
    strategy = WithKey(is_valid=False, seconds=0.1)
    async with open_pool() as pool:
        for _ in range(3):
            await pool.call(strategy, "a")
            await anyio.sleep(30)
        assert strategy.board.calls["a"] == 3
        strategy.is_valid = True
        assert (await pool.call(strategy, "a")).success
        strategy.is_valid = False
        await pool.call(strategy, "a")
        strategy.is_valid = True
        await anyio.sleep(5)
        assert (await pool.call(strategy, "a")).success
