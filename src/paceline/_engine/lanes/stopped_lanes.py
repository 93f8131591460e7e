"""Stopped lanes: lanes in which no calls start, or none is served, and the jobs that wait there in vain.

Rules owned here:

1. In an exhausted lane no more calls of the batches that run now are made. They have given it up: if it reopens, only new batches and
   single calls try it again.
2. A lane that its controller has shut reopens by itself. Its submitters are notified, so that they may refuse what would wait too long.
3. Jobs that cannot be called are dismissed soon: by the supervisor, a few at a time, because there may be a million of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..._core.fault import Fault
from ..._core.health.exhausted_lane import reopens_in
from ..loop.clock import Clock
from .job import Job
from .lane import Lane
from .submitter import Submitter
from .timers import Alarm


class StoppedLanes:
    """The lanes of one pool in which calls do not start or are not served.

    Args:
        clock: Clock of the pool's event loop.
        alarm: Wakes the supervisor.
        submitters: Whose items are called now. The scheduler adds and removes them.
    """

    def __init__(self, clock: Clock, alarm: Alarm, submitters: Sequence[Submitter[Job]]) -> None:
        self._clock = clock
        self._alarm = alarm
        self._submitters = submitters
        self._starving: dict[str, Lane[Job]] = {}
        self._unreachable: dict[str, Lane[Job]] = {}

    def exhaust(self, lane: Lane[Job], reason: Fault) -> None:
        """Start no more calls in a lane; items that wait there are settled with `reason`."""
        now = self._clock.now()
        wait = reopens_in(reason)
        lane.exhaust(reason, None if wait is None else now + wait, now)
        for submitter in self._submitters_in(lane):
            submitter.give_up_lane(lane, reason)
        self.look_at(lane)

    def heed_gate(self, lane: Lane[Job], now: float) -> None:
        """Tell the submitters if a lane's controller starts no calls until a later time than before."""
        if lane.look_at_gate(now):
            for submitter in self._submitters_in(lane):
                submitter.heed_shut(lane, now)

    def _submitters_in(self, lane: Lane[Job]) -> list[Submitter[Job]]:
        return [submitter for submitter in self._submitters if submitter.lanes.get(lane.quota) is lane]

    def forget(self, lane: Lane[Job]) -> None:
        """Forget a lane that is dropped."""
        self._starving.pop(lane.quota, None)
        self._unreachable.pop(lane.quota, None)

    # ------------------------------------------------------------------------------------------ lanes that serve nothing

    @property
    def starving(self) -> tuple[Lane[Job], ...]:
        """Lanes that refuse calls and serve none."""
        return tuple(self._starving.values()) if self._starving else ()

    def record_refusal(self, lane: Lane[Job]) -> None:
        """Record that a lane has refused a call, or has a job that another lane refused."""
        self._starving[lane.quota] = lane

    def record_served(self, lane: Lane[Job]) -> None:
        """Record that a lane has served a call."""
        if self._starving:
            self._starving.pop(lane.quota, None)

    # ------------------------------------------------------------------------------------------ jobs that cannot be called

    def look_at_lanes_of(self, submitter: Submitter[Job]) -> None:
        """Dismiss soon what waits of a submitter that has stopped."""
        for lane in submitter.lanes.values():
            self.look_at(lane)
        self._alarm.ring()

    def look_at(self, lane: Lane[Job]) -> None:
        """Dismiss soon what waits in a lane and cannot be called."""
        self._unreachable[lane.quota] = lane
        self._alarm.ring()

    def take_unreachable(self) -> Lane[Job] | None:
        """Return a lane with jobs that may have to be dismissed, and forget it; None: no lane has."""
        return self._unreachable.popitem()[1] if self._unreachable else None

    @property
    def has_unreachable(self) -> bool:
        """Whether there are lanes with jobs that may have to be dismissed."""
        return bool(self._unreachable)
