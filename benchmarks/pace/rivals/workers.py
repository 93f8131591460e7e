"""A rival with a number of workers: each keeps its item through all calls, and its place through the waits between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import anyio

from ..world import Client, Drive, Gauge
from .calls import Ending, Item, call


class WorkerPolicy(Protocol):
    """The behaviour of such a rival around a call."""

    workers: int
    """Tasks, or threads."""

    def place(self) -> AbstractAsyncContextManager[object]:
        """Return the context that is held from an item's first call to its last."""
        ...

    async def before(self) -> None:
        """Wait until a call may start."""
        ...

    def after(self, ending: Ending, item: Item, hint: float | None) -> None:
        """Record how a call ended."""
        ...

    def wait(self, ending: Ending, item: Item, hint: float | None) -> float | None:
        """Return the seconds until the item is called again, with its place kept; None: it fails."""
        ...

    def gauge(self) -> Gauge:
        """Return the values of its handles."""
        ...


def driven_by(make: Callable[[Client], WorkerPolicy]) -> Drive:
    """Return a rival of this kind; `make` is called for each client, in its event loop."""

    async def drive(client: Client) -> None:
        policy = make(client)
        client.gauge = policy.gauge
        prompts = client.prompts()
        async with anyio.create_task_group() as workers:
            for _ in range(policy.workers):
                workers.start_soon(_work, client, policy, prompts)

    return drive


async def _work(client: Client, policy: WorkerPolicy, prompts: Iterator[str]) -> None:
    for prompt in prompts:
        async with policy.place():
            await _process(client, policy, Item(prompt))


async def _process(client: Client, policy: WorkerPolicy, item: Item) -> None:
    while True:
        await policy.before()
        ending, hint = await call(client, item)
        policy.after(ending, item, hint)
        if ending is Ending.SERVED:
            return
        wait = policy.wait(ending, item, hint)
        if wait is None:
            client.log.lost += 1
            return
        await anyio.sleep(wait)
