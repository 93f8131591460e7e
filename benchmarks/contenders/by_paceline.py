"""paceline, by each of its entry points, on each backend."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import trio

from paceline import (
    LLMCallStrategy,
    LLMWorkItem,
    ParallelBatchProcessor,
    ProcessorConfig,
    open_pool,
    open_stream,
    process_prompts,
)
from paceline.abc import BaseObserver
from paceline.observers import ProcessingEvent

from .task import CLOCK, WORKERS, Entry, Take, bytes_in, main

_LANES = 2_000

# the default timeout is the same as the other contenders'
_CONFIG = partial(ProcessorConfig, max_workers=WORKERS)


class _AtOnce(LLMCallStrategy[str]):
    async def execute(self, prompt: str, attempt: int, timeout: float) -> tuple[str, None]:
        return prompt, None


class _OnTrio(LLMCallStrategy[str]):
    async def execute(self, prompt: str, attempt: int, timeout: float) -> tuple[str, None]:
        await trio.lowlevel.checkpoint()
        return prompt, None


class _OnAsyncio(LLMCallStrategy[str]):
    async def execute(self, prompt: str, attempt: int, timeout: float) -> tuple[str, None]:
        await asyncio.sleep(0)
        return prompt, None


class _InLane(LLMCallStrategy[str]):
    """A call in a lane of its own, which lets other tasks run once."""

    def __init__(self, strategy: LLMCallStrategy[str], quota: str) -> None:
        self._strategy = strategy
        self._quota = quota

    @property
    def quota(self) -> str:
        return self._quota

    async def execute(self, prompt: str, attempt: int, timeout: float) -> tuple[str, Any]:
        return await self._strategy.execute(prompt, attempt, timeout)


class _Counter(BaseObserver):
    """Receives every event, and counts them."""

    def __init__(self) -> None:
        self.events = 0

    async def on_event(self, event: ProcessingEvent, data: dict[str, Any]) -> None:
        self.events += 1


_PAUSING: dict[str, type[LLMCallStrategy[str]]] = {"trio": _OnTrio, "asyncio": _OnAsyncio}


async def _collected(backend: str, prompts: Iterable[str], take: Take, *, pauses: bool) -> object:
    batch = await process_prompts(_strategy(backend, pauses=pauses), prompts, config=_CONFIG())
    for result in batch.results:
        take(result.output or "")
    return batch


async def _warm(backend: str, prompts: Iterable[str], take: Take, *, pauses: bool) -> object:
    """Measure the second batch in a pool: its lanes have their pace."""
    strategy, known = _strategy(backend, pauses=pauses), list(prompts)
    async with open_pool(_CONFIG()) as pool:
        await pool.process_prompts(strategy, known)
        CLOCK.start()
        batch = await pool.process_prompts(strategy, known)
        for result in batch.results:
            take(result.output or "")
    return batch


async def _observed(backend: str, prompts: Iterable[str], take: Take, *, pauses: bool) -> object:
    observers = [_Counter()]
    batch = await process_prompts(_strategy(backend, pauses=pauses), prompts, config=_CONFIG(), observers=observers)
    for result in batch.results:
        take(result.output or "")
    if observers[0].events < len(batch.results):
        raise RuntimeError(f"the observer has seen {observers[0].events} events of {len(batch.results)} items")
    return batch


async def _in_lanes(backend: str, prompts: Iterable[str], take: Take, *, pauses: bool) -> None:
    lanes = [_InLane(_strategy(backend, pauses=pauses), f"lane-{number}") for number in range(_LANES)]
    items = (LLMWorkItem(prompt, lanes[number % _LANES], prompt) for number, prompt in enumerate(prompts))
    async with ParallelBatchProcessor[str](_CONFIG()) as processor, processor.stream(items) as results:
        async for result in results:
            take(result.output or "")


async def _streamed(backend: str, prompts: Iterable[str], take: Take, *, pauses: bool) -> None:
    async with open_stream(_strategy(backend, pauses=pauses), prompts, config=_CONFIG()) as results:
        async for result in results:
            take(result.output or "")


async def _streamed_items(backend: str, prompts: Iterable[str], take: Take, *, pauses: bool) -> None:
    strategy = _strategy(backend, pauses=pauses)
    items = (LLMWorkItem(f"question-{prompt}", strategy, prompt) for prompt in prompts)
    async with (
        ParallelBatchProcessor[str](_CONFIG()) as processor,
        processor.stream(items) as results,
    ):
        async for result in results:
            take(result.output or "")


async def _journalled(backend: str, prompts: Iterable[str], take: Take, *, pauses: bool) -> int:
    with TemporaryDirectory() as folder:
        strategy, journal = _strategy(backend, pauses=pauses), f"{folder}/run.journal"
        async with open_stream(strategy, prompts, config=_CONFIG(), journal=journal) as results:
            async for result in results:
                take(result.output or "")
        return bytes_in(folder)


async def _collected_with_journal(backend: str, prompts: Iterable[str], take: Take, *, pauses: bool) -> int:
    with TemporaryDirectory() as folder:
        strategy, journal = _strategy(backend, pauses=pauses), f"{folder}/run.journal"
        batch = await process_prompts(strategy, prompts, config=_CONFIG(), journal=journal)
        for result in batch.results:
            take(result.output or "")
        return bytes_in(folder)


def _strategy(backend: str, *, pauses: bool) -> LLMCallStrategy[str]:
    return _PAUSING[backend]() if pauses else _AtOnce()


def _start(backend: str, function: Callable[[], Awaitable[Any]]) -> Any:
    return anyio.run(function, backend=backend)


_ENTRY_POINTS = {
    "process_prompts": _collected,
    "warm": _warm,
    "observed": _observed,
    "lanes": _in_lanes,
    "open_stream": _streamed,
    "stream": _streamed_items,
    "journal": _journalled,
    "process_prompts-journal": _collected_with_journal,
}
ENTRIES = {
    f"{name}-{backend}": Entry(partial(entry_point, backend), partial(_start, backend))
    for name, entry_point in _ENTRY_POINTS.items()
    for backend in _PAUSING
}

if __name__ == "__main__":
    main(ENTRIES)
