"""Saturation: how calls share a server with a knee. Up to `knee` calls run at full speed, n above it at knee / n each.

Processor sharing in virtual work (as in Parekh and Gallager's fair queueing, 1993): a clock `done` counts the work that each present
call has received. A call with w seconds of work is complete when `done` has grown by w; that point does not move, however many calls
arrive and leave. Therefore:

1. The calls wait in a heap, ordered by the point at which they are complete; arriving and leaving cost O(log n).
2. Only the first call has a time to wake up at. When the speed changes that time is moved, and no other call is woken. A call that
   was first until a shorter one arrived wakes up once for nothing.
3. A change of the knee takes effect at its own time; the first call wakes up no later than that.
4. A cancelled call leaves at once, and the others run faster from then on.

`ProcessorSharing` is pure; `SharedServer` sleeps by it.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence

import anyio
import attrs

# Seconds: far below any latency, above the rounding of any clock. Work that is due within it counts as done: a virtual clock stands
# still until all tasks sleep, so a call that woke up too early by a rounding error would see the same time for ever.
_INSTANT = 1e-6


@attrs.define(eq=False)
class SharedCall:
    """A call that the server works on."""

    end: float
    """Virtual work in seconds at which it is complete."""
    is_gone: bool = False
    """Whether it has left the server."""


@attrs.frozen
class WakeUp:
    """The call that is complete first, and when to look at it again."""

    call: SharedCall
    time: float
    """Seconds."""


class ProcessorSharing:
    """The work that each call has received.

    Args:
        knees: Pairs of a time in seconds and the knee from then on, in order of time, the first at 0; inf for no knee.
    """

    def __init__(self, knees: Sequence[tuple[float, float]]) -> None:
        self._knee = knees[0][1]
        self._changes = deque(knees[1:])
        self._present = 0
        self._done = 0.0
        self._at = 0.0
        self._order = 0  # of arrival: the heap compares it if two calls are complete at the same point
        self._heap: list[tuple[float, int, SharedCall]] = []

    def join(self, now: float, work: float) -> SharedCall:
        """Add a call that takes `work` seconds at full speed."""
        self._advance(now)
        call = SharedCall(self._done + work)
        self._order += 1
        heapq.heappush(self._heap, (call.end, self._order, call))
        self._present += 1
        return call

    def leave(self, now: float, call: SharedCall) -> None:
        """Remove a call, complete or not."""
        self._advance(now)
        call.is_gone = True
        self._present -= 1
        while self._heap and self._heap[0][2].is_gone:
            heapq.heappop(self._heap)

    def is_complete(self, now: float, call: SharedCall) -> bool:
        """Whether the call has received its work."""
        self._advance(now)
        return call.end - self._done <= _INSTANT

    def wake_up(self, now: float) -> WakeUp | None:
        """Return when to look at the first call again; None if there are no calls."""
        if not self._heap:
            return None
        self._advance(now)
        call = self._heap[0][2]
        time = now + max(0.0, call.end - self._done) / self._speed()
        return WakeUp(call, min(time, self._changes[0][0]) if self._changes else time)

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
        knees: As for `ProcessorSharing`, in seconds from `origin`.
        origin: A time of the event loop's clock.
    """

    def __init__(self, knees: Sequence[tuple[float, float]], origin: float) -> None:
        self._sharing = ProcessorSharing(knees)
        self._origin = origin
        self._sleepers: dict[SharedCall, anyio.CancelScope] = {}

    async def work(self, seconds: float) -> None:
        """Return when the call has received `seconds` of work. It is a checkpoint; a cancelled call leaves at once."""
        call = self._sharing.join(self._now(), seconds)
        try:
            while True:
                with anyio.CancelScope() as scope:
                    self._sleepers[call] = scope
                    self._set_wake_up()
                    await anyio.Event().wait()
                if self._sharing.is_complete(self._now(), call):
                    return
        finally:
            del self._sleepers[call]
            self._sharing.leave(self._now(), call)
            self._set_wake_up()

    def _now(self) -> float:
        return anyio.current_time() - self._origin

    def _set_wake_up(self) -> None:
        if wake_up := self._sharing.wake_up(self._now()):
            self._sleepers[wake_up.call].deadline = self._origin + wake_up.time
