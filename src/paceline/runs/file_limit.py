"""File limit: how many calls at a time this process has file descriptors for, as each call has a connection.

1. The soft limit is raised as far as the workers need and the hard limit allows, for this process alone.
2. If that is not enough, there are fewer workers, and a message says how many, why, and what to do. Without room for one call the
   run is refused.
3. On a ladder each model has connections of its own, and those of a model stay open for a while after an item has moved up: a worker
   may have as many connections as there are models.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from .._core.exceptions import ConfigurationError
from .._core.quantity import quantity

_limits: Any = None
with suppress(ImportError):  # Windows has no such limit
    import resource as _limits

_SPARE = 24
"""Descriptors beyond those open now and those of connections: event loop, journal, name resolution, certificates."""
_ASSUMED_OPEN = 16  # if the system does not report it


class DescriptorsError(ConfigurationError):
    """The process has too few file descriptors for a single call."""


def workers_within(workers: int, *, models: int = 1, on_message: Callable[[str], None]) -> int:
    """Return how many workers there are descriptors for: all of them if possible, after raising the soft limit if needed.

    Args:
        workers: Number of workers wanted.
        models: Number of models that a worker may have connections to.
        on_message: Receives a sentence if there are fewer.

    Raises:
        DescriptorsError: There are too few for one worker.
    """
    if _limits is None:
        return workers
    used = _open_now() + _SPARE
    limit = _raised(used + workers * models)
    room = (limit - used) // models
    if room >= workers:
        return workers
    needed = used + workers * models
    advice = f"raise its limit (ulimit -n {needed})"
    if room < 1:
        raise DescriptorsError(
            f"this process may have {quantity(limit, 'file')} open, and needs {used + models} for one call at a time; {advice}"
        )
    on_message(
        f"at most {quantity(room, 'call')} at a time, not {workers:,}: this process may have {quantity(limit, 'file')} open; for more {advice}"
    )
    return room


def _open_now() -> int:
    for folder in ("/proc/self/fd", "/dev/fd"):
        with suppress(OSError):
            return len(os.listdir(folder))  # noqa: PTH208 - names, not paths
    return _ASSUMED_OPEN


def _raised(needed: int) -> int:
    """Raise the soft limit towards `needed`; return it."""
    soft: int
    soft, hard = _limits.getrlimit(_limits.RLIMIT_NOFILE)
    if soft == _limits.RLIM_INFINITY or soft >= needed:
        return needed if soft == _limits.RLIM_INFINITY else soft
    wanted = needed if hard == _limits.RLIM_INFINITY else min(needed, hard)
    while wanted > soft:
        try:
            _limits.setrlimit(_limits.RLIMIT_NOFILE, (wanted, hard))
        except (ValueError, OSError):  # the system has a lower limit that it does not report, as macOS does
            wanted = (wanted + soft) // 2
        else:
            return wanted
    return soft
