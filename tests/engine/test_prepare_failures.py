"""A strategy that cannot be prepared: nothing was called, so its items are pending, and the batch says why.

The values are those of a systematic failure, as with a wrong model name that the first call finds.
"""

from __future__ import annotations

import anyio
import pytest

from paceline import FaultKind, LLMWorkItem, ParallelBatchProcessor, ProcessorConfig, process_prompts

from .support import Echo, Status, add_all

pytestmark = pytest.mark.anyio


class Unprepared(Echo):
    """Raises in `prepare`, each time a new exception of `make_error`."""

    def __init__(self, make_error, *, quota="unprepared"):
        super().__init__(quota=quota)
        self.make_error, self.model, self.prepared = make_error, "gpt-5-mni", 0

    async def prepare(self):
        self.prepared += 1
        raise self.make_error()


def words(batch):
    """Return why a batch was stopped."""
    assert batch.stopped is not None
    assert batch.stopped.kind is FaultKind.PENDING
    return batch.stopped.message


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (lambda: Status(404), FaultKind.REJECTED),
        (lambda: Status(402), FaultKind.EXHAUSTED),
        (lambda: KeyError("no such setting"), FaultKind.BUG),
        (lambda: ConnectionRefusedError(111, "Connection refused"), FaultKind.TRANSIENT),
    ],
    ids=["rejected", "exhausted", "bug", "unreached"],
)
async def test_all_items_are_pending_and_the_batch_says_why(error, kind):
    strategy = Unprepared(error)
    batch = await process_prompts(strategy, [str(number) for number in range(1_000)])
    assert (batch.succeeded, batch.failures) == (0, {FaultKind.PENDING: 1_000})
    assert [group.kind for group in batch.systematic] == [kind]
    assert f"could not be prepared: {kind}: " in words(batch)
    assert all(not result.attempts and result.error == batch.stopped for result in batch.results)
    assert strategy.board.calls.total() == 0


async def test_items_of_other_strategies_are_run():
    async with ParallelBatchProcessor() as processor:
        await add_all(processor, Unprepared(lambda: Status(404)), ["a", "b"])
        await add_all(processor, Echo(), ["c", "d"])
        batch = await processor.process_all()
    assert (batch.succeeded, batch.failures) == (2, {FaultKind.PENDING: 2})
    assert [group.kind for group in batch.systematic] == [FaultKind.REJECTED]


async def test_the_reason_is_that_of_the_batch_also_if_others_were_run():
    async with ParallelBatchProcessor() as processor:
        await add_all(processor, Unprepared(lambda: Status(404)), ["a", "b"])
        await add_all(processor, Echo(), ["c", "d"])
        batch = await processor.process_all()
    assert "could not be prepared: rejected: " in words(batch)


async def test_the_reason_names_the_model_and_what_to_do():
    batch = await process_prompts(Unprepared(lambda: Status(404)), ["a"])
    assert words(batch).startswith("gpt-5-mni could not be prepared: rejected: ")
    assert words(batch).endswith("check the model's name, its options and the prompts")


async def test_items_of_a_strategy_whose_key_is_denied_in_prepare_are_pending():
    batch = await process_prompts(Unprepared(lambda: Status(401)), ["a", "b"])
    assert batch.failures == {FaultKind.PENDING: 2}
    assert "denied: " in words(batch)


async def test_a_source_without_an_end_is_not_read_on():
    read = 0

    async def endless():
        nonlocal read
        while True:
            await anyio.sleep(1.0)
            read += 1
            yield str(read)

    with anyio.fail_after(1_000):
        batch = await process_prompts(Unprepared(lambda: Status(404)), endless())
    assert batch.failures == {FaultKind.PENDING: read}
    assert read < 100


async def test_a_prepare_that_takes_too_long_each_time_leaves_its_items_pending():
    class Hanging(Echo):
        async def prepare(self):
            await anyio.sleep_forever()

    batch = await process_prompts(Hanging(), ["a"], config=ProcessorConfig(timeout_per_item=10))
    assert batch.failures == {FaultKind.PENDING: 1}
    assert "took longer than 10 s" in words(batch)


async def test_the_next_batch_of_the_processor_tries_again():
    strategy = Unprepared(lambda: Status(404))
    async with ParallelBatchProcessor() as processor:
        for number in range(2):
            await processor.add_work(LLMWorkItem(str(number), strategy, "x"))
            assert (await processor.process_all()).failures == {FaultKind.PENDING: 1}
    assert strategy.prepared == 2
