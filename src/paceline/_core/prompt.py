"""Prompts: what is sent to a model. A text, a sequence of texts and media, or a request in a provider's own form."""

from __future__ import annotations

import hashlib
import json
import mimetypes
import sys
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TypeAlias

import attrs

from .exceptions import InvalidWorkItemError
from .media_type import mime_type_of
from .request import Request


def _is_mime_type(_: object, __: attrs.Attribute[str], value: object) -> None:
    if not isinstance(value, str) or value.count("/") != 1 or not all(value.split("/")):
        raise InvalidWorkItemError(f"mime_type must be a MIME type such as image/png, not {value!r}")


def _is_content(_: object, __: attrs.Attribute[bytes], value: object) -> None:
    if not isinstance(value, bytes) or not value:
        raise InvalidWorkItemError(f"data must be non-empty bytes, not {type(value).__name__}")


@attrs.frozen
class Media:
    """An image, a document, an audio or a video, as a part of a prompt.

    Raises:
        InvalidWorkItemError: `mime_type` is not a MIME type, or `data` is empty.
    """

    mime_type: str = attrs.field(validator=_is_mime_type)
    """MIME type, such as `image/png` or `application/pdf`."""
    data: bytes = attrs.field(validator=_is_content, repr=lambda data: f"<{len(data):,} bytes>")
    """Content of the file."""

    @classmethod
    def from_file(cls, path: str | PathLike[str], mime_type: str | None = None) -> Media:
        """Read a file.

        Args:
            path: Path of the file.
            mime_type: MIME type; by default that of the first bytes, or else the one that the suffix of the path stands for.

        Raises:
            InvalidWorkItemError: Neither the first bytes nor the suffix are known, or the file is empty.
            OSError: The file cannot be read.
        """
        data = Path(path).read_bytes()
        mime_type = mime_type or mime_type_of(data, mimetypes.guess_type(path)[0])
        if mime_type is None:
            raise InvalidWorkItemError(
                f"{path}: no MIME type is known for its first bytes or its suffix; pass mime_type, for example image/png"
            )
        return cls(mime_type, data)


Parts: TypeAlias = str | tuple[str | Media, ...]
"""A text, or a sequence of texts and media in the order in which the model sees them."""

Prompt: TypeAlias = Parts | Request
"""A text, a sequence of parts, or a request in a provider's own form."""

_MEDIA_CHARACTERS = 1_000  # an image costs about as much as a text of this length: 258 tokens for Gemini


def parts_of(prompt: Parts) -> tuple[str | Media, ...]:
    """Return the parts of a prompt; a text is one part."""
    return (prompt,) if isinstance(prompt, str) else prompt


def characters_of(prompt: object) -> int | None:
    """Return the length of a prompt in characters, media as a text of about the same cost; None if it is not a prompt."""
    if isinstance(prompt, str):
        return len(prompt)
    if isinstance(prompt, Request):
        return len(prompt.text)
    if not isinstance(prompt, tuple):
        return None
    return sum(len(part) if isinstance(part, str) else _MEDIA_CHARACTERS for part in prompt)


def size_of(prompt: object) -> int:
    """Return how many bytes a prompt takes in memory, about; 0 if it is not a prompt.

    Counted are texts and the content of media, which is cheap: a text takes one byte for each character if they are Latin, else two,
    and four if it has an emoji.
    """
    size, unseen = 0, [prompt.body if isinstance(prompt, Request) else prompt]
    while unseen:
        match unseen.pop():
            case str() | bytes() as content:
                size += sys.getsizeof(content)
            case Media() as media:
                size += len(media.data)
            case Mapping() as fields:
                unseen.extend(fields.values())
            case list() | tuple() as parts:
                unseen.extend(parts)
            case _:
                pass
    return size


def may_share_call(prompt: Prompt, *, is_sampled: bool, dedupe: bool | None) -> bool:
    """Return whether an item may get the answer of another item with the same prompt.

    Args:
        prompt: Prompt of both.
        is_sampled: Whether answers are drawn at a temperature above 0, so that each is a sample of its own.
        dedupe: What the user has decided for all prompts; None: a text or parts may share unless answers are sampled. A request in a
            provider's form may not: at the provider's batch API too each line is one call, and it has a temperature of its own.
    """
    if dedupe is not None:
        return dedupe
    return not (is_sampled or isinstance(prompt, Request))


_KEY_SIZE = 16  # bytes: the probability that two of a million prompts share a key is about 10^-27


def content_key(prompt: Prompt) -> bytes:
    """Return a 16-byte hash of a prompt: equal for equal parts only."""
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
