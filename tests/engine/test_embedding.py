"""Batches inside applications: cancellation, task groups and timeouts of asyncio; nurseries of trio, run by pytest-trio."""

from __future__ import annotations

import asyncio

import pytest
import trio

from paceline import (
    CallableStrategy,
    FaultKind,
    LLMCallStrategy,
    LLMWorkItem,
    ParallelBatchProcessor,
    ProcessorConfig,
    process_prompts,
)
from paceline.testing import VirtualTimeLoop

from .support import Echo, FixedPace, add_all


def run_on_asyncio(main):
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main())


def test_a_task_that_is_cancelled_by_asyncio_leaves_a_result_for_every_item():
    async def main():
        async with ParallelBatchProcessor(ProcessorConfig(max_workers=5), pace=lambda _: FixedPace(20)) as processor:
            await add_all(processor, Echo(), [str(i) for i in range(50)])
            task = asyncio.create_task(processor.process_all())
            await asyncio.sleep(2.5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return processor.batch

    batch = run_on_asyncio(main)
    assert (batch.succeeded, batch.failures) == (10, {FaultKind.PENDING: 40})


def test_asyncios_timeout_works_around_a_batch():
    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3):
                await process_prompts(Echo(100), ["a", "b"])
        return await process_prompts(Echo(), ["c"])

    assert run_on_asyncio(main).succeeded == 1


def test_two_batches_share_an_asyncio_application():
    async def main():
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(process_prompts(Echo(), list("abc"))) for _ in range(2)]
        return [task.result().succeeded for task in tasks]

    assert run_on_asyncio(main) == [3, 3]


@pytest.mark.parametrize("when", ["during", "after"])
def test_a_strategy_that_cancels_its_own_asyncio_task_harms_no_other_item(when):
    class CancelsItself(LLMCallStrategy[str]):
        async def execute(self, prompt, attempt, timeout):
            await asyncio.sleep(1)
            if prompt in {"b", "d"}:
                asyncio.current_task().cancel()
                if when == "during":
                    await asyncio.sleep(1)
            return prompt, None

    async def main():
        return await process_prompts(CancelsItself(), list("abcdefgh"), config=ProcessorConfig(max_workers=2))

    batch = run_on_asyncio(main)
    assert batch.total_items == 8
    assert all(r.success for r in batch.results if r.item_id not in {"1", "3"})


def test_an_asyncio_future_that_other_code_cancelled_is_a_fault():
    class Waits(LLMCallStrategy[str]):
        async def execute(self, prompt, attempt, timeout):
            future = asyncio.get_running_loop().create_future()
            future.cancel()
            await future

    async def main():
        return await process_prompts(Waits(), ["a"])

    assert run_on_asyncio(main).failures == {FaultKind.CANCELLED: 1}


@pytest.mark.trio
async def test_batches_run_side_by_side_in_a_trio_application(autojump_clock):
    async def answer(prompt: str) -> str:
        await trio.sleep(1)
        return prompt * 2

    finished = []
    async with trio.open_nursery() as nursery:
        for name in ("one", "two"):

            async def batch(name=name):
                async with ParallelBatchProcessor(pace=lambda _: FixedPace(20)) as processor:
                    for letter in "abc":
                        await processor.add_work(LLMWorkItem(name + letter, CallableStrategy(answer), letter))
                    finished.append((await processor.process_all()).succeeded)

            nursery.start_soon(batch)
    assert finished == [3, 3]
    assert trio.current_time() == pytest.approx(1.0)


@pytest.mark.trio
async def test_a_trio_timeout_works_around_a_batch(autojump_clock):
    with trio.move_on_after(3) as scope:
        await process_prompts(Echo(100), ["a", "b"])
    assert scope.cancelled_caught
    assert (await process_prompts(Echo(), ["c"])).succeeded == 1
