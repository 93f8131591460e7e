"""Connection pool for hundreds of concurrent calls, at a constant cost per call.

An httpx2 pool scans all its connections whenever a request starts or ends, and asks the system about each idle one. `ShardedClient`
gives every connection a pool of its own, and keeps the pools that are free on a stack.

Rules owned here:

1. A request takes the pool that became free last. So the number of connections never exceeds the largest number of concurrent requests
   so far, and those that are not needed stay idle.
2. The number of requests is not limited: if no pool is free, another is opened. Limiting is the callers' task.
3. No redirect is followed: an attempt is one request, and keys and prompts go to no server but the one that the user has named. The response
   with the redirect is returned.
4. httpx2 logs each request at INFO. For requests from here that is done at DEBUG only: a batch has a million of them.
5. The body of a reply is bounded (see `_reply_limit`), before any other hook reads it.
6. One response answers one request: a connection on which more has come than the response is closed, or the rest would be taken for the answer to the
   next request.
7. A pool closes an idle connection only when it is used, so each request closes the pool that is idle for longest, once that is more than
   `IDLE_SECONDS`.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from http import HTTPStatus
from types import TracebackType
from typing import Any

import attrs
import httpx2
from anyio import CancelScope, current_time

from ._open_connection import open_connection, send_over
from ._reply_limit import ENCODING, ReplyLimit, reply_limit

IDLE_SECONDS = 30.0
"""Seconds after which an idle connection is closed: before load balancers close it."""

_LIMITS = httpx2.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=IDLE_SECONDS)

_is_pooled: ContextVar[bool] = ContextVar("_is_pooled", default=False)
"""Whether the current task sends a request from here."""


def _is_worth_logging(record: logging.LogRecord) -> bool:
    """Whether a record of httpx2 is logged (rule 4)."""
    return record.levelno != logging.INFO or not _is_pooled.get() or _HTTP_LOGGER.isEnabledFor(logging.DEBUG)


@attrs.frozen
class _Recorder:
    requests: list[httpx2.Request] = attrs.field(factory=list)
    outcome: httpx2.Response | Exception | None = None

    def record(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        if self.outcome is not None:
            self.outcome.request = request  # a package reads from it what was asked for
        return self.outcome or httpx2.Response(HTTPStatus.OK, json={}, request=request)


_recorder: ContextVar[_Recorder | None] = ContextVar("_recorder", default=None)
"""Where the requests of the current task are recorded; None: they are sent."""


@contextmanager
def recorded(outcome: httpx2.Response | Exception | None = None) -> Iterator[list[httpx2.Request]]:
    """Record the requests that the current task makes through a `ShardedClient`: they are not sent.

    Args:
        outcome: Answer to each, or exception that it raises; None: the answer is `{}`.
    """
    recorder = _Recorder(outcome=outcome)
    token = _recorder.set(recorder)
    try:
        yield recorder.requests
    finally:
        _recorder.reset(token)


_logger = logging.getLogger("paceline")
_HTTP_LOGGER = logging.getLogger("httpx2")
_HTTP_LOGGER.addFilter(_is_worth_logging)


@attrs.define(eq=False)
class _Pool:
    client: httpx2.AsyncClient
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

    Raises:
        ConfigurationError: The environment has an invalid limit of replies.
    """

    def __init__(self, **arguments: Any) -> None:
        hooks = arguments.get("event_hooks", {})
        bounded = [ReplyLimit(reply_limit()), *hooks.get("response", ())]
        arguments["event_hooks"] = {**hooks, "response": bounded}
        arguments["headers"] = {"accept-encoding": ENCODING} | dict(arguments.get("headers") or {})
        super().__init__(**arguments, limits=_LIMITS)
        self._arguments = arguments
        self._free: deque[_Pool] = deque()
        """Pools without a request, the one that is idle for longest first."""
        self._busy: set[_Pool] = set()

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """Send a request, as `httpx2.AsyncClient.send` does."""
        return await self._send(request, {**options, "follow_redirects": False}, is_written=False)

    async def send_written(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request to which nothing is to be added, such as a template's: over the open connection, if there is one (`_open_connection`)."""
        return await self._send(request, {"follow_redirects": False}, is_written=True)

    async def _send(self, request: httpx2.Request, options: dict[str, Any], *, is_written: bool) -> httpx2.Response:
        if self.is_closed:
            raise RuntimeError("cannot send a request, as the client has been closed")
        if (recorder := _recorder.get()) is not None:
            return recorder.record(request)
        pool = self._free.pop() if self._free else _Pool(httpx2.AsyncClient(**self._arguments, limits=_LIMITS))
        self._busy.add(pool)
        token = _is_pooled.set(True)
        try:
            if self._free and current_time() - self._free[0].idle_since > IDLE_SECONDS:
                await self._close_idle_pool()
            connection = open_connection(pool.client, request) if is_written else None
            if connection is not None:
                return await send_over(connection, pool.client, request)
            return await pool.client.send(request, **options)
        finally:
            _is_pooled.reset(token)
            if pool in self._busy:  # not closed meanwhile
                self._busy.remove(pool)
                if has_unread_bytes(pool.client):
                    _logger.warning("%s sent more than one response; the connection is closed", request.url.host)
                    with CancelScope(shield=True):
                        await pool.client.aclose()
                else:
                    pool.idle_since = current_time()
                    self._free.append(pool)

    def statistics(self) -> PoolStatistics:
        """Return a snapshot."""
        return PoolStatistics(len(self._free) + len(self._busy), len(self._busy))

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
        pools = [*self._free, *self._busy]
        self._free.clear()
        self._busy.clear()
        for pool in pools:
            await pool.client.aclose()

    async def _close_idle_pool(self) -> None:
        pool = self._free.popleft()
        with CancelScope(shield=True):  # no list holds it any more, so no other caller would close it
            await pool.client.aclose()


def has_unread_bytes(client: httpx2.AsyncClient) -> bool:
    """Whether a connection of a client holds bytes behind the last response that it has read.

    Bytes that arrive later are found when the connection is used again: the client then closes one that is readable. Neither httpx2 nor httpcore2
    has a public place for those that were read already.
    """
    for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001 - as above
        pool = getattr(transport, "_pool", None)
        for connection in pool.connections if pool is not None else ():
            state = getattr(getattr(connection, "_connection", None), "_h11_state", None)
            if state is not None and state.trailing_data[0]:
                return True
    return False
