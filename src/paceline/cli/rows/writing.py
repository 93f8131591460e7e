"""Where result rows go, and how none is taken for saved that is not.

1. An output is opened, and refused, before the first call. One that has content is somebody's results: it is replaced only
   if the caller says so, and the input never.
2. Rows are handed to the system at once, and counted as saved when it took all of their bytes: it may take a part.
3. When a file cannot take more, it is cut back to its last whole row, so that what it holds can be read.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ..._core.exceptions import ConfigurationError

STDOUT = 1


class OutputError(ConfigurationError):
    """The output cannot be used."""


class Output:
    """An open output; made by `open_output`."""

    def __init__(self, name: str, descriptor: int) -> None:
        self.name = name
        self.saved = 0
        """Rows that the system took whole."""
        self._descriptor = descriptor
        self._is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)

    def write(self, rows: bytes) -> None:
        """Write rows, each with its line's end. Blocks for as long as the other side does.

        Raises:
            OSError: not all were taken; `saved` counts those that were.
        """
        taken = 0
        try:
            while taken < len(rows):
                taken += self._write_some(memoryview(rows)[taken:])
        except OSError:
            self._take_back(taken - (rows.rfind(b"\n", 0, taken) + 1))
            raise
        finally:
            self.saved += rows.count(b"\n", 0, taken)

    def settled_size(self) -> int | None:
        """Wait until the rows are on the disk; return the bytes that are there. None: it is no file.

        Raises:
            OSError: the disk did not take them after all.
        """
        if not self._is_file:
            return None
        os.fsync(self._descriptor)
        return os.lseek(self._descriptor, 0, os.SEEK_CUR)

    def settle(self) -> None:
        """Wait until the rows are on the disk, if it is a file.

        Raises:
            OSError: the disk did not take them after all; then none is known to be saved.
        """
        if self._is_file:
            try:
                os.fsync(self._descriptor)
            except OSError:
                self.saved = 0
                raise

    def _write_some(self, rows: memoryview) -> int:
        try:
            count = os.write(self._descriptor, rows)
        except BlockingIOError:  # a terminal or pipe that another program made non-blocking
            select.select((), (self._descriptor,), ())
            return 0
        if not count:
            raise OSError(errno.EIO, "nothing was taken")
        return count

    def _take_back(self, count: int) -> None:
        if count and self._is_file:
            with suppress(OSError):
                end = os.lseek(self._descriptor, -count, os.SEEK_CUR)
                os.ftruncate(self._descriptor, end)


@contextmanager
def open_output(path: str, *, source: os.stat_result, overwrite: bool, behind: int | None = None) -> Iterator[Output]:
    """Open an output.

    Args:
        path: of the file; - for stdout.
        source: the input's identity.
        overwrite: whether what is there may be replaced.
        behind: the bytes that an earlier run has written, behind which the rows go; None: there was none.

    Raises:
        OutputError: it cannot be written to, or has content, or is the input.
    """
    if path == "-":
        if sys.stdout is None:
            raise OutputError("stdout: cannot be written to: it is closed")
        _refuse_source("stdout", os.fstat(STDOUT), source)
        yield Output("stdout", STDOUT)
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o666)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written to: {error.strerror}") from None
    try:
        if behind is None:
            _make_room(path, descriptor, source, overwrite=overwrite)
        else:
            _refuse_source(path, os.fstat(descriptor), source)
            os.lseek(descriptor, behind, os.SEEK_SET)
        yield Output(path, descriptor)
    finally:
        os.close(descriptor)


def _make_room(path: str, descriptor: int, source: os.stat_result, *, overwrite: bool) -> None:
    found = os.fstat(descriptor)
    _refuse_source(path, found, source)
    if stat.S_ISREG(found.st_mode) and found.st_size:
        if not overwrite:
            raise OutputError(f"{path}: has content; name another file, or say --overwrite to replace it")
        os.ftruncate(descriptor, 0)


def _refuse_source(name: str, found: os.stat_result, source: os.stat_result) -> None:
    if stat.S_ISREG(found.st_mode) and os.path.samestat(found, source):
        raise OutputError(f"{name}: is the input; name another file")
