"""Other threads: settings, drain and the streams of a pool may be used from any; what may not says so."""

from __future__ import annotations

import threading

import anyio
import pytest
from anyio import to_thread

from paceline import LLMWorkItem, ParallelBatchProcessor, ProcessorConfig, open_pool
from paceline.exceptions import Busy, MisuseError

from .support import Echo, FixedPace

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["trio", "asyncio"])]
"""In real time, as threads have no other."""

LIMIT = 20  # seconds: a hang is a failure of the test
QUICK = 0.001  # seconds of a call


def wide(_known):
    return FixedPace(1_000)


async def test_max_workers_that_another_thread_sets_take_effect():
    strategy = Echo(QUICK)
    with anyio.fail_after(LIMIT):
        async with open_pool(ProcessorConfig(max_workers=1), pace=wide) as pool:
            gate = anyio.Event()

            class Waits(Echo):
                async def execute(self, prompt, attempt, timeout):
                    with self.board.call(prompt):
                        await gate.wait()
                    return prompt, None

            strategy = Waits()
            async with anyio.create_task_group() as nursery:
                nursery.start_soon(pool.process_prompts, strategy, list("abcdefgh"))
                await anyio.wait_all_tasks_blocked()
                assert strategy.board.in_flight == 1
                await to_thread.run_sync(setattr, pool.config, "max_workers", 5)
                while strategy.board.in_flight < 5:
                    await anyio.sleep(QUICK)
                gate.set()
    assert strategy.board.max_in_flight == 5


@pytest.mark.parametrize("has_called", [False, True])
async def test_another_thread_drains_a_pool(has_called):
    with anyio.fail_after(LIMIT):
        async with open_pool() as pool:
            if has_called:
                assert (await pool.call(Echo(QUICK), "a")).success
            await to_thread.run_sync(pool.drain)
            await anyio.sleep(QUICK)
            with pytest.raises(Busy, match="takes no more calls"):
                await pool.call(Echo(QUICK), "b")


async def test_another_thread_drains_a_batch_whose_calls_must_wait():
    async def results_of(stream):
        return [result.error.kind.value async for result in stream]

    with anyio.fail_after(LIMIT):
        async with open_pool(pace=lambda _: FixedPace(1, gate=1e9)) as pool:
            async with pool.stream(Echo(), list("abc")) as stream:
                await to_thread.run_sync(stream.drain, "by hand")
                assert await results_of(stream) == ["pending"] * 3
            assert stream.batch.stopped.message == "by hand"
        async with ParallelBatchProcessor(pace=lambda _: FixedPace(1, gate=1e9)) as processor:
            await processor.add_work(LLMWorkItem("a", Echo(), "a"))
            async with anyio.create_task_group() as nursery:
                nursery.start_soon(processor.process_all)
                await anyio.wait_all_tasks_blocked()
                await to_thread.run_sync(processor.drain)
            assert processor.batch.total_items == 1


async def test_draining_before_and_after_does_nothing():
    pool, processor = open_pool(), ParallelBatchProcessor()
    pool.drain()
    processor.drain()
    async with pool, processor:
        assert (await pool.call(Echo(QUICK), "a")).success
    for drain in (pool.drain, processor.drain):
        drain()
        await to_thread.run_sync(drain)


async def test_draining_after_the_loop_has_ended_does_nothing():
    opened = []

    def run(backend):
        async def main():
            pool = open_pool()
            await pool.__aenter__()
            opened.append(pool)

        anyio.run(main, backend=backend)

    await to_thread.run_sync(run, "asyncio")
    opened[0].drain()
    opened[0].config.max_workers = 3


async def test_a_pool_and_a_processor_belong_to_one_event_loop():
    raised = []

    async def elsewhere():
        for act in (
            lambda: pool.call(Echo(QUICK), "a"),
            lambda: pool.process_prompts(Echo(QUICK), ["a"]),
            processor.process_all,
        ):
            try:
                await act()
            except MisuseError as error:
                raised.append(str(error))

    with anyio.fail_after(LIMIT):
        async with open_pool() as pool, ParallelBatchProcessor() as processor:
            await processor.add_work(LLMWorkItem("a", Echo(QUICK), "a"))
            await to_thread.run_sync(lambda: anyio.run(elsewhere, backend="trio"))
            await to_thread.run_sync(lambda: anyio.run(elsewhere, backend="asyncio"))
            assert (await pool.call(Echo(QUICK), "a")).success
    assert len(raised) == 6
    assert all("event loop" in text for text in raised)


async def test_two_pools_in_two_threads_share_a_strategy():
    log = []

    class Prepared(Echo):
        async def prepare(self):
            log.append(("prepare", threading.get_ident()))

        async def cleanup(self):
            log.append(("cleanup", threading.get_ident()))

    strategy = Prepared(QUICK)

    async def elsewhere():
        async with open_pool() as pool:
            return (await pool.call(strategy, "b")).output

    async with open_pool() as pool:
        assert (await pool.call(strategy, "a")).output == "A"
        assert await to_thread.run_sync(lambda: anyio.run(elsewhere)) == "B"
        assert (await pool.call(strategy, "c")).output == "C"
    here, there = log[0][1], log[1][1]
    assert log == [("prepare", here), ("prepare", there), ("cleanup", there), ("cleanup", here)]
