"""Clock: the time and the checkpoint of a pool's event loop, without looking for the backend each time, which costs 2 us."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from anyio import current_effective_deadline, current_time
from anyio.lowlevel import checkpoint, current_token

from .foreign import time_of


class Clock:
    """The clock of one event loop."""

    def __init__(self) -> None:
        self.now: Callable[[], float] = current_time
        """Returns the time in seconds."""
        self.checkpoint: Callable[[], Awaitable[None]] = checkpoint
        """Lets other tasks run, and raises a cancellation."""
        self.deadline: Callable[[], float] = current_effective_deadline
        """Returns the nearest deadline of the cancel scopes around the running task; minus infinity: one was cancelled."""

    def open(self) -> None:
        """Use the event loop that runs now."""
        token = current_token()
        backend = token.backend_class
        self.now, self.checkpoint, self.deadline = (
            time_of(token),
            backend.checkpoint,
            backend.current_effective_deadline,
        )
