"""Workers, lanes and controllers: how many calls run, and which."""

from __future__ import annotations

from random import Random

import anyio
import pytest

from paceline import CallError, FaultKind, LLMWorkItem, ParallelBatchProcessor, ProcessorConfig, process_prompts
from paceline.testing.virtual_time import HangError

from .support import Echo, FixedPace, Scripted, Status, add_all

pytestmark = pytest.mark.anyio


async def test_the_controller_decides_how_many_workers_there_are():
    strategy = Echo()
    async with ParallelBatchProcessor(pace=lambda _: FixedPace(7)) as processor:
        await add_all(processor, strategy, [str(i) for i in range(70)])
        batch = await processor.process_all()
    assert strategy.board.max_in_flight == 7
    assert batch.workers == (7, 7)
    assert batch.most_in_flight == 7
    assert batch.seconds == pytest.approx(10.0, abs=1e-2)


async def test_max_workers_bounds_the_sum_over_all_lanes():
    a, b = Echo(quota="a"), Echo(quota="b")
    b.board = a.board
    async with ParallelBatchProcessor(ProcessorConfig(max_workers=5)) as processor:
        for i in range(40):
            await processor.add_work(LLMWorkItem(str(i), (a, b)[i % 2], str(i)))
        batch = await processor.process_all()
    assert a.board.max_in_flight == 5
    assert batch.succeeded == 40


async def test_lowering_max_workers_takes_effect_at_once_and_cancels_no_call():
    strategy = Echo()
    async with ParallelBatchProcessor(ProcessorConfig(max_workers=20), pace=lambda _: FixedPace(20)) as processor:
        await add_all(processor, strategy, [str(i) for i in range(60)])
        async with anyio.create_task_group() as nursery:
            nursery.start_soon(processor.process_all)
            await anyio.sleep(0.5)
            processor.config.max_workers = 2
            await anyio.sleep(1.0)
            assert processor.statistics().workers == 2
            assert processor.statistics().succeeded == 20
            strategy.board.max_in_flight = 0
            await anyio.sleep(10)
            assert strategy.board.max_in_flight == 2
            nursery.cancel_scope.cancel()
    assert processor.batch.failures == {FaultKind.PENDING: 60 - processor.batch.succeeded}


async def test_raising_max_workers_starts_workers_at_once():
    strategy = Echo(seconds=10)
    async with ParallelBatchProcessor(ProcessorConfig(max_workers=2), pace=lambda _: FixedPace(20)) as processor:
        await add_all(processor, strategy, [str(i) for i in range(60)])
        async with anyio.create_task_group() as nursery:
            nursery.start_soon(processor.process_all)
            await anyio.sleep(0.5)
            assert strategy.board.in_flight == 2
            processor.config.max_workers = 15
            await anyio.sleep(0.001)
            assert strategy.board.in_flight == 15
            nursery.cancel_scope.cancel()


async def test_a_waiting_item_holds_no_worker():
    scripts = {str(i): [Status(503)] for i in range(3)}
    strategy = Scripted(scripts, seconds=1.0)
    async with ParallelBatchProcessor(ProcessorConfig(max_workers=1)) as processor:
        await add_all(processor, strategy, [str(i) for i in range(10)])
        batch = await processor.process_all()
    assert batch.succeeded == 10
    assert batch.seconds == pytest.approx(13.0, abs=0.1)  # one worker, thirteen calls: no worker waited


async def test_an_item_that_was_called_goes_before_items_that_were_not():
    strategy = Scripted({"a": [Status(500)]}, seconds=2.0)
    async with ParallelBatchProcessor(ProcessorConfig(max_workers=1)) as processor:
        await add_all(processor, strategy, ["a", "b", "c", "d"])
        await processor.process_all()
    order = [prompt for _, prompt in strategy.board.starts]
    assert order.index("a", 1) < order.index("d")


async def test_a_blocked_lane_never_blocks_another():
    class OnlyB:
        def __init__(self):
            self.made = []

        def __call__(self, knowledge):
            self.made.append(FixedPace(5, gate=0.0 if self.made else 1e5))
            return self.made[-1]

    blocked, free = Echo(quota="blocked"), Echo(quota="free")

    def items():
        for i in range(500):
            yield LLMWorkItem(f"blocked{i}", blocked, "x")
        for i in range(50):
            yield LLMWorkItem(f"free{i}", free, "y")

    async with (
        ParallelBatchProcessor(pace=OnlyB()) as processor,
        processor.stream(items()) as results,
    ):
        first = [await anext(results) for _ in range(50)]
        assert first[-1].attempts[0].started == pytest.approx(9.0, abs=0.1)
        assert {result.item_id[:4] for result in first} == {"free"}
        assert blocked.board.calls.total() == 0


async def test_a_lane_that_becomes_blocked_does_not_keep_another_from_being_found():
    class Shuts(FixedPace):
        def settled(self, ticket, now, signal):
            super().settled(ticket, now, signal)
            self.gate = 1e5

    first, later = Echo(quota="first"), Echo(quota="later")

    def items():
        for i in range(500):
            yield LLMWorkItem(f"first{i}", first, "x")
        yield LLMWorkItem("later", later, "y")

    async with (
        ParallelBatchProcessor(pace=lambda _: Shuts(5)) as processor,
        processor.stream(items()) as results,
    ):
        served = [await anext(results) for _ in range(6)]
        assert served[-1].item_id == "later"
        assert served[-1].attempts[0].started == pytest.approx(1.0, abs=0.1)


async def test_workers_never_wait_for_the_source_to_be_read():
    strategy = Echo()
    items = (LLMWorkItem(str(i), strategy, str(i)) for i in range(1000))
    async with ParallelBatchProcessor(pace=lambda _: FixedPace(10)) as processor, processor.stream(items) as results:
        assert len([result async for result in results]) == 1000
    assert results.batch.seconds == pytest.approx(100, abs=0.1)


async def test_a_gate_opens_by_itself():
    strategy = Echo()
    async with ParallelBatchProcessor(pace=lambda _: FixedPace(5, gate=anyio.current_time() + 100)) as processor:
        await add_all(processor, strategy, ["a"])
        batch = await processor.process_all()
    assert batch.succeeded == 1
    assert batch.seconds == pytest.approx(101.0, abs=1e-2)


async def test_the_controller_receives_the_end_of_every_call_also_when_cancelled():
    pace = FixedPace(5)
    strategy = Scripted({"a": [Status(429)], "b": [Status(500)], "c": [ValueError("bug")]})
    async with ParallelBatchProcessor(pace=lambda _: pace) as processor:
        await add_all(processor, strategy, list("abcdefghij"))
        with anyio.move_on_after(2.5):
            await processor.process_all()
    assert pace.in_flight == 0
    names = {type(signal).__name__ for signal in pace.signals}
    assert names == {"Served", "Throttled", "Faulted", "Abandoned"}


@pytest.mark.parametrize(
    ("error", "signal"),
    [
        (ValueError("a bug of the strategy, over the answer"), "Faulted"),
        (CallError("served, but unusable", kind=FaultKind.INVALID), "Served"),
        (CallError("served, but unusable", kind=FaultKind.REFUSED), "Served"),
        (Status(400), "Served"),
        (Status(429), "Throttled"),
    ],
)
async def test_the_controller_receives_what_a_fault_says_about_the_provider(error, signal):
    pace = FixedPace(1)
    await process_prompts(Scripted({"a": [error]}), ["a"], pace=lambda _: pace)
    assert type(pace.signals[0]).__name__ == signal


async def test_a_closed_processor_no_longer_listens_to_the_config():
    class Counted(ProcessorConfig):
        listening = 0

        def subscribe(self, listener):
            Counted.listening += 1
            end = super().subscribe(listener)

            def ended():
                Counted.listening -= 1
                end()

            return ended

    async with ParallelBatchProcessor(Counted()) as processor:
        await add_all(processor, Echo(), ["a"])
        await processor.process_all()
        assert Counted.listening == 1
    assert Counted.listening == 0


async def test_a_batch_whose_controller_admits_nothing_can_be_cancelled():
    async with ParallelBatchProcessor(pace=lambda _: FixedPace(0)) as processor:
        await add_all(processor, Echo(), ["a"])
        with anyio.move_on_after(1e4):
            await processor.process_all()
        assert processor.batch.failures == {FaultKind.PENDING: 1}
    assert issubclass(HangError, RuntimeError)


async def test_a_lane_that_serves_nothing_for_too_long_gives_its_items_up_as_throttled():
    always = {"dead": [Status(429)] * 10_000}

    class Half(Scripted):
        pass

    dead, alive = Half(always, quota="dead"), Echo(seconds=30, quota="alive")
    async with ParallelBatchProcessor() as processor:
        await add_all(processor, dead, ["dead"])
        await add_all(processor, alive, [str(i) for i in range(5)])
        batch = await processor.process_all()
    assert batch.succeeded == 5
    assert batch.failures == {FaultKind.THROTTLED: 1}
    assert 900 <= batch.seconds < 900 + 130
    (given_up,) = [result for result in batch.results if not result.success]
    assert given_up.attempts == ()
    assert given_up.refusals < 60  # the gate grew


class Moody(Echo):
    """Refuses calls by chance, each item as often whatever the order of the calls."""

    def __init__(self, share):
        super().__init__()
        self.share = share
        self.chances = {}

    async def execute(self, prompt, attempt, timeout):
        chance = self.chances.setdefault(prompt, Random(f"3 {prompt}"))
        if chance.random() < self.share:
            await anyio.sleep(0.1)
            raise Status(429)
        return await super().execute(prompt, attempt, timeout)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.7])
async def test_no_item_fails_for_being_throttled_as_often_as_others(share):
    strategy = Moody(share)
    batch = await process_prompts(strategy, map(str, range(1_500)), pace=lambda _: FixedPace(20))
    assert batch.succeeded == 1_500
    assert max(result.refusals for result in batch.results) > 2


async def test_an_exhausted_quota_ends_its_lane_and_the_others_continue():
    spent = Scripted({"3": [CallError("daily quota", kind=FaultKind.EXHAUSTED)]}, quota="spent")
    other = Echo(quota="other")
    async with ParallelBatchProcessor(pace=lambda _: FixedPace(2)) as processor:
        await add_all(processor, spent, [str(i) for i in range(20)])
        await add_all(processor, other, [f"o{i}" for i in range(20)])
        batch = await processor.process_all()
    assert batch.failures[FaultKind.EXHAUSTED] == 1
    assert batch.failures[FaultKind.PENDING] >= 15
    assert spent.board.calls.total() <= 5
    assert other.board.calls.total() == 20
    pending = next(r for r in batch.results if r.error and r.error.kind is FaultKind.PENDING)
    assert "spent" in pending.error.message
    assert "daily quota" in pending.error.message


async def test_a_denied_key_stops_the_batch_after_at_most_the_calls_in_flight():
    strategy = Scripted({"2": [Status(401)]})
    async with ParallelBatchProcessor(pace=lambda _: FixedPace(4)) as processor:
        await add_all(processor, strategy, [str(i) for i in range(50)])
        batch = await processor.process_all()
    assert strategy.board.calls.total() <= 8
    assert batch.failures[FaultKind.DENIED] == 1
    assert batch.total_items == 50
    assert "denied" in str(batch.stopped)


async def test_the_range_of_workers_is_that_of_the_limit():
    class Growing(FixedPace):
        def settled(self, ticket, now, signal):
            super().settled(ticket, now, signal)
            self.limit = min(self.limit + 1, 50)

    async with ParallelBatchProcessor(pace=lambda _: Growing(3)) as processor:
        await add_all(processor, Echo(), [str(i) for i in range(10)])
        batch = await processor.process_all()
    assert batch.workers == processor.statistics().workers_range == (3, 13)
    assert 3 < batch.most_in_flight < 10
