"""The bytes of an input: opened, read line by line, digested, and read again from any place.

1. A line ends at a line feed, and at nothing else.
2. Of a line that is too long, at most one piece is held at a time once that is known.
3. Readers do not share a file position: several may read the same file at the same time.
4. Bytes that have changed since they were checked are not passed on: see `ChangeGuard`.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

from .._core.exceptions import ConfigurationError
from .types import LONGEST, STREAM, InputError, Line, LineError, Lines

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


def python_encoding(name: str | None) -> str | None:
    """Return the encoding of a text file under Python's name; None if it is UTF-8, which needs no conversion.

    Raises:
        ConfigurationError: Python has no such encoding.
    """
    if name is None:
        return None
    try:
        "".encode(name)
        found = codecs.lookup(name).name
    except (LookupError, ValueError):
        raise ConfigurationError(
            f"--encoding: must be the name of an encoding, such as utf-8, utf-16 or cp1252, not {name!r}"
        ) from None
    return None if found in {"utf-8", "utf-8-sig"} else found


def decoded(lines: Lines, encoding: str | None, name: str) -> Lines:
    """Return the lines of an input converted to UTF-8.

    Args:
        lines: The lines as they are in the file.
        encoding: Their encoding, a name of Python's; None: they are UTF-8, and are returned as they are.
        name: Name of the input, for messages.
    """
    return lines if encoding is None else _DecodedLines(lines, encoding, name)


class _DecodedLines:
    """Lines converted to UTF-8. A byte that is not text in their encoding is left as it is, which makes its line invalid."""

    def __init__(self, lines: Lines, encoding: str, name: str) -> None:
        self._lines = lines
        self._decoder = codecs.getincrementaldecoder(encoding)("surrogateescape")
        self._encoding = encoding
        self._name = name
        self._ready = bytearray()
        self._read = 0  # line ends that were converted
        self._at_end = False

    def readline(self, size: int, /) -> bytes:
        """Return the next line, or its next `size` bytes if it is longer; b"" at the end.

        Raises:
            InputError: The text cannot be read on, as nothing says where the next line begins.
        """
        searched = 0
        while (end := self._ready.find(b"\n", searched, size) + 1) == 0:
            if len(self._ready) >= size or self._at_end:
                end = min(size, len(self._ready))
                break
            searched = len(self._ready)
            self._convert(self._lines.readline(_CHUNK))
        line = bytes(self._ready[:end])
        del self._ready[:end]
        return line

    def _convert(self, piece: bytes) -> None:
        self._at_end = not piece
        try:
            text = self._decoder.decode(piece, final=self._at_end)
            self._ready += text.encode("utf-8", "surrogateescape")
        except UnicodeError:
            raise InputError(
                f"{self._name}:{self._read + 1}: is not {self._encoding}; --encoding names another encoding"
            ) from None
        self._read += text.count("\n")


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
    with Path(path).open("rb") as file:
        return _digest(file, size)


def _digest(file: BinaryIO, size: int) -> bytes | None:
    digest, left = blake2b(digest_size=_DIGEST), size
    while left and (piece := file.read(min(_CHUNK, left))):
        digest.update(piece)
        left -= len(piece)
    return None if left else digest.digest()


class ChangeGuard:
    """Refuses bytes of a file that have changed since they were checked.

    A check compares the size and the time of the last change with those before. Only if they differ, the checked bytes are
    digested again: a file that was touched, or to which lines were added, is as good as before.

    Args:
        name: Name of the input, for messages.
        file: The open file.
        status: Status of the file when its check began.
        start: Offset in the file at which the input begins, in bytes.
        size: Number of bytes that were checked.
        digest: Digest of these bytes; None: it is not known, and any change is refused.
    """

    def __init__(  # noqa: PLR0913 - all that a file is compared by
        self, name: str, file: BinaryIO, status: os.stat_result, *, start: int = 0, size: int = 0, digest: bytes | None
    ) -> None:
        self._name = name
        self._file = file
        self._seen = (status.st_size, status.st_mtime_ns)
        self._start = start
        self._size = size
        self._expected = digest

    def check(self) -> None:
        """Compare the file with what it was.

        Raises:
            InputError: The bytes that were checked have changed.
        """
        status = os.fstat(self._file.fileno())
        seen = (status.st_size, status.st_mtime_ns)
        if seen == self._seen:
            return
        with closing(reader_from(self._file, self._start)) as reader:
            if self._expected is None or _digest(reader, self._size) != self._expected:
                raise InputError(
                    f"{self._name}: has changed since it was checked; nothing more is called; run it again"
                )
        self._seen = seen


def copy_bytes(source: BinaryIO, copy: BinaryIO) -> None:
    """Copy everything that is left of a source."""
    while piece := source.read(_CHUNK):
        copy.write(piece)


def reader_from(file: BinaryIO, start: int, guard: ChangeGuard | None = None) -> io.BufferedReader:
    """Return a reader of a file from a byte offset, with a position of its own. Closing it leaves the file open.

    Args:
        file: The open file.
        start: Offset in bytes.
        guard: Checks each chunk before it is passed on; None: the file cannot change.
    """
    check = (lambda: None) if guard is None else guard.check
    return io.BufferedReader(_OffsetReader(file.fileno(), start, check), _CHUNK)


class _OffsetReader(io.RawIOBase):
    def __init__(self, descriptor: int, start: int, after_read: Callable[[], None]) -> None:
        self._descriptor = descriptor
        self._after_read = after_read
        self._start = self._place = start

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # the type that io passes
        count = os.preadv(self._descriptor, [buffer], self._place)
        self._after_read()
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
