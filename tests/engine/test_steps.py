"""However many items wait, no step of the event loop does more than a bounded part of the work; on both backends, in virtual time.

A heartbeat task counts, from one of its turns to the next, the items that were settled, that left the queue of their lane, and whose memory
was freed. So these tests do not depend on the speed of the machine.
"""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from paceline import LLMWorkItem, ParallelBatchProcessor, ProcessorConfig, open_pool
from paceline.abc import Middleware

from .journals import MemoryJournal
from .support import Echo, FixedPace, Status

pytestmark = pytest.mark.anyio

ITEMS = 12_000
STEP = 300  # items settled, or taken out of a queue
FREED = 9_000  # items: two steps, as another task may have two turns between two of the heartbeat


def wide(_known):
    return FixedPace(8)


class Prompt(str):
    """A prompt that counts how many of its kind were freed."""

    __slots__ = ()
    freed = 0

    def __del__(self) -> None:
        Prompt.freed += 1


class Held(Echo):
    """Its calls wait until they are let go, or until one is to raise."""

    def __init__(self, error: Exception | None = None, quota: str = "held") -> None:
        super().__init__(0.0, quota)
        self.error = error
        self.go = anyio.Event()

    def __copy__(self) -> Held:
        return self

    async def execute(self, prompt: str, attempt: int, timeout: float) -> Any:
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return "done", None


class Heartbeat:
    """The most that was done between two turns of a task."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool
        self.most_settled = self.most_unqueued = self.most_freed = self.turns = 0

    def look(self) -> tuple[int, int, int]:
        statistics = self.pool.statistics()
        queued = sum(len(lane.queue) for lane in self.pool._scheduler.lanes.values())
        return statistics.succeeded + statistics.failed + statistics.pending, queued, Prompt.freed

    async def run(self, ready: anyio.Event | None = None) -> None:
        if ready is not None:
            await ready.wait()
        last, idle = self.look(), 0
        while True:
            if idle < 20:
                await checkpoint()
            else:  # something waits for its time
                await anyio.sleep(0.01)
            now = self.look()
            idle = 0 if now != last else idle + 1
            self.most_settled = max(self.most_settled, now[0] - last[0])
            self.most_unqueued = max(self.most_unqueued, last[1] - now[1])
            self.most_freed = max(self.most_freed, now[2] - last[2])
            self.turns, last = self.turns + 1, now

    def check(self, items: int = ITEMS) -> None:
        assert self.most_settled <= STEP
        assert self.most_unqueued <= STEP
        assert self.most_freed <= FREED
        assert self.turns > items / STEP


def items_of(*strategies: Any) -> list[LLMWorkItem[str]]:
    return [
        LLMWorkItem(f"item {number}", strategies[number % len(strategies)], Prompt(f"prompt {number}"))
        for number in range(ITEMS)
    ]


async def add(processor: ParallelBatchProcessor[Any], *strategies: Any) -> None:
    items = items_of(*strategies)
    while items:
        await processor.add_work(items.pop())


class Ends:
    """The ways in which a batch ends with work that waits: each returns once it has begun."""

    @staticmethod
    def cancelled(processor: Any, strategies: Any, scope: anyio.CancelScope) -> None:
        scope.cancel()

    @staticmethod
    def drained(processor: Any, strategies: Any, scope: anyio.CancelScope) -> None:
        processor.drain()
        for strategy in strategies:
            strategy.go.set()

    @staticmethod
    def denied(processor: Any, strategies: Any, scope: anyio.CancelScope) -> None:
        for strategy in strategies:
            strategy.error = Status(401)
            strategy.go.set()

    @staticmethod
    def exhausted(processor: Any, strategies: Any, scope: anyio.CancelScope) -> None:
        for strategy in strategies:
            strategy.error = Status(429, {"retry-after": "40000"})
            strategy.go.set()


@pytest.mark.parametrize(("lanes", "journal"), [(1, False), (3, False), (3, True)])
@pytest.mark.parametrize("end", ["cancelled", "drained", "denied", "exhausted"])
async def test_a_batch_that_ends_early_settles_every_item_in_steps(end: str, lanes: int, journal: bool):
    strategies = [Held(quota=f"lane {number}") for number in range(lanes)]
    async with ParallelBatchProcessor(pace=wide, journal=MemoryJournal() if journal else None) as processor:
        await add(processor, *strategies)
        beat, scope = Heartbeat(processor._pool), anyio.CancelScope()
        async with anyio.create_task_group() as nursery:

            async def run() -> None:
                with scope:
                    await processor.process_all()
                nursery.cancel_scope.cancel()

            nursery.start_soon(run)
            await anyio.sleep(1)
            nursery.start_soon(beat.run)
            await checkpoint()
            getattr(Ends, end)(processor, strategies, scope)
        batch = processor.batch
        assert sorted(result.item_id for result in batch.results) == sorted(f"item {n}" for n in range(ITEMS))
        assert batch.total_items == ITEMS
        assert batch.pending >= ITEMS - 100
        beat.check()


async def test_a_deadline_that_passes_settles_every_item_in_steps():
    strategy = Held()
    async with ParallelBatchProcessor(ProcessorConfig(deadline=10), pace=wide) as processor:
        await add(processor, strategy)
        beat, ready = Heartbeat(processor._pool), anyio.Event()
        async with anyio.create_task_group() as nursery:

            async def run() -> None:
                await processor.process_all()
                nursery.cancel_scope.cancel()

            nursery.start_soon(run)
            nursery.start_soon(beat.run, ready)
            await anyio.sleep(9.9)
            await anyio.sleep(0.1)
            ready.set()
        assert processor.batch.pending >= ITEMS - 100
        assert len(processor.batch.results) == ITEMS
        beat.check()


async def test_a_processor_that_is_left_with_work_queued_lets_go_of_it_in_steps():
    processor: ParallelBatchProcessor[str] = ParallelBatchProcessor()
    async with anyio.create_task_group() as nursery:
        async with processor:
            await add(processor, Held())
            beat = Heartbeat(processor._pool)
            nursery.start_soon(beat.run)
            await checkpoint()
            freed = Prompt.freed
        for _ in range(3):
            await checkpoint()
        assert Prompt.freed - freed >= ITEMS - 1
        nursery.cancel_scope.cancel()
    assert beat.most_freed <= FREED


@pytest.mark.parametrize("middlewares", [(), (Middleware(),)])
async def test_leaving_a_pool_with_a_stream_settles_every_item_in_steps(middlewares):
    strategy, results = Held(), None
    with anyio.CancelScope() as scope:
        async with open_pool(pace=wide, middlewares=middlewares) as pool:
            beat = Heartbeat(pool._pool)
            async with anyio.create_task_group() as nursery:
                try:
                    async with pool.stream(strategy, [f"prompt {n}" for n in range(ITEMS)]) as results:
                        await anyio.sleep(1)
                        nursery.start_soon(beat.run)
                        await checkpoint()
                        scope.cancel()
                        await checkpoint()
                finally:
                    nursery.cancel_scope.cancel()
    assert results is not None
    assert len(results.undelivered) == ITEMS


async def test_the_start_of_a_batch_is_done_in_steps():
    strategies = [Held(quota=f"lane {number}") for number in range(3)]
    async with ParallelBatchProcessor(pace=wide) as processor:
        await add(processor, *strategies)
        most = last = 0
        async with anyio.create_task_group() as nursery:
            nursery.start_soon(processor.process_all)
            for _ in range(ITEMS):
                await checkpoint()
                accepted = processor.statistics().total_items
                most, last = max(most, accepted - last), accepted
            nursery.cancel_scope.cancel()
    assert last == ITEMS
    assert most <= 4_096
