"""How foreign code is awaited: strategies, middlewares, observers, sources.

Rules owned here:

1. What foreign code raises comes back as a value; it never unwinds the engine.
2. Our own cancellation passes. What is raised while it is under way came of it, and is dropped in its favour; a value that
   is returned all the same counts.
3. A cancellation that is not ours (nothing around us is cancelled) is only another exception.
4. KeyboardInterrupt and SystemExit pass: they are for the program, not for a batch.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from anyio import current_effective_deadline, get_cancelled_exc_class, sleep_forever

T = TypeVar("T")

logger = logging.getLogger("paceline")

_INTERRUPTS = (KeyboardInterrupt, SystemExit, GeneratorExit)


async def guarded(function: Callable[..., Awaitable[T]], *args: Any) -> tuple[T | None, BaseException | None]:
    """Await `function(*args)`; return its value and None, or None and what it raised."""
    try:
        return await function(*args), None
    except BaseException as error:
        if _contains(error, _INTERRUPTS):
            raise
        if is_cancelled():
            if isinstance(error, get_cancelled_exc_class()):
                raise
            logger.warning("dropped, as it came with a cancellation: %s", type(error).__name__)
            await sleep_forever()  # raises our cancellation by itself
        return None, error


def is_cancelled() -> bool:
    """Whether a scope around us is cancelled."""
    return current_effective_deadline() == -math.inf


def is_leak(error: BaseException | None) -> bool:
    """Whether what `guarded` returned is a cancellation, which then was not ours."""
    return error is not None and not isinstance(error, Exception) and _contains(error, get_cancelled_exc_class())


def unwrapped(error: BaseException) -> BaseException:
    """Return the only member of a nursery's exception group; anything else as it is."""
    while type(error) in (ExceptionGroup, BaseExceptionGroup) and len(error.exceptions) == 1:  # type: ignore[attr-defined]  # mypy does not narrow by `type() in`
        error = error.exceptions[0]  # type: ignore[attr-defined]  # as above
    return error


def _contains(error: BaseException, kinds: type[BaseException] | tuple[type[BaseException], ...]) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(kinds) is not None
    return isinstance(error, kinds)
