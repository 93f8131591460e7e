"""Limit of replies: no server can fill the memory with an answer, however it is compressed.

Rules owned here:

1. A reply is counted as it arrives and as it is decompressed: a megabyte of gzip may hold a gigabyte. One that is larger than the limit ends the
   call, and the rest of it is not read.
2. Only gzip is asked for and accepted: it is decompressed piece by piece here, which the HTTP client's decoders do not do.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from contextvars import ContextVar
from typing import Any, Final

import httpx2

from .._core.exceptions import CallError, ConfigurationError
from .._core.fault import FaultKind

LIMIT_NAME: Final = "PACELINE_MAX_REPLY_MB"
"""Environment variable with the most megabytes of a reply."""
ENCODING: Final = "gzip"
"""What requests accept."""
_DEFAULT = 64  # megabytes: some images, or a hundred times the longest text of a model
_LARGEST_FILE = 2_000_000_000  # bytes of a file of answers that a provider has made: what Gemini allows in one
_MOST = 100_000  # megabytes
_MEGABYTE = 10**6
_PIECE = 2**16  # bytes that are decompressed at once
_WINDOW = 16 + zlib.MAX_WBITS  # of a gzip stream


_is_file: ContextVar[bool] = ContextVar("_is_file", default=False)
"""Whether the current task downloads files, which may be larger than replies."""


@contextmanager
def files_allowed() -> Iterator[None]:
    """Within the block, replies to the current task may be as large as a file of answers, up to 2 GB."""
    token = _is_file.set(True)
    try:
        yield
    finally:
        _is_file.reset(token)


def reply_limit() -> int:
    """Return the most bytes of a reply.

    Raises:
        ConfigurationError: The environment variable does not hold a number of megabytes.
    """
    text = os.environ.get(LIMIT_NAME, "").strip()
    if not text:
        return _DEFAULT * _MEGABYTE
    try:
        megabytes = float(text)
    except ValueError:
        megabytes = 0.0
    if not 0 < megabytes <= _MOST:
        raise ConfigurationError(
            f"{LIMIT_NAME} must be a number of megabytes above 0, up to {_MOST:,}, not {text[:40]!r}"
        )
    return int(megabytes * _MEGABYTE)


class ReplyLimit:
    """A response hook of httpx2 clients that bounds the body of each response.

    Args:
        limit: Most bytes of a body.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit

    async def __call__(self, response: httpx2.Response) -> None:
        """Bound a response whose body has not been read.

        Raises:
            CallError: It has an encoding that was not asked for.
        """
        encoding = response.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in {"identity", "", ENCODING}:
            raise CallError(
                f"the server answered with the encoding {encoding[:40]!r}, which was not asked for",
                kind=FaultKind.TRANSIENT,
            )
        is_compressed = encoding == ENCODING
        if is_compressed:
            del response.headers["content-encoding"]
        limit = max(self._limit, _LARGEST_FILE) if _is_file.get() else self._limit
        response.stream = _BoundedStream(response.stream, limit, is_compressed=is_compressed)


class _BoundedStream(httpx2.AsyncByteStream):
    """The body of a response, decompressed and counted."""

    def __init__(self, inner: Any, limit: int, *, is_compressed: bool) -> None:
        self._inner = inner
        self._is_compressed = is_compressed
        self._left = self._limit = limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        expand = Decompression().pieces if self._is_compressed else _as_it_is
        async with aclosing(self._inner.__aiter__()) as received:
            async for data in received:
                for piece in expand(data):
                    self._left -= len(piece)
                    if self._left < 0:
                        raise CallError(
                            f"the reply is larger than {self._limit / _MEGABYTE:g} MB; if that is right, set {LIMIT_NAME} to more",
                            kind=FaultKind.REJECTED,
                        )
                    yield piece

    @property
    def elapsed(self) -> Any:
        """Time that the response took, as httpx2 has it."""
        return getattr(self._inner, "elapsed", None)

    async def aclose(self) -> None:
        """Close the body without reading the rest."""
        await self._inner.aclose()


def _as_it_is(data: bytes) -> tuple[bytes]:
    return (data,)


class Decompression:
    """Decompresses a gzip stream, in pieces of bounded size."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(_WINDOW)

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Yield what the next bytes of the stream stand for.

        Raises:
            CallError: It is not a gzip stream.
        """
        try:
            while found := self._stream.decompress(data, _PIECE):
                yield found
                data = self._stream.unconsumed_tail
        except zlib.error as error:
            raise CallError(f"the reply cannot be decompressed: {error}", kind=FaultKind.TRANSIENT) from error
