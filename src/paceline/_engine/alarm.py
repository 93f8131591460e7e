"""When the supervisor must look: at the earliest time that anybody waits for, or at once."""

from __future__ import annotations

import math

from anyio import CancelScope, Event


class Alarm:
    """Set by all tasks of a batch, waited for by its supervisor."""

    def __init__(self) -> None:
        self._bell = Event()
        self._at = math.inf

    def ring(self) -> None:
        """Let the supervisor look at once."""
        self._bell.set()

    def ring_by(self, at: float) -> None:
        """Let the supervisor look at `at`, or before."""
        if at < self._at:
            self._bell.set()

    def rewind(self) -> None:
        """Begin to listen anew, before looking: what rings from here on is not missed."""
        self._bell = Event()
        self._at = -math.inf  # times that become known while the supervisor looks, it sees itself

    async def wait(self, at: float) -> None:
        """Wait until `at`, or until it rings."""
        self._at = at
        with CancelScope(deadline=at):
            await self._bell.wait()
