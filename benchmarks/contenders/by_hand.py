"""Programs written by hand, with only the standard library or trio: a bound on calls, a deadline, no results kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import trio

from .task import SECONDS, WORKERS, Entry, Take, main

Call = Callable[[str], Awaitable[str]]


async def _at_once(prompt: str) -> str:
    return prompt


async def _on_asyncio(prompt: str) -> str:
    await asyncio.sleep(0)
    return prompt


async def _on_trio(prompt: str) -> str:
    await trio.lowlevel.checkpoint()
    return prompt


async def _gather(prompts: Iterable[str], take: Take, *, pauses: bool) -> object:
    call: Call = _on_asyncio if pauses else _at_once
    semaphore = asyncio.Semaphore(WORKERS)

    async def one(prompt: str) -> str:
        async with semaphore:
            return await asyncio.wait_for(call(prompt), SECONDS)

    outputs = await asyncio.gather(*map(one, prompts))
    for output in outputs:
        take(output)
    return outputs


async def _gather_without_deadline(prompts: Iterable[str], take: Take, *, pauses: bool) -> object:
    call: Call = _on_asyncio if pauses else _at_once
    semaphore = asyncio.Semaphore(WORKERS)

    async def one(prompt: str) -> str:
        async with semaphore:
            return await call(prompt)

    outputs = await asyncio.gather(*map(one, prompts))
    for output in outputs:
        take(output)
    return outputs


async def _task_group(prompts: Iterable[str], take: Take, *, pauses: bool) -> None:
    call: Call = _on_asyncio if pauses else _at_once
    waiting = iter(prompts)

    async def work() -> None:
        for prompt in waiting:
            async with asyncio.timeout(SECONDS):
                output = await call(prompt)
            take(output)

    async with asyncio.TaskGroup() as group:
        for _ in range(WORKERS):
            group.create_task(work())


async def _nursery(prompts: Iterable[str], take: Take, *, pauses: bool) -> None:
    call: Call = _on_trio if pauses else _at_once
    waiting = iter(prompts)

    async def work() -> None:
        for prompt in waiting:
            with trio.fail_after(SECONDS):
                output = await call(prompt)
            take(output)

    async with trio.open_nursery() as nursery:
        for _ in range(WORKERS):
            nursery.start_soon(work)


def _start_asyncio(function: Callable[[], Awaitable[Any]]) -> Any:
    async def awaited() -> Any:
        return await function()

    return asyncio.run(awaited())


ENTRIES = {
    "gather-wait_for": Entry(_gather, _start_asyncio),
    "gather": Entry(_gather_without_deadline, _start_asyncio),
    "task-group": Entry(_task_group, _start_asyncio),
    "nursery": Entry(_nursery, trio.run),
}

if __name__ == "__main__":
    main(ENTRIES)
