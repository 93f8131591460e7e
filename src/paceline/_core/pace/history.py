"""What did the controller do, and why? The latest changes, explained.

Steps of one climb are one entry: the same handle, the same reason, one after the other.

In which words is a change of the pace told?

The history keeps what it is given; this module reads where the parts stand, and gives it that with a reason.

Which changes of a pace has nobody been told of yet?

Rules owned here:

1. Each change is told once, in the order of their times.
2. A controller may put one change in the place of its latest, a climb that went on, say: that is a change to be told.
3. A controller remembers only its latest changes. What it has forgotten is not told.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence

from .breaker import Breaker
from .concurrency_cap import ConcurrencyCap
from .dimensions import Dimensions
from .pacer import Pacer
from .signals import PaceChange

WORKERS, CALLS, TOKENS, GATE = "workers", "calls a second", "tokens a second", "gate"

_LENGTH = 200  # entries
_STEP = 1.05  # times: smaller climbs are not told


class History:
    """Bounded."""

    def __init__(self) -> None:
        self.changes: deque[PaceChange] = deque(maxlen=_LENGTH)
        self.told: dict[str, float] = {}
        """Where each handle was when it was last told."""

    def start(self, handle: str, value: float) -> None:
        """Set where a handle begins."""
        self.told[handle] = value

    def add(self, now: float, handle: str, new: float, reason: str) -> None:
        """Tell a change."""
        old = self.told.get(handle, new)
        self.told[handle] = new
        if new != old:
            self.changes.append(PaceChange(now, old, new, reason, handle))

    def climb(self, now: float, handle: str, new: float, reason: str) -> None:
        """Tell a change that comes in many small steps, if it has become a large one."""
        told = self.told.get(handle, new)
        if told == new or (told < math.inf and told / _STEP < new < told * _STEP):
            return
        self.told[handle] = new
        changes = self.changes
        if changes and changes[-1].handle == handle and changes[-1].reason == reason:
            told = changes.pop().old
        changes.append(PaceChange(now, told, new, reason, handle))


_BUSY = "all workers are busy, and none is refused"
_HELD_BACK = "calls are held back, and none is refused"


class PaceRecorder:
    """What is told of the parts."""

    def __init__(self, workers: ConcurrencyCap, handles: Dimensions, gate: Breaker) -> None:
        self.history = History()
        self._workers, self._handles, self._gate = workers, handles, gate

    def start(self) -> None:
        """Set where the parts begin."""
        start = self.history.start
        start(WORKERS, int(self._workers.limit))
        start(CALLS, self._handles.requests.limit)
        start(TOKENS, self._handles.tokens.limit)
        start(GATE, 0.0)

    def workers(self, now: float, reason: str) -> None:
        """Tell that the workers' limit has changed."""
        self.history.add(now, WORKERS, int(self._workers.limit), reason)

    def rate(self, now: float, handle: Pacer, reason: str) -> None:
        """Tell that a rate has changed."""
        name = TOKENS if handle is self._handles.tokens else CALLS
        self.history.add(now, name, handle.rate.value, reason)

    def gate(self, now: float, reason: str) -> None:
        """Tell when the gate opens, or that it has."""
        gate = self._gate
        self.history.add(now, GATE, gate.opens - now if gate.closed else 0.0, reason)

    def all(self, now: float, reason: str) -> None:
        """Tell of everything that has changed, for one reason."""
        add, gate = self.history.add, self._gate
        self.workers(now, reason)
        add(now, CALLS, self._handles.requests.limit, reason)
        add(now, TOKENS, self._handles.tokens.limit, reason)
        add(now, GATE, max(0.0, gate.opens - now) if gate.closed else 0.0, reason)

    def climbs(self, now: float) -> None:
        """Tell of what has grown by much, in small steps."""
        history, handles = self.history, self._handles
        told, climb = history.told, history.climb
        if (workers := int(self._workers.limit)) != told[WORKERS]:
            climb(now, WORKERS, workers, _BUSY)
        if (calls := handles.requests.rate.value) != told[CALLS]:
            climb(now, CALLS, calls, _HELD_BACK)
        if (tokens := handles.tokens.rate.value) != told[TOKENS]:
            climb(now, TOKENS, tokens, _HELD_BACK)


class UnreadChanges:
    """What is new in the history of one controller. Looking, where nothing is, costs no more than one comparison."""

    def __init__(self) -> None:
        self._told: list[PaceChange] = []  # the latest: of one time, the very last of them first

    def of(self, history: Sequence[PaceChange]) -> Sequence[PaceChange]:
        """Return the changes that were not among those it returned before, the oldest first; `history` is in order of time."""
        if not history or (self._told and history[-1] == self._told[0]):
            return ()
        since = self._told[0].time if self._told else -math.inf
        new = [change for change in _down_to(since, history) if change not in self._told]
        self._told = list(_down_to(history[-1].time, history))
        return new[::-1]


def _down_to(time: float, history: Sequence[PaceChange]) -> Iterator[PaceChange]:
    """Yield the changes of this time and later, the latest first."""
    for change in reversed(history):
        if change.time < time:
            return
        yield change
