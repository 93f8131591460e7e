"""Prompts and streams: sources, consumers, and how they end."""

from __future__ import annotations

import anyio
import pytest

from paceline import (
    CallableStrategy,
    FaultKind,
    LLMWorkItem,
    ParallelBatchProcessor,
    ProcessorConfig,
    open_stream,
    process_prompts,
)
from paceline.exceptions import DuplicateItemError, InvalidWorkItemError, SourceError

from .support import Echo, FixedPace, Scripted, Status

pytestmark = pytest.mark.anyio


async def test_prompts_are_answered_and_numbered():
    batch = await process_prompts(Echo(), ["a", "b"])
    assert [(r.item_id, r.output) for r in batch.in_input_order()] == [("0", "A"), ("1", "B")]


async def test_a_single_string_is_one_prompt():
    batch = await process_prompts(Echo(), "hello")
    assert [result.output for result in batch.results] == ["HELLO"]


async def test_prompts_may_be_an_async_iterable():
    async def prompts():
        for letter in "abc":
            await anyio.sleep(5)
            yield letter

    batch = await process_prompts(Echo(), prompts())
    assert batch.succeeded == 3
    assert batch.seconds == pytest.approx(16.0, abs=1e-2)  # each was called as soon as it was read


async def test_results_are_handed_over_as_they_come():
    strategy = Echo()
    async with open_stream(strategy, (str(i) for i in range(100))) as results:
        seen = [result.item_id async for result in results]
        assert results.batch.succeeded == 100
    assert sorted(map(int, seen)) == list(range(100))
    assert results.undelivered == ()


async def test_results_that_are_ready_are_taken_all_at_once_and_each_comes_once():
    strategy, seen, most = Echo(seconds=0.01), [], 0
    config = ProcessorConfig(max_workers=50)
    async with open_stream(strategy, map(str, range(2_000)), config=config, pace=lambda _: FixedPace(100)) as results:
        async for result in results:
            ready = results.take_ready()
            assert results.take_ready() == []
            most = max(most, len(ready))
            seen += [result.item_id, *(other.item_id for other in ready)]
            await anyio.sleep(1)  # a slow consumer, whom calls wait for
    assert sorted(map(int, seen)) == list(range(2_000))
    assert 50 < most <= 256 + 50
    assert results.undelivered == ()


async def test_a_source_is_read_a_bounded_number_of_items_ahead():
    read = 0

    def endless():
        nonlocal read
        while True:
            read += 1
            yield "x"

    config = ProcessorConfig(max_workers=10)
    async with open_stream(Echo(), endless(), config=config, pace=lambda _: FixedPace(20)) as results:
        for served in range(1, 500):
            await anext(results)
            assert read <= served + 10 + 256 + 64


async def test_a_slow_consumer_holds_up_new_calls_and_loses_nothing():
    strategy = Echo(seconds=0.01)
    config = ProcessorConfig(max_workers=50)
    async with open_stream(strategy, map(str, range(2000)), config=config, pace=lambda _: FixedPace(100)) as results:
        await anyio.sleep(1000)
        assert strategy.board.calls.total() <= 256 + 50
        seen = {result.item_id async for result in results}
    assert len(seen) == 2000


async def test_leaving_early_cancels_the_rest_and_accounts_for_it():
    strategy = Echo()
    config, prompts = ProcessorConfig(max_workers=10), [str(i) for i in range(100)]
    async with open_stream(strategy, prompts, config=config, pace=lambda _: FixedPace(20)) as results:
        first = await anext(results)
    left = results.undelivered
    assert strategy.board.in_flight == 0
    assert sorted(int(r.item_id) for r in (first, *left)) == list(range(100))
    assert {r.error.kind for r in left if r.error} == {FaultKind.PENDING}


async def test_an_exception_of_the_block_leaves_it_as_it_is():
    with pytest.raises(KeyError, match="mine"):
        async with open_stream(Echo(), ["a"]):
            raise KeyError("mine")


async def test_a_stream_can_be_drained():
    config, prompts = ProcessorConfig(max_workers=10), (str(i) for i in range(1000))
    async with open_stream(Echo(), prompts, config=config, pace=lambda _: FixedPace(20)) as results:
        await anext(results)
        await anyio.sleep(0.5)  # all ten have been answered, and the next ten are in flight
        results.drain()
        rest = [result async for result in results]
    assert sum(r.success for r in rest) == 9 + 10
    assert all(r.error.kind is FaultKind.PENDING for r in rest if r.error)


async def test_two_tasks_may_take_from_one_stream():
    seen = []

    async def consume(results):
        seen.extend([result.item_id async for result in results])

    async with open_stream(Echo(), map(str, range(50))) as results, anyio.create_task_group() as nursery:
        nursery.start_soon(consume, results)
        nursery.start_soon(consume, results)
    assert sorted(map(int, seen)) == list(range(50))


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_source_that_raises_ends_the_intake_and_what_was_read_is_finished(kind):
    def broken():
        yield from "abc"
        raise OSError("the disk is gone")

    async def broken_async():
        for letter in "abc":
            yield letter
        raise OSError("the disk is gone")

    with pytest.raises(SourceError, match=r"after 3 items: OSError: the disk is gone") as caught:
        await process_prompts(Echo(), broken() if kind == "sync" else broken_async())
    assert isinstance(caught.value.__cause__, OSError)
    assert sorted(result.output for result in caught.value.batch.results) == ["A", "B", "C"]

    async with open_stream(Echo(), broken() if kind == "sync" else broken_async()) as results:
        outputs = []
        with pytest.raises(SourceError, match="the disk is gone"):  # noqa: PT012 - iterating is what raises
            async for result in results:
                outputs.append(result.output)  # noqa: PERF401 - needed after it raises
    assert sorted(outputs) == ["A", "B", "C"]


async def test_a_source_that_leaks_a_cancellation_ends_the_intake():
    async def leaking():
        yield "a"
        await leak()

    with pytest.raises(SourceError):
        await process_prompts(Echo(), leaking())


async def leak() -> None:
    """Raise a cancellation exception although no scope around is cancelled."""
    caught = None
    with anyio.CancelScope() as scope:
        scope.cancel()
        try:
            await anyio.sleep(1)
        except anyio.get_cancelled_exc_class() as error:
            caught = error
            raise
    raise caught


async def test_a_source_that_waits_for_ever_does_not_keep_a_drained_batch_alive():
    async def stuck():
        yield "a"
        await anyio.sleep_forever()

    async with ParallelBatchProcessor(ProcessorConfig(deadline=60)) as processor:
        items = (LLMWorkItem(p, Echo(), p) async for p in stuck())
        async with processor.stream(items) as results:
            seen = [result.item_id async for result in results]
    assert seen == ["a"]
    assert results.batch.seconds == pytest.approx(60, abs=0.1)


async def test_an_invalid_member_of_a_list_is_reported_before_the_first_call():
    strategy = Echo()
    with pytest.raises(
        InvalidWorkItemError, match="item '1': prompt must be a string, a list of parts or a Request, not int"
    ):
        await process_prompts(strategy, ["a", 7, "b"])
    async with ParallelBatchProcessor() as processor:
        twice = [LLMWorkItem("a", strategy, "x"), LLMWorkItem("a", strategy, "y")]
        with pytest.raises(DuplicateItemError):
            async with processor.stream(twice):
                pass
    assert strategy.board.calls.total() == 0


async def test_an_invalid_member_of_a_lazy_source_is_a_source_error():
    with pytest.raises(
        SourceError, match="item '1': prompt must be a string, a list of parts or a Request, not int"
    ) as caught:
        await process_prompts(Echo(), iter(["a", 7, "b"]))
    assert caught.value.batch.succeeded == 1


async def test_a_wrong_strategy_is_found_before_anything_is_read():
    def untouchable():
        raise AssertionError("it was read")
        yield

    with pytest.raises(InvalidWorkItemError, match="wrap an async function with CallableStrategy"):
        await process_prompts(lambda prompt: prompt, untouchable())
    with pytest.raises(InvalidWorkItemError, match="must be iterable, not int"):
        await process_prompts(Echo(), 5)


async def test_a_list_is_accepted_completely_and_an_iterator_as_far_as_it_was_read():
    def strategy():
        return Scripted({"0": [Status(401)]})

    config = ProcessorConfig(max_workers=4)
    complete = await process_prompts(strategy(), [str(i) for i in range(5000)], config=config)
    assert complete.total_items == 5000
    partial = await process_prompts(strategy(), map(str, range(5000)), config=config)
    assert partial.total_items < 500


async def test_an_async_function_is_a_strategy():
    async def shout(prompt: str) -> str:
        return prompt + "!"

    batch = await process_prompts(CallableStrategy(shout), ["a"])
    assert batch.results[0].output == "a!"
    assert batch.results[0].attempts[0].quota.endswith("shout")


async def test_the_rest_of_a_drained_batch_is_settled_as_fast_as_it_is_consumed():
    read = 0

    class Rows(list):
        def __iter__(self):
            nonlocal read
            for row in super().__iter__():
                read += 1
                yield row

    async with open_stream(Echo(), Rows(["x"] * 50_000), config=ProcessorConfig(max_workers=10)) as results:
        await anext(results)
        results.drain("enough")
        taken = 1
        async for result in results:
            taken += 1
            assert read <= 50_000 + taken + 2_000  # 50,000 by the check before the first call
            assert result.success or result.error.message == "enough"
    assert taken == 50_000


async def test_a_source_that_fails_is_not_read_further_even_if_it_has_a_length():
    class Items:
        def __len__(self):
            return 4

        def __iter__(self):
            return iter([item("a"), item("b"), item("b"), item("c")])

    def item(name):
        return LLMWorkItem(name, Echo(), name)

    async with ParallelBatchProcessor() as processor, processor.stream(Items()) as results:
        seen = []
        with pytest.raises(SourceError, match="'b' is already in this batch"):  # noqa: PT012 - iterating is what raises
            async for result in results:
                seen.append(result.item_id)  # noqa: PERF401 - as above
    assert sorted(seen) == ["a", "b"]


async def test_an_async_generator_is_closed_with_the_stream_that_reads_it():
    closed = []

    async def endless():
        try:
            while True:
                yield "x"
        finally:
            closed.append(True)

    async with open_stream(Echo(), endless()) as results:
        await anext(results)
    assert closed == [True]
