"""The shortest ways to run prompts: collected, streamed, or from code that is not async."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from os import PathLike
from typing import Any, TypedDict, TypeVar, Unpack

import anyio
from anyio import from_thread
from anyio.lowlevel import EventLoopToken, current_token

from ._core.config import ProcessorConfig
from ._core.pace import PaceKnowledge
from ._core.results import BatchResult
from ._engine.engine import Engine, NewPace
from ._engine.intake import Intake
from ._engine.outlets import ResultStream
from .abc import BaseObserver, Journal, LLMCallStrategy, LLMWorkItem, Middleware
from .processor import as_journal

T = TypeVar("T")


class Options(TypedDict, total=False):
    """The arguments of `ParallelBatchProcessor`, all of them optional."""

    config: ProcessorConfig | None
    middlewares: Sequence[Middleware]
    observers: Sequence[BaseObserver]
    pace: NewPace
    knowledge: Mapping[str, PaceKnowledge]
    journal: Journal | str | PathLike[str] | None


async def process_prompts(
    strategy: LLMCallStrategy[T],
    prompts: Iterable[str] | AsyncIterable[str],
    **options: Unpack[Options],
) -> BatchResult[T]:
    """Answer every prompt, and return all results; an item's id is its place in `prompts`, from "0".

    The options are the arguments of `ParallelBatchProcessor`. Cancelling it cancels the calls in flight and gives no results;
    where they are wanted, use `open_stream`.

    Raises:
        InvalidWorkItemError: `strategy` is none, or `prompts` is a sequence with something in it that is no string.
        SourceError: `prompts` raised, or gave something that is no string; what came before was finished, and is in it.
    """
    async with _engine(options) as engine:
        return await engine.collect(_intake(strategy, prompts))


@asynccontextmanager
async def open_stream(
    strategy: LLMCallStrategy[T],
    prompts: Iterable[str] | AsyncIterable[str],
    **options: Unpack[Options],
) -> AsyncIterator[ResultStream[T]]:
    """Answer every prompt, and hand over each result as it comes.

        async with open_stream(strategy, prompts) as results:
            async for result in results: ...

    Bounded on both sides: prompts are read as far ahead as is of use, and a consumer that falls behind holds up new calls.
    Leaving the block early cancels the calls in flight; then `results.undelivered` has what was not taken.

    Raises:
        InvalidWorkItemError: `strategy` is none, or `prompts` is a sequence with something in it that is no string.
    """
    async with (
        _engine(options) as engine,
        engine.stream(_intake(strategy, prompts)) as results,
    ):
        yield results


def run_prompts(
    strategy: LLMCallStrategy[T],
    prompts: Iterable[str] | AsyncIterable[str],
    **options: Unpack[Options],
) -> BatchResult[T]:
    """Answer every prompt, from code that is not async: `process_prompts` on trio.

    In a thread that runs an event loop already, as a notebook's does, it runs in a thread of its own.
    """
    call = partial(process_prompts, strategy, prompts, **options)
    try:
        anyio.get_current_task()
    except anyio.NoEventLoopError:
        return _run(call)
    return _run_in_thread(call)


def _run(call: Callable[[], Awaitable[BatchResult[T]]]) -> BatchResult[T]:
    try:
        return anyio.run(call, backend="trio")
    except BaseExceptionGroup as group:
        if group.subgroup(KeyboardInterrupt) is not None:
            raise KeyboardInterrupt from group  # what a script expects of Ctrl-C
        raise


def _run_in_thread(call: Callable[[], Awaitable[BatchResult[T]]]) -> BatchResult[T]:
    running: list[tuple[EventLoopToken, anyio.CancelScope]] = []

    async def main() -> BatchResult[T] | None:
        with anyio.CancelScope() as scope:
            running.append((current_token(), scope))
            return await call()
        return None

    with ThreadPoolExecutor(1) as thread:
        future = thread.submit(lambda: anyio.run(main, backend="trio"))
        try:
            result = future.result()
        except KeyboardInterrupt:
            for token, scope in running:
                from_thread.run_sync(scope.cancel, token=token)
            raise
    assert result is not None  # noqa: S101 - only the interrupt above cancels it
    return result


def _engine(options: Options) -> Engine[Any]:
    given: dict[str, Any] = {**options, "journal": as_journal(options.get("journal"))}
    return Engine(**given)


def _intake(strategy: LLMCallStrategy[T], prompts: Iterable[str] | AsyncIterable[str]) -> Intake:
    make = partial(_make, strategy)
    make(0, "")  # a wrong strategy is found before anything is read
    if isinstance(prompts, str):
        prompts = [prompts]
    return Intake(prompts, make=make)


def _make(strategy: LLMCallStrategy[T], index: int, prompt: str) -> LLMWorkItem[T]:
    return LLMWorkItem(str(index), strategy, prompt)
