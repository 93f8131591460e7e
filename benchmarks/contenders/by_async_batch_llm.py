"""async-batch-llm with its defaults, except the number of workers. Runs in an environment of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from tempfile import TemporaryDirectory
from typing import Any

from async_batch_llm import (  # type: ignore[import-not-found]  # not in our environment
    ArtifactIdentity,
    LLMCallStrategy,
    ProcessorConfig,
    SqliteArtifactStore,
    process_prompts,
    process_stream,
)

from .task import WORKERS, Entry, Take, bytes_in, main

_QUEUE = 200  # items: its documentation asks for a bound of at least the number of workers


class _AtOnce(LLMCallStrategy[str]):  # type: ignore[misc]  # as above
    async def execute(
        self, prompt: str, attempt: int, timeout: float, state: object = None
    ) -> tuple[str, dict[str, int], None]:
        return prompt, {}, None


class _Pausing(LLMCallStrategy[str]):  # type: ignore[misc]  # as above
    async def execute(
        self, prompt: str, attempt: int, timeout: float, state: object = None
    ) -> tuple[str, dict[str, int], None]:
        await asyncio.sleep(0)
        return prompt, {}, None


async def _collected(prompts: Iterable[str], take: Take, *, pauses: bool) -> object:
    batch = await process_prompts(_strategy(pauses=pauses), prompts, config=ProcessorConfig(max_workers=WORKERS))
    for result in batch.results:
        take(result.output)
    return batch


async def _streamed(prompts: Iterable[str], take: Take, *, pauses: bool) -> None:
    await _drained(ProcessorConfig(max_workers=WORKERS), prompts, take, pauses=pauses)


async def _bounded(prompts: Iterable[str], take: Take, *, pauses: bool) -> None:
    config = ProcessorConfig(max_workers=WORKERS, max_queue_size=_QUEUE, max_result_queue_size=_QUEUE)
    await _drained(config, prompts, take, pauses=pauses)


async def _journalled(prompts: Iterable[str], take: Take, *, pauses: bool) -> int:
    config = ProcessorConfig(max_workers=WORKERS, max_queue_size=_QUEUE, max_result_queue_size=_QUEUE)
    with TemporaryDirectory() as folder:
        store = SqliteArtifactStore(f"{folder}/run.db", identity=ArtifactIdentity(provider="none", model="none"))
        async for result in process_stream(_strategy(pauses=pauses), prompts, config=config, artifact_store=store):
            take(result.output)
        await store.close()
        return bytes_in(folder)


async def _drained(config: ProcessorConfig, prompts: Iterable[str], take: Take, *, pauses: bool) -> None:
    async for result in process_stream(_strategy(pauses=pauses), prompts, config=config):
        take(result.output)


def _strategy(*, pauses: bool) -> LLMCallStrategy[str]:
    return _Pausing() if pauses else _AtOnce()


def _start(function: Callable[[], Awaitable[Any]]) -> Any:
    async def awaited() -> Any:
        return await function()

    logging.disable()
    return asyncio.run(awaited())


ENTRIES = {
    "process_prompts": Entry(_collected, _start),
    "process_stream": Entry(_streamed, _start),
    "journal": Entry(_journalled, _start),
    "process_stream-bounded": Entry(_bounded, _start),
}

if __name__ == "__main__":
    main(ENTRIES)
