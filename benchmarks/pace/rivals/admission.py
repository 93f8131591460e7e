"""A rival that admits call by call: a refused item gives up its place and is repeated later."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, Protocol

import anyio

from ..world import Client, Drive, Gauge
from .calls import Ending, Item, call


class Admission(Protocol):
    """The decisions of such a rival."""

    def admit(self, now: float) -> Any | float:
        """Return a pass for a call that starts now; or, as a float, when to ask again (inf: when a call has ended)."""
        ...

    def settle(self, admitted: Any, now: float, ending: Ending, hint: float | None) -> None:
        """Record how the call with this pass ended."""
        ...

    def keeps(self, ending: Ending, item: Item) -> float | None:
        """Return the seconds until the item is called again with its pass kept; None: the pass is given back."""
        ...

    def returns(self, ending: Ending, item: Item, hint: float | None) -> float:
        """Return the seconds until an item that gave its pass back may be called again."""
        ...

    def gauge(self) -> Gauge:
        """Return the values of its handles."""
        ...


def driven_by(make: Callable[[Client], Admission]) -> Drive:
    """Return a rival of this kind; `make` is called for each client, in its event loop."""

    async def drive(client: Client) -> None:
        await _Queue(client, make(client)).run()

    return drive


class _Queue:
    """The items that wait for admission."""

    def __init__(self, client: Client, admission: Admission) -> None:
        self._client = client
        self._admission = admission
        self._fresh: Iterator[str] = client.prompts()
        self._back: list[tuple[float, int, Item]] = []
        self._order = count()
        self._next: Item | None = None
        self._in_flight = 0
        self._changed = anyio.Event()
        client.gauge = admission.gauge

    async def run(self) -> None:
        async with anyio.create_task_group() as calls:
            while True:
                now = anyio.current_time()
                item = self._take(now)
                if item is None and not self._back and not self._in_flight:
                    return
                admitted = self._admission.admit(now) if item is not None else math.inf
                if item is None or isinstance(admitted, float):
                    await self._wait(min(admitted, self._back[0][0] if item is None and self._back else math.inf))
                    continue
                self._next = None
                self._in_flight += 1
                calls.start_soon(self._process, item, admitted)

    def _take(self, now: float) -> Item | None:
        """Return the next item, which stays the next until it is admitted."""
        if self._next is None:
            if self._back and self._back[0][0] <= now:
                self._next = heapq.heappop(self._back)[2]
            elif (prompt := next(self._fresh, None)) is not None:
                self._next = Item(prompt)
        return self._next

    async def _wait(self, at: float) -> None:
        self._changed = anyio.Event()
        with anyio.CancelScope(deadline=at):
            await self._changed.wait()

    async def _process(self, item: Item, admitted: Any) -> None:
        while True:
            ending, hint = await call(self._client, item)
            kept = None if ending is Ending.SERVED else self._admission.keeps(ending, item)
            if kept is None:
                break
            await anyio.sleep(kept)
        now = anyio.current_time()
        self._admission.settle(admitted, now, ending, hint)
        self._in_flight -= 1
        if ending is not Ending.SERVED:
            back = now + self._admission.returns(ending, item, hint)
            heapq.heappush(self._back, (back, next(self._order), item))
        self._changed.set()
