"""Alarm: wakes the supervisor of a batch, at the earliest time that anything waits for, or at once."""

from __future__ import annotations

import math

from anyio import CancelScope, Event


class Alarm:
    """Set by all tasks of a batch; its supervisor waits for it."""

    def __init__(self) -> None:
        self._rung = Event()
        self._at = math.inf
        """The time at which the supervisor wakes by itself."""

    def ring(self) -> None:
        """Wake the supervisor at once."""
        self._rung.set()

    def ring_by(self, at: float) -> None:
        """Wake the supervisor at `at` or earlier."""
        if at < self._at:
            self._rung.set()

    def reset(self) -> None:
        """Forget earlier rings. Called before the supervisor does what is due: rings from here on are not missed."""
        self._rung = Event()
        self._at = -math.inf  # the supervisor itself sees the times that become known until it waits

    async def wait(self, at: float) -> None:
        """Wait until `at`, or until it rings."""
        self._at = at
        with CancelScope(deadline=at):
            await self._rung.wait()
