"""Templates of chat requests: text prompts are sent in a request that OpenAI's or Anthropic's package has written once.

Rules owned here, beside those of `_request_template`:

1. The package writes a request with media, the first request with an instruction, and each for which there is no template. All are sent
   through the same connections.
2. A call that fails is made again by the package, which is given the reply, or the exception, instead of sending anything: so failures are
   the package's own exceptions.
3. There is no template if the package writes two requests for one prompt that differ, or if its methods were wrapped or replaced, as by
   a package that traces each call.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from types import FunctionType
from typing import Any, TypeAlias

import attrs
import httpx2
from anyio import Lock

from ._connection_pool import ShardedClient, recorded
from ._request_template import RequestTemplate, text_of

_SAMPLE = 'A text that no user writes; it stands for the prompt: \xe9 \u2028 \x7f "/\\\n'
"""Has characters that packages might write in several ways."""

Write: TypeAlias = Callable[[str], Awaitable[tuple[Any, str]]]
"""Makes a call with a prompt by the package; returns the headers and the body of the reply."""


@attrs.define
class _Template:
    instruction: str
    written: RequestTemplate | None = None
    is_written: bool = False


class ChatTemplates:
    """The template of the latest instruction, for one client.

    Args:
        pool: Connections of the client.
        methods: Classes of the package and the names of their methods that make a call.
    """

    def __init__(self, pool: ShardedClient, methods: Sequence[tuple[type[Any], str]]) -> None:
        self._pool = pool
        self._methods = methods
        self._latest: _Template | None = None
        self._lock = Lock()

    async def send(self, instruction: str, prompt: str, write: Write) -> tuple[Any, str]:
        """Make a call; return the headers and the body of the reply.

        Args:
            instruction: What distinguishes the request from others, except for the prompt.
            prompt: Prompt.
            write: Makes a call with this instruction by the package.

        Raises:
            Exception: An exception of the package: the service refused, or could not be reached.
            UnicodeEncodeError: The prompt has half a surrogate pair.
        """
        template = await self._template(instruction, write)
        if template is None:
            return await write(prompt)
        request = template.request(_json(prompt))
        outcome: httpx2.Response | Exception
        try:
            outcome = await self._pool.send_written(request)
        except Exception as error:  # noqa: BLE001 - rule 2
            outcome = error
        if isinstance(outcome, httpx2.Response) and outcome.is_success:
            return outcome.headers, text_of(outcome)
        with recorded(outcome):
            return await write(prompt)

    async def _template(self, instruction: str, write: Write) -> RequestTemplate | None:
        latest = self._latest
        if latest is None or latest.instruction != instruction:  # may be the only call with it
            self._latest = _Template(instruction)
            return None
        if not latest.is_written:
            async with self._lock:  # else each worker would write one at the start
                if not latest.is_written:
                    latest.written = await self._write(write)
                    latest.is_written = True
        return latest.written

    async def _write(self, write: Write) -> RequestTemplate | None:
        if not all(_is_of(getattr(owner, name), owner) for owner, name in self._methods):
            return None
        with recorded() as requests:
            try:
                await write(_SAMPLE)
                await write(_SAMPLE)
            except Exception:  # noqa: BLE001 - it is raised again when the package writes the call's own request
                return None
        if len(requests) != 2 or _parts(requests[0]) != _parts(requests[1]):  # noqa: PLR2004 - one for each call
            return None
        return RequestTemplate.of(requests[0], _json(_SAMPLE))


def _json(text: str) -> bytes:
    """Return a text as JSON, as both packages write it."""
    return json.dumps(text, ensure_ascii=False).encode()


def _parts(request: httpx2.Request) -> tuple[object, ...]:
    return request.method, request.url, request.headers.raw, request.content, request.extensions


def _is_of(method: object, owner: type[Any]) -> bool:
    """Whether a method is a plain function of the package that has the class `owner`."""
    package = owner.__module__.partition(".")[0]
    return isinstance(method, FunctionType) and method.__globals__.get("__name__", "").partition(".")[0] == package
