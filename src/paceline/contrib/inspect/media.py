"""Media: the contents of messages that are paths of files, read into data URLs."""

from __future__ import annotations

import mimetypes
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import anyio

from ..chat_forms.conversation import Message

_KINDS = ("image", "audio", "video", "document")
_FALLBACK = "application/octet-stream"


async def with_files_inline(message: Message) -> Message:
    """Return a message whose images, sounds, films and documents are URLs: of a local file a data URL with its content.

    Raises:
        OSError: A file cannot be read.
    """
    content = message["content"]
    if isinstance(content, str) or all(part["type"] not in _KINDS for part in content):
        return message
    return {**message, "content": [await _inline(part) for part in content]}


async def _inline(part: Mapping[str, Any]) -> Mapping[str, Any]:
    kind = part["type"]
    if kind not in _KINDS or part[kind].startswith(("data:", "http://", "https://", "gs://")):
        return part
    path = anyio.Path(part[kind].removeprefix("file://"))
    mime_type = part.get("mime_type") or mimetypes.guess_type(path.name)[0] or _FALLBACK
    data = b64encode(await path.read_bytes()).decode("ascii")
    return {**part, kind: f"data:{mime_type};base64,{data}"}
