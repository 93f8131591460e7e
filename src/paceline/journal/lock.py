"""How a journal comes to have a single writer.

The file itself is locked, by `flock`, for as long as it is open for writing. The kernel lets go of the lock when the process
ends, however it ends. The descriptor must be closed after SQLite's own: closing any descriptor of a file drops the POSIX locks
that SQLite has on it. Where there is no `flock`, on Windows, a second writer is not noticed.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress

if sys.platform != "win32":
    import fcntl

_TRIES, _PAUSE = 5, 0.02  # seconds
_PRIVATE = 0o600  # what is in it was asked, and answered, in private


def acquire(path: str) -> int | None:
    """Open a file, made if it is not there, and lock it; return its descriptor, or None where another has the lock.

    Raises:
        OSError: it cannot be opened.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), _PRIVATE)
    for _ in range(_TRIES):
        if not _is_refused(descriptor):
            return descriptor
        time.sleep(_PAUSE)  # whoever only looks whether it is held has it for a moment
    os.close(descriptor)
    return None


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
    with suppress(OSError):
        os.close(descriptor)


def is_held(path: str) -> bool:
    """Whether somebody has a file locked."""
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
