"""Throughput: how many calls a lane starts in a second, measured lately."""

from __future__ import annotations

import attrs

_WINDOW = 5.0  # seconds


@attrs.define
class Throughput:
    """Counts starts in windows of some seconds. Times are seconds of one clock."""

    _since: float = 0.0
    _count: int = 0
    _latest: float | None = None

    def record(self, now: float) -> None:
        """Record a start."""
        if not self._count:
            self._since = now
        elif now - self._since >= _WINDOW:
            self._latest = self._count / (now - self._since)
            self._since, self._count = now, 0
        self._count += 1

    def rate(self, now: float) -> float | None:
        """Return the starts in a second; None: too few are known."""
        seconds = now - self._since
        if self._count > 1 and seconds >= _WINDOW / 2:
            return self._count / seconds
        return self._latest
