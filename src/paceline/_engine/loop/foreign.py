"""Foreign code: the one function that awaits it: strategies, middlewares, observers and sources.

Rules owned here:

1. An exception of foreign code is returned as a value; it never unwinds the engine.
2. A cancellation of a scope around it passes, and so does asyncio's own of a caller's task. An exception that foreign code raises during
   it is a consequence of it and is dropped; a value that foreign code returns in spite of it counts.
3. A cancellation exception without one of these (a leak) is treated as any other exception.
4. KeyboardInterrupt and SystemExit pass: they concern the program, not a batch.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Self, TypeVar

from anyio import CancelScope, current_effective_deadline, get_cancelled_exc_class, sleep_forever
from anyio.lowlevel import EventLoopToken, current_token

T = TypeVar("T")

logger = logging.getLogger("paceline")
IN_SUMMARY = "paceline_in_summary"
"""Attribute of log records whose text is in the summary of the batch too: a display that prints the summary may leave them out."""

_INTERRUPTS = (KeyboardInterrupt, SystemExit, GeneratorExit)


async def guarded(function: Callable[..., Awaitable[T]], *args: Any) -> tuple[T | None, BaseException | None]:
    """Await `function(*args)`; return its value and None, or None and its exception."""
    try:
        return await function(*args), None
    except BaseException as error:  # noqa: BLE001 - rule 1
        return None, await caught(error)


async def caught(error: BaseException) -> BaseException:
    """Return an exception that foreign code has just raised. Raises it instead if it is an interrupt or our own cancellation."""
    if _contains(error, _INTERRUPTS):
        raise error
    if is_cancelled():
        if isinstance(error, get_cancelled_exc_class()):
            raise error
        if not _is_only_cancellation(error):
            logger.warning("exception during a cancellation dropped: %s", type(error).__name__)
        await sleep_forever()  # raises our own cancellation
    if _is_callers_cancellation():
        raise get_cancelled_exc_class() from error
    return error


def is_cancelled() -> bool:
    """Whether a scope around us is cancelled."""
    return current_effective_deadline() == -math.inf


def is_leak(error: BaseException | None) -> bool:
    """Whether an exception that `guarded` returned is a cancellation, which then was not ours."""
    return error is not None and not isinstance(error, Exception) and _contains(error, get_cancelled_exc_class())


class CallersTask:
    """Context manager: the current task is a caller's, so that asyncio itself may cancel it, as `asyncio.timeout` and Ctrl-C do.

    Such a cancellation is of no scope. In a caller's task it passes; in a task of ours a strategy must have caused it.
    """

    def __enter__(self) -> Self:
        self._task = asyncio.current_task() if is_asyncio(current_token()) else None
        self._before = 0 if self._task is None else self._task.cancelling()
        self._token = _CALLERS_TASK.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        _CALLERS_TASK.reset(self._token)

    @property
    def is_cancelled(self) -> bool:
        """Whether asyncio has cancelled this task since."""
        task = self._task
        return task is not None and task is asyncio.current_task() and task.cancelling() > self._before


_CALLERS_TASK: ContextVar[CallersTask | None] = ContextVar("paceline_callers_task", default=None)


def _is_callers_cancellation() -> bool:
    caller = _CALLERS_TASK.get()
    return caller is not None and caller.is_cancelled


def unwrap(error: BaseException) -> BaseException:
    """Return the only member of a nursery's exception group; any other exception unchanged."""
    while type(error) in (ExceptionGroup, BaseExceptionGroup) and len(error.exceptions) == 1:  # type: ignore[attr-defined]  # mypy does not narrow by `type() in`
        error = error.exceptions[0]  # type: ignore[attr-defined]  # as above
    return error


def open_nurseries() -> int:
    """Return how many nurseries the current task has open, which `close_leaks` is to leave open; on asyncio always 0."""
    task = _trio_task()
    return 0 if task is None else len(task.child_nurseries)


def close_leaks(scope: CancelScope, nurseries: int) -> None:
    """Close what foreign code has left open inside `scope`, and `scope` itself, whose exit has failed because of that.

    There is no public way: an async generator holds what is open, and cannot be made to close it. Without this, asyncio's task raises
    once more when it ends, and trio's does if a nursery is open.

    Args:
        scope: Scope of this task, around the foreign code.
        nurseries: What `open_nurseries` returned before.
    """
    task = _trio_task()
    if task is not None:  # trio has closed the scopes itself
        for nursery in task.child_nurseries[nurseries:]:
            nursery.cancel_scope.cancel()
            task._child_nurseries.remove(nursery)  # noqa: SLF001 - see above
        return
    from anyio._backends import _asyncio  # noqa: PLC0415 - see above

    state: Any = _asyncio._task_states.get(asyncio.current_task())  # type: ignore[arg-type]  # noqa: SLF001 - see above
    while state is not None and state.cancel_scope is not None:
        inner = state.cancel_scope
        if inner is not scope:
            inner.cancel()  # the tasks of a nursery
        inner.__exit__(None, None, None)
        if inner is scope:
            return


def _trio_task() -> Any:
    """Return the current task of trio; None on asyncio."""
    if is_asyncio(current_token()):
        return None
    import trio  # noqa: PLC0415 - not needed on asyncio

    return trio.lowlevel.current_task()


def is_asyncio(token: EventLoopToken) -> bool:
    """Whether an event loop is one of asyncio's."""
    return hasattr(token.native_token, "call_soon_threadsafe")


def time_of(token: EventLoopToken) -> Callable[[], float]:
    """Return the function that returns the time of the event loop that runs, in seconds."""
    if is_asyncio(token):
        loop: asyncio.AbstractEventLoop = token.native_token  # type: ignore[assignment]  # of AnyIO's asyncio it is one
        return loop.time
    import trio  # noqa: PLC0415 - not needed on asyncio

    return trio.lowlevel.current_clock().current_time


def interrupt_of(error: BaseException) -> BaseException:
    """Return the exception that a program expects of Ctrl-C where a nursery's group has one; any other exception unwrapped."""
    if isinstance(error, BaseExceptionGroup) and error.subgroup(KeyboardInterrupt) is not None:
        interrupt = KeyboardInterrupt()
        interrupt.__cause__ = error
        return interrupt
    return unwrap(error)


def call_in_loop(token: EventLoopToken, function: Callable[..., object], *args: object) -> None:
    """Let an event loop call a function soon, from another thread; does not wait for it. Where the loop has ended, nothing is called."""
    loop: Any = token.native_token
    soon = loop.call_soon_threadsafe if is_asyncio(token) else loop.run_sync_soon
    with suppress(RuntimeError):  # that it has ended
        soon(function, *args)


def _is_only_cancellation(error: BaseException) -> bool:
    """Whether an exception is a group of cancellations, as a nursery raises that was cancelled from outside."""
    return isinstance(error, BaseExceptionGroup) and error.split(get_cancelled_exc_class())[1] is None


def _contains(error: BaseException, kinds: type[BaseException] | tuple[type[BaseException], ...]) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(kinds) is not None
    return isinstance(error, kinds)
