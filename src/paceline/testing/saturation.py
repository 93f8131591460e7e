"""How calls share a server that has a knee: up to `knee` at full speed, n above it at knee / n each.

Processor sharing in virtual work (as in Parekh and Gallager's fair queueing, 1993): a clock `done` counts the work that
each call present has been given. A call that brings w seconds of work ends when `done` has grown by w; that point never
moves, however many come and go. So:

1. The calls wait in a heap, ordered by the point at which they end; coming and going cost O(log n).
2. Only the first has a time to wake at. When the speed changes that time is moved; nobody is woken to recompute. One that
   was first, and had a shorter call pushed before it, wakes once for nothing.
3. A change of the knee happens at its own time; the first wakes no later than that.
4. A call that is cancelled leaves at once, and what remains goes on faster from then.

`Sharing` is pure; `SharedServer` sleeps by it.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence

import anyio
import attrs

# Seconds; far below any latency, above the rounding of any clock. What is due within it is done, for a virtual clock
# stands still until its sleepers sleep on: one that woke a rounding too early would look at the same time for ever.
_INSTANT = 1e-6


@attrs.define(eq=False)
class Place:
    """A call that is being worked on."""

    end: float
    """The point of virtual work at which it is served."""
    left: bool = False


@attrs.frozen
class Alarm:
    """Who is served next, and when to look again."""

    place: Place
    time: float


class Sharing:
    """The books of the server.

    Args:
        knees: from when on which knee holds, in order of time, the first at 0; inf for none.
    """

    def __init__(self, knees: Sequence[tuple[float, float]]) -> None:
        self._knee = knees[0][1]
        self._changes = deque(knees[1:])
        self._present = 0
        self._done = 0.0
        self._at = 0.0
        self._order = 0  # of arrival: a heap compares it where two calls end at one point
        self._heap: list[tuple[float, int, Place]] = []

    def join(self, now: float, work: float) -> Place:
        """Let a call in that takes `work` seconds at full speed."""
        self._advance(now)
        place = Place(self._done + work)
        self._order += 1
        heapq.heappush(self._heap, (place.end, self._order, place))
        self._present += 1
        return place

    def leave(self, now: float, place: Place) -> None:
        """Let a call go, served or not."""
        self._advance(now)
        place.left = True
        self._present -= 1
        while self._heap and self._heap[0][2].left:
            heapq.heappop(self._heap)

    def served(self, now: float, place: Place) -> bool:
        """Whether the call has had its work."""
        self._advance(now)
        return place.end - self._done <= _INSTANT

    def alarm(self, now: float) -> Alarm | None:
        """Return when to look at the first call again; None when there is none."""
        if not self._heap:
            return None
        self._advance(now)
        place = self._heap[0][2]
        time = now + max(0.0, place.end - self._done) / self._speed()
        return Alarm(place, min(time, self._changes[0][0]) if self._changes else time)

    def _speed(self) -> float:
        return min(1.0, self._knee / max(1, self._present))

    def _advance(self, now: float) -> None:
        while self._changes and self._changes[0][0] - now <= _INSTANT:
            at, knee = self._changes.popleft()
            self._work_until(min(at, now))
            self._knee = knee
        self._work_until(now)

    def _work_until(self, now: float) -> None:
        if self._present:
            self._done += (now - self._at) * self._speed()
        self._at = now


class SharedServer:
    """A server with a knee.

    Args:
        knees: as for `Sharing`, in seconds from `origin`.
        origin: a time of the event loop's clock.
    """

    def __init__(self, knees: Sequence[tuple[float, float]], origin: float) -> None:
        self._sharing = Sharing(knees)
        self._origin = origin
        self._sleepers: dict[Place, anyio.CancelScope] = {}

    async def work(self, seconds: float) -> None:
        """Return when the call has had `seconds` of work. A checkpoint; cancelled, it leaves at once."""
        place = self._sharing.join(self._now(), seconds)
        try:
            while True:
                with anyio.CancelScope() as scope:
                    self._sleepers[place] = scope
                    self._set_alarm()
                    await anyio.Event().wait()
                if self._sharing.served(self._now(), place):
                    return
        finally:
            del self._sleepers[place]
            self._sharing.leave(self._now(), place)
            self._set_alarm()

    def _now(self) -> float:
        return anyio.current_time() - self._origin

    def _set_alarm(self) -> None:
        if alarm := self._sharing.alarm(self._now()):
            self._sleepers[alarm.place].deadline = self._origin + alarm.time
