"""How a file is written that is there whole, or not at all.

1. It is written beside its place, and put there when it is done: an interruption (SIGINT, SIGTERM) leaves what was there before.
2. What has content is replaced only if the caller says so, and what must stay never is.
3. What is no regular file (a pipe, a device, stdout) is written to as it is.
"""

from __future__ import annotations

import os
import signal
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from ..asking.options import STREAM
from ..codes import SIGNALLED
from .writing import STDOUT, OutputError


@contextmanager
def whole_file(path: str, *, overwrite: bool, keep: Iterable[tuple[str, str]] = ()) -> Iterator[int]:
    """Open a file for writing; yield its descriptor.

    Args:
        path: of the file; - for stdout.
        overwrite: whether what is there may be replaced.
        keep: paths that must stay, each with what it is.

    Raises:
        OutputError: it cannot be written to, or has content, or must stay.
        OSError: it cannot take what was written.
    """
    found = _found(path)
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


def _found(path: str) -> os.stat_result | None:
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
    raise SystemExit(SIGNALLED + number)


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
