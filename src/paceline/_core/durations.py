"""Durations as people write them."""

from __future__ import annotations

import math


def span(seconds: float) -> str:
    """Return a time as people say it, to the minute and not too short: 45 s, 12 min, 5 h 12 min, 2 d 3 h."""
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{math.ceil(seconds)} s"
    hours, minutes = divmod(math.ceil(seconds / 60), 60)
    days, rest = divmod(hours, 24)
    if days:
        return f"{days} d {rest} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
