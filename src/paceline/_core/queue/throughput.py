"""Throughput: how many calls a lane starts in a second while jobs wait for their turn there.

Where none waits, calls start as they come, which says nothing about how fast they may start. So a measurement begins when a job begins to
wait.
"""

from __future__ import annotations

import attrs

_WINDOW = 5.0  # seconds


@attrs.define
class Throughput:
    """Counts starts in this window and the one before. A window begins with a start. Times are seconds of one clock."""

    _began: float = 0.0
    _count: int = 0
    _former_began: float = 0.0
    """When the window before began; without one, when this one did."""
    _former_count: int = 0

    def reset(self) -> None:
        """Begin a new measurement: no job has waited until now."""
        self._count = self._former_count = 0

    def record(self, now: float) -> None:
        """Record a start."""
        if not self._count:
            self._began = self._former_began = now
        elif now - self._began >= _WINDOW:
            self._former_began, self._former_count = self._began, self._count
            self._began, self._count = now, 0
        self._count += 1

    def rate(self, now: float) -> float | None:
        """Return the starts in a second, above 0; None: it is not known yet."""
        count, seconds = self._former_count + self._count, now - self._former_began
        return count / seconds if count > 1 and seconds >= _WINDOW / 2 else None
