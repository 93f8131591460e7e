"""A rival that is a number of workers: each keeps its item through all its calls, and its place through the waits between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import anyio

from ..world import Client, Drive, Gauge
from .calls import Ending, Item, call


class Manner(Protocol):
    """What such a rival does around a call."""

    workers: int
    """Tasks, or threads."""

    def place(self) -> AbstractAsyncContextManager[object]:
        """Return what is held from an item's first call until its last."""
        ...

    async def before(self) -> None:
        """Wait until a call may start."""
        ...

    def after(self, ending: Ending, item: Item, hint: float | None) -> None:
        """Hear how a call ended."""
        ...

    def wait(self, ending: Ending, item: Item, hint: float | None) -> float | None:
        """Return the seconds until the item is called again, its place kept; None: it is given up."""
        ...

    def gauge(self) -> Gauge:
        """Return where its handles are."""
        ...


def driven_by(make: Callable[[Client], Manner]) -> Drive:
    """Return a rival of this kind; `make` is called for each client, in its event loop."""

    async def drive(client: Client) -> None:
        manner = make(client)
        client.gauge = manner.gauge
        prompts = client.prompts()
        async with anyio.create_task_group() as workers:
            for _ in range(manner.workers):
                workers.start_soon(_work, client, manner, prompts)

    return drive


async def _work(client: Client, manner: Manner, prompts: Iterator[str]) -> None:
    for prompt in prompts:
        async with manner.place():
            await _see_to(client, manner, Item(prompt))


async def _see_to(client: Client, manner: Manner, item: Item) -> None:
    while True:
        await manner.before()
        ending, hint = await call(client, item)
        manner.after(ending, item, hint)
        if ending is Ending.SERVED:
            return
        wait = manner.wait(ending, item, hint)
        if wait is None:
            client.log.lost += 1
            return
        await anyio.sleep(wait)
