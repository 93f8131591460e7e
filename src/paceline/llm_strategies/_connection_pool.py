"""Connection pool for hundreds of concurrent calls, at a constant cost per call.

An httpx2 pool scans all its connections whenever a request starts or ends. `ShardedClient` distributes the requests over as
many small pools as it needs.

Rules owned here:

1. A request goes to the first pool that has room. So a pool is used only while all pools before it are full, and the number
   of connections never exceeds the largest number of concurrent requests so far.
2. The number of requests is not limited: if all pools are full, another is opened. Limiting is the callers' task.
3. A redirect is followed only on the same host, and only if the request stays the same: otherwise prompts and keys would go to a server that
   the user has not named, or the prompt would be lost. The response with the redirect is returned.
4. httpx2 logs each request at INFO. For requests from here that is done at DEBUG only: a batch has a million of them.
5. A pool closes idle connections only when it is used, so the last pool is closed here once it was idle for `IDLE_SECONDS`.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar
from types import TracebackType
from typing import Any

import attrs
import httpx2
from anyio import CancelScope, current_time

CONNECTIONS = 16
"""Connections of each pool. With fewer there are more pools to scan; with more, more connections in each."""
_MOST_REDIRECTS = 5  # in a row
IDLE_SECONDS = 30.0
"""Seconds after which an idle connection is closed: before load balancers close it."""

_LIMITS = httpx2.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=IDLE_SECONDS)

_is_pooled: ContextVar[bool] = ContextVar("_is_pooled", default=False)
"""Whether the current task sends a request from here."""


def _is_worth_logging(record: logging.LogRecord) -> bool:
    """Whether a record of httpx2 is logged (rule 4)."""
    return record.levelno != logging.INFO or not _is_pooled.get() or _HTTP_LOGGER.isEnabledFor(logging.DEBUG)


_HTTP_LOGGER = logging.getLogger("httpx2")
_HTTP_LOGGER.addFilter(_is_worth_logging)


@attrs.define
class _Pool:
    client: httpx2.AsyncClient
    in_flight: int = 0
    idle_since: float = 0.0


@attrs.frozen
class PoolStatistics:
    """A snapshot of a `ShardedClient`."""

    pools: int
    """Open pools."""
    in_flight: int
    """Requests in flight."""


class ShardedClient(httpx2.AsyncClient):
    """Sends each request through one of several clients, all made with the same arguments.

    Accepts the arguments of `httpx2.AsyncClient` except `limits` and `follow_redirects`. A streamed `send` is in flight until its headers arrive.
    """

    def __init__(self, *, connections: int = CONNECTIONS, **arguments: Any) -> None:
        super().__init__(**arguments, limits=_LIMITS)
        self._arguments = arguments
        self._connections = connections
        self._pools: list[_Pool] = []

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """Send a request, as `httpx2.AsyncClient.send` does."""
        if self.is_closed:
            raise RuntimeError("cannot send a request, as the client has been closed")
        pool = self._pool_with_room()
        pool.in_flight += 1
        token = _is_pooled.set(True)
        try:
            if self._pools[-1] is not pool:
                await self._close_idle_pool()
            return await _send(pool.client, request, {**options, "follow_redirects": False})
        finally:
            _is_pooled.reset(token)
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

    def _pool_with_room(self) -> _Pool:
        for pool in self._pools:
            if pool.in_flight < self._connections:
                return pool
        self._pools.append(_Pool(httpx2.AsyncClient(**self._arguments, limits=_LIMITS)))
        return self._pools[-1]

    async def _close_idle_pool(self) -> None:
        last = self._pools[-1]
        if not last.in_flight and current_time() - last.idle_since > IDLE_SECONDS:
            self._pools.pop()
            with CancelScope(shield=True):  # the list no longer holds it, so no other caller would close it
                await last.client.aclose()


async def _send(client: httpx2.AsyncClient, request: httpx2.Request, options: dict[str, Any]) -> httpx2.Response:
    """Send a request, under rule 3."""
    response = await client.send(request, **options)
    for _ in range(_MOST_REDIRECTS):
        following = response.next_request
        if following is None or following.method != request.method or not _is_same_server(request.url, following.url):
            break
        await response.aclose()
        response = await client.send(following, **options)
    return response


def _is_same_server(url: httpx2.URL, other: httpx2.URL) -> bool:
    """Whether two URLs name the same server, or the second the same host with encryption."""
    is_encrypted = (url.scheme, url.port, other.scheme, other.port) == ("http", None, "https", None)
    return url.host == other.host and (is_encrypted or (url.scheme, url.port) == (other.scheme, other.port))
