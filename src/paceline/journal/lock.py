"""Lock: one writer for each journal.

Rules owned here:

1. The file itself is locked with `flock` for as long as it is open for writing. The kernel releases the lock when the process
   ends, for any reason. Windows has no `flock`: there, a second writer is detected only within one process.
2. Closing any descriptor of a file drops the POSIX locks that SQLite holds on it in the same process. The next connection to
   close would then consider itself the last one and remove the write-ahead log while it is in use. So the descriptor of the lock
   is closed after SQLite's own, and a file that this process writes is never opened again to test its lock: a set records it.
"""

from __future__ import annotations

import os
import stat
import sys
import threading
import time
from contextlib import suppress

if sys.platform != "win32":
    import fcntl

_TRIES, _PAUSE = 5, 0.02  # seconds between two tries
_PRIVATE = 0o600  # prompts' contexts and answers may be confidential

_written: set[tuple[int, int, int]] = set()  # files that this process writes; the process id excludes its forks
_mutex = threading.Lock()


def acquire(path: str) -> int | None:
    """Open a file, creating it if needed, and lock it; return its descriptor, or None if another writer holds the lock.

    Raises:
        OSError: The file cannot be opened.
    """
    with _mutex:
        if _is_written_here(path):
            return None
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), _PRIVATE)
        for _ in range(_TRIES):
            if not _is_refused(descriptor):
                _written.add(_identity(os.fstat(descriptor)))
                return descriptor
            time.sleep(_PAUSE)  # `is_held` in another process holds the lock for a moment
        os.close(descriptor)
        return None


def _identity(file: os.stat_result) -> tuple[int, int, int]:
    return os.getpid(), file.st_dev, file.st_ino


def _is_written_here(path: str) -> bool:
    try:
        return _identity(os.stat(path)) in _written  # noqa: PTH116 - a path as the user gave it
    except OSError:
        return False


def _is_refused(descriptor: int) -> bool:
    if sys.platform != "win32":
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # a file system without locks: running unguarded is better than not at all
            return False
    return False


def make_private(path: str) -> None:
    """Take from other users what they may do with a journal that was there before, such as a copy, and with the files beside it.

    That of another user stays as it is.
    """
    for name in (path, f"{path}-wal", f"{path}-shm"):
        with suppress(OSError):
            mode = stat.S_IMODE(os.stat(name).st_mode)  # noqa: PTH116 - a path as the user gave it
            if mode & ~_PRIVATE:
                os.chmod(name, mode & _PRIVATE)  # noqa: PTH101 - as above


def release(descriptor: int) -> None:
    """Release the lock and close its descriptor."""
    with _mutex, suppress(OSError):
        _written.discard(_identity(os.fstat(descriptor)))
        os.close(descriptor)


def is_same_file(descriptor: int, path: str) -> bool:
    """Return whether a path still names the locked file."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))  # noqa: PTH116 - a path as the user gave it
    except OSError:
        return False


def is_alive(pid: int) -> bool:
    """Return whether a process with this id exists; True where the platform cannot tell."""
    if sys.platform == "win32":
        return True
    try:
        os.kill(pid, 0)
    except OSError as error:
        return not isinstance(error, ProcessLookupError)
    return True


def is_held(path: str) -> bool:
    """Return whether any process holds the lock of a file."""
    with _mutex:
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
