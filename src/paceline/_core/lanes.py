"""Which lane may start a call next.

The least loaded lane that may start goes first, where the load is the share of its own limit that it uses. So lanes share
a common ceiling in proportion to what their providers allow, and a lane that may not start never holds up another.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Protocol, TypeVar


class LaneView(Protocol):
    """What must be known of a lane to choose."""

    @property
    def load(self) -> float:
        """Calls in flight over the limit: 0 idle, 1 full."""
        ...

    def ready_at(self, now: float) -> float:
        """Return when its next call may start: `now` or before, a later time, or inf: not before something happens."""
        ...


L = TypeVar("L", bound=LaneView)


def next_lane(lanes: Iterable[L], now: float) -> tuple[L | None, float]:
    """Return the lane to start a call in, and `now`; or None, and when to look again (inf: when something happens)."""
    chosen: L | None = None
    earliest = math.inf
    for lane in lanes:
        at = lane.ready_at(now)
        if at > now:
            earliest = min(earliest, at)
        elif chosen is None or lane.load < chosen.load:
            chosen = lane
    return (chosen, now) if chosen is not None else (None, earliest)
