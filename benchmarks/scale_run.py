"""Scale, one measurement: `python -m benchmarks.scale_run stall|cost|memory BACKEND ...` prints it as JSON. See `scale`."""

from __future__ import annotations

import gc
import json
import sys
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from paceline import LLMCallStrategy, LLMWorkItem, ParallelBatchProcessor, ProcessorConfig, open_pool, process_prompts

_WAITING = 100_000  # items whose memory is measured


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


async def _deadline(waiting: int) -> None:
    async with ParallelBatchProcessor[str](ProcessorConfig(deadline=2)) as processor:
        await _add(processor, waiting)
        await processor.process_all()


async def _left(waiting: int) -> None:
    async with ParallelBatchProcessor[str]() as processor:
        await _add(processor, waiting)


async def _stream(waiting: int) -> None:
    prompts = ["prompt"] * waiting
    with anyio.move_on_after(2):
        async with open_pool() as pool, pool.stream(_Sleeping(0.05), prompts):
            await anyio.sleep_forever()


_WAYS: dict[str, Callable[[int], Awaitable[None]]] = {
    "cancelled": _cancelled,
    "drained": _drained,
    "deadline": _deadline,
    "left": _left,
    "stream": _stream,
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


async def _memory(name: str) -> dict[str, float]:
    if name == "stream":
        return {"bytes": await _of_stream()}
    of_all = await _of_waiting(_USERS[name])
    beside = await _of_waiting(_wait_for_events) if name == "calls" else 0.0
    return {"bytes": of_all - beside}


async def _of_waiting(use: Callable[[Any], Awaitable[None]]) -> float:
    tracemalloc.start()
    async with anyio.create_task_group() as nursery:
        before: list[int] = []
        nursery.start_soon(use, before)
        await anyio.sleep(15)
        each = (_traced() - before[0]) / _WAITING
        nursery.cancel_scope.cancel()
    tracemalloc.stop()
    return each


async def _items(before: list[int]) -> None:
    strategy = _Sleeping(1_000)
    items = [LLMWorkItem(f"item {number}", strategy, f"prompt {number}") for number in range(_WAITING)]
    before.append(_traced())
    async with ParallelBatchProcessor[str]() as processor:
        for item in items:
            await processor.add_work(item)
        await processor.process_all()


async def _prompts(before: list[int]) -> None:
    prompts = [f"prompt {number}" for number in range(_WAITING)]
    before.append(_traced())
    await process_prompts(_Sleeping(1_000), prompts)


async def _calls(before: list[int]) -> None:
    strategy = _Sleeping(1_000)
    before.append(_traced())
    async with open_pool(max_waiting=2 * _WAITING) as pool, anyio.create_task_group() as nursery:
        for _ in range(_WAITING):
            nursery.start_soon(pool.call, strategy, "prompt")


async def _wait_for_events(before: list[int]) -> None:
    async def wait() -> None:
        await anyio.Event().wait()

    before.append(_traced())
    async with anyio.create_task_group() as nursery:
        for _ in range(_WAITING):
            nursery.start_soon(wait)


_USERS: dict[str, Callable[[Any], Awaitable[None]]] = {"items": _items, "prompts": _prompts, "calls": _calls}


async def _of_stream() -> float:
    strategy, traced = _Pausing("lane"), []
    items = (LLMWorkItem(f"item {number}", strategy, "prompt") for number in range(4 * _WAITING))
    tracemalloc.start()
    async with ParallelBatchProcessor[str]() as processor, processor.stream(items) as results:
        count = 0
        async for _ in results:
            count += 1
            if count in {2 * _WAITING, 4 * _WAITING - 1_000}:
                traced.append(_traced())
    return (traced[1] - traced[0]) / (2 * _WAITING)


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
