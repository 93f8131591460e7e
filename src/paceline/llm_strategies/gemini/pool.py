"""Connections for hundreds of calls at a time, at a cost for each that does not grow with their number.

An httpx2 pool looks at each of its connections whenever a request begins or ends. Here a client stands for as many pools as
are needed, each of a few connections.

1. A request goes to the first pool that has room. So a pool is used only while all before it are full, and there are never
   more connections than requests were in flight at some time.
2. There is always room: another pool is opened. It is the callers who limit the requests.
3. A pool tidies its connections only when it is used, so the last one is closed here once it has been out of use for as long
   as a connection may.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

import attrs
import httpx2
from anyio import CancelScope, current_time

CONNECTIONS = 16
"""Of each pool. Fewer: more pools to look through; more: more connections to look at."""
IDLE_SECONDS = 30.0
"""After which an unused connection is closed: below what load balancers allow."""

_LIMITS = httpx2.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=IDLE_SECONDS)


@attrs.define
class _Pool:
    client: httpx2.AsyncClient
    in_flight: int = 0
    idle_since: float = 0.0


@attrs.frozen
class PoolStatistics:
    """A snapshot."""

    pools: int
    in_flight: int


class ShardedClient(httpx2.AsyncClient):
    """Sends each request by one of several clients, all made with the same arguments.

    Takes what `httpx2.AsyncClient` takes, but `limits`. One `send` that streams counts as in flight until its headers are there.
    """

    def __init__(self, *, connections: int = CONNECTIONS, **arguments: Any) -> None:
        super().__init__(**arguments, limits=_LIMITS)
        self._arguments = arguments
        self._room = connections
        self._pools: list[_Pool] = []

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """Send a request; everything else is as httpx2 has it."""
        if self.is_closed:
            raise RuntimeError("cannot send a request, as the client has been closed")
        pool = self._with_room()
        pool.in_flight += 1
        try:
            if self._pools[-1] is not pool:
                await self._close_what_is_idle()
            return await pool.client.send(request, **options)
        finally:
            pool.in_flight -= 1
            if not pool.in_flight:
                pool.idle_since = current_time()

    def statistics(self) -> PoolStatistics:
        """Return a snapshot."""
        return PoolStatistics(len(self._pools), sum(pool.in_flight for pool in self._pools))

    async def aclose(self) -> None:
        """Close every connection."""
        await self._close_pools()
        await super().aclose()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self._close_pools()
        await super().__aexit__(exc_type, exc_value, traceback)

    async def _close_pools(self) -> None:
        pools, self._pools = self._pools, []
        for pool in pools:
            await pool.client.aclose()

    def _with_room(self) -> _Pool:
        for pool in self._pools:
            if pool.in_flight < self._room:
                return pool
        self._pools.append(_Pool(httpx2.AsyncClient(**self._arguments, limits=_LIMITS)))
        return self._pools[-1]

    async def _close_what_is_idle(self) -> None:
        last = self._pools[-1]
        if not last.in_flight and current_time() - last.idle_since > IDLE_SECONDS:
            self._pools.pop()
            with CancelScope(shield=True):  # it is in no list any more: nobody else would close it
                await last.client.aclose()
