"""How the bytes of an input are read: line by line, each looked at once in the first pass, and again from any place.

1. A line ends at a line feed, and at nothing else.
2. Of a line that is too long no more than a piece is held at a time, once it is known to be.
3. Readers do not share a place: several may read the same file at the same time.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, Protocol, TypeAlias

from .kinds import LONGEST, LineError

_PIECE = 2**18  # bytes that are read at once
_DIGEST = 16  # bytes

Line: TypeAlias = bytes | LineError
"""With its end; or why it is not there."""


class Lines(Protocol):
    """What lines are read from."""

    def readline(self, size: int, /) -> bytes:
        """Return the next line, or as much of it."""
        ...


def numbered(lines: Lines) -> Iterator[tuple[int, Line]]:
    """Yield the lines with their numbers, from 1."""
    number = 0
    while line := lines.readline(LONGEST + 1):
        number += 1
        if len(line) > LONGEST:
            while not line.endswith(b"\n") and line:
                line = lines.readline(_PIECE)
            yield number, LineError(f"longer than {LONGEST >> 20} MiB")
        else:
            yield number, line


class Looked:
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
        while self.readline(_PIECE):
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
        while left and (piece := file.read(min(_PIECE, left))):
            digest.update(piece)
            left -= len(piece)
    return None if left else digest.digest()


def reader_at(file: BinaryIO, start: int) -> io.BufferedReader:
    """Return a reader of a file from some place on, which leaves the file's own place alone. Closing it leaves the file open."""
    return io.BufferedReader(_From(file.fileno(), start), _PIECE)


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
