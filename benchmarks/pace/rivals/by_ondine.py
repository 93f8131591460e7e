"""ondine's own AdaptiveLimiter (after Netflix's Gradient2), driven as its LLMInvocationStage does, on a virtual asyncio clock.

A row keeps its slot through all its attempts and the waits between them, which are a part of the time that the limiter observes. A 429
is reported to the limiter; a 503 is not. The hint is used only with a token bucket, which the user would have to configure.
"""

from __future__ import annotations

import math
from contextlib import AbstractAsyncContextManager

import anyio
from ondine.utils.adaptive_limiter import AdaptiveLimiter  # type: ignore[import-not-found]  # not in this environment
from ondine.utils.retry_handler import RetryHandler  # type: ignore[import-not-found]  # as above

from ..world import Drive, Gauge
from .calls import Ending, Item
from .workers import driven_by


class _Stage:
    def __init__(self, most: int, attempts: int) -> None:
        # as its ConcurrencyController makes it: it starts with all that the user allows
        self._limiter = AdaptiveLimiter(min_limit=1, max_limit=most, initial_limit=most, monotonic=anyio.current_time)
        self._retries = RetryHandler(max_attempts=attempts)
        self.workers = most

    def place(self) -> AbstractAsyncContextManager[object]:
        place: AbstractAsyncContextManager[object] = self._limiter.slot(rtt_source=lambda: 0.0)
        return place

    async def before(self) -> None:
        """Start at once: only the slot is waited for."""

    def after(self, ending: Ending, item: Item, hint: float | None) -> None:
        if ending is Ending.REFUSED:
            self._limiter.on_rate_limit(hint or 0.0)

    def wait(self, ending: Ending, item: Item, hint: float | None) -> float | None:
        if item.tries >= self._retries.max_attempts:
            return None
        return float(self._retries.calculate_delay(min(item.tries, 30)))

    def gauge(self) -> Gauge:
        return Gauge(self._limiter.current_limit, math.inf)


def drive(most: int, attempts: int) -> Drive:
    """Return it as a contender: `most` requests in parallel, `attempts` for each row."""
    return driven_by(lambda _: _Stage(most, attempts))
