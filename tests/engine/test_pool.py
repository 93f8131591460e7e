"""Pools and batches: what was seen to fail in applications, each as a law; on both backends, in virtual time."""

from __future__ import annotations

import asyncio
import logging
import math
from typing import Any

import anyio
import pytest
import trio
from trio.testing import MockClock, assert_checkpoints

from paceline import (
    FaultKind,
    LLMWorkItem,
    ParallelBatchProcessor,
    ProcessorConfig,
    open_pool,
    open_stream,
    process_prompts,
)
from paceline.abc import BaseObserver, Middleware
from paceline.journal import SqliteJournal
from paceline.testing import run_in_virtual_time

from .journals import MemoryJournal
from .support import Echo, FixedPace, Scripted, Status, add_all

pytestmark = pytest.mark.anyio


def wide(_known):
    return FixedPace(100_000)


class Prepared(Echo):
    """Notes when it is prepared and cleaned up, and calls that find it closed."""

    def __init__(self, seconds: float = 1.0, prepare_seconds: float = 0.5) -> None:
        super().__init__(seconds)
        self.prepare_seconds = prepare_seconds
        self.log: list[str] = []

    async def prepare(self) -> None:
        self.log.append("prepare")
        await anyio.sleep(self.prepare_seconds)
        self.log.append("ready")

    async def cleanup(self) -> None:
        self.log.append("cleanup")
        await anyio.sleep(0.5)
        self.log.append("closed")

    async def execute(self, prompt: str, attempt: int, timeout: float) -> Any:
        assert self.log[-1] == "ready", "called while it is not prepared"
        answer = await super().execute(prompt, attempt, timeout)
        assert self.log[-1] == "ready", "closed under a call"
        return answer


# ---------------------------------------------------------------------------------------------- streams


@pytest.mark.parametrize("journal", [None, MemoryJournal], ids=["plain", "journal"])
@pytest.mark.parametrize("source", [list, iter], ids=["sized", "unsized"])
async def test_work_may_be_added_as_the_first_statement_of_a_stream(journal, source):
    with anyio.fail_after(100):
        async with (
            ParallelBatchProcessor(journal=journal and journal()) as processor,
            processor.stream(source([LLMWorkItem("a", Echo(), "a")])) as results,
        ):
            await processor.add_work(LLMWorkItem("b", Echo(), "b"))
            assert sorted([result.output async for result in results]) == ["A", "B"]


async def test_work_may_be_added_to_a_stream_without_a_source():
    async with ParallelBatchProcessor(middlewares=[Middleware()]) as processor, processor.stream([]) as results:
        await processor.add_work(LLMWorkItem("b", Echo(), "b"))
        assert [result.output async for result in results] == ["B"]


def test_an_item_is_not_lost_if_asyncio_cancels_the_task_that_adds_it():
    async def source():
        yield LLMWorkItem("a", Echo(), "a")
        await anyio.sleep(3)

    async def main():
        async with (
            ParallelBatchProcessor(journal=MemoryJournal(recall_delay=1)) as processor,
            processor.stream(source()) as results,
        ):
            task = asyncio.create_task(processor.add_work(LLMWorkItem("b", Echo(), "b")))
            await asyncio.sleep(0.5)
            task.cancel()
            with anyio.fail_after(100):
                return sorted([result.output async for result in results])

    assert run_in_virtual_time(main, backend="asyncio") == ["A", "B"]


# ---------------------------------------------------------------------------------------------- strategies


async def test_overlapping_batches_share_a_strategy_that_is_prepared_once_and_cleaned_up_after_the_last():
    strategy = Prepared()
    batches = []

    async def run(delay: float) -> None:
        await anyio.sleep(delay)
        batches.append(await process_prompts(strategy, ["a", "b", "c"], pace=wide))

    async with anyio.create_task_group() as nursery:
        for index in range(10):
            nursery.start_soon(run, index * 0.25)
    assert [batch.succeeded for batch in batches] == [3] * 10
    assert strategy.log == ["prepare", "ready", "cleanup", "closed"]


async def test_a_strategy_that_is_used_again_while_it_is_cleaned_up_is_prepared_again():
    strategy = Prepared()
    batches = []

    async def run(delay: float) -> None:
        await anyio.sleep(delay)
        batches.append(await process_prompts(strategy, ["a"]))

    async with anyio.create_task_group() as nursery:
        nursery.start_soon(run, 0.0)
        nursery.start_soon(run, 1.75)  # the first has its result after 1.5 s, and cleans up for 0.5 s
    assert [batch.succeeded for batch in batches] == [1, 1]
    assert strategy.log == ["prepare", "ready", "cleanup", "closed"] * 2


async def test_a_cancelled_batch_does_not_close_a_strategy_under_another():
    strategy = Prepared()
    async with anyio.create_task_group() as nursery:

        async def cancelled() -> None:
            with anyio.move_on_after(1.0):
                await process_prompts(strategy, list("abc"))

        nursery.start_soon(cancelled)
        batch = await process_prompts(strategy, list("abc"), pace=wide)
    assert batch.succeeded == 3
    assert strategy.log == ["prepare", "ready", "cleanup", "closed"]


# ---------------------------------------------------------------------------------------------- cancellation


@pytest.mark.parametrize("native", [True, False])
def test_cancelling_while_a_journal_opens_leaves_it_unlocked(tmp_path, native):
    path = tmp_path / "run.db"

    async def main():
        for steps in range(12):  # wherever the cancellation comes
            task = asyncio.create_task(process_prompts(Echo(0.0), ["a"], journal=path)) if native else None
            if task is not None:
                for _ in range(steps):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
            else:
                async with anyio.create_task_group() as nursery:
                    nursery.start_soon(lambda: process_prompts(Echo(0.0), ["a"], journal=path))
                    for _ in range(steps):
                        await anyio.lowlevel.checkpoint()
                    nursery.cancel_scope.cancel()
            journal = SqliteJournal(path)
            await journal.open()
            await journal.close()
        return True

    assert anyio.run(main, backend="asyncio" if native else "trio")


async def test_observers_hear_that_a_cancelled_batch_has_ended():
    heard = []

    class Listens(BaseObserver):
        async def on_event(self, event, data):
            heard.append(str(event))

    with anyio.move_on_after(1.5):
        await process_prompts(Echo(), [str(i) for i in range(9)], observers=[Listens()], pace=lambda _: FixedPace(1))
    assert heard[-1] == "batch_completed"
    heard.clear()
    async with open_pool(observers=[Listens()]) as pool:
        with anyio.move_on_after(0.5):
            await pool.process_prompts(Echo(), ["a"])
        await anyio.sleep(0.1)
        assert heard[-1] == "batch_completed"


@pytest.mark.parametrize("where", ["execute", "prepare"])
def test_an_interrupt_leaves_process_prompts_as_itself(where):
    class Interrupts(Echo):
        async def prepare(self):
            await anyio.sleep(0.1)
            if where == "prepare":
                raise KeyboardInterrupt

        async def execute(self, prompt, attempt, timeout):
            if prompt == "b":
                raise KeyboardInterrupt
            return await super().execute(prompt, attempt, timeout)

    async def in_stream():
        async with open_stream(Interrupts(), list("abc")) as results:
            async for _ in results:
                pass

    async def in_pool():
        async with open_pool() as pool:
            await pool.process_prompts(Interrupts(), list("abc"))

    for main in (lambda: process_prompts(Interrupts(), list("abc")), in_stream, in_pool):
        for backend in ("trio", "asyncio"):
            with pytest.raises(KeyboardInterrupt):
                run_in_virtual_time(main, backend=backend)


async def test_leaving_a_pool_waits_for_its_batches_and_calls():
    results: list[Any] = []
    async with anyio.create_task_group() as nursery:
        async with open_pool() as pool:

            async def batch() -> None:
                results.append((await pool.process_prompts(Echo(2.0), ["a", "b"])).succeeded)

            async def call() -> None:
                results.append((await pool.call(Echo(1.0, "other"), "c")).output)

            nursery.start_soon(batch)
            nursery.start_soon(call)
            await anyio.sleep(0.1)
        assert results == ["C", 2]


@pytest.mark.parametrize("delay", [0.0, 0.5])
@pytest.mark.parametrize("how", ["exception", "cancelled"])
async def test_what_runs_in_a_pool_that_is_cancelled_ends_in_every_task(how, delay):
    journal = MemoryJournal(delay=delay)
    ended: list[Any] = []
    pool = open_pool(journal=journal, pace=lambda _: FixedPace(2))
    overloaded = Scripted({"x": [Status(503)] * 99}, quota="overloaded")

    async def call(strategy: Any, prompt: str) -> None:
        ended.append(await pool.call(strategy, prompt))

    async def batch() -> None:
        ended.extend((await pool.process_prompts(Echo(3.0), ["a", "b", "c"])).results)

    with anyio.fail_after(1_000):
        async with anyio.create_task_group() as others:
            with anyio.CancelScope() as scope:
                try:
                    async with pool:
                        others.start_soon(batch)
                        for prompt in "defg":
                            others.start_soon(call, Echo(1.3), prompt)
                        others.start_soon(call, overloaded, "x")
                        others.start_soon(call, Prepared(prepare_seconds=99.0), "p")
                        await anyio.sleep(1.6)
                        if how == "exception":
                            raise LookupError
                        scope.cancel()
                        await anyio.sleep(9)
                except LookupError:
                    pass
    assert len(ended) == 9
    assert all(result.success or result.error.kind is FaultKind.PENDING for result in ended)
    paid = {result.item_id for result in ended if result.success}
    assert paid <= set(journal.kept)


# ---------------------------------------------------------------------------------------------- long queues


@pytest.mark.parametrize("how", ["cancel", "drain"])
@pytest.mark.parametrize("where", ["lane", "prepare"])
async def test_ending_a_long_queue_lets_other_tasks_run(how, where):
    strategy = Echo(100.0) if where == "lane" else Prepared(prepare_seconds=100.0)
    beats = 0
    async with ParallelBatchProcessor(pace=lambda _: FixedPace(1)) as processor:
        for index in range(10_000):
            await processor.add_work(LLMWorkItem(str(index), strategy, "x"))
        async with anyio.create_task_group() as nursery, anyio.create_task_group() as batch:
            batch.start_soon(processor.process_all)
            await anyio.sleep(1)
            if how == "cancel":
                batch.cancel_scope.cancel()
            else:
                processor.drain()

            async def beat() -> None:
                nonlocal beats
                while processor.statistics().pending < 9_500:
                    beats += 1
                    with anyio.CancelScope(shield=True):
                        await anyio.lowlevel.checkpoint()

            nursery.start_soon(beat)
    assert processor.batch.total_items == 10_000
    assert beats >= 9_500 / 100


async def test_work_that_was_never_run_is_warned_of(caplog):
    caplog.set_level(logging.WARNING, "paceline")
    async with ParallelBatchProcessor() as processor:
        await add_all(processor, Echo(), list("abc"))
    assert "3 items queued, and never run" in caplog.text


# ---------------------------------------------------------------------------------------------- checkpoints


def test_every_public_async_function_is_a_checkpoint():
    missed = []

    async def check(name, awaitable):
        try:
            with assert_checkpoints():
                return await awaitable
        except StopAsyncIteration:
            return None
        except AssertionError:
            missed.append(name)
            return None

    async def main():
        journal = MemoryJournal(kept={})
        pool = open_pool(journal=journal)
        await check("pool: enter", pool.__aenter__())
        await check("call", pool.call(Echo(0.0), "a", item_id="a"))
        await check("call: in the journal", pool.call(Echo(0.0), "a", item_id="a"))
        await check("process_prompts of a pool", pool.process_prompts(Echo(), []))
        await check("process", pool.process([]))
        stream = pool.stream(Echo(), iter(["a", "b"]))
        results = await check("stream: enter", stream.__aenter__())
        await trio.sleep(9)
        await check("anext: ready", anext(results))
        await check("anext: ready", anext(results))
        await check("anext: no more", results.__anext__())
        await check("stream: leave", stream.__aexit__(None, None, None))
        await check("pool: leave", pool.__aexit__(None, None, None))
        processor = ParallelBatchProcessor()
        await check("processor: enter", processor.__aenter__())
        await check("add_work", processor.add_work(LLMWorkItem("a", Echo(), "a")))
        await check("process_all", processor.process_all())
        await check("process_all: nothing", processor.process_all())
        await check("get_stats", processor.get_stats())
        stream = processor.stream(iter([]))
        await check("processor.stream: enter", stream.__aenter__())
        await check("processor.stream: leave", stream.__aexit__(None, None, None))
        await check("processor: leave", processor.__aexit__(None, None, None))
        await check("process_prompts", process_prompts(Echo(), []))
        stream = open_stream(Echo(), iter([]))
        await check("open_stream: enter", stream.__aenter__())
        await check("open_stream: leave", stream.__aexit__(None, None, None))

    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert missed == []


# ---------------------------------------------------------------------------------------------- hooks


class Limited(Echo):
    """Refuses calls beyond a rate: a token bucket of 10 calls that gets 20 a second."""

    def __init__(self) -> None:
        super().__init__(0.3, "limited")
        self.bucket: list[float] = [10.0, 0.0]
        self.refusals = [0]

    async def execute(self, prompt, attempt, timeout):
        now = anyio.current_time()
        tokens, at = self.bucket
        tokens = min(10.0, tokens + 20.0 * (now - at))
        self.bucket[:] = [max(tokens - 1.0, 0.0) if tokens >= 1.0 else tokens, now]
        if tokens < 1.0:
            self.refusals[0] += 1
            raise Status(429)
        return await super().execute(prompt, attempt, timeout)


async def test_slow_hooks_do_not_hold_the_ticket_of_a_call():
    class Slow(Middleware):
        async def before_process(self, work_item):
            await anyio.sleep(1.0)

        async def after_process(self, result):
            await anyio.sleep(1.0)

    plain, hooked = Limited(), Limited()
    prompts = [str(i) for i in range(400)]
    assert (await process_prompts(plain, prompts)).succeeded == 400
    batch = await process_prompts(hooked, prompts, middlewares=[Slow()])
    assert batch.succeeded == 400
    assert hooked.refusals[0] <= 1.5 * plain.refusals[0] + 5


async def test_an_observer_that_hangs_does_not_hold_up_a_batch():
    class Hangs(BaseObserver):
        async def on_event(self, event, data):
            await anyio.sleep(math.inf)

    config = ProcessorConfig(hook_timeout=5.0)
    prompts = [str(i) for i in range(200)]
    plain = await process_prompts(Echo(), prompts, pace=wide)
    batch = await process_prompts(Echo(), prompts, pace=wide, observers=[Hangs()], config=config)
    assert batch.succeeded == 200
    assert batch.seconds == pytest.approx(plain.seconds)


# ---------------------------------------------------------------------------------------------- many lanes


async def test_a_thousand_lanes_are_not_all_looked_at_for_each_call():
    looks = 0

    class Counted(FixedPace):
        def admit_at(self, now, cost):
            nonlocal looks
            looks += 1
            return super().admit_at(now, cost)

    strategies = [Echo(1.0, f"lane {i}") for i in range(1_000)]
    async with ParallelBatchProcessor(pace=lambda _: Counted(1)) as processor:
        for index in range(3_000):
            await processor.add_work(LLMWorkItem(str(index), strategies[index % 1_000], "x"))
        batch = await processor.process_all()
    assert batch.succeeded == 3_000
    assert looks < 10 * 3_000


async def test_nor_are_all_looked_at_for_each_call_while_enough_is_read_ahead():
    looks = 0

    class Counted(FixedPace):
        @property
        def limit(self):
            nonlocal looks
            looks += 1
            return 1

        @limit.setter
        def limit(self, _):
            pass

    strategies = [Echo(0.01, f"lane {i}") for i in range(200)]
    items = (
        LLMWorkItem(str(index), strategies[index % 200], "x") for index in range(9_000)
    )  # more than are read ahead
    async with ParallelBatchProcessor(pace=lambda _: Counted(1)) as processor, processor.stream(items) as results:
        assert len([result async for result in results]) == 9_000
    assert looks < 10 * 9_000


async def test_two_pools_in_one_loop_do_not_disturb_each_other():
    async with open_pool(pace=lambda _: FixedPace(1)) as one, open_pool(pace=wide) as other:
        strategy = Prepared(prepare_seconds=0.0)
        async with anyio.create_task_group() as nursery:
            nursery.start_soon(one.process_prompts, strategy, list("abc"))
            start = anyio.current_time()
            assert (await other.process_prompts(strategy, list("defgh"))).succeeded == 5
            assert anyio.current_time() - start == pytest.approx(1.0)
            one.drain()
            assert (await other.call(strategy, "x")).success
    assert strategy.log == ["prepare", "ready", "cleanup", "closed"]


# ---------------------------------------------------------------------------------------------- batches that share a journal


async def test_batches_of_different_names_share_a_journal_and_each_has_its_own_answers():
    journal = MemoryJournal()
    async with open_pool(journal=journal) as pool:
        first = await pool.process_prompts(Echo(), ["a", "b"], name="monday")
        second = await pool.process_prompts(Echo(), ["c", "d"], name="tuesday")
        async with pool.stream(Echo(), ["e"], name="wednesday") as results:
            third = [result async for result in results]
    assert [result.output for result in (*first.in_input_order(), *second.in_input_order(), *third)] == list("ABCDE")
    assert set(journal.kept) == {"monday/0", "monday/1", "tuesday/0", "tuesday/1", "wednesday/0"}
