"""Answer times: how long the calls took that were answered lately, and which call has too little time left to be answered.

Rules owned here:

1. A call is hopeless if less time is left for it than even the fastest of the latest answers took, with a margin; if some calls were
   answered, in the last minute or two; and if more of its time has passed than is left. So a call that need not wait is always made:
   whoever asks for it knows best how long it may take, and a provider that has become faster is noticed.
2. What is older than that is forgotten.
"""

from __future__ import annotations

import math

import attrs

_WINDOW = 60.0  # seconds; answers of this window and of the one before are known
_ENOUGH = 8  # answers: of so few, one in nine takes less time than the fastest, and one in twenty or so the margin less
_MARGIN = 0.8  # times the fastest answer


@attrs.frozen
class _Window:
    """The answers of some time."""

    began: float = -math.inf
    count: int = 0
    total: float = 0.0
    """Seconds that they took, all together."""
    fastest: float = math.inf


_EMPTY = _Window()


@attrs.define
class AnswerTimes:
    """The seconds that the latest answers of one lane took. Times are seconds of one clock."""

    _current: _Window = _EMPTY
    _former: _Window = _EMPTY

    def record(self, now: float, seconds: float) -> None:
        """Record that a call was answered after this many seconds."""
        current = self._current
        if now >= current.began + _WINDOW:
            self._former, current = current if now < current.began + 2 * _WINDOW else _EMPTY, _Window(now)
        self._current = _Window(
            current.began, current.count + 1, current.total + seconds, min(current.fastest, seconds)
        )

    def _known(self, now: float) -> list[_Window]:
        """Return the windows that are not too old, if they have enough answers."""
        windows = [window for window in (self._former, self._current) if now < window.began + 2 * _WINDOW]
        return windows if sum(window.count for window in windows) >= _ENOUGH else []

    def usual(self, now: float) -> float | None:
        """Return the mean seconds of an answer; None: too few are known."""
        windows = self._known(now)
        return sum(window.total for window in windows) / sum(window.count for window in windows) if windows else None

    def fastest(self, now: float) -> float | None:
        """Return the seconds of the fastest answer; None: too few are known."""
        return min((window.fastest for window in self._known(now)), default=None)

    def is_hopeless(self, now: float, passed: float, left: float) -> bool:
        """Return whether a call cannot be answered in the time that is left for it.

        Args:
            now: Current time.
            passed: Seconds since it was asked for.
            left: Seconds until its timeout.
        """
        fastest = self.fastest(now)
        return fastest is not None and left < _MARGIN * fastest and left < passed
