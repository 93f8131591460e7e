"""Rows of native jobs: requests as a strategy would send them online, and answers as it would receive them.

Rules owned here:

1. A request is the one that the strategy's own code and its package make: it is recorded instead of being sent. So a row asks what a call would.
2. An answer is given to the same code as if it had come online. So what is an answer, and what a fault, does not depend on the way.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from http import HTTPStatus
from itertools import islice
from typing import Any

import httpx2

from ..._core.exceptions import MisuseError
from ..._core.prompt import Prompt
from ...abc import LLMCallStrategy, NativeAnswer
from .._connection_pool import recorded

_SECONDS = 60.0  # for information only: nothing is sent
_AT_ONCE = 500
"""Answers that are passed on together."""


async def recorded_request(strategy: LLMCallStrategy[Any], prompt: Prompt) -> httpx2.Request:
    """Return the request that a prepared strategy would send for a prompt.

    Raises:
        Exception: The strategy cannot send it.
        MisuseError: The strategy has a client of the user's, whose requests cannot be recorded.
    """
    with recorded() as requests:
        try:
            await copy.copy(strategy).execute(prompt, 1, _SECONDS)  # type: ignore[arg-type]  # a prompt of any kind
        except Exception:
            if not requests:
                raise
    if not requests:
        raise MisuseError(f"{strategy!r} makes its calls through a client of its own")
    await requests[-1].aread()  # one that was written from a template is a stream
    return requests[-1]


def replayed(status: int, body: str) -> AbstractContextManager[Any]:
    """Within the block, calls of the current task through a client made here are answered with this, instead of being sent."""
    request = httpx2.Request("POST", "http://native.invalid/")  # some packages read it
    headers = {"content-type": "application/json"}
    return recorded(httpx2.Response(status, headers=headers, content=body.encode(), request=request))


def objects_in(text: str | bytes) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects of a file of lines; any other line, such as one that was cut off, is left out."""
    for line in text.splitlines():
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            yield value


def is_final(status: int) -> bool:
    """Whether a row's HTTP status is its answer; otherwise the provider had no time or room for it, and it can be asked again."""
    passing = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
    return status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in passing


def dumps(value: object) -> str:
    """Return JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


async def pass_on(answers: Iterable[NativeAnswer], store: Callable[[Sequence[NativeAnswer]], Awaitable[None]]) -> None:
    """Pass answers on, some at a time."""
    remaining = iter(answers)
    while together := [*islice(remaining, _AT_ONCE)]:
        await store(together)
