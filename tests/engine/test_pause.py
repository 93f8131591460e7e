"""Pause and remote control: no call starts while a pool is paused, nothing is lost, and a journal's requests are obeyed; in virtual time."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from paceline import FaultKind, ParallelBatchProcessor, ProcessorConfig, RetryPolicy, open_pool, process_prompts
from paceline._core.limitation import LimitReason

from .support import Echo, FixedPace, Status, add_all
from .test_monitor import Watched, texts

pytestmark = pytest.mark.anyio


async def test_no_call_starts_while_paused_and_all_are_made_afterwards():
    echo = Echo(1.0)
    async with (
        ParallelBatchProcessor[Any](pace=lambda _: FixedPace(2)) as processor,
        anyio.create_task_group() as nursery,
    ):
        await add_all(processor, echo, texts(10))
        nursery.start_soon(processor.process_all)
        await anyio.sleep(1.5)
        processor.pause()
        paused_at = anyio.current_time()
        await anyio.sleep(100.0)
        statistics = processor.statistics()
        assert (statistics.in_flight, statistics.is_paused) == (0, True)
        assert statistics.limitation.reason is LimitReason.PAUSED
        assert max(at for at, _ in echo.board.starts) < paused_at
        assert statistics.succeeded == 4  # those in flight have finished
        processor.resume()
    assert processor.batch.succeeded == 10
    assert sum(echo.board.calls.values()) == 10
    assert not processor.statistics().is_paused


async def test_single_calls_wait_while_their_pool_is_paused_and_their_timeouts_run_on():
    async with open_pool(pace=lambda _: FixedPace(2)) as pool:
        pool.pause()
        late = await pool.call(Echo(), "a", timeout=5.0)
        assert late.error.kind is FaultKind.TIMEOUT
        async with anyio.create_task_group() as nursery:

            async def call() -> None:
                assert (await pool.call(Echo(), "b")).output == "B"

            nursery.start_soon(call)
            await anyio.sleep(30.0)
            pool.resume()


async def test_a_pause_does_not_use_up_patience_with_a_provider_that_refuses_everything():
    class Refusing(Echo):
        async def execute(self, prompt: str, attempt: int, timeout: float) -> Any:
            await super().execute(prompt, attempt, timeout)
            if anyio.current_time() < resumed_at:
                raise Status(429)
            return prompt, None

    started = anyio.current_time()
    resumed_at = started + 1000.0
    config = ProcessorConfig(retry=RetryPolicy(patience=60.0))
    async with ParallelBatchProcessor[Any](config) as processor, anyio.create_task_group() as nursery:
        await add_all(processor, Refusing(0.1), texts(5))
        nursery.start_soon(processor.process_all)
        await anyio.sleep(10.0)
        processor.pause()
        await anyio.sleep(990.0)
        processor.resume()
    assert processor.batch.succeeded == 5


async def test_a_paused_batch_can_be_drained():
    async with (
        ParallelBatchProcessor[Any](pace=lambda _: FixedPace(2)) as processor,
        anyio.create_task_group() as nursery,
    ):
        await add_all(processor, Echo(), texts(10))
        nursery.start_soon(processor.process_all)
        await anyio.sleep(0.5)
        processor.pause()
        await anyio.sleep(5.0)
        processor.drain()
    assert (processor.batch.succeeded, processor.batch.pending) == (2, 8)


async def test_what_a_journal_asks_is_obeyed_within_a_second_and_answered():
    journal, echo = Watched(), Echo(0.5)

    async def ask(number: int, command: Any, workers: Any = None) -> None:
        journal.asked.append((number, command, workers))
        await anyio.sleep(1.1)
        assert [answered for answered, _ in journal.answers][-1] == number

    config = ProcessorConfig(max_workers=20)
    async with anyio.create_task_group() as nursery:
        batches: list[Any] = []

        async def run() -> None:
            batches.append(
                await process_prompts(echo, texts(900), journal=journal, pace=lambda _: FixedPace(50), config=config)
            )

        nursery.start_soon(run)
        await anyio.sleep(1.0)
        await ask(1, "pause")
        started = len(echo.board.starts)
        await anyio.sleep(20.0)
        assert len(echo.board.starts) == started
        assert journal.figures[-1].is_paused
        await ask(2, "max_workers", 3)
        await ask(3, "continue")
        echo.board.max_in_flight = 0
        await anyio.sleep(10.0)
        assert echo.board.max_in_flight == config.max_workers == 3
        for number, (command, workers) in enumerate(
            [
                ("format the disk", None),
                (b"pause", None),
                (None, 7),
                ("max_workers", -5),
                ("max_workers", "9"),
                ("pause", 1),
            ],
            4,
        ):
            await ask(number, command, workers)
        assert (config.max_workers, journal.figures[-1].is_paused) == (3, False)
        await ask(10, "drain")
    answers = dict(journal.answers)
    assert answers[1] == "paused; 20 calls in flight finish"
    assert answers[2] == "at most 3 calls at once, before: 20"
    assert answers[3] == "continued"
    assert all(answers[number].startswith("not done: ") for number in range(4, 10))
    assert answers[10].startswith("no more calls start")
    (batch,) = batches
    assert batch.succeeded + batch.pending == 900
    assert batch.pending
    assert not batch.failed
    assert batch.stopped.message == "the run was drained by paceline control"
