"""Progress meter: makes progress out of the snapshots of a pool. Pure: the time is an argument.

Rates are means over the last five seconds, so that they follow the run without flickering; the time left is at the mean of the last twenty, as
it would multiply each flicker.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

import attrs

from .._core.fault import FaultKind
from .._core.progress import RunProgress
from .._core.ranges import Range, RunningCost
from .lanes.statistics import ProcessorStatistics

CALLBACK_PERIOD = 1.0
"""Seconds between two snapshots for a callback of the user's."""
_WINDOW, _LEFT_WINDOW = 5.0, 20.0  # seconds: of the rates, and of the time left
_PAIR = 2


@attrs.frozen
class _Mark:
    time: float
    served: int
    done: int


@attrs.frozen
class ProgressHook:
    """Receives the figures of a batch: at its start, once a period, and once it has its result."""

    report: Callable[[RunProgress], object]
    """Called in the event loop, so it must not block."""
    period: float = CALLBACK_PERIOD
    """Seconds between two calls."""


class ProgressMeter:
    """Makes progress out of snapshots.

    Args:
        total: Items of the batch; None: unknown.
        max_workers: Upper bound of the calls in flight, whatever the controllers allow; None: that of the snapshots' lanes.
        done_before: Items that were done by earlier runs.
        quote: What the run was estimated to cost, in USD; None: it was not. The items that are done correct it.
    """

    def __init__(
        self, total: int | None, max_workers: int | None = None, done_before: int = 0, quote: Range | None = None
    ) -> None:
        self.total = total
        self._done_before = done_before
        self._max_workers = math.inf if max_workers is None else max_workers
        self._started: float | None = None
        self._marks: deque[_Mark] = deque()
        self._old_marks: deque[_Mark] = deque()
        self._cost = RunningCost(quote)

    def read(
        self,
        now: float,
        statistics: ProcessorStatistics,
        *,
        is_stopping: bool = False,
        is_finished: bool = False,
        wall_time: float = 0.0,
    ) -> RunProgress:
        """Return the figures at `now`, in seconds; it never goes back.

        Args:
            now: Current time.
            statistics: The snapshot.
            is_stopping: Whether the run was stopped.
            is_finished: Whether it is the last snapshot.
            wall_time: Current time in seconds since 1970.
        """
        lanes = statistics.lanes.values()
        failed = statistics.failed
        done = self._done_before + statistics.succeeded + failed
        mark = _Mark(now, sum(lane.served for lane in lanes), done)
        for marks, window in ((self._marks, _WINDOW), (self._old_marks, _LEFT_WINDOW)):
            marks.append(mark)
            while len(marks) > _PAIR and now - marks[1].time >= window:
                marks.popleft()  # the last mark before the window stays, as the window may be empty
        if self._started is None:
            self._started = now
        first = self._marks[0]
        seconds = now - first.time
        done_per_second = (done - first.done) / seconds if seconds > 0 else 0.0
        unfinished = None if self.total is None else max(0, self.total - done)
        allowed = sum(lane.limit for lane in lanes)
        return RunProgress(
            seconds=now - self._started,
            total=self.total,
            done=done,
            failed=failed,
            pending=unfinished if is_finished and unfinished is not None else statistics.pending,
            retries=statistics.retries,
            failures={
                str(kind): count
                for kind, count in statistics.failures.items()
                if kind is not FaultKind.PENDING and count
            },
            messages=statistics.messages,
            faults=statistics.faults,
            usage=statistics.usage,
            cost=statistics.cost,
            cost_at_end=self._cost_at_end(done - self._done_before, statistics.cost, unfinished),
            spent=statistics.spent,
            max_cost=statistics.max_cost,
            spent_tokens=statistics.spent_tokens,
            max_tokens=statistics.max_tokens,
            in_flight=statistics.in_flight,
            workers=int(min(self._max_workers, statistics.max_workers, allowed)) if lanes else 0,
            pace=sum(lane.rate for lane in lanes) if lanes else math.inf,
            token_pace=sum(lane.token_rate for lane in lanes) if lanes else math.inf,
            rate=(mark.served - first.served) / seconds if seconds > 0 else 0.0,
            items_rate=done_per_second,
            refusals=statistics.rate_limit_count,
            wait=max(0.0, min((lane.gate - now for lane in lanes), default=0.0)),
            left=None if unfinished is None or done_per_second <= 0 else self._left(mark, unfinished),
            limitation=statistics.limitation,
            is_paused=statistics.is_paused,
            is_stopping=is_stopping,
            is_finished=is_finished,
            time=wall_time,
        )

    def _left(self, now: _Mark, unfinished: int) -> float | None:
        """Return the seconds until the items that are left are done; None: unknown."""
        first = self._old_marks[0]
        done = now.done - first.done
        return unfinished * (now.time - first.time) / done if done > 0 else None

    def _cost_at_end(self, done: int, cost: float | None, unfinished: int | None) -> Range | None:
        if cost is None:
            return None
        self._cost.record(done, cost)
        return None if unfinished is None else self._cost.at_end(cost, unfinished)
