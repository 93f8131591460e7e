"""For how many calls at a time does this process have file descriptors? Each call has a connection, and so one of them.

1. The soft limit is raised as far as the workers need and the hard limit allows; it is for this process alone.
2. Where even that is too low, there are fewer workers, and the user is told how many, why, and what to do. Without room for one
   nothing is called.
3. On a ladder each model has connections of its own, and those of a model stay open a while after an item has moved on: a worker
   may have as many as there are models.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from .._core.exceptions import ConfigurationError

_limits: Any = None
with suppress(ImportError):  # Windows has no such limit
    import resource as _limits

_SPARE = 24
"""Descriptors beside those open now and those of connections: the event loop's, the journal's, names and certificates."""
_ASSUMED_OPEN = 16  # where the system does not say


class DescriptorsError(ConfigurationError):
    """There are too few file descriptors for a single call."""


def workers_within(workers: int, *, models: int = 1, say: Callable[[str], None]) -> int:
    """Return how many of the workers there may be: all of them, if need be after raising the soft limit.

    Args:
        workers: as many as there might be.
        models: that a worker may have connections to.
        say: tells the user why there are fewer.

    Raises:
        DescriptorsError: there is not even room for one.
    """
    if _limits is None:
        return workers
    taken = _open_now() + _SPARE
    limit = _raised(taken + workers * models)
    room = (limit - taken) // models
    if room >= workers:
        return workers
    needed = taken + workers * models
    how = f"raise its limit (ulimit -n {needed})"
    if room < 1:
        raise DescriptorsError(
            f"this process may have {limit} files open, and needs {taken + models} for one call at a time; {how}"
        )
    say(f"at most {room} calls at a time, not {workers:,}: this process may have {limit:,} files open; for more {how}")
    return room


def _open_now() -> int:
    for folder in ("/proc/self/fd", "/dev/fd"):
        with suppress(OSError):
            return len(os.listdir(folder))  # noqa: PTH208 - names, not paths
    return _ASSUMED_OPEN


def _raised(needed: int) -> int:
    """Return the soft limit, after raising it towards what is needed."""
    soft: int
    soft, hard = _limits.getrlimit(_limits.RLIMIT_NOFILE)
    if soft == _limits.RLIM_INFINITY or soft >= needed:
        return needed if soft == _limits.RLIM_INFINITY else soft
    wanted = needed if hard == _limits.RLIM_INFINITY else min(needed, hard)
    while wanted > soft:
        try:
            _limits.setrlimit(_limits.RLIMIT_NOFILE, (wanted, hard))
        except (ValueError, OSError):  # the system has a lower limit that it does not tell, as macOS has
            wanted = (wanted + soft) // 2
        else:
            return wanted
    return soft
