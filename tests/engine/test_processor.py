"""The processor: batch after batch, statistics, misuse, cancellation and draining."""

from __future__ import annotations

import inspect
import math
from typing import get_type_hints

import anyio
import pytest

from paceline import FaultKind, LLMWorkItem, ParallelBatchProcessor, ProcessorConfig, TokenUsage
from paceline.exceptions import DuplicateItemError, InvalidWorkItemError, MisuseError
from paceline.processor import Options

from .support import Echo, FixedPace, Scripted, Status, add_all

pytestmark = pytest.mark.anyio


async def test_every_item_has_its_result_with_output_context_and_usage():
    async with ParallelBatchProcessor() as processor:
        row = {"gold": 42}
        await processor.add_work(LLMWorkItem(item_id="q1", strategy=Echo(), prompt="hello", context=row))
        batch = await processor.process_all()
    (result,) = batch.results
    assert result.success
    assert (result.item_id, result.output, result.index) == ("q1", "HELLO", 0)
    assert result.context is row
    assert result.usage == batch.usage == TokenUsage(10, 5)
    (attempt,) = result.attempts
    assert (attempt.number, attempt.quota, attempt.fault) == (1, "echo", None)
    assert attempt.seconds == pytest.approx(1.0, abs=1e-3)
    assert batch.seconds == pytest.approx(1.0, abs=1e-3)


async def test_an_empty_batch_ends_at_once():
    async with ParallelBatchProcessor() as processor:
        batch = await processor.process_all()
    assert (batch.total_items, batch.results, batch.seconds) == (0, (), 0.0)


async def test_results_come_in_completion_order_and_are_available_in_input_order():
    async with ParallelBatchProcessor() as processor:
        for seconds in (3.0, 1.0, 2.0):
            await processor.add_work(LLMWorkItem(f"{seconds}", Echo(seconds, quota=str(seconds)), "x"))
        batch = await processor.process_all()
    assert [result.item_id for result in batch.results] == ["1.0", "2.0", "3.0"]
    assert [result.item_id for result in batch.in_input_order()] == ["3.0", "1.0", "2.0"]


async def test_a_processor_runs_several_batches_and_keeps_its_pace():
    strategy = Echo()
    async with ParallelBatchProcessor() as processor:
        await add_all(processor, strategy, [f"a{i}" for i in range(200)])
        first = await processor.process_all()
        learned = processor.statistics().lanes["echo"].limit
        await add_all(processor, strategy, [f"a{i}" for i in range(200)])  # the same ids, in another batch
        second = await processor.process_all()
        stats = await processor.get_stats()
    assert first.succeeded == second.succeeded == 200
    assert learned > 20
    assert second.seconds < first.seconds
    assert stats["succeeded"] == stats["total_items"] == 400
    assert stats["lanes"]["echo"]["in_flight"] == stats["workers"] == stats["in_flight"] == stats["waiting"] == 0


async def test_throttled_calls_are_counted_and_spend_no_attempt():
    strategy = Scripted({"a": [Status(429)] * 12 + [None]})
    async with ParallelBatchProcessor(pace=lambda _: FixedPace(20)) as processor:
        await add_all(processor, strategy, ["a", "b"])
        batch = await processor.process_all()
        stats = await processor.get_stats()
    assert batch.succeeded == 2
    assert stats["rate_limit_count"] == batch.refusals == 12
    a = next(result for result in batch.results if result.item_id == "a")
    assert (a.refusals, [attempt.number for attempt in a.attempts]) == (12, [1])
    assert strategy.board.attempts["a"] == [1] * 13


async def test_work_can_be_added_while_a_batch_runs():
    class Crawler(Echo):
        async def execute(self, prompt: str, attempt: int, timeout: float):
            if len(prompt) < 4:
                for digit in "01":
                    await processor.add_work(LLMWorkItem(prompt + digit, self, prompt + digit))
            return await super().execute(prompt, attempt, timeout)

    async with ParallelBatchProcessor() as processor:
        await processor.add_work(LLMWorkItem("0", Crawler(), "0"))
        batch = await processor.process_all()
    assert batch.succeeded == 1 + 2 + 4 + 8


async def test_an_id_may_be_used_once_in_a_batch():
    async with ParallelBatchProcessor() as processor:
        await add_all(processor, Echo(), ["a"])
        with pytest.raises(DuplicateItemError, match="'a' is already in this batch"):
            await add_all(processor, Echo(), ["a"])
        assert (await processor.process_all()).total_items == 1


async def test_a_value_that_is_not_a_work_item_is_rejected():
    async with ParallelBatchProcessor() as processor:
        with pytest.raises(InvalidWorkItemError, match="a batch accepts LLMWorkItem, not str"):
            await processor.add_work("hello")


async def test_a_processor_works_only_inside_its_block():
    processor = ParallelBatchProcessor()
    with pytest.raises(MisuseError, match="async with"):
        await processor.add_work(LLMWorkItem("a", Echo(), "a"))
    async with processor:
        pass
    with pytest.raises(MisuseError, match="async with"):
        await processor.process_all()


async def test_one_batch_at_a_time():
    async with ParallelBatchProcessor() as processor:
        await add_all(processor, Echo(), ["a"])
        async with anyio.create_task_group() as nursery:
            nursery.start_soon(processor.process_all)
            await anyio.sleep(0.5)
            with pytest.raises(MisuseError, match="running already"):
                await processor.process_all()
            with pytest.raises(MisuseError, match="running already"):
                async with processor.stream([]):
                    pass
    assert processor.batch.succeeded == 1


async def test_statistics_show_the_current_state():
    async with ParallelBatchProcessor(ProcessorConfig(max_workers=3)) as processor:
        await add_all(processor, Echo(), list("abcde"))
        assert processor.statistics().waiting == 5
        async with anyio.create_task_group() as nursery:
            nursery.start_soon(processor.process_all)
            await anyio.sleep(1.5)
            now = processor.statistics()
    assert (now.succeeded, now.in_flight, now.workers, now.waiting, now.total_items) == (3, 2, 2, 0, 5)


async def test_cancelling_a_batch_leaves_a_result_for_every_item():
    strategy = Echo()
    async with ParallelBatchProcessor(ProcessorConfig(max_workers=10), pace=lambda _: FixedPace(20)) as processor:
        await add_all(processor, strategy, [str(i) for i in range(1000)])
        with anyio.move_on_after(2.5):
            await processor.process_all()
        batch = processor.batch
        assert sorted(int(result.item_id) for result in batch.results) == list(range(1000))
        assert batch.succeeded == 20
        assert batch.failures == {FaultKind.PENDING: 980}
        assert processor.statistics().lanes["echo"].in_flight == 0
        await add_all(processor, strategy, ["next"])
        assert (await processor.process_all()).succeeded == 1


async def test_draining_finishes_what_is_in_flight_and_leaves_the_rest_pending():
    async with ParallelBatchProcessor(ProcessorConfig(max_workers=10), pace=lambda _: FixedPace(20)) as processor:
        await add_all(processor, Echo(), [str(i) for i in range(100)])
        async with anyio.create_task_group() as nursery:
            nursery.start_soon(processor.process_all)
            await anyio.sleep(1.5)
            processor.drain()
            processor.drain()
    batch = processor.batch
    assert batch.seconds == pytest.approx(2.0, abs=1e-3)
    assert (batch.succeeded, batch.failures) == (20, {FaultKind.PENDING: 80})
    assert batch.stopped is not None
    assert batch.stopped.message == "the batch was drained"


async def test_a_summary_says_what_happened():
    strategy = Scripted({"a": [Status(429)], "b": [Status(400)]})
    async with ParallelBatchProcessor() as processor:
        await add_all(processor, strategy, ["a", "b", "c"])
        batch = await processor.process_all()
    text = batch.summary()
    assert "items     3: 2 succeeded, 1 failed" in text
    assert "rejected: 1" in text
    assert "throttled 1 call" in text
    assert "30 in (0 cached)" in text or "20 in (0 cached)" in text
    assert math.isfinite(batch.seconds)


def test_the_options_that_functions_pass_on_are_the_arguments_of_the_processor():
    arguments = get_type_hints(ParallelBatchProcessor.__init__)
    del arguments["return"]
    assert get_type_hints(Options) == arguments
    assert list(arguments) == list(inspect.signature(ParallelBatchProcessor).parameters)
