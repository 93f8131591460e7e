"""Recorder: reads the values of a controller's parts, and adds what has changed to the history, with the reason."""

from __future__ import annotations

from .breaker import Breaker
from .concurrency_cap import ConcurrencyCap
from .dimensions import Dimensions
from .history import BUSY, CALLS, DELAYED, GATE, TOKENS, WORKERS, History
from .pacer import Pacer


class PaceRecorder:
    """Records the changes of the limit on calls in flight, of the two rates, and of the breaker."""

    def __init__(self, cap: ConcurrencyCap, dimensions: Dimensions, breaker: Breaker) -> None:
        self.history = History()
        self._cap, self._dimensions, self._breaker = cap, dimensions, breaker

    def start(self) -> None:
        """Set the values with which the parts start."""
        start = self.history.start
        start(WORKERS, int(self._cap.limit))
        start(CALLS, self._dimensions.requests.limit)
        start(TOKENS, self._dimensions.tokens.limit)
        start(GATE, 0.0)

    def record_limit(self, now: float, reason: str) -> None:
        """Record a change of the limit on calls in flight."""
        self.history.add(now, WORKERS, int(self._cap.limit), reason)

    def record_rate(self, now: float, pacer: Pacer, reason: str) -> None:
        """Record a change of one pacer's rate."""
        handle = TOKENS if pacer is self._dimensions.tokens else CALLS
        self.history.add(now, handle, pacer.rate.value, reason)

    def record_breaker(self, now: float, reason: str) -> None:
        """Record when the open breaker will let a probe start, or that it has closed."""
        breaker = self._breaker
        self.history.add(now, GATE, breaker.probe_at - now if breaker.is_open else 0.0, reason)

    def record_all(self, now: float, reason: str) -> None:
        """Record everything that has changed, for one reason."""
        add, breaker = self.history.add, self._breaker
        self.record_limit(now, reason)
        add(now, CALLS, self._dimensions.requests.limit, reason)
        add(now, TOKENS, self._dimensions.tokens.limit, reason)
        add(now, GATE, max(0.0, breaker.probe_at - now) if breaker.is_open else 0.0, reason)

    def record_growth(self, now: float) -> None:
        """Record what has grown in small steps, once it has grown by much."""
        history, dimensions = self.history, self._dimensions
        recorded, climb = history.recorded, history.climb
        if (limit := int(self._cap.limit)) != recorded[WORKERS]:
            climb(now, WORKERS, limit, BUSY)
        if (calls := dimensions.requests.rate.value) != recorded[CALLS]:
            climb(now, CALLS, calls, DELAYED)
        if (tokens := dimensions.tokens.rate.value) != recorded[TOKENS]:
            climb(now, TOKENS, tokens, DELAYED)
