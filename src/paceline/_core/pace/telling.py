"""In which words is a change of the pace told?

The history keeps what it is given; this module reads where the parts stand, and gives it that with a reason.
"""

from __future__ import annotations

from .gate import Gate
from .handle import Handle
from .handles import Handles
from .history import CALLS, GATE, TOKENS, WORKERS, History
from .workers import Workers

_BUSY = "all workers are busy, and none is refused"
_HELD_BACK = "calls are held back, and none is refused"


class Telling:
    """What is told of the parts."""

    def __init__(self, workers: Workers, handles: Handles, gate: Gate) -> None:
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

    def rate(self, now: float, handle: Handle, reason: str) -> None:
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
