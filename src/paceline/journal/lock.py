"""How a journal comes to have a single writer.

The file itself is locked, by `flock`, for as long as it is open for writing. The kernel lets go of the lock when the process
ends, however it ends. Where there is no `flock`, on Windows, a second writer is noticed only within one process.

Closing any descriptor of a file drops the POSIX locks that SQLite has on it in this process; then the next one who closes the
database takes himself for the last, and removes the log that is still written. So the descriptor is closed after SQLite's own,
and a file that this process writes is not opened again to see whether it is locked: it is known here.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import suppress

if sys.platform != "win32":
    import fcntl

_TRIES, _PAUSE = 5, 0.02  # seconds
_PRIVATE = 0o600  # what is in it was asked, and answered, in private

_written: set[tuple[int, int, int]] = set()  # the files that this process writes; a fork of it writes none
_turn = threading.Lock()


def acquire(path: str) -> int | None:
    """Open a file, made if it is not there, and lock it; return its descriptor, or None where another has the lock.

    Raises:
        OSError: it cannot be opened.
    """
    with _turn:
        if _is_written_here(path):
            return None
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), _PRIVATE)
        for _ in range(_TRIES):
            if not _is_refused(descriptor):
                _written.add(_name_of(os.fstat(descriptor)))
                return descriptor
            time.sleep(_PAUSE)  # whoever only looks whether it is held has it for a moment
        os.close(descriptor)
        return None


def _name_of(file: os.stat_result) -> tuple[int, int, int]:
    return os.getpid(), file.st_dev, file.st_ino


def _is_written_here(path: str) -> bool:
    try:
        return _name_of(os.stat(path)) in _written  # noqa: PTH116 - a path as the user gave it
    except OSError:
        return False


def _is_refused(descriptor: int) -> bool:
    if sys.platform != "win32":
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # a file system without locks: better unguarded than not at all
            return False
    return False


def release(descriptor: int) -> None:
    """Let go of the lock."""
    with _turn, suppress(OSError):
        _written.discard(_name_of(os.fstat(descriptor)))
        os.close(descriptor)


def is_of(descriptor: int, path: str) -> bool:
    """Whether a path still leads to the file that was locked."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))  # noqa: PTH116 - a path as the user gave it
    except OSError:
        return False


def is_alive(pid: int) -> bool:
    """Whether there is such a process, as far as can be seen."""
    if sys.platform == "win32":
        return True
    try:
        os.kill(pid, 0)
    except OSError as error:
        return not isinstance(error, ProcessLookupError)
    return True


def is_held(path: str) -> bool:
    """Whether somebody has a file locked."""
    with _turn:
        if _is_written_here(path):
            return True
        if sys.platform == "win32":
            return False
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            return isinstance(error, BlockingIOError)
        finally:
            os.close(descriptor)
        return False
