"""inspect_ai's own AdaptiveConcurrencyController, driven as its Model does: a connection is held through all retries."""

from __future__ import annotations

import math
from contextlib import AbstractAsyncContextManager
from types import SimpleNamespace

import anyio
from inspect_ai.util import _concurrency  # type: ignore[import-not-found]  # not in this environment

from ..world import Client, Drive, Gauge
from .calls import Ending, Item
from .workers import driven_by

_INITIAL, _JITTER, _LONGEST = 3.0, 3.0, 1800.0  # seconds: its wait_exponential_jitter
_BUFFER = 5  # samples that it runs in addition to those with a connection


class _Model:
    def __init__(self, client: Client, config: _concurrency.AdaptiveConcurrency) -> None:
        self._controller = _concurrency.AdaptiveConcurrencyController("simulated", config, visible=False)
        self._chance = client.chance
        self.workers = config.max + _BUFFER

    def place(self) -> AbstractAsyncContextManager[object]:
        place: AbstractAsyncContextManager[object] = self._controller.semaphore
        return place

    async def before(self) -> None:
        """Start at once: only the connection is waited for."""

    def after(self, ending: Ending, item: Item, hint: float | None) -> None:
        if ending is Ending.SERVED and item.tries == 1:
            self._controller.notify_success()
        elif ending is Ending.REFUSED:
            self._controller.notify_retry(hint)

    def wait(self, ending: Ending, item: Item, hint: float | None) -> float | None:
        return min(_LONGEST, _INITIAL * 2.0 ** min(item.tries - 1, 30) + self._chance.uniform(0, _JITTER))

    def gauge(self) -> Gauge:
        return Gauge(self._controller.concurrency, math.inf)


def drive(**bounds: int) -> Drive:
    """Return it as a contender; `bounds` are fields of its AdaptiveConcurrency."""
    _concurrency.time = SimpleNamespace(monotonic=anyio.current_time, time=anyio.current_time)
    return driven_by(lambda client: _Model(client, _concurrency.AdaptiveConcurrency(**bounds)))
