"""Request frames: what surrounds the prompt in a Gemini request, and the templates that google-genai writes for it.

Rules owned here:

1. A text prompt is written here, into a template of the SDK's request. The SDK writes a request with media, and every request
   for which there is no template. Both are sent through the same connections, and refused with the SDK's errors.
2. There is no template if a request may depend on more than its frame and its prompt: on functions that the SDK asks a server for, or on a
   `generate_content` that is not the SDK's own, such as one that traces each call.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from weakref import WeakKeyDictionary

import attrs
from anyio import Lock
from google import genai
from google.genai import types
from google.genai.models import AsyncModels

from ..._core.prompt import Parts, parts_of
from .._connection_pool import recorded
from .._request_template import RequestTemplate
from .request import content_of

_SAMPLE = ("a first text that stands for the prompt's", "a second text that stands for the prompt's")
"""Parts of a prompt that no user writes."""


@attrs.frozen(eq=False)
class Frame:
    """What surrounds the prompt in a request."""

    config: types.GenerateContentConfig = attrs.field(repr=False)
    context: tuple[types.Content, ...] = attrs.field(default=(), repr=False)
    """Turns before the prompt."""

    @property
    def is_constant(self) -> bool:
        """Whether the SDK writes the same around each prompt."""
        return all(
            isinstance(tool, types.Tool) and not getattr(tool, "mcp_servers", None) for tool in self.config.tools or ()
        )


class LastFrame:
    """The frame made last, for all copies of a strategy: calls in a row mostly share one."""

    def __init__(self) -> None:
        self._last: tuple[str, Frame] | None = None

    def of(self, key: str, make: Callable[[str], Frame]) -> Frame:
        """Return the frame of a key; `make` makes it, if the last one had another key."""
        last = self._last
        if last is None or last[0] != key:
            last = self._last = (key, make(key))
        return last[1]


class Templates:
    """Templates of the frames in use, for one model."""

    def __init__(self, client: genai.Client, model: str) -> None:
        """Keep a client, whose connection pool is a `ShardedClient`, to write the requests."""
        self._client = client
        self._model = model
        self._written: WeakKeyDictionary[Frame, RequestTemplate | None] = WeakKeyDictionary()
        self._lock = Lock()

    async def of(self, frame: Frame) -> RequestTemplate | None:
        """Return a frame's template; None if the SDK must write each request."""
        if frame not in self._written:
            async with self._lock:  # else each worker would write one at the start
                if frame not in self._written:
                    self._written[frame] = await self._write(frame)
        return self._written[frame]

    async def _write(self, frame: Frame) -> RequestTemplate | None:
        if not (frame.is_constant and _is_original(AsyncModels.generate_content)):
            return None
        contents: list[types.ContentUnion] = [*frame.context, content_of(_SAMPLE)]
        with recorded() as requests:
            try:
                await self._client.aio.models.generate_content(
                    model=self._model, contents=contents, config=frame.config
                )
            except Exception:  # noqa: BLE001 - it is raised again when the SDK writes the call's own request
                return None
        return RequestTemplate.of(requests[0], json_of(_SAMPLE)) if len(requests) == 1 else None


def json_of(texts: tuple[str, ...]) -> bytes:
    """Return the texts of a prompt as the SDK writes them: a turn of the user, as JSON."""
    return json.dumps({"parts": [{"text": text} for text in texts], "role": "user"}).encode()


def texts_of(prompt: Parts) -> tuple[str, ...] | None:
    """Return the parts of a prompt if all are texts; otherwise None."""
    parts = parts_of(prompt)
    return parts if all(isinstance(part, str) for part in parts) else None  # type: ignore[return-value]  # all are texts


def _is_original(method: object) -> bool:
    """Whether a method of the SDK is its own, and not wrapped or replaced."""
    return getattr(method, "__module__", None) == AsyncModels.__module__ and not hasattr(method, "__wrapped__")
