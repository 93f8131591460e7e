"""Event loops: one client for each loop that makes calls, and the one loop in which a user's client can be used.

Rules owned here:

1. What is made in an event loop is used in that loop only, also while other loops run in other threads.
2. The transport of a user's client keeps connections and locks of the loop that it was used in first. Another loop is refused before
   anything is sent. Only trio's loops can follow each other, as sockets there do not belong to a loop.
3. Strategies that share a transport share its connections.
"""

from __future__ import annotations

import sys
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

import trio
from anyio.lowlevel import EventLoopToken, current_token

from .._core.connections import Connections
from .._core.exceptions import ConfigurationError

V = TypeVar("V")


class PerLoop(Generic[V]):
    """A value for each event loop."""

    def __init__(self) -> None:
        self._values: dict[EventLoopToken, V] = {}

    def get(self) -> V | None:
        """Return the value of the running event loop; None if it has none."""
        return self._values.get(current_token())

    def set(self, value: V | None) -> None:
        """Set the value of the running event loop; None removes it."""
        if value is None:
            self._values.pop(current_token(), None)
        else:
            self._values[current_token()] = value


_loops: WeakKeyDictionary[Any, EventLoopToken] = WeakKeyDictionary()
_connections: WeakKeyDictionary[Any, Connections] = WeakKeyDictionary()


def bind_to_loop(transport: Any) -> None:
    """Bind a user's HTTP client to the running event loop, under rule 2.

    Raises:
        ConfigurationError: It was used in another loop.
    """
    here = current_token()
    first = _loops.setdefault(transport, here)
    if first == here:
        return
    if not (_is_finished_trio(first) and isinstance(here.native_token, trio.lowlevel.TrioToken)):
        raise ConfigurationError(
            "this client was used in another event loop, to which its connections belong: make a client and a strategy in each event loop, "
            "or a client without an HTTP client of its own, or give api_key and base_url in place of client"
        )
    _loops[transport] = here


def connections_of(transport: Any, url: str) -> Connections | None:
    """Return the connections that a user's HTTP client may open to a server; None: any number, or not known."""
    if transport not in _connections:
        limit = _limit_of(transport, url)
        if limit is None:
            return None
        return _connections.setdefault(transport, Connections(limit))
    return _connections[transport]


def without_pool_timeout(timeout: Any) -> Any:
    """Return the timeout of an HTTP client without that of its pool: it must not end a call that was never sent."""
    if isinstance(timeout, (int, float)):
        import httpx2  # noqa: PLC0415 - comes with the packages, which are extras

        return httpx2.Timeout(timeout, pool=None)
    if timeout is not None and getattr(timeout, "pool", None) is not None:
        return type(timeout)(connect=timeout.connect, read=timeout.read, write=timeout.write, pool=None)
    return timeout


def _limit_of(transport: Any, url: str) -> int | None:
    try:
        pool = transport._transport_for_url(type(transport.base_url)(url))._pool  # noqa: SLF001 - httpx has no public place for it
        limit = pool._max_connections  # noqa: SLF001 - as above
        if pool._http2 or type(limit) is not int or not 0 < limit < sys.maxsize:  # noqa: SLF001 - as above
            return None  # a connection of HTTP/2 carries many calls
    except Exception:  # noqa: BLE001 - a transport of another kind
        return None
    return limit


def _is_finished_trio(loop: EventLoopToken) -> bool:
    token = loop.native_token
    if not isinstance(token, trio.lowlevel.TrioToken):
        return False
    try:
        token.run_sync_soon(lambda: None)
    except trio.RunFinishedError:
        return True
    return False
