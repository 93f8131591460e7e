"""The lifecycle of strategies: prepare and cleanup."""

from __future__ import annotations

import anyio
import pytest

from paceline import FaultKind, LLMWorkItem, ParallelBatchProcessor, ProcessorConfig, process_prompts

from .support import Echo, Status, add_all

pytestmark = pytest.mark.anyio


class Managed(Echo):
    """Logs its prepare and cleanup; all copies share the client that `prepare` creates."""

    def __init__(self, *, failures=(), seconds_to_prepare=2.0, quota="managed"):
        super().__init__(quota=quota)
        self.log = []
        self.failures = list(failures)
        self.seconds_to_prepare = seconds_to_prepare
        self.client = None

    async def prepare(self):
        self.log.append("prepare")
        await anyio.sleep(self.seconds_to_prepare)
        if self.failures:
            raise self.failures.pop(0)
        self.client = "client"

    async def execute(self, prompt, attempt, timeout):
        assert self.client == "client"
        return await super().execute(prompt, attempt, timeout)

    async def cleanup(self):
        await anyio.sleep(1)
        self.log.append("cleanup")


async def test_a_shared_strategy_is_prepared_once_and_cleaned_up_once():
    strategy = Managed()
    async with ParallelBatchProcessor() as processor:
        await add_all(processor, strategy, [str(i) for i in range(100)])
        assert (await processor.process_all()).succeeded == 100
        await add_all(processor, strategy, [str(i) for i in range(100)])
        assert (await processor.process_all()).succeeded == 100
        assert strategy.log == ["prepare"]
    assert strategy.log == ["prepare", "cleanup"]


async def test_each_instance_is_prepared_and_cleaned_up_by_itself():
    strategies = [Managed() for _ in range(5)]
    async with ParallelBatchProcessor() as processor:
        for number, strategy in enumerate(strategies):
            await processor.add_work(LLMWorkItem(str(number), strategy, "x"))
        batch = await processor.process_all()
        started_at = anyio.current_time()
    assert anyio.current_time() - started_at == pytest.approx(1.0, abs=1e-3)  # concurrently
    assert batch.succeeded == 5
    assert all(strategy.log == ["prepare", "cleanup"] for strategy in strategies)


async def test_a_strategy_that_is_being_prepared_delays_no_other():
    slow = Managed(seconds_to_prepare=50)
    async with ParallelBatchProcessor(ProcessorConfig(max_workers=1)) as processor:
        await add_all(processor, slow, ["slow"])
        await add_all(processor, Echo(), ["a", "b", "c"])
        batch = await processor.process_all()
    assert [result.item_id for result in batch.results] == ["a", "b", "c", "slow"]
    assert batch.results[2].attempts[0].started == pytest.approx(2.0, abs=1e-2)


async def test_a_transient_failure_of_prepare_is_retried():
    strategy = Managed(failures=[Status(503), Status(429, {"retry-after": "5"}), ConnectionError()])
    batch = await process_prompts(strategy, ["a", "b"])
    assert batch.succeeded == 2
    assert strategy.log == ["prepare"] * 4 + ["cleanup"]


async def test_a_permanent_failure_of_prepare_leaves_its_items_pending_and_no_others():
    strategy = Managed(failures=[Status(400)])
    async with ParallelBatchProcessor() as processor:
        await add_all(processor, strategy, ["a", "b"])
        await add_all(processor, Echo(), ["c"])
        batch = await processor.process_all()
    assert batch.failures == {FaultKind.PENDING: 2}
    assert batch.succeeded == 1
    assert all("could not be prepared: rejected: prepare: " in r.error.message for r in batch.results if r.error)
    assert [group.kind for group in batch.systematic] == [FaultKind.REJECTED]
    assert strategy.log == ["prepare", "cleanup"]  # a partial preparation can be released


async def test_a_denied_key_in_prepare_stops_the_batch():
    strategy, other = Managed(failures=[Status(401)]), Echo(seconds=10)
    async with ParallelBatchProcessor(ProcessorConfig(max_workers=2)) as processor:
        await add_all(processor, strategy, ["a"])
        await add_all(processor, other, [f"o{i}" for i in range(10)])
        batch = await processor.process_all()
    assert batch.failures == {FaultKind.PENDING: 9}
    assert "could not be prepared: denied: " in batch.stopped.message
    assert batch.succeeded == 2


async def test_a_prepare_that_hangs_ends_with_the_batch():
    strategy = Managed(seconds_to_prepare=1e9)
    batch = await process_prompts(strategy, ["a"], config=ProcessorConfig(deadline=30))
    assert batch.failures == {FaultKind.PENDING: 1}
    assert batch.seconds == pytest.approx(30, abs=0.1)


async def test_a_prepare_that_always_hangs_is_a_timeout():
    batch = await process_prompts(Managed(seconds_to_prepare=1e9), ["a"], config=ProcessorConfig(timeout_per_item=10))
    assert batch.failures == {FaultKind.PENDING: 1}
    assert batch.stopped is not None
    assert "timeout: prepare: it took longer than 10 s" in batch.stopped.message


async def test_cleanup_happens_when_cancelled_and_takes_bounded_time():
    class Hanging(Managed):
        async def cleanup(self):
            await super().cleanup()
            await anyio.sleep_forever()

    normal, hanging = Managed(), Hanging()
    started_at = anyio.current_time()
    with anyio.move_on_after(3):
        async with ParallelBatchProcessor(ProcessorConfig(hook_timeout=20)) as processor:
            await add_all(processor, normal, ["a", "b"])
            await processor.add_work(LLMWorkItem("c", hanging, "c"))
            await processor.process_all()
            await anyio.sleep_forever()
    assert normal.log == hanging.log == ["prepare", "cleanup"]
    assert anyio.current_time() - started_at == pytest.approx(23, abs=0.1)


async def test_a_cleanup_that_raises_does_not_prevent_another(caplog):
    class Bad(Managed):
        async def cleanup(self):
            raise RuntimeError("stuck")

    good = Managed()
    async with ParallelBatchProcessor() as processor:
        await processor.add_work(LLMWorkItem("a", Bad(), "a"))
        await processor.add_work(LLMWorkItem("b", good, "b"))
        assert (await processor.process_all()).succeeded == 2
    assert good.log == ["prepare", "cleanup"]
    assert "stuck" in caplog.text


async def test_a_strategy_that_was_never_needed_is_neither_prepared_nor_cleaned_up():
    strategy = Managed()
    async with ParallelBatchProcessor() as processor:
        await add_all(processor, strategy, ["a"])
    assert strategy.log == []
