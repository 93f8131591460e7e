"""Abandoned generators: async generators that a strategy left suspended inside a nursery, and that are garbage.

Event loops close a generator that is garbage, in a task of their own. The nursery then ends in a task that did not open it: trio takes
that for an internal error, which ends the program, and on asyncio the task that opened it may wait forever. So such a generator is kept
instead, while a pool is open. The worker notices the nursery that was left open, and says which strategy it was (see `worker`).
"""

from __future__ import annotations

import gc
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from types import MethodType
from typing import Any

_NURSERIES = {"NurseryManager", "TaskGroup"}
_LIBRARIES = {"trio", "anyio", "asyncio"}
_DEEPEST = 4  # context managers around a nursery that are generators themselves

_KEPT: list[Any] = []
"""Generators that are never closed, but at the end of the event loop."""


class AbandonedGenerators:
    """Looks at the generators that begin while it is open, before the event loop closes them. Of the thread that opens it."""

    def __init__(self) -> None:
        self._former: Callable[[AsyncGenerator[Any, Any]], None] | None = None

    def open(self) -> None:
        """Begin to look at them."""
        self._former = sys.get_asyncgen_hooks().finalizer
        sys.set_asyncgen_hooks(finalizer=self._finalize)

    def close(self) -> None:
        """Look at no further ones; unless another pool has begun meanwhile, which looks at them too."""
        if sys.get_asyncgen_hooks().finalizer == self._finalize:
            sys.set_asyncgen_hooks(finalizer=self._former)

    def _finalize(self, generator: AsyncGenerator[Any, Any]) -> None:
        if is_inside_nursery(generator):
            _KEPT.append(generator)
        elif self._former is not None:
            self._former(generator)


def is_inside_nursery(generator: object, depth: int = _DEEPEST) -> bool:
    """Whether a suspended generator has a nursery open, in a block of its own or of a context manager that it is inside of.

    What it will call at the end of a block is all that tells of it.
    """
    for referent in gc.get_referents(generator):
        owner = referent.__self__ if isinstance(referent, MethodType) else None
        cls = type(owner)
        if cls.__name__ in _NURSERIES and cls.__module__.partition(".")[0] in _LIBRARIES:
            return True
        inner = getattr(owner, "gen", None) if isinstance(owner, AbstractAsyncContextManager) else None
        if inner is not None and depth and is_inside_nursery(inner, depth - 1):
            return True
    return False
