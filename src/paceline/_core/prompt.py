"""What is sent to a model: text, text and media in the order in which the model is to see them, or a request in a provider's own
form.
"""

from __future__ import annotations

import hashlib
import json
import mimetypes
from os import PathLike
from pathlib import Path
from typing import TypeAlias

import attrs

from .exceptions import InvalidWorkItemError
from .request import Request


def _is_mime_type(_: object, __: attrs.Attribute[str], value: object) -> None:
    if not isinstance(value, str) or value.count("/") != 1 or not all(value.split("/")):
        raise InvalidWorkItemError(f"mime_type must be one like image/png, not {value!r}")


def _is_content(_: object, __: attrs.Attribute[bytes], value: object) -> None:
    if not isinstance(value, bytes) or not value:
        raise InvalidWorkItemError(f"data must be bytes, and not empty, not {type(value).__name__}")


@attrs.frozen
class Media:
    """An image, a document, a sound or a film, as a part of a prompt.

    Raises:
        InvalidWorkItemError: the type is none, or there is no content.
    """

    mime_type: str = attrs.field(validator=_is_mime_type)
    """`image/png`, `application/pdf` and the like."""
    data: bytes = attrs.field(validator=_is_content, repr=lambda data: f"<{len(data):,} bytes>")
    """The content of the file."""

    @classmethod
    def from_file(cls, path: str | PathLike[str], mime_type: str | None = None) -> Media:
        """Read a file.

        Args:
            path: of the file.
            mime_type: by default it is told by the file's suffix.

        Raises:
            InvalidWorkItemError: the suffix tells no type, or the file is empty.
            OSError: the file cannot be read.
        """
        told = mime_type or mimetypes.guess_type(path)[0]
        if told is None:
            raise InvalidWorkItemError(f"{path}: its suffix tells no type; give mime_type, image/png for example")
        return cls(told, Path(path).read_bytes())


Parts: TypeAlias = str | tuple[str | Media, ...]
"""A text, or the parts of one, in order."""

Prompt: TypeAlias = Parts | Request
"""A text, the parts of one, or a request in a provider's own form."""

_MEDIA_CHARACTERS = 1_000  # what an image costs, about, as text of that length would: 258 tokens at Gemini


def parts_of(prompt: Parts) -> tuple[str | Media, ...]:
    """Return the parts of a prompt: of a text, itself."""
    return (prompt,) if isinstance(prompt, str) else prompt


def characters_of(prompt: object) -> int | None:
    """Return the length of a prompt, each of its media as that of a text which costs about as much; None if it is none."""
    if isinstance(prompt, str):
        return len(prompt)
    if isinstance(prompt, Request):
        return len(prompt.text)
    if not isinstance(prompt, tuple):
        return None
    return sum(len(part) if isinstance(part, str) else _MEDIA_CHARACTERS for part in prompt)


_KEY_SIZE = 16  # bytes: two prompts of a million share a key with a chance of 10^-27


def content_key(prompt: Prompt) -> bytes:
    """Return a name for what a prompt says: the same for the same parts, and for nothing else."""
    if isinstance(prompt, str):
        return hashlib.blake2b(prompt.encode("utf-8", "surrogatepass"), digest_size=_KEY_SIZE).digest()
    if isinstance(prompt, Request):
        body = json.dumps(prompt.body, sort_keys=True, default=str).encode()
        return hashlib.blake2b(body, digest_size=_KEY_SIZE, person=prompt.dialect.encode()).digest()
    digest = hashlib.blake2b(digest_size=_KEY_SIZE, person=b"parts")
    for part in prompt:
        kind, data = (
            ("", part.encode("utf-8", "surrogatepass")) if isinstance(part, str) else (part.mime_type, part.data)
        )
        digest.update(f"{kind}\0{len(data)}\0".encode() + data)
    return digest.digest()
