"""botocore's adaptive retry mode: its own rate limiter, cubic calculator, token bucket and retry quota, on another clock.

A worker is a thread: it keeps its item through its attempts and sleeps between them; then the item fails. Its bucket blocks
a thread, so here the workers wait for it one after the other, in order.
"""

from __future__ import annotations

import math
from contextlib import AbstractAsyncContextManager, nullcontext

import anyio
from botocore.exceptions import CapacityNotAvailableError  # type: ignore[import-not-found]  # not in this environment
from botocore.retries import adaptive, bucket, quota, standard, throttling  # type: ignore[import-not-found]  # as above

from ..world import Client, Drive, Gauge
from .calls import Ending, Item
from .workers import driven_by

_LONGEST = 20.0  # seconds


class _Clock:
    def current_time(self) -> float:
        return anyio.current_time()


class _Detector:
    def is_throttling_error(self, *, refused: bool) -> bool:
        return refused


class _AdaptiveMode:
    def __init__(self, client: Client, threads: int, attempts: int) -> None:
        clock = _Clock()
        self.workers = threads
        self._attempts = attempts
        self._chance = client.chance
        self._bucket = bucket.TokenBucket(max_rate=1, clock=clock)
        self._limiter = adaptive.ClientRateLimiter(
            rate_adjustor=throttling.CubicCalculator(starting_max_rate=0, start_time=clock.current_time()),
            rate_clocker=adaptive.RateClocker(clock),
            token_bucket=self._bucket,
            throttling_detector=_Detector(),
            clock=clock,
        )
        self._quota = quota.RetryQuota()
        self._paid: dict[int, int] = {}
        self._turn = anyio.Lock()
        self._changed = anyio.Event()
        self._thread = nullcontext()

    def place(self) -> AbstractAsyncContextManager[object]:
        return self._thread

    async def before(self) -> None:
        if not self._limiter._enabled:  # noqa: SLF001 - as its on_sending_request does
            return
        async with self._turn:
            while True:
                try:
                    self._bucket.acquire(block=False)
                except CapacityNotAvailableError:
                    self._changed = anyio.Event()
                    with anyio.move_on_after(max(1e-6, self._bucket._sleep_amount(1))):  # noqa: SLF001 - as above
                        await self._changed.wait()
                else:
                    return

    def after(self, ending: Ending, item: Item, hint: float | None) -> None:
        self._limiter.on_receiving_response(refused=ending is Ending.REFUSED)
        self._changed.set()
        if ending is Ending.SERVED:
            self._quota.release(self._paid.pop(id(item), standard.RetryQuotaChecker._NO_RETRY_INCREMENT))  # noqa: SLF001 - as above

    def wait(self, ending: Ending, item: Item, hint: float | None) -> float | None:
        refused = ending is Ending.REFUSED
        cost = standard.RetryQuotaChecker._THROTTLING_RETRY_COST if refused else standard.RetryQuotaChecker._RETRY_COST  # noqa: SLF001 - as above
        if item.tries >= self._attempts or not self._quota.acquire(cost):
            self._paid.pop(id(item), None)
            return None
        self._paid[id(item)] = cost
        base = 1.0 if refused else 0.05
        return self._chance.random() * min(_LONGEST, base * 2.0 ** (item.tries - 1))

    def gauge(self) -> Gauge:
        return Gauge(self.workers, self._bucket.max_rate if self._limiter._enabled else math.inf)  # noqa: SLF001 - as above


def drive(threads: int, attempts: int) -> Drive:
    """Return it as a contender."""
    return driven_by(lambda client: _AdaptiveMode(client, threads, attempts))
