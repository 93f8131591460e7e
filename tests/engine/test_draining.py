"""Draining a pool, as at SIGTERM: what was accepted is finished, nothing more begins, and nothing is lost; on both backends, in virtual time."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from paceline import FaultKind, LLMWorkItem, ProcessorConfig, RetryPolicy, open_pool
from paceline.exceptions import Busy, MisuseError, PacelineError
from paceline.typing import Backoff

from .journals import MemoryJournal
from .support import Echo, FixedPace, Scripted, Status

pytestmark = pytest.mark.anyio


def narrow(_known):
    return FixedPace(1)


class Prepared(Echo):
    """Takes a while to prepare, and counts how often it was."""

    prepared = 0

    async def prepare(self) -> None:
        self.prepared += 1
        await anyio.sleep(3.0)


# ---------------------------------------------------------------------------------------------- single calls


async def test_accepted_calls_are_answered_wherever_they_wait_and_new_ones_are_refused():
    answers: dict[str, Any] = {}
    retry = RetryPolicy(max_attempts=9, backoff=Backoff(base=1.0, longest=1.0))
    async with open_pool(ProcessorConfig(retry=retry), pace=narrow) as pool:

        async def call(strategy: Any, prompt: str) -> None:
            answers[prompt] = await pool.call(strategy, prompt)

        async with anyio.create_task_group() as nursery:
            echo = Echo()
            for prompt in "abc":
                nursery.start_soon(call, echo, prompt)
            nursery.start_soon(call, Prepared(quota="prepared"), "d")
            nursery.start_soon(call, Scripted({"e": [Status(503)] * 3}, 0.1, "again"), "e")
            await anyio.sleep(0.5)
            pool.drain("closing time")
            with pytest.raises(Busy, match="closing time") as refused:
                await pool.call(echo, "late")
            assert 1.0 <= refused.value.retry_after <= 5.0
        assert {prompt: answer.output for prompt, answer in answers.items()} == {x: x.upper() for x in "abcde"}
        assert "late" not in echo.board.calls
        assert pool.statistics().waiting == pool.statistics().in_flight == 0


async def test_accepted_calls_end_at_their_timeouts_however_slow_the_provider_is():
    kinds: list[Any] = []
    async with open_pool(pace=narrow) as pool, anyio.create_task_group() as nursery:

        async def call(number: int) -> None:
            result = await pool.call(strategy, str(number), timeout=10)
            kinds.append("answer" if result.success else result.error.kind)

        strategy, start = Echo(4.0), anyio.current_time()
        for number in range(9):
            nursery.start_soon(call, number)
        await anyio.sleep(1)
        pool.drain()
    assert anyio.current_time() - start == pytest.approx(10.0, abs=0.01)
    assert kinds.count("answer") == 2
    assert kinds.count(FaultKind.TIMEOUT) == 7


async def test_accepted_calls_have_the_pace_for_themselves_as_batches_stop():
    answered: list[float] = []
    async with open_pool(pace=narrow) as pool, anyio.create_task_group() as nursery:

        async def call(number: int) -> None:
            result = await pool.call(Echo(), f"call {number}", priority=0)
            answered.append(anyio.current_time() - start)
            assert result.success

        nursery.start_soon(pool.process_prompts, Echo(), [str(number) for number in range(100)])
        await anyio.sleep(0.5)
        start = anyio.current_time()
        for number in range(10):
            nursery.start_soon(call, number)
        await anyio.sleep(0.1)
        pool.drain()
    assert answered == pytest.approx([0.5 + number for number in range(1, 11)])


async def test_whoever_calls_has_one_exception_to_catch_until_the_pool_is_left():
    raised: list[type[BaseException]] = []
    async with anyio.create_task_group() as nursery:

        async def call() -> None:
            try:
                await pool.call(Echo(), "late")
            except PacelineError as error:
                raised.append(type(error))

        async with open_pool() as pool:
            nursery.start_soon(pool.call, Echo(5.0), "a")

            async def later() -> None:
                await anyio.sleep(2)
                await call()

            nursery.start_soon(later)  # while the pool is being left
            await anyio.sleep(1)
        with pytest.raises(MisuseError, match="not open"):
            await pool.call(Echo(), "after")
        async with open_pool() as pool:
            pool.drain()
            await call()
        await call()
    assert raised == [Busy, Busy, Busy]


# ---------------------------------------------------------------------------------------------- batches


@pytest.mark.parametrize("source", [list, iter])
async def test_a_loop_of_batches_ends_at_a_drain_and_no_item_is_lost(source):
    done: list[Any] = []
    strategy = Echo()
    async with open_pool(pace=narrow) as pool, anyio.create_task_group() as nursery:

        async def nightly() -> None:
            for day in range(5):
                batch = await pool.process_prompts(strategy, source(["a", "b", "c", "d"]), name=f"{day}")
                done.append(batch)

        nursery.start_soon(nightly)
        await anyio.sleep(5.5)
        pool.drain("SIGTERM")
    assert anyio.current_time() == pytest.approx(6.0, abs=0.1)
    assert [batch.succeeded for batch in done] == [4, 2, 0, 0, 0]
    assert [batch.stopped and batch.stopped.message for batch in done] == [None] + ["SIGTERM"] * 4
    assert [batch.pending for batch in done] == ([0, 2, 4, 4, 4] if source is list else [0, 2, 0, 0, 0])
    assert strategy.board.calls.total() == 6


@pytest.mark.parametrize("how", ["process_prompts", "process", "stream"])
async def test_what_begins_after_a_drain_is_pending_at_once_with_its_reason(how):
    strategy = Prepared()
    async with open_pool() as pool:
        pool.drain("SIGTERM")
        pool.drain("again")
        start = anyio.current_time()
        if how == "process_prompts":
            batch = await pool.process_prompts(strategy, list("abc"))
            results = batch.results
        elif how == "process":
            batch = await pool.process(LLMWorkItem(name, strategy, name) for name in "abc")
            assert batch.total_items == 0
            assert batch.stopped.message == "SIGTERM"
            batch = await pool.process([LLMWorkItem(name, strategy, name) for name in "abc"])
            results = batch.results
        else:
            async with pool.stream(strategy, list("abc")) as stream:
                results = [result async for result in stream]
            batch = stream.batch
        assert [(result.error.kind, result.error.message) for result in results] == [(FaultKind.PENDING, "SIGTERM")] * 3
        assert batch.stopped.message == "SIGTERM"
        assert anyio.current_time() == start
    assert strategy.prepared == strategy.board.calls.total() == 0


async def test_a_large_batch_after_a_drain_does_not_stall_the_event_loop():
    async with open_pool() as pool:
        pool.drain()
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await anyio.lowlevel.checkpoint()
                ticks += 1

        async with anyio.create_task_group() as nursery:
            nursery.start_soon(tick)
            batch = await pool.process_prompts(Echo(), [str(number) for number in range(5_000)])
            nursery.cancel_scope.cancel()
    assert batch.pending == 5_000
    assert ticks >= 10


async def test_a_drained_pool_still_recalls_what_its_journal_has():
    journal, strategy = MemoryJournal(), Echo()
    async with open_pool(journal=journal) as pool:
        assert (await pool.process_prompts(strategy, ["a", "b"])).succeeded == 2
        pool.drain()
        batch = await pool.process_prompts(strategy, ["a", "b", "c"])
        assert (batch.recalled, batch.pending) == (2, 1)
    assert strategy.board.calls.total() == 2


async def test_a_pool_that_is_opened_again_takes_calls_again():
    pool = open_pool()
    async with pool:
        pool.drain()
    async with pool:
        assert (await pool.call(Echo(), "a")).success
