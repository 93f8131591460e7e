"""Acts: what may become of a call in the random programs of `test_random` and `test_pool_random`."""

from __future__ import annotations

import math
from typing import Any

import anyio

from paceline import CallError, FaultKind, TokenUsage

from .support import Status
from .test_streams import leak

USAGE = TokenUsage(1, 1)
ACTS = [
    "answer", "answer", "answer", "answer", "throttle", "overload", "drop", "hang", "bug", "leak", "group", "invalid_reply", "invalid",
    "truncated", "refused", "swallow", "instant",
]  # fmt: skip
LEFT_OPEN = ["leak scope", "leak nursery"]
"""Acts whose effect on other items of a batch depends on the order of calls: a worker that finds a leak repeats the call it makes."""


async def perform(act: str, seconds: float, held: list[Any]) -> Any:  # noqa: C901, PLR0912 - one case for each act
    """Do what `act` says; return what `execute` is to return in its place, or None: it answers. `held` keeps generators from being garbage."""
    if act != "instant":
        await anyio.sleep(seconds)
    match act:
        case "throttle":
            raise Status(429, {"retry-after": "2"})
        case "overload":
            raise Status(503)
        case "denied":
            raise Status(401)
        case "drop":
            raise ConnectionResetError
        case "hang":
            await anyio.sleep(math.inf)
        case "bug":
            raise LookupError("a bug")
        case "leak":
            await leak()
        case "leak scope":
            held.append(_inside_scope())
            async for _ in held[-1]:
                return "leaked", USAGE
        case "leak nursery":  # which is garbage at once
            async for _ in _inside_nursery():
                return "leaked", USAGE
        case "group":
            raise ExceptionGroup("nursery", [Status(500), Status(429)])
        case "invalid_reply":
            return object()
        case "invalid" | "truncated" | "refused":
            raise CallError(act, kind=FaultKind(act), usage=USAGE)
        case "swallow":
            try:
                await anyio.sleep(math.inf)
            except anyio.get_cancelled_exc_class():
                return "late", None
        case _:
            pass
    return None


async def _inside_scope() -> Any:
    with anyio.fail_after(50):
        yield None


async def _inside_nursery() -> Any:
    async with anyio.create_task_group() as nursery:
        nursery.start_soon(anyio.sleep, 0.5)
        yield None
