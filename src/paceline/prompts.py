"""Prompts: the shortest ways to run a list of prompts, collected, streamed, or from code that is not async."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from types import TracebackType
from typing import Any, Literal, TypeAlias, TypeVar, Unpack

import anyio
from anyio import from_thread
from anyio.lowlevel import EventLoopToken, current_token

from ._core.config import refuse_settings
from ._core.exceptions import ConfigurationError
from ._core.results import BatchResult
from ._engine.loop.foreign import logger
from ._engine.pool import Pool
from ._engine.progress import ProgressHook
from ._engine.results.delivery import ResultStream
from ._prompt_intake import Prompts, intake_of
from .abc import BaseObserver, LLMCallStrategy
from .processor import Options, ParallelBatchProcessor
from .progress import ProgressOption, hook_of

T = TypeVar("T")
R = TypeVar("R")

Backend: TypeAlias = Literal["trio", "asyncio"]
"""The event loop that code which is not async runs."""

_BACKENDS = ("trio", "asyncio")


async def process_prompts(
    strategy: LLMCallStrategy[T],
    prompts: Prompts,
    *,
    progress: ProgressOption = None,
    **options: Unpack[Options],
) -> BatchResult[T]:
    """Answer every prompt, and return all results.

    Cancelling it cancels the calls in flight and returns no results; use `open_stream` if they are needed. Where a batch stops early, as by its
    deadline, the other items are `PENDING`: of a sequence all of them; of an iterator or async iterator, which may be endless, those that were
    read: it is read a bounded number ahead, and the rest is not counted.

    Args:
        strategy: Strategy that answers all prompts.
        prompts: Prompts, sync or async; an item's id is its position as a string, from "0". A single string is one prompt.
            Records of `paceline.files.read` keep their ids and contexts.
        progress: True shows the progress: a live picture on stderr if that is a terminal, otherwise a line every few seconds, and HTML in a
            notebook. A function is called with a `paceline.typing.RunProgress` at the start, once a second, and at the end; it runs in the
            event loop, so it must not block, and an exception of it is logged and has no other effect.
        options: Arguments of `ParallelBatchProcessor`.

    Each prompt has a call of its own, unless there is a journal. With one, equal prompts share a call, except where they are separate
    samples: `Request`s, and all prompts of a strategy that `is_sampled`, as its temperature is above 0. `SqliteJournal(dedupe=False)` as
    the journal gives each prompt a call, `dedupe=True` one to all that are equal.

    Raises:
        ConfigurationError: There is a budget in USD, and a model without a price; or `progress` is neither a bool nor such a function.
            Nothing was called.
        InvalidWorkItemError: `strategy` is not an `LLMCallStrategy`, `prompts` is not iterable, or it is a sequence and one of its
            members is not a prompt.
        InputError: `prompts` is a file whose check has failed; nothing was called.
        SourceError: `prompts` raised, or yielded a value that is not a prompt. What was read before is in the error's `batch`.
        JournalError: The journal cannot be used; an UnsavedError has the results that it could not store.
    """
    return await _process_prompts(strategy, prompts, *hook_of(progress), options)


async def _process_prompts(
    strategy: LLMCallStrategy[T],
    prompts: Prompts,
    hook: ProgressHook | None,
    observers: Sequence[BaseObserver],
    options: Options,
) -> BatchResult[T]:
    pool = _private_pool(_with_observers(options, observers))
    await _require_prices(pool, strategy)
    async with pool:
        return await pool.collect(intake_of(strategy, prompts), progress=hook)


def open_stream(
    strategy: LLMCallStrategy[T],
    prompts: Prompts,
    *,
    progress: ProgressOption = None,
    **options: Unpack[Options],
) -> AbstractAsyncContextManager[ResultStream[T]]:
    """Answer every prompt, and hand over each result when it is complete.

        async with open_stream(strategy, prompts) as results:
            async for result in results: ...

    Prompts are read a bounded number ahead of the calls, and a consumer that falls behind holds up new calls. Leaving the block
    early cancels the calls in flight; then `results.undelivered` has the results that were not consumed.

    Args:
        strategy: Strategy that answers all prompts.
        prompts: Prompts, sync or async, possibly endless; an item's id is its position as a string, from "0". Records of
            `paceline.files.read` keep their ids and contexts.
        progress: As for `process_prompts`.
        options: Arguments of `ParallelBatchProcessor`.

    Raises:
        ConfigurationError: `progress` is neither a bool nor a function that is not async.
        InvalidWorkItemError: On entering: `strategy` is not an `LLMCallStrategy`, `prompts` is not iterable, or it is a sequence and one
            of its members is not a prompt.
        SourceError: While iterating: `prompts` raised, or yielded a value that is not a prompt.
    """
    return _PromptStream(strategy, prompts, progress, options)


class _PromptStream(AbstractAsyncContextManager[ResultStream[T]]):
    """A private pool and one batch in it, as a context manager."""

    def __init__(
        self, strategy: LLMCallStrategy[T], prompts: Prompts, progress: ProgressOption, options: Options
    ) -> None:
        self._hook, observers = hook_of(progress)
        self._strategy, self._prompts, self._options = strategy, prompts, _with_observers(options, observers)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> ResultStream[T]:
        async with AsyncExitStack() as stack:
            pool = _private_pool(self._options)
            await _require_prices(pool, self._strategy)
            await stack.enter_async_context(pool)
            results = await stack.enter_async_context(
                pool.stream(intake_of(self._strategy, self._prompts), progress=self._hook)
            )
            self._stack = stack.pop_all()
        return results

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        return await self._stack.__aexit__(kind, error, traceback)


def run_prompts(
    strategy: LLMCallStrategy[T],
    prompts: Prompts,
    *,
    backend: Backend = "trio",
    progress: ProgressOption = None,
    **options: Unpack[Options],
) -> BatchResult[T]:
    """Answer every prompt, from code that is not async: runs `process_prompts` in an event loop of its own.

    If the calling thread already runs an event loop, as in a notebook, the batch runs in another thread while this one waits, and with
    it every task of that loop. In an application write `await process_prompts(...)`: outside of notebooks the log says so.
    Ctrl-C cancels the batch and raises KeyboardInterrupt.

    Args:
        strategy: Strategy that answers all prompts.
        prompts: Prompts, as for `process_prompts`.
        backend: Event loop to run: `"trio"`, or `"asyncio"` for strategies and middlewares that need asyncio.
        progress: As for `process_prompts`.
        options: Arguments of `ParallelBatchProcessor`.

    Raises:
        ConfigurationError: `backend` has another value.
        PacelineError: As for `process_prompts`.
    """
    if backend not in _BACKENDS:
        raise ConfigurationError(f"backend must be 'trio' or 'asyncio', not {backend!r}")
    if _runs_event_loop() and not _is_notebook():
        logger.warning(
            "run_prompts blocks this thread's event loop until the batch has ended; in async code use: await process_prompts(...)"
        )
    hook, observers = hook_of(progress)  # in this thread, as it may be that of a notebook's cell
    return run_blocking(partial(_process_prompts, strategy, prompts, hook, observers, options), backend)


def run_blocking(call: Callable[[], Awaitable[R]], backend: Backend = "trio") -> R:
    """Run an async function and return its value; if this thread already runs an event loop, in another thread.

    Ctrl-C cancels it and raises KeyboardInterrupt.
    """
    return _run_in_thread(call, backend) if _runs_event_loop() else _run(call, backend)


def _runs_event_loop() -> bool:
    try:
        anyio.get_current_task()
    except anyio.NoEventLoopError:
        return False
    return True


def _is_notebook() -> bool:
    """Whether IPython runs this program: a cell has no better way, and its loop has no other tasks of the user's."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None


def _run(call: Callable[[], Awaitable[R]], backend: Backend) -> R:
    try:
        return anyio.run(call, backend=backend)
    except BaseExceptionGroup as group:
        if group.subgroup(KeyboardInterrupt) is not None:
            raise KeyboardInterrupt from group  # what a script expects of Ctrl-C
        raise


def _run_in_thread(call: Callable[[], Awaitable[R]], backend: Backend) -> R:
    running: list[tuple[EventLoopToken, anyio.CancelScope]] = []
    results: list[R] = []

    async def main() -> None:
        with anyio.CancelScope() as scope:
            running.append((current_token(), scope))
            results.append(await call())

    with ThreadPoolExecutor(1) as thread:
        future = thread.submit(lambda: anyio.run(main, backend=backend))
        try:
            future.result()
        except KeyboardInterrupt:
            for token, scope in running:
                from_thread.run_sync(scope.cancel, token=token)
            raise
    return results[0]  # there is one: only the interrupt above cancels the scope


async def _require_prices(pool: Pool, strategy: object) -> None:
    """Raise ConfigurationError if a budget in USD cannot be kept, as a model has no price: before anything is paid."""
    budget = pool.config.budget
    if budget is not None and budget.has_usd and isinstance(strategy, LLMCallStrategy):
        from .llm_strategies.prices import require_prices  # noqa: PLC0415 - only where it is needed

        await require_prices(budget, strategy)


def _with_observers(options: Options, more: Sequence[BaseObserver]) -> Options:
    """Return options with more observers."""
    return {**options, "observers": [*options.get("observers", ()), *more]} if more else options


def _private_pool(options: Options) -> Pool:
    """Return the pool of a processor with these arguments: prompts skip its queue.

    Raises:
        TypeError: One of them is a setting, or unknown.
    """
    refuse_settings(options)
    return ParallelBatchProcessor[Any](**options)._pool  # noqa: SLF001 - two surfaces of one library
