"""Durations as text: the one place that writes seconds for people."""

from __future__ import annotations

import math

_ONE_DECIMAL_BELOW = 100.0  # seconds: from here on a tenth of a second is insignificant


def format_duration(seconds: float) -> str:
    """Return a duration in its two largest units, rounded up: 45 s, 12 min, 2 min 5 s, 5 h 12 min, 2 d 3 h."""
    minutes, second = divmod(math.ceil(seconds), 60)
    if minutes < 60:  # noqa: PLR2004 - an hour
        parts = [f"{minutes} min"] if minutes else []
        return " ".join([*parts, f"{second} s"] if second or not parts else parts)
    hours, minutes = divmod(math.ceil(seconds / 60), 60)
    days, rest = divmod(hours, 24)
    if days:
        return f"{days} d {rest} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def format_wait(seconds: float) -> str:
    """Return a short wait, below one second in tenths: 0.4 s, 3 s, 12 min."""
    return f"{max(0.1, seconds):.1f} s" if seconds < 1 else format_duration(seconds)


def format_elapsed(seconds: float) -> str:
    """Return the time since a start: 12.3 s, and from 100 seconds on 12:30."""
    return f"{seconds:.1f} s" if seconds < _ONE_DECIMAL_BELOW else format_clock(seconds)


def format_clock(seconds: float | None) -> str:
    """Return a duration as a clock shows it: 0:07, 12:30, 3:05:00; -:-- if it is unknown or infinite."""
    if seconds is None or not math.isfinite(seconds):
        return "-:--"
    minutes, second = divmod(math.ceil(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
