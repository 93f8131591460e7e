"""How a batch is getting on, in the figures that people look at. Pure: the time is an argument.

Rates are taken over the last five seconds, so that they follow what happens and do not flicker.
"""

from __future__ import annotations

import math
from collections import deque

import attrs

from .._engine.tally import ProcessorStatistics

_WINDOW = 5.0  # seconds


@attrs.frozen(kw_only=True)
class Reading:
    """The figures of one moment."""

    total: int
    done: int
    """Items that have their result."""
    failed: int
    in_flight: int
    workers: int
    """Workers that the controllers allow."""
    rate: float
    """Calls served a second, lately."""
    refusals: int
    wait: float
    """Seconds until the next call may start, while the provider has asked for a wait; else 0."""
    left: float | None
    """Seconds to the end, if it goes on like this; None: nothing to judge by."""


@attrs.frozen
class _Mark:
    time: float
    served: int
    done: int


class Gauge:
    """Reads the figures of a batch of `total` items from a processor's snapshots."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._marks: deque[_Mark] = deque()

    def read(self, now: float, statistics: ProcessorStatistics) -> Reading:
        """Return the figures; `now` never goes back."""
        lanes = statistics.lanes.values()
        done = statistics.succeeded + statistics.failed
        mark = _Mark(now, sum(lane.served for lane in lanes), done)
        self._marks.append(mark)
        while now - self._marks[0].time > _WINDOW:
            self._marks.popleft()
        first = self._marks[0]
        seconds = now - first.time
        settled_a_second = (done - first.done) / seconds if seconds > 0 else 0.0
        return Reading(
            total=self.total,
            done=done,
            failed=statistics.failed,
            in_flight=statistics.in_flight,
            workers=sum(lane.limit for lane in lanes),
            rate=(mark.served - first.served) / seconds if seconds > 0 else 0.0,
            refusals=statistics.rate_limit_count,
            wait=max(0.0, min((lane.gate - now for lane in lanes), default=0.0)),
            left=(self.total - done) / settled_a_second if settled_a_second > 0 else None,
        )


def clock(seconds: float | None) -> str:
    """Return a time left as people write it: 0:07, 12:30, 3:05:00; -:-- where it is not known."""
    if seconds is None or not math.isfinite(seconds):
        return "-:--"
    minutes, second = divmod(math.ceil(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
