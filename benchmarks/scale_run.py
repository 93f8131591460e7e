"""Scale, one measurement: `python -m benchmarks.scale_run stall|cost|memory BACKEND ...` prints it as JSON. See `scale`."""

from __future__ import annotations

import gc
import json
import sys
import time
import tracemalloc
from collections.abc import Awaitable, Callable

import anyio
from anyio.lowlevel import checkpoint

from paceline import LLMCallStrategy, LLMWorkItem, ParallelBatchProcessor, ProcessorConfig, open_pool, process_prompts

_WAITING = 20_000  # items whose memory is measured: with tracemalloc, 100,000 tasks take minutes to start and to end


class _Sleeping(LLMCallStrategy[str]):
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    async def execute(self, prompt: str, attempt: int, timeout: float) -> tuple[str, None]:
        await anyio.sleep(self.seconds)
        return prompt, None


class _Pausing(LLMCallStrategy[str]):
    def __init__(self, quota: str) -> None:
        self._quota = quota

    @property
    def quota(self) -> str:
        return self._quota

    async def execute(self, prompt: str, attempt: int, timeout: float) -> tuple[str, None]:
        await checkpoint()
        return prompt, None


# ------------------------------------------------------------------------------------------------- stalls


class _Heartbeat:
    """The longest time of the thread's CPU between two turns of a task, without full collections; and the longest collection."""

    def __init__(self) -> None:
        self.stall = self.collector = 0.0
        self._collected = self._began = 0.0
        gc.callbacks.append(self._collect)

    def _collect(self, phase: str, _: object) -> None:
        if phase == "start":
            self._began = time.thread_time()
        else:
            seconds = time.thread_time() - self._began
            self._collected += seconds
            self.collector = max(self.collector, seconds)

    async def run(self) -> None:
        last = time.thread_time()
        while True:
            self._collected = 0.0
            await checkpoint()
            now = time.thread_time()
            self.stall = max(self.stall, now - last - self._collected)
            last = now


async def _stall(name: str, waiting: int) -> dict[str, float]:
    beat = _Heartbeat()
    async with anyio.create_task_group() as nursery:
        nursery.start_soon(beat.run)
        await anyio.sleep(0.01)
        beat.stall = 0.0
        await _WAYS[name](waiting)
        await anyio.sleep(0.2)
        nursery.cancel_scope.cancel()
    return {"stall": beat.stall * 1e3, "collector": beat.collector * 1e3}


async def _add(processor: ParallelBatchProcessor[str], items: int) -> None:
    strategy = _Sleeping(0.05)
    for number in range(items):
        await processor.add_work(LLMWorkItem(f"item {number}", strategy, "prompt"))


async def _cancelled(waiting: int) -> None:
    async with ParallelBatchProcessor[str]() as processor:
        await _add(processor, waiting)
        with anyio.move_on_after(2):
            await processor.process_all()


async def _drained(waiting: int) -> None:
    async with ParallelBatchProcessor[str]() as processor, anyio.create_task_group() as nursery:
        await _add(processor, waiting)
        nursery.start_soon(processor.process_all)
        await anyio.sleep(2)
        processor.drain()


async def _left(waiting: int) -> None:
    async with ParallelBatchProcessor[str]() as processor:
        await _add(processor, waiting)


async def _stream(waiting: int) -> None:
    prompts = ["prompt"] * waiting
    with anyio.move_on_after(2):
        async with open_pool() as pool, pool.stream(_Sleeping(0.05), prompts):
            await anyio.sleep_forever()


async def _made(waiting: int) -> None:
    strategy = _Pausing("lane")
    items = (LLMWorkItem(f"item {number}", strategy, "prompt") for number in range(waiting // 5))
    async with ParallelBatchProcessor[str]() as processor, processor.stream(items) as results:
        async for _ in results:
            pass


_WAYS: dict[str, Callable[[int], Awaitable[None]]] = {
    "cancelled": _cancelled,
    "drained": _drained,
    "left": _left,
    "stream": _stream,
    "made": _made,
}


# ------------------------------------------------------------------------------------------------- workers and lanes


async def _cost(workers: int, lanes: int, items: int) -> dict[str, float]:
    strategies = [_Pausing(f"lane {number}") for number in range(lanes)]
    seconds = []
    async with ParallelBatchProcessor[str](ProcessorConfig(max_workers=workers)) as processor:
        for _ in range(3):
            for number in range(items):
                await processor.add_work(LLMWorkItem(f"item {number}", strategies[number % lanes], "prompt"))
            gc.collect()
            started = time.process_time()
            batch = await processor.process_all()
            seconds.append((time.process_time() - started) / items * 1e6)
            if batch.succeeded != items:
                raise AssertionError(f"{batch.succeeded} of {items} items succeeded")
            del batch
    return {"cold": seconds[0], "warm": seconds[2]}


# ------------------------------------------------------------------------------------------------- memory


def _traced() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


class _Case:
    """Items that wait, whose memory is measured."""

    def __init__(self) -> None:
        self.before = 0
        """Traced memory before they wait."""
        self.count: Callable[[], int] = lambda: 0
        """Returns how many wait."""

    def begin(self, count: Callable[[], int]) -> None:
        self.before, self.count = _traced(), count


async def _memory(name: str) -> dict[str, float]:
    of_all = await _of_waiting(_USERS[name])
    beside = await _of_waiting(_wait_for_events) if name == "calls" else 0.0
    return {"bytes": of_all - beside}


async def _of_waiting(use: Callable[[_Case], Awaitable[None]]) -> float:
    tracemalloc.start()
    case = _Case()
    async with anyio.create_task_group() as nursery:
        nursery.start_soon(use, case)
        while case.count() < _WAITING:  # noqa: ASYNC110 - no event says it
            await anyio.sleep(0.1)
        await anyio.sleep(1)  # what was needed to begin is freed
        each = (_traced() - case.before) / _WAITING
        nursery.cancel_scope.cancel()
    tracemalloc.stop()
    return each


async def _items(case: _Case) -> None:
    strategy = _Sleeping(1_000)
    items = [LLMWorkItem(f"item {number}", strategy, f"prompt {number}") for number in range(_WAITING)]
    async with ParallelBatchProcessor[str]() as processor:
        added = 0
        case.begin(lambda: added)
        for item in items:
            await processor.add_work(item)
            added += 1
        await processor.process_all()


async def _prompts(case: _Case) -> None:
    prompts = [f"prompt {number}" for number in range(_WAITING)]
    case.begin(lambda: _WAITING)  # they are read as they are needed
    await process_prompts(_Sleeping(1_000), prompts)


async def _calls(case: _Case) -> None:
    strategy = _Sleeping(1_000)
    async with open_pool(max_waiting=2 * _WAITING) as pool, anyio.create_task_group() as nursery:

        def count() -> int:
            figures = pool.statistics()
            return figures.waiting + figures.in_flight

        case.begin(count)
        for _ in range(_WAITING):
            nursery.start_soon(pool.call, strategy, "prompt")


async def _wait_for_events(case: _Case) -> None:
    waiting = 0

    async def wait() -> None:
        nonlocal waiting
        waiting += 1
        await anyio.Event().wait()

    case.begin(lambda: waiting)
    async with anyio.create_task_group() as nursery:
        for _ in range(_WAITING):
            nursery.start_soon(wait)


_USERS: dict[str, Callable[[_Case], Awaitable[None]]] = {"items": _items, "prompts": _prompts, "calls": _calls}


def main() -> None:
    """Measure what the command line says, and print it as JSON."""
    question, backend, *rest = sys.argv[1:]
    match question:
        case "stall":
            answer = anyio.run(_stall, rest[0], int(rest[1]), backend=backend)
        case "cost":
            answer = anyio.run(_cost, *map(int, rest), backend=backend)
        case _:
            answer = anyio.run(_memory, rest[0], backend=backend)
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
