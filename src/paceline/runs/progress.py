"""Progress: the figures of a run under way. Pure: the time is an argument.

Rates are means over the last five seconds, so that they follow the run without flickering.
"""

from __future__ import annotations

import math
from collections import deque

import attrs

from .._core.fault_groups import FaultGroup
from .._engine.statistics import ProcessorStatistics

_WINDOW = 5.0  # seconds
_PAIR = 2


@attrs.frozen(kw_only=True)
class RunProgress:
    """The figures of one moment."""

    seconds: float
    """Since the first snapshot."""
    total: int
    """Items of the batch."""
    done: int
    """Items that have a result, those of earlier runs included."""
    failed: int
    """Items that this run has settled with a fault. Pending items have not failed."""
    in_flight: int
    """Calls in flight."""
    workers: int
    """Calls that may be in flight at once."""
    pace: float
    """Calls that may start per second; inf while no limit is known."""
    token_pace: float
    """Tokens that may be used per second; inf while no limit is known."""
    rate: float
    """Calls served per second, lately."""
    refusals: int
    """Refusals by the providers."""
    wait: float
    """Seconds until the next call may start while the breaker is open; otherwise 0."""
    pending: int = 0
    """Items that this run leaves without a result; they can run again."""
    faults: tuple[FaultGroup, ...] = ()
    """The most frequent faults of this run's calls, those of repeated calls included."""
    left: float | None
    """Seconds to the end at the present rate; None: unknown."""
    is_stopping: bool = False
    """Whether the run was stopped, and waits for the calls in flight."""
    is_finished: bool = False
    """Whether this is the last snapshot of the run."""


@attrs.frozen
class _Mark:
    time: float
    served: int
    done: int


class ProgressMeter:
    """Makes progress out of a processor's snapshots.

    Args:
        total: Items of the batch.
        max_workers: Upper bound of the calls in flight, whatever the controllers allow.
        done_before: Items that were done by earlier runs.
    """

    def __init__(self, total: int, max_workers: int, done_before: int = 0) -> None:
        self.total = total
        self._done_before = done_before
        self._max_workers = max_workers
        self._started: float | None = None
        self._marks: deque[_Mark] = deque()

    def read(
        self, now: float, statistics: ProcessorStatistics, *, is_stopping: bool = False, is_finished: bool = False
    ) -> RunProgress:
        """Return the figures at `now`, in seconds; it never goes back."""
        lanes = statistics.lanes.values()
        failed = statistics.failed - statistics.pending
        done = self._done_before + statistics.succeeded + failed
        mark = _Mark(now, sum(lane.served for lane in lanes), done)
        self._marks.append(mark)
        while len(self._marks) > _PAIR and now - self._marks[1].time >= _WINDOW:
            self._marks.popleft()  # the last mark before the window stays, as the window may be empty
        if self._started is None:
            self._started = now
        first = self._marks[0]
        seconds = now - first.time
        done_per_second = (done - first.done) / seconds if seconds > 0 else 0.0
        return RunProgress(
            seconds=now - self._started,
            total=self.total,
            done=done,
            failed=failed,
            pending=self.total - done if is_finished else statistics.pending,
            faults=statistics.faults,
            in_flight=statistics.in_flight,
            workers=min(self._max_workers, sum(lane.limit for lane in lanes)),
            pace=sum(lane.rate for lane in lanes) if lanes else math.inf,
            token_pace=sum(lane.token_rate for lane in lanes) if lanes else math.inf,
            rate=(mark.served - first.served) / seconds if seconds > 0 else 0.0,
            refusals=statistics.rate_limit_count,
            wait=max(0.0, min((lane.gate - now for lane in lanes), default=0.0)),
            left=(self.total - done) / done_per_second if done_per_second > 0 else None,
            is_stopping=is_stopping,
            is_finished=is_finished,
        )
