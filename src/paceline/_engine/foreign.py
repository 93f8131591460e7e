"""Foreign code: the one function that awaits it: strategies, middlewares, observers and sources.

Rules owned here:

1. An exception of foreign code is returned as a value; it never unwinds the engine.
2. Our own cancellation passes. An exception that foreign code raises during it is a consequence of it and is dropped; a value
   that foreign code returns in spite of it counts.
3. A cancellation exception while no scope around us is cancelled (a leak) is treated as any other exception.
4. KeyboardInterrupt and SystemExit pass: they concern the program, not a batch.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from anyio import current_effective_deadline, get_cancelled_exc_class, sleep_forever
from anyio.lowlevel import EventLoopToken

T = TypeVar("T")

logger = logging.getLogger("paceline")
IN_SUMMARY = "paceline_in_summary"
"""Attribute of log records whose text is in the summary of the batch too: a display that prints the summary may leave them out."""

_INTERRUPTS = (KeyboardInterrupt, SystemExit, GeneratorExit)


async def guarded(function: Callable[..., Awaitable[T]], *args: Any) -> tuple[T | None, BaseException | None]:
    """Await `function(*args)`; return its value and None, or None and its exception."""
    try:
        return await function(*args), None
    except BaseException as error:
        if _contains(error, _INTERRUPTS):
            raise
        if is_cancelled():
            if isinstance(error, get_cancelled_exc_class()):
                raise
            if not _is_only_cancellation(error):
                logger.warning("exception during a cancellation dropped: %s", type(error).__name__)
            await sleep_forever()  # raises our own cancellation
        return None, error


def is_cancelled() -> bool:
    """Whether a scope around us is cancelled."""
    return current_effective_deadline() == -math.inf


def is_leak(error: BaseException | None) -> bool:
    """Whether an exception that `guarded` returned is a cancellation, which then was not ours."""
    return error is not None and not isinstance(error, Exception) and _contains(error, get_cancelled_exc_class())


def unwrap(error: BaseException) -> BaseException:
    """Return the only member of a nursery's exception group; any other exception unchanged."""
    while type(error) in (ExceptionGroup, BaseExceptionGroup) and len(error.exceptions) == 1:  # type: ignore[attr-defined]  # mypy does not narrow by `type() in`
        error = error.exceptions[0]  # type: ignore[attr-defined]  # as above
    return error


def call_in_loop(token: EventLoopToken, function: Callable[..., object], *args: object) -> None:
    """Let an event loop call a function soon, from another thread; does not wait for it."""
    loop: Any = token.native_token
    soon = loop.call_soon_threadsafe if hasattr(loop, "call_soon_threadsafe") else loop.run_sync_soon
    soon(function, *args)


def _is_only_cancellation(error: BaseException) -> bool:
    """Whether an exception is a group of cancellations, as a nursery raises that was cancelled from outside."""
    return isinstance(error, BaseExceptionGroup) and error.split(get_cancelled_exc_class())[1] is None


def _contains(error: BaseException, kinds: type[BaseException] | tuple[type[BaseException], ...]) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(kinds) is not None
    return isinstance(error, kinds)
