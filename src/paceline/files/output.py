"""Output files: checked before they are opened, then written to by appending, or replaced as a whole.

1. An output is refused before the first call. One that has content holds someone's results: it is replaced only if the caller
   allows that, and files that must be kept (the input, a journal) never are.
2. Appended rows are passed to the system at once, and count as saved when it has accepted all of their bytes. When a file cannot
   take more, it is cut back to its last complete row, so that its rows can be read.
3. A replaced file is written beside its place and moved there when it is complete: an exception leaves what was there before.
   What is not a regular file (a pipe, a device, stdout) is written to directly.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Literal, TypeAlias

from .._core.exceptions import ConfigurationError
from .types import STREAM

STDOUT = 1
"""File descriptor of stdout."""

Keep: TypeAlias = Mapping[str, str | os.stat_result]
"""Files that must not be written to, as paths or as their status, by their names in messages, such as "the input"."""

OutputState: TypeAlias = Literal["new", "empty", "continued", "replaced", "stream"]
"""What happens to an output when it is opened: it is created, was empty, is appended to, is replaced, or is not a file."""


class OutputError(ConfigurationError):
    """The output cannot be used."""


class Output:
    """An output that is open for writing; see `open_output`.

    Args:
        name: Name of the output, for messages.
        descriptor: File descriptor; it is not closed.
    """

    def __init__(self, name: str, descriptor: int) -> None:
        self.name = name
        self.saved: int = 0
        """Rows that the system has accepted completely."""
        self._descriptor = descriptor
        self._is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)

    def write(self, rows: bytes) -> None:
        """Write rows, each with its line end. Blocks for as long as a pipe is full.

        Raises:
            OSError: Not all were accepted; `saved` counts those that were.
        """
        count = 0
        try:
            while count < len(rows):
                count += self._write_some(memoryview(rows)[count:])
        except OSError:
            self._cut_back(count - (rows.rfind(b"\n", 0, count) + 1))
            raise
        finally:
            self.saved += rows.count(b"\n", 0, count)

    def settled_size(self) -> int | None:
        """Wait until the rows are on the disk; return the size of the file in bytes, None if it is not a file.

        Raises:
            OSError: The disk did not take them.
        """
        if not self._is_file:
            return None
        os.fsync(self._descriptor)
        return os.lseek(self._descriptor, 0, os.SEEK_CUR)

    def settle(self) -> None:
        """Wait until the rows are on the disk; return at once if the output is not a file.

        Raises:
            OSError: The disk did not take them; `saved` is 0 then, as no row is known to be there.
        """
        try:
            self.settled_size()
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
            raise OSError(errno.EIO, "nothing was written")
        return count

    def _cut_back(self, count: int) -> None:
        if count and self._is_file:
            with suppress(OSError):
                end = os.lseek(self._descriptor, -count, os.SEEK_CUR)
                os.ftruncate(self._descriptor, end)


def check_output(path: str, *, keep: Keep, overwrite: bool, is_resumed: bool = False) -> OutputState:
    """Return what would happen to an output, without creating or changing anything.

    Args:
        path: Path of the file; "-" for stdout.
        keep: Files that must not be written to.
        overwrite: Whether content may be replaced.
        is_resumed: Whether the content was written by an earlier run, which is resumed by appending to it.

    Raises:
        OutputError: It cannot be written to, has content that may not be replaced, or must be kept.
    """
    found = _stat(path)
    if found is None:
        folder = os.path.dirname(path) or os.curdir  # noqa: PTH120 - a text
        if not os.access(folder, os.W_OK | os.X_OK):
            raise _not_writable(path, os.strerror(errno.EACCES))
    elif path != STREAM and not stat.S_ISDIR(found.st_mode) and not os.access(path, os.W_OK):
        raise _not_writable(path, os.strerror(errno.EACCES))
    return _check(path, found, keep=keep, overwrite=overwrite, is_resumed=is_resumed)


def check_folder(path: str) -> None:
    """Check that the folder of a file exists.

    Raises:
        OutputError: It does not.
    """
    folder = os.path.dirname(path) or os.curdir  # noqa: PTH120 - a text
    if not os.path.exists(folder):  # noqa: PTH110 - a text
        raise OutputError(f"{folder}: no such folder; create it")


@contextmanager
def open_output(path: str, *, keep: Keep, overwrite: bool, resume_at: int | None = None) -> Iterator[Output]:
    """Open an output for appending rows.

    Args:
        path: Path of the file; "-" for stdout.
        keep: Files that must not be written to.
        overwrite: Whether content may be replaced.
        resume_at: Bytes that an earlier run has written, after which the rows go; None: this run begins the file.

    Raises:
        OutputError: It cannot be written to, has content that may not be replaced, or must be kept.
    """
    if path == STREAM:
        _check(path, _stat(path), keep=keep, overwrite=overwrite)
        yield Output("stdout", STDOUT)
        return
    with _open_descriptor(path, os.O_WRONLY | os.O_CREAT) as descriptor:
        found = os.fstat(descriptor)
        state = _check(path, found, keep=keep, overwrite=overwrite, is_resumed=resume_at is not None)
        if state == "replaced":
            os.ftruncate(descriptor, 0)
        if resume_at is not None:
            os.lseek(descriptor, resume_at, os.SEEK_SET)
        yield Output(path, descriptor)


@contextmanager
def atomic_file(path: str, *, keep: Keep, overwrite: bool) -> Iterator[int]:
    """Open a file that replaces what is at its path when the block ends; yield its descriptor.

    An exception in the block removes what was written. The caller decides which signals become exceptions.

    Args:
        path: Path of the file; "-" for stdout.
        keep: Files that must not be written to.
        overwrite: Whether content may be replaced.

    Raises:
        OutputError: It cannot be written to, has content that may not be replaced, or must be kept.
        OSError: It cannot take what was written.
    """
    found = _stat(path)
    state = _check(path, found, keep=keep, overwrite=overwrite)
    if path == STREAM:
        yield STDOUT
    elif state == "stream":
        with _open_descriptor(path, os.O_WRONLY) as descriptor:
            yield descriptor
    else:
        mode = 0o666 if found is None else stat.S_IMODE(found.st_mode)
        with _replacement(path, mode) as descriptor:
            yield descriptor


def _stat(path: str) -> os.stat_result | None:
    """Return the status of an output; None if there is no such file."""
    if path == STREAM and sys.stdout is None:
        raise _not_writable(path, "it is closed")
    try:
        return os.fstat(STDOUT) if path == STREAM else os.stat(path)  # noqa: PTH116 - beside fstat
    except FileNotFoundError:
        check_folder(path)
        return None
    except OSError as error:
        raise _not_writable(path, error.strerror) from None


def _check(
    path: str, found: os.stat_result | None, *, keep: Keep, overwrite: bool, is_resumed: bool = False
) -> OutputState:
    """Decide what happens to an output with this status: the one check for all three ways to use it."""
    if found is None:
        return "new"
    if path != STREAM and stat.S_ISDIR(found.st_mode):
        raise _not_writable(path, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(found.st_mode):
        return "stream"
    for role, other in keep.items():
        if _is_same(found, other):
            raise OutputError(f"{_name(path)}: is {role}; name another file")
    if path == STREAM:
        return "stream"
    if not found.st_size:
        return "empty"
    if is_resumed:
        return "continued"
    if not overwrite:
        raise OutputError(f"{path}: has content; name another file, or set --overwrite to replace it")
    return "replaced"


def _is_same(found: os.stat_result, other: str | os.stat_result) -> bool:
    try:
        return os.path.samestat(found, os.stat(other) if isinstance(other, str) else other)  # noqa: PTH116 - beside samestat
    except OSError:
        return False


def _name(path: str) -> str:
    return "stdout" if path == STREAM else path


def _not_writable(path: str, reason: str | None) -> OutputError:
    return OutputError(f"{_name(path)}: cannot be written to: {reason}")


@contextmanager
def _open_descriptor(path: str, flags: int) -> Iterator[int]:
    check_folder(path)
    try:
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        raise _not_writable(path, error.strerror) from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _replacement(path: str, mode: int) -> Iterator[int]:
    """Open a file beside the place of `path`, behind symbolic links; move it there when the block ends."""
    place = os.path.realpath(path)
    part = f"{place}.{os.getpid()}.part"
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except OSError as error:
        raise _not_writable(path, error.strerror) from None
    try:
        try:
            yield descriptor
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(part, place)  # noqa: PTH105 - a path that is no longer than it was
    except BaseException:
        with suppress(OSError):
            os.unlink(part)  # noqa: PTH108 - as above
        raise
