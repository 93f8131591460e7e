"""Where result rows go, and how none is taken for saved that is not.

1. An output is opened, and refused, before the first call. One that has content is somebody's results: it is replaced only
   if the caller says so, and the input never.
2. Rows are handed to the system at once, and counted as saved when it took all of their bytes: it may take a part.
3. When a file cannot take more, it is cut back to its last whole row, so that what it holds can be read.

Could the output be opened? Asked without a trace: nothing is created, nothing is changed.

How a file is written that is there whole, or not at all.

1. It is written beside its place, and put there when it is done: an interruption (SIGINT, SIGTERM) leaves what was there before.
2. What has content is replaced only if the caller says so, and what must stay never is.
3. What is no regular file (a pipe, a device, stdout) is written to as it is.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from .._core.exceptions import ConfigurationError
from .types import STREAM

STDOUT = 1
_SIGNALLED = 128  # exit code of a process that a signal has ended, before the signal's number is added


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


def check_output(path: str, *, source: os.stat_result, overwrite: bool, belongs: bool = False) -> str:
    """Return what would become of an output: `new`, `empty`, `continued`, `replaced`, `stream`.

    Args:
        path: of the file; - for stdout.
        source: the input's identity.
        overwrite: whether what is there may be replaced.
        belongs: whether it is that of the journal, which is gone on with.

    Raises:
        OutputError: it could not be written to, or has content, or is the input.
    """
    if path == STREAM and sys.stdout is None:
        raise OutputError("stdout: cannot be written to: it is closed")
    try:
        found = os.fstat(STDOUT) if path == STREAM else os.stat(path)  # noqa: PTH116 - beside fstat
    except FileNotFoundError:
        _check_folder(path)
        return "new"
    except OSError as error:
        raise OutputError(f"{path}: cannot be written to: {error.strerror}") from None
    name = "stdout" if path == STREAM else path
    if stat.S_ISREG(found.st_mode) and os.path.samestat(found, source):
        raise OutputError(f"{name}: is the input; name another file")
    if path == STREAM:
        return "stream"
    return _check_existing(path, found, overwrite=overwrite, belongs=belongs)


def _check_existing(path: str, found: os.stat_result, *, overwrite: bool, belongs: bool) -> str:
    if stat.S_ISDIR(found.st_mode):
        raise OutputError(f"{path}: cannot be written to: Is a directory")
    if not os.access(path, os.W_OK):
        raise OutputError(f"{path}: cannot be written to: Permission denied")
    if not stat.S_ISREG(found.st_mode):
        return "stream"
    if not found.st_size:
        return "empty"
    if belongs:
        return "continued"
    if not overwrite:
        raise OutputError(f"{path}: has content; name another file, or say --overwrite to replace it")
    return "replaced"


def _check_folder(path: str) -> None:
    folder = os.path.dirname(os.path.abspath(path))  # noqa: PTH100, PTH120 - texts
    if not os.path.isdir(folder):  # noqa: PTH112 - a text
        raise OutputError(f"{path}: cannot be written to: No such file or directory")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{path}: cannot be written to: Permission denied")


@contextmanager
def atomic_file(path: str, *, overwrite: bool, keep: Iterable[tuple[str, str]] = ()) -> Iterator[int]:
    """Open a file for writing; yield its descriptor.

    Args:
        path: of the file; - for stdout.
        overwrite: whether what is there may be replaced.
        keep: paths that must stay, each with what it is.

    Raises:
        OutputError: it cannot be written to, or has content, or must stay.
        OSError: it cannot take what was written.
    """
    found = _stat_of(path)
    if found is not None:
        _refuse(path, found, keep)
    if path == STREAM:
        yield STDOUT
    elif found is not None and not stat.S_ISREG(found.st_mode):
        yield from _as_it_is(path)
    elif found is not None and found.st_size and not overwrite:
        raise OutputError(f"{path}: has content; name another file, or say --overwrite to replace it")
    else:
        yield from _beside(os.path.realpath(path), path, 0o666 if found is None else stat.S_IMODE(found.st_mode))


def _stat_of(path: str) -> os.stat_result | None:
    if path == STREAM and sys.stdout is None:
        raise OutputError("stdout: cannot be written to: it is closed")
    try:
        return os.fstat(STDOUT) if path == STREAM else os.stat(path)  # noqa: PTH116 - beside fstat
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OutputError(f"{path}: cannot be written to: {error.strerror}") from None


def _refuse(path: str, found: os.stat_result, keep: Iterable[tuple[str, str]]) -> None:
    name = "stdout" if path == STREAM else path
    if path != STREAM and stat.S_ISDIR(found.st_mode):
        raise OutputError(f"{name}: cannot be written to: Is a directory")
    for other, role in keep:
        with suppress(OSError):
            if stat.S_ISREG(found.st_mode) and os.path.samestat(found, os.stat(other)):  # noqa: PTH116 - beside samestat
                raise OutputError(f"{name}: is {role}; name another file")


def _as_it_is(path: str) -> Iterator[int]:
    try:
        descriptor = os.open(path, os.O_WRONLY)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written to: {error.strerror}") from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _beside(place: str, path: str, mode: int) -> Iterator[int]:
    part = f"{place}.{os.getpid()}.part"
    before = signal.signal(signal.SIGTERM, _end)
    try:
        yield from _by_way_of(part, place, path, mode)
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(number: int, _: object) -> None:
    """End the process as the signal would have, but not before what was begun is cleared away."""
    raise SystemExit(_SIGNALLED + number)


def _by_way_of(part: str, place: str, path: str, mode: int) -> Iterator[int]:
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written to: {error.strerror}") from None
    try:
        try:
            yield descriptor
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(part, place)  # noqa: PTH105 - texts
    except BaseException:
        with suppress(OSError):
            os.unlink(part)  # noqa: PTH108 - a text
        raise
