"""A fixed pool of workers that retries as tenacity's users do: exponential back-off, jitter, Retry-After, without an end."""

from __future__ import annotations

import math
import random
from contextlib import AbstractAsyncContextManager, nullcontext

from ..world import Client, Drive, Gauge
from .calls import Ending, Item
from .workers import driven_by

_BASE, _LONGEST = 1.0, 60.0  # seconds


def backoff(chance: random.Random, tries: int, hint: float | None) -> float:
    """Return a wait that doubles with each try, plus or minus half; a hint is a minimum."""
    wait = min(_LONGEST, _BASE * 2.0 ** min(tries - 1, 30)) * chance.uniform(0.5, 1.5)
    return max(wait, hint or 0.0)


class FixedPool:
    """A fixed number of workers."""

    def __init__(self, client: Client, workers: int) -> None:
        self.workers = workers
        self._chance = client.chance
        self._place = nullcontext()

    def place(self) -> AbstractAsyncContextManager[object]:
        """Hold nothing: the worker is the place."""
        return self._place

    async def before(self) -> None:
        """Start at once."""

    def after(self, ending: Ending, item: Item, hint: float | None) -> None:
        """Learn nothing."""

    def wait(self, ending: Ending, item: Item, hint: float | None) -> float | None:
        """Back off."""
        return backoff(self._chance, item.tries, hint)

    def gauge(self) -> Gauge:
        """Return the constant number of workers."""
        return Gauge(self.workers, math.inf)


def drive(workers: int) -> Drive:
    """Return a pool as a contender."""
    return driven_by(lambda client: FixedPool(client, workers))
