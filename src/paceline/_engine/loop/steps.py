"""Steps: work on very many things without holding up the other tasks of the event loop.

To free a million jobs takes a fifth of a second, so a container that holds the last references to them is emptied in steps too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from anyio.lowlevel import checkpoint

T = TypeVar("T")

STEP = 64
"""Jobs between two checkpoints: some hundred microseconds."""
_FREED = 4_096  # things that are freed between two checkpoints: a millisecond


async def in_steps(things: list[T], function: Callable[..., object], *args: Any) -> None:
    """Call `function(thing, *args)` for each of some things in their order, and let go of them; a checkpoint after every `STEP`."""
    things.reverse()
    while things:
        for _ in range(min(STEP, len(things))):
            function(things.pop(), *args)
        await checkpoint()


async def let_go(things: deque[Any] | set[Any]) -> None:
    """Empty a container, with a checkpoint after some thousands."""
    while things:
        for _ in range(min(_FREED, len(things))):
            things.pop()
        if things:
            await checkpoint()
