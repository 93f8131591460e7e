"""Open connection: sends a request over the idle connection of an httpx2 client, without the client.

A client adds authentication, cookies and redirects to each request, and its pool looks for a connection. A template's request needs none of
these, and they take a third of the CPU time of sending it.

Rules owned here:

1. The client opens the connection, with its proxy and its TLS, and closes it when it is idle or fails. Here it is only used.
2. A request goes through the client if its connection is not open and idle; if its URL has credentials; if the client's methods were
   wrapped or replaced, as by a package that traces each request; or if requests are logged at DEBUG.
3. Exceptions and replies are those of the client: of httpx2, and passed to the client's response hooks before the body is read.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from types import FunctionType
from typing import Any

import httpcore2
import httpx2

_HTTP_LOGGER = logging.getLogger("httpx2")


def open_connection(client: httpx2.AsyncClient, request: httpx2.Request) -> httpcore2.AsyncConnectionInterface | None:
    """Return the idle connection over which a client would send a request; None: the client must send it, under rule 2.

    The caller is the only user of the client.
    """
    if request.url.userinfo or _HTTP_LOGGER.isEnabledFor(logging.DEBUG) or not _is_original(client, "send"):
        return None
    try:
        transport: Any = client._transport_for_url(request.url)  # noqa: SLF001 - httpx2 has no public place for it
        pool: httpcore2.AsyncConnectionPool = transport._pool  # noqa: SLF001 - as above
        if not _is_original(transport, "handle_async_request"):
            return None
        for connection in pool.connections:
            if connection.is_idle() and not connection.has_expired():
                return connection
    except AttributeError:  # another transport, or another version of it
        return None
    return None


async def send_over(
    connection: httpcore2.AsyncConnectionInterface, client: httpx2.AsyncClient, request: httpx2.Request
) -> httpx2.Response:
    """Send a request over an idle connection; return the reply with its body.

    Raises:
        httpx2.HTTPError: The service could not be reached.
    """
    url = request.url
    target = httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    written = httpcore2.Request(
        request.method, target, headers=request.headers.raw, content=request.stream, extensions=request.extensions
    )
    with _errors_of_httpx2(request):
        answer = await connection.handle_async_request(written)
    response = httpx2.Response(
        answer.status,
        headers=answer.headers,
        stream=_Body(answer, request),
        request=request,
        extensions=answer.extensions,
    )
    try:
        for hook in client.event_hooks["response"]:
            await hook(response)
        await response.aread()
    except BaseException:
        await response.aclose()
        raise
    return response


class _Body(httpx2.AsyncByteStream):
    """The body of a reply, as it arrives."""

    def __init__(self, answer: httpcore2.Response, request: httpx2.Request) -> None:
        self._answer = answer
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        parts: Any = self._answer.stream
        with _errors_of_httpx2(self._request):
            async with aclosing(aiter(parts)) as received:
                async for part in received:
                    yield part

    async def aclose(self) -> None:
        """End the reply; a connection that has more of it to come is closed."""
        await self._answer.aclose()


@contextmanager
def _errors_of_httpx2(request: httpx2.Request) -> Iterator[None]:
    """Raise httpcore2's exceptions as the exceptions of httpx2 that have the same names."""
    try:
        yield
    except Exception as error:
        kind = getattr(httpx2, type(error).__name__, None)
        if not (isinstance(kind, type) and issubclass(kind, httpx2.TransportError)):
            raise
        raise kind(str(error), request=request) from error


def _is_original(owner: object, name: str) -> bool:
    """Whether a method of an httpx2 object is httpx2's own, and not wrapped or replaced."""
    method = getattr(type(owner), name)
    return (
        type(method) is FunctionType
        and method.__module__.startswith("httpx2.")
        and not hasattr(method, "__wrapped__")
        and name not in vars(owner)
    )
