"""Clock: the time and the checkpoint of a pool's event loop, without looking for the backend each time, which costs 2 us."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from anyio import current_effective_deadline, current_time
from anyio.lowlevel import checkpoint, current_token

from .foreign import time_of


class Clock:
    """The clock of one event loop."""

    def __init__(self) -> None:
        self._now: Callable[[], float] = current_time
        self._checkpoint: Callable[[], Awaitable[None]] = checkpoint
        self._deadline: Callable[[], float] = current_effective_deadline

    def open(self) -> None:
        """Use the event loop that runs now."""
        token = current_token()
        backend = token.backend_class
        self._now, self._checkpoint = time_of(token), backend.checkpoint
        self._deadline = backend.current_effective_deadline

    @property
    def now(self) -> Callable[[], float]:
        """Returns the time in seconds."""
        return self._now

    @property
    def deadline(self) -> Callable[[], float]:
        """Returns the nearest deadline of the cancel scopes around the running task; minus infinity: one was cancelled."""
        return self._deadline

    @property
    def checkpoint(self) -> Callable[[], Awaitable[None]]:
        """Lets other tasks run, and raises a cancellation."""
        return self._checkpoint
