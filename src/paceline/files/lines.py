"""The bytes of an input: opened, read line by line, digested, and read again from any place.

1. A line ends at a line feed, and at nothing else.
2. Of a line that is too long, at most one piece is held at a time once that is known.
3. Readers do not share a file position: several may read the same file at the same time.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

from .types import LONGEST, STREAM, Line, LineError, Lines

_CHUNK = 2**18  # bytes per read
_DIGEST = 16  # bytes


def open_bytes(path: str) -> BinaryIO:
    """Open an input for reading; "-" is stdin, which stays open when the result is closed.

    Raises:
        OSError: It cannot be opened.
    """
    if path != STREAM:
        return Path(path).open("rb", buffering=_CHUNK)
    if sys.stdin is None:
        raise OSError("stdin is closed")
    return open(0, "rb", buffering=_CHUNK, closefd=False)


def is_terminal(path: str) -> bool:
    """Whether reading this input waits for a person to type it: a program may want to say how to end it."""
    return path == STREAM and sys.stdin is not None and sys.stdin.isatty()


def numbered(lines: Lines) -> Iterator[tuple[int, Line]]:
    """Yield the lines with their numbers, from 1; a `LineError` in place of a line that is too long."""
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
    """Reads lines and digests them; optionally copies them to a file.

    Args:
        file: Read from its current position.
        copy: Receives a copy of what can be read only once; None: no copy.
    """

    def __init__(self, file: BinaryIO, copy: BinaryIO | None) -> None:
        self._readline = file.readline
        self._copy = copy
        self._digest = blake2b(digest_size=_DIGEST)
        self.size: int = 0
        """Bytes read so far."""

    def readline(self, size: int, /) -> bytes:
        """Return the next line, or its next `size` bytes if it is longer; b"" at the end."""
        line = self._readline(size)
        self._digest.update(line)
        self.size += len(line)
        if self._copy is not None:
            self._copy.write(line)
        return line

    def read_rest(self) -> None:
        """Digest everything that is left."""
        while self.readline(_CHUNK):
            pass

    @property
    def digest(self) -> bytes:
        """Digest of the bytes read so far."""
        return self._digest.digest()


def digest_of(path: str, size: int) -> bytes | None:
    """Return the digest of the first `size` bytes of a file, as `Input.digest` has it; None if the file is shorter.

    Raises:
        OSError: It cannot be read.
    """
    digest, left = blake2b(digest_size=_DIGEST), size
    with Path(path).open("rb") as file:
        while left and (piece := file.read(min(_CHUNK, left))):
            digest.update(piece)
            left -= len(piece)
    return None if left else digest.digest()


def copy_bytes(source: BinaryIO, copy: BinaryIO) -> None:
    """Copy everything that is left of a source."""
    while piece := source.read(_CHUNK):
        copy.write(piece)


def reader_from(file: BinaryIO, start: int) -> io.BufferedReader:
    """Return a reader of a file from a byte offset, with a position of its own. Closing it leaves the file open."""
    return io.BufferedReader(_OffsetReader(file.fileno(), start), _CHUNK)


class _OffsetReader(io.RawIOBase):
    def __init__(self, descriptor: int, start: int) -> None:
        self._descriptor = descriptor
        self._start = self._place = start

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # the type that io passes
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
