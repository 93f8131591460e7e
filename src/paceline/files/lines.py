"""How the bytes of an input are read: line by line, each looked at once in the first pass, and again from any place.

1. A line ends at a line feed, and at nothing else.
2. Of a line that is too long no more than a piece is held at a time, once it is known to be.
3. Readers do not share a place: several may read the same file at the same time.

Where an input comes from: a file, stdin, or a pipe.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

from .types import LONGEST, Line, LineError, Lines

_CHUNK = 2**18  # bytes that are read at once
_DIGEST = 16  # bytes


def numbered(lines: Lines) -> Iterator[tuple[int, Line]]:
    """Yield the lines with their numbers, from 1."""
    number = 0
    while line := lines.readline(LONGEST + 1):
        number += 1
        if len(line) > LONGEST:
            while not line.endswith(b"\n") and line:
                line = lines.readline(_CHUNK)
            yield number, LineError(f"longer than {LONGEST >> 20} MiB")
        else:
            yield number, line


class DigestingReader:
    """Lines that are read for the first time: they are digested, and copied if they can be read only once."""

    def __init__(self, file: BinaryIO, copy: BinaryIO | None) -> None:
        self._readline = file.readline
        self._copy = copy
        self._digest = blake2b(digest_size=_DIGEST)
        self.size = 0
        """Bytes that were read so far."""

    def readline(self, size: int, /) -> bytes:
        """Return the next line, or as much of it."""
        line = self._readline(size)
        self._digest.update(line)
        self.size += len(line)
        if self._copy is not None:
            self._copy.write(line)
        return line

    def rest(self) -> None:
        """Look at all that is left, as pieces that need not be lines."""
        while self.readline(_CHUNK):
            pass

    @property
    def digest(self) -> bytes:
        """Of what was read so far."""
        return self._digest.digest()


def digest_of(path: str, size: int) -> bytes | None:
    """Return the digest of the first bytes of a file, so many; None: it does not have them.

    Raises:
        OSError: it cannot be read.
    """
    digest, left = blake2b(digest_size=_DIGEST), size
    with Path(path).open("rb") as file:
        while left and (piece := file.read(min(_CHUNK, left))):
            digest.update(piece)
            left -= len(piece)
    return None if left else digest.digest()


def reader_from(file: BinaryIO, start: int) -> io.BufferedReader:
    """Return a reader of a file from some place on, which leaves the file's own place alone. Closing it leaves the file open."""
    return io.BufferedReader(_From(file.fileno(), start), _CHUNK)


class _From(io.RawIOBase):
    def __init__(self, descriptor: int, start: int) -> None:
        self._descriptor = descriptor
        self._start = self._place = start

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # what io gives it
        count = os.preadv(self._descriptor, [buffer], self._place)
        self._place += count
        return count

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: self._start, io.SEEK_CUR: self._place}.get(whence)
        if base is None:
            base = os.fstat(self._descriptor).st_size
        self._place = base + offset
        return self._place - self._start

    def tell(self) -> int:
        return self._place - self._start


_COPY_CHUNK = 2**18  # bytes that are read at once


def open_source(path: str) -> BinaryIO:
    """Open an input; - is stdin, which is left open.

    Raises:
        OSError: it cannot be.
    """
    if path != "-":
        return Path(path).open("rb", buffering=_COPY_CHUNK)
    if sys.stdin is None:
        raise OSError("stdin is closed")
    if sys.stdin.isatty():
        print("paceline: reads from the terminal; end with Ctrl-D", file=sys.stderr)  # noqa: T201 - to be a callback
    return open(0, "rb", buffering=_COPY_CHUNK, closefd=False)
