"""Races and borders: things that happen at an awkward moment, and invalid values from foreign code."""

from __future__ import annotations

import asyncio

import anyio
import attrs
import pytest

from paceline import (
    CallError,
    Fault,
    FaultKind,
    LLMWorkItem,
    ParallelBatchProcessor,
    ProcessorConfig,
    TokenUsage,
    open_stream,
    process_prompts,
)
from paceline.abc import BaseObserver, Middleware
from paceline.exceptions import ConfigurationError, DuplicateItemError, MisuseError, Skip
from paceline.observers import ProcessingEvent
from paceline.testing import VirtualTimeLoop

from .support import Echo, FixedPace, Scripted, Status, add_all

pytestmark = pytest.mark.anyio


async def test_cancelling_a_batch_starts_no_further_call():
    strategy = Echo()
    config = ProcessorConfig(max_workers=50)
    async with ParallelBatchProcessor(config, pace=lambda _: FixedPace(100)) as processor:
        await add_all(processor, strategy, [str(i) for i in range(3000)])
        with anyio.move_on_after(10.5):
            await processor.process_all()
    assert strategy.board.calls.total() == 550


async def test_work_may_be_added_while_observers_handle_the_start():
    class Adds(BaseObserver):
        async def on_event(self, event, data):
            if event is ProcessingEvent.BATCH_STARTED:
                await processor.add_work(LLMWorkItem("late", Echo(), "late"))
                await anyio.sleep(1)

    async with ParallelBatchProcessor(observers=[Adds()]) as processor:
        await add_all(processor, Echo(), ["a"])
        assert (await processor.process_all()).succeeded == 2


async def test_a_rejected_process_all_keeps_the_queued_items():
    async with ParallelBatchProcessor() as processor:
        await add_all(processor, Echo(), list("abc"))
        async with processor.stream([LLMWorkItem("x", Echo(), "x")]) as results:
            with pytest.raises(MisuseError):
                await processor.process_all()
            assert [result.item_id async for result in results] == ["x"]
        assert (await processor.process_all()).total_items == 3


async def test_the_id_of_a_queued_item_is_a_duplicate_before_it_is_read():
    refused = []

    class Adds(Echo):
        async def execute(self, prompt, attempt, timeout):
            if prompt == "0":
                try:
                    await processor.add_work(LLMWorkItem("1500", self, "again"))
                except DuplicateItemError as error:
                    refused.append(error.item_id)
            return await super().execute(prompt, attempt, timeout)

    async with ParallelBatchProcessor() as processor:
        await add_all(processor, Adds(), [str(i) for i in range(2000)])
        assert (await processor.process_all()).succeeded == 2000
    assert refused == ["1500"]


async def test_a_second_stream_of_a_processor_is_rejected():
    async with ParallelBatchProcessor() as processor, processor.stream([LLMWorkItem("a", Echo(), "a")]):
        with pytest.raises(MisuseError, match="running already"):
            async with processor.stream([LLMWorkItem("b", Echo(), "b")]):
                pass


async def test_a_stream_can_be_drained_before_anything_else():
    strategy = Echo()
    async with open_stream(strategy, ["x"] * 100) as results:
        results.drain()
        assert [r.error.kind async for r in results] == [FaultKind.PENDING] * 100
    assert strategy.board.calls.total() == 0


async def test_each_process_all_returns_its_own_batch():
    class Slow(BaseObserver):
        async def on_event(self, event, data):
            if event is ProcessingEvent.BATCH_COMPLETED and data["total_items"] == 1:
                await anyio.sleep(10)

    first = []
    async with ParallelBatchProcessor(observers=[Slow()]) as processor:

        async def run_first():
            first.append(await processor.process_all())

        await add_all(processor, Echo(), ["only"])
        async with anyio.create_task_group() as nursery:
            nursery.start_soon(run_first)
            await anyio.sleep(5)
            await add_all(processor, Echo(), ["a", "b"])
            assert (await processor.process_all()).total_items == 2
    assert first[0].results[0].item_id == "only"


class Delays(Middleware):
    async def before_process(self, work_item):
        await anyio.sleep(2)


@pytest.mark.parametrize("end", ["drain", "denied", "deadline", "lane"])
async def test_no_call_that_waited_for_a_middleware_starts_after_the_end(end):
    scripts = {"denied": {"0": [Status(401)]}, "lane": {"0": [CallError("spent", kind=FaultKind.EXHAUSTED)]}}
    strategy = Scripted(scripts.get(end, {}), seconds=0.5)
    config = ProcessorConfig(deadline=1.0) if end == "deadline" else ProcessorConfig()

    class First(Delays):
        async def before_process(self, work_item):
            if work_item.item_id != "0":
                await super().before_process(work_item)

    async with ParallelBatchProcessor(config, middlewares=[First()]) as processor:
        await add_all(processor, strategy, [str(i) for i in range(20)])
        async with anyio.create_task_group() as nursery:
            nursery.start_soon(processor.process_all)
            await anyio.sleep(1)
            if end == "drain":
                processor.drain()
    assert strategy.board.calls.total() == 1
    assert processor.batch.failures[FaultKind.PENDING] >= 19


@pytest.mark.parametrize("error", [Status(401), CallError("spent", kind=FaultKind.EXHAUSTED)])
async def test_a_slow_hook_does_not_delay_the_stop_that_a_fault_causes(error):
    class Slow(Scripted):
        async def on_error(self, exception, attempt):
            await anyio.sleep(20)

    strategy = Slow({"2": [error]})
    async with ParallelBatchProcessor(pace=lambda _: FixedPace(4)) as processor:
        await add_all(processor, strategy, [str(i) for i in range(50)])
        batch = await processor.process_all()
    assert strategy.board.calls.total() <= 7
    assert batch.total_items == 50


async def test_an_items_deadline_that_passes_in_a_hook_is_its_end():
    class Slow(Middleware):
        async def on_retry(self, work_item, attempt, error):
            await anyio.sleep(20)

    strategy = Scripted({"a": [Status(503)]})
    batch = await process_prompts(strategy, ["a"], config=ProcessorConfig(deadline_per_item=5), middlewares=[Slow()])
    assert batch.failures == {FaultKind.TIMEOUT: 1}
    assert strategy.board.calls.total() == 1


async def test_an_items_deadline_that_passes_in_a_hook_is_its_end_even_if_its_lane_is_blocked():
    class Shuts(FixedPace):
        def settled(self, ticket, now, signal):
            super().settled(ticket, now, signal)
            self.gate = 1e5

    class Slow(Middleware):
        async def on_retry(self, work_item, attempt, error):
            await anyio.sleep(20)

    config = ProcessorConfig(deadline_per_item=5)
    strategy = Scripted({"a": [Status(503)]})
    batch = await process_prompts(strategy, ["a"], config=config, middlewares=[Slow()], pace=lambda _: Shuts(5))
    assert batch.failures == {FaultKind.TIMEOUT: 1}
    assert batch.seconds == pytest.approx(21, abs=0.01)


async def test_a_deadline_can_be_shortened_and_extended_while_calls_are_in_flight():
    async with ParallelBatchProcessor() as processor:
        await add_all(processor, Echo(100), ["a"])
        async with anyio.create_task_group() as nursery:
            nursery.start_soon(processor.process_all)
            await anyio.sleep(1)
            processor.config.deadline = 5
        assert processor.batch.seconds == pytest.approx(5, abs=0.01)
        await add_all(processor, Echo(10), ["b"])
        async with anyio.create_task_group() as nursery:
            nursery.start_soon(processor.process_all)
            await anyio.sleep(1)
            processor.config.deadline = 1000
        assert processor.batch.succeeded == 1


async def test_dismissed_items_are_settled_side_by_side():
    class Hangs(Middleware):
        async def after_process(self, result):
            await anyio.sleep_forever()

    config = ProcessorConfig(deadline=2, hook_timeout=30)
    batch = await process_prompts(Echo(100), ["x"] * 500, config=config, middlewares=[Hangs()])
    assert batch.total_items == 500
    assert batch.seconds < 2 + 30 * (500 / 64 + 3)


async def test_an_old_refusal_does_not_end_a_lane():
    strategy = Scripted({"a": [Status(429), Status(400)]})

    async def items():
        yield LLMWorkItem("a", strategy, "a")
        await anyio.sleep(1000)
        for i in range(100):
            yield LLMWorkItem(str(i), strategy, str(i))

    async with ParallelBatchProcessor() as processor, processor.stream(items()) as results:
        assert sum([r.success async for r in results]) == 100


async def test_a_source_is_read_for_other_lanes_after_one_is_exhausted():
    spent = Scripted({str(i): [CallError("spent", kind=FaultKind.EXHAUSTED)] for i in range(200)}, quota="spent")
    fine = Echo(quota="fine")

    def items():
        for i in range(200):
            yield LLMWorkItem(f"s{i}", spent, str(i))
        for i in range(50):
            yield LLMWorkItem(f"f{i}", fine, "x")

    async with ParallelBatchProcessor() as processor, processor.stream(items()) as results:
        seen = [r async for r in results]
    assert len(seen) == 250
    assert sum(r.success for r in seen) == 50


async def test_a_lane_that_a_middleware_chose_may_be_exhausted_without_ending_the_intake():
    cheap = Echo(quota="cheap")
    many = 8_500  # more than are ever read ahead of the calls in flight: 8,000
    good = Scripted({"0": [CallError("spent", kind=FaultKind.EXHAUSTED)]}, quota="good")

    class Router(Middleware):
        async def before_process(self, work_item):
            return attrs.evolve(work_item, strategy=good) if work_item.prompt == "0" else None

    prompts = map(str, range(many))
    async with open_stream(cheap, prompts, middlewares=[Router()], pace=lambda _: FixedPace(100)) as results:
        seen = [r async for r in results]
    assert len(seen) == many
    assert sum(r.success for r in seen) == many - 1


async def test_a_source_that_is_longer_than_it_declares_does_not_delay_the_end():
    class Sampler:
        def __len__(self):
            return 10

        def __iter__(self):
            while True:
                yield "x"

    async with open_stream(Echo(), Sampler()) as results:
        await anext(results)
    assert len(results.undelivered) >= 9


async def test_a_bounded_number_of_strategies_is_prepared_at_once():
    now, most = 0, 0

    class Prepared(Echo):
        async def prepare(self):
            nonlocal now, most
            now += 1
            most = max(most, now)
            await anyio.sleep(1)
            now -= 1

    async with ParallelBatchProcessor() as processor:
        for i in range(500):
            await processor.add_work(LLMWorkItem(str(i), Prepared(), "x"))
        assert (await processor.process_all()).succeeded == 500
    assert most == 64


async def test_an_interrupt_in_a_streams_block_leaves_it_as_it_is():
    with pytest.raises(KeyboardInterrupt):
        async with open_stream(Echo(), ["a"]):
            raise KeyboardInterrupt


async def test_an_async_generator_around_a_stream_can_be_closed():
    async def outputs():
        async with open_stream(Echo(), ["a", "b"]) as results:
            async for result in results:
                yield result.output

    generator = outputs()
    assert await anext(generator) in {"A", "B"}
    await generator.aclose()


async def test_a_ticket_may_be_anything():
    class NoTicket(FixedPace):
        def started(self, now, cost):
            super().started(now, cost)

    pace = NoTicket(5)
    async with ParallelBatchProcessor(pace=lambda _: pace) as processor:
        await add_all(processor, Echo(10), list("abc"))
        with anyio.move_on_after(1):
            await processor.process_all()
    assert pace.in_flight == 0


# ------------------------------------------------------------------------------------------------ foreign values


class _NoModel(Echo):
    @property
    def model(self):
        raise AttributeError("no client yet")


class _NoInitError(CallError):
    def __init__(self):
        pass


class _OddHint:
    def __init__(self, words):
        self.words = words

    def classify(self, exception):
        return Fault(FaultKind.THROTTLED, "slow", self.words)


class _BadMapping(dict):
    def items(self):
        raise KeyError("odd")


class _BadRepr:
    def __repr__(self):
        raise RuntimeError("no repr")


def raising(error):
    return Scripted({"a": [error]})


def _with(**changes):
    class Replaces(Middleware):
        async def after_process(self, result):
            return attrs.evolve(result, **changes)

    return Replaces()


class _SkipsByNumber(Middleware):
    async def before_process(self, work_item):
        raise Skip(404)


class _ReturnsOddThing(Middleware):
    async def before_process(self, work_item):
        return _BadRepr()


@pytest.mark.parametrize(
    ("strategy", "middlewares", "outcome"),
    [
        (_NoModel, [], None),
        (lambda: raising(CallError("x", kind=FaultKind.REFUSED, usage={"input_tokens": 3})), [], FaultKind.REFUSED),
        (lambda: raising(_NoInitError()), [], FaultKind.BUG),
        (Echo, [_with(error="text")], None),
        (Echo, [_with(usage=None)], None),
        (Echo, [_SkipsByNumber()], FaultKind.SKIPPED),
        (Echo, [_ReturnsOddThing()], FaultKind.BUG),
    ],
)
async def test_foreign_values_cost_at_most_their_own_item(strategy, middlewares, outcome):
    batch = await process_prompts(strategy(), ["a"], middlewares=middlewares)
    assert batch.total_items == 1
    assert batch.failures == ({} if outcome is None else {outcome: 1})


async def test_tokens_that_cannot_be_read_cost_nothing_but_their_count():
    async def reply():
        return "good", _BadMapping(input_tokens=1)

    batch = await process_prompts(Scripted({"a": [reply]}), ["a"])
    assert (batch.succeeded, batch.usage) == (1, TokenUsage())


@pytest.mark.parametrize(("words", "waited"), [("30", 30.0), ("a while", 1.5)])  # otherwise the controller's own wait
async def test_a_retry_after_in_words_is_parsed_or_ignored(words, waited):
    strategy = Scripted({"a": [Status(429)]})
    strategy.error_classifier = _OddHint(words)
    assert (await process_prompts(strategy, ["a"])).seconds == pytest.approx(2.0 + waited, abs=0.01)


async def test_a_copy_that_is_not_a_strategy_is_a_bug():
    class Forgets(Echo):
        def __copy__(self): ...

    assert (await process_prompts(Forgets(), ["a"])).failures == {FaultKind.BUG: 1}


def test_a_value_that_is_not_a_middleware_is_rejected_at_once():
    class Duck:
        async def before_process(self, work_item): ...

    with pytest.raises(ConfigurationError, match="middlewares must be instances of Middleware, not "):
        ParallelBatchProcessor(middlewares=[Duck()])
    with pytest.raises(ConfigurationError, match="observers must be instances of BaseObserver"):
        ParallelBatchProcessor(observers=[print])


# ------------------------------------------------------------------------------------------------ asyncio's own


class _SlowObserver(BaseObserver):
    def __init__(self, event):
        self.event = event

    async def on_event(self, event, data):
        if event is self.event:
            await asyncio.sleep(100)


@pytest.mark.parametrize("event", [ProcessingEvent.BATCH_STARTED, ProcessingEvent.BATCH_COMPLETED])
def test_asyncios_timeout_passes_while_observers_are_called(event):
    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3):
                await process_prompts(Echo(), ["a"], observers=[_SlowObserver(event)], config=ProcessorConfig())
        return asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        assert runner.run(main()) == pytest.approx(3, abs=0.01)


def test_virtual_time_runs_for_years():
    async def main():
        for _ in range(3):
            await asyncio.sleep(4e8)
            await asyncio.sleep(0.1)
        return asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        assert runner.run(main()) == pytest.approx(1.2e9 + 0.3)
