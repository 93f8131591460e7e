"""Deadlines of calls, items and batches."""

from __future__ import annotations

import anyio
import pytest

from paceline import (
    FaultKind,
    LLMCallStrategy,
    LLMWorkItem,
    ParallelBatchProcessor,
    ProcessorConfig,
    RetryPolicy,
    process_prompts,
)
from paceline.typing import Backoff

from .support import USAGE, Echo, FixedPace, Scripted, Status, add_all

pytestmark = pytest.mark.anyio

ONCE = RetryPolicy(max_attempts=1)


async def test_a_call_that_takes_too_long_is_cancelled_and_made_again():
    strategy = Scripted({"a": [anyio.sleep_forever]})
    batch = await process_prompts(strategy, ["a"], config=ProcessorConfig(timeout_per_item=30))
    (result,) = batch.results
    assert result.success
    first, second = result.attempts
    assert first.fault.kind is FaultKind.TIMEOUT
    assert "30 s" in first.fault.message
    assert first.seconds == pytest.approx(30, abs=1e-2)
    assert second.number == 2


async def test_a_call_that_always_hangs_is_given_up_as_a_timeout():
    batch = await process_prompts(Echo(1e9), ["a", "b"], config=ProcessorConfig(timeout_per_item=10))
    assert batch.failures == {FaultKind.TIMEOUT: 2}
    assert all(len(result.attempts) == 5 for result in batch.results)


async def test_execute_receives_the_seconds_it_may_take():
    class ReturnsTimeout(LLMCallStrategy[float]):
        async def execute(self, prompt: str, attempt: int, timeout: float):
            return timeout, None

    config = ProcessorConfig(timeout_per_item=30, deadline_per_item=20)
    batch = await process_prompts(ReturnsTimeout(), ["a"], config=config)
    assert batch.results[0].output == pytest.approx(20)


async def test_an_answer_in_the_very_tick_of_the_deadline_counts_and_harms_no_later_item():
    config = ProcessorConfig(timeout_per_item=10, max_workers=1, retry=ONCE)
    strategy = Echo(seconds=10)
    batch = await process_prompts(strategy, [str(i) for i in range(20)], config=config)
    assert batch.succeeded + batch.failures.get(FaultKind.TIMEOUT, 0) == 20
    assert strategy.board.calls.total() == 20
    assert batch.seconds == pytest.approx(200, abs=0.1)


async def test_an_answer_given_in_spite_of_the_cancellation_counts():
    class Stubborn(LLMCallStrategy[str]):
        async def execute(self, prompt: str, attempt: int, timeout: float):
            try:
                await anyio.sleep(100)
            except anyio.get_cancelled_exc_class():
                return "in the end", USAGE  # wrong: it should let the cancellation pass
            return "never", USAGE

    config = ProcessorConfig(timeout_per_item=10, max_workers=1)
    batch = await process_prompts(Stubborn(), ["a", "b", "c"], config=config)
    assert [result.output for result in batch.results] == ["in the end"] * 3
    assert batch.usage.total_tokens == 45


async def test_an_item_has_a_deadline_over_all_its_calls():
    strategy = Scripted({"a": [Status(500)] * 9}, seconds=4)
    retry = RetryPolicy(max_attempts=10, backoff=Backoff(base=1, longest=1))
    config = ProcessorConfig(deadline_per_item=11, retry=retry)
    batch = await process_prompts(strategy, ["a"], config=config)
    (result,) = batch.results
    assert result.error.kind is FaultKind.TIMEOUT
    assert "deadline of 11 s" in result.error.message
    assert batch.seconds <= 11.01
    assert 2 <= len(result.attempts) <= 3


async def test_an_item_that_would_wait_past_its_deadline_is_settled_at_once():
    strategy = Scripted({"a": [Status(429, {"retry-after": "50"})]})
    batch = await process_prompts(strategy, ["a"], config=ProcessorConfig(deadline_per_item=5))
    assert batch.failures == {FaultKind.TIMEOUT: 1}
    assert batch.seconds == pytest.approx(1, abs=0.01)


async def test_an_item_that_waits_past_its_deadline_is_settled_at_its_deadline():
    batch = await process_prompts(
        Scripted({"a": [Status(429)] * 50}), ["a"], config=ProcessorConfig(deadline_per_item=5)
    )
    assert batch.failures == {FaultKind.TIMEOUT: 1}
    assert batch.seconds == pytest.approx(5, abs=0.01)


async def test_items_that_were_never_called_have_no_deadline_yet():
    config = ProcessorConfig(deadline_per_item=5, max_workers=1)
    batch = await process_prompts(Echo(3), [str(i) for i in range(10)], config=config)
    assert batch.succeeded == 10


async def test_a_batch_has_a_deadline_after_which_the_rest_is_pending():
    config = ProcessorConfig(deadline=4.5, max_workers=2)
    strategy = Echo(seconds=1)
    batch = await process_prompts(strategy, [str(i) for i in range(100)], config=config)
    assert batch.seconds == pytest.approx(4.5, abs=0.01)
    assert (batch.succeeded, batch.failures) == (8, {FaultKind.PENDING: 92})
    assert "4.5 s" in batch.stopped.message
    assert strategy.board.in_flight == 0


async def test_a_deadline_can_be_set_while_the_batch_runs():
    async with ParallelBatchProcessor(ProcessorConfig(max_workers=2)) as processor:
        await add_all(processor, Echo(), [str(i) for i in range(100)])
        async with anyio.create_task_group() as nursery:
            nursery.start_soon(processor.process_all)
            await anyio.sleep(2.5)
            processor.config.deadline = 3.5
    assert processor.batch.succeeded == 6
    assert processor.batch.total_items == 100


async def test_each_call_is_cancelled_at_its_own_timeout():
    class Sleeper(LLMCallStrategy[str]):
        async def execute(self, prompt: str, attempt: int, timeout: float):
            await anyio.sleep(float(prompt))
            return prompt, USAGE

    prompts = [str(seconds) for seconds in range(1, 40)]
    batch = await process_prompts(Sleeper(), prompts, config=ProcessorConfig(timeout_per_item=20.5, retry=ONCE))
    assert batch.succeeded == 20
    for result in batch.results:
        if result.error:
            assert result.attempts[0].seconds == pytest.approx(20.5, abs=0.01)


async def test_a_call_in_flight_at_its_items_deadline_is_the_last():
    batch = await process_prompts(Echo(1e4), ["a"], config=ProcessorConfig(deadline_per_item=5))
    (result,) = batch.results
    assert batch.seconds == pytest.approx(5, abs=0.01)
    assert len(result.attempts) == 1
    assert "deadline of 5 s" in result.error.message


async def test_an_item_that_could_only_be_called_after_its_deadline_is_given_up_at_once():
    strategy = Scripted({"a": [Status(503, {"retry-after": "50"})]})
    batch = await process_prompts(strategy, ["a"], config=ProcessorConfig(deadline_per_item=20))
    assert batch.failures == {FaultKind.TIMEOUT: 1}
    assert batch.seconds == pytest.approx(1, abs=0.01)


async def test_an_item_that_was_given_up_while_it_waited_is_not_given_up_again():
    strategy = Scripted({"a": [Status(429, {"retry-after": "50"})], "b": [Status(429)] * 9}, seconds=1)
    async with ParallelBatchProcessor(ProcessorConfig(deadline_per_item=5, max_workers=1)) as processor:
        await add_all(processor, strategy, ["a", "b"])
        async with anyio.create_task_group() as nursery:
            nursery.start_soon(processor.process_all)
            await anyio.sleep(10)
            processor.drain()
    assert processor.batch.failures == {FaultKind.TIMEOUT: 1, FaultKind.PENDING: 1}


async def test_items_settled_long_before_their_deadline_are_not_kept_for_it():
    class Context:
        alive = 0

        def __init__(self):
            Context.alive += 1

        def __del__(self):
            Context.alive -= 1

    strategy = Echo(seconds=0.0)

    def items():
        for number in range(15_000):
            yield LLMWorkItem(str(number), strategy, "x", Context())

    most = 0
    config = ProcessorConfig(deadline_per_item=1e6)
    async with (
        ParallelBatchProcessor(config, pace=lambda _: FixedPace(100)) as processor,
        processor.stream(items()) as results,
    ):
        async for result in results:
            most = max(most, Context.alive)
            del result
    assert most < 10_000


async def test_calls_that_are_cancelled_in_flight_are_counted_and_those_that_end_by_themselves_are_not():
    async with ParallelBatchProcessor(ProcessorConfig(deadline=2.5), pace=lambda _: FixedPace(4)) as processor:
        await add_all(processor, Echo(seconds=1), [str(i) for i in range(20)])
        batch = await processor.process_all()
        assert (batch.succeeded, batch.cut_off) == (8, 4)
        await add_all(processor, Echo(seconds=1), [str(i) for i in range(20)])
        with anyio.move_on_after(1.5):
            await processor.process_all()
        assert (processor.batch.succeeded, processor.batch.cut_off) == (4, 4)
        assert processor.statistics().cut_off == 8


async def test_a_call_that_is_cancelled_at_its_timeout_is_counted_with_each_attempt():
    config = ProcessorConfig(timeout_per_item=1, retry=RetryPolicy(max_attempts=2))
    async with ParallelBatchProcessor(config, pace=lambda _: FixedPace(4)) as processor:
        await add_all(processor, Echo(seconds=5), ["a", "b"])
        batch = await processor.process_all()
    assert (batch.failed, batch.cut_off) == (2, 4)
