"""Connection failures: says in words why a server could not be reached, and which.

Rules owned here:

1. The reason is the first one known in the chain of causes of an exception, and in the members of its groups.
2. Of the server's address only the scheme, the host and the port are named: the rest may hold a key.
3. A certificate that is not trusted is the reason, whatever was raised over it.
4. An error that came with an HTTP status is no failure of the connection, and neither is a timeout after the connection was made.
5. Nothing here raises, even if a foreign exception does so when it is read.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

_MOST_CAUSES = 30  # exceptions of a chain that are read
_HTTP_CLIENTS = ("httpx", "httpx2", "httpcore", "httpcore2")
_UNREACHABLE = {
    *("EHOSTUNREACH", "EHOSTDOWN", "ENETUNREACH", "ENETDOWN", "EADDRNOTAVAIL", "EAFNOSUPPORT"),
}
_CLOSED_TYPES = {
    *(f"{client}.{name}" for client in _HTTP_CLIENTS for name in ("RemoteProtocolError", "ReadError", "WriteError")),
    *("h11._util.RemoteProtocolError", "trio.BrokenResourceError", "anyio.BrokenResourceError", "anyio.EndOfStream"),
    "aiohttp.client_exceptions.ServerDisconnectedError",
}
_TIMEOUT_TYPES = {
    *(f"{client}.ConnectTimeout" for client in _HTTP_CLIENTS),
    *("requests.exceptions.ConnectTimeout", "aiohttp.client_exceptions.ConnectionTimeoutError"),
}
_OTHER_TYPES = {  # of these the reason is not known
    *(f"{client}.{name}" for client in _HTTP_CLIENTS for name in ("ConnectError", "ProxyError")),
    *(
        "openai.APIConnectionError",
        "anthropic.APIConnectionError",
        "anyio.ConnectionFailed",
        "builtins.ConnectionError",
    ),
    *("aiohttp.client_exceptions.ClientConnectorError", "requests.exceptions.ConnectionError", "urllib.error.URLError"),
}
_UNTRUSTED_TYPES = {"aiohttp.client_exceptions.ClientConnectorCertificateError"}
_NOT_BY_TYPE = {"openai.APITimeoutError", "anthropic.APITimeoutError"}  # subclasses of errors of the connection


def connection_failure(error: BaseException, describe: Callable[[BaseException], str]) -> str | None:
    """Return why the server of a call could not be reached: `connection refused by http://127.0.0.1:9 (ConnectError)`.

    None if the exception says nothing of the connection.

    Args:
        error: Exception that the strategy raised.
        describe: Returns the type and the message of an exception.
    """
    chain = list(_chain(error))
    address = next(filter(None, map(_address_of, chain)), None)
    server = address or "the server"
    untrusted = next(filter(None, map(_reason_of_distrust, chain)), None)
    if untrusted is not None:
        return f"the certificate of {server} is not trusted: {untrusted}"
    reason = next(filter(None, (_reason(one, server) for one in chain)), None)
    if reason is None and any(_is_any(one, _OTHER_TYPES) and not _is_any(one, _NOT_BY_TYPE) for one in chain):
        return f"{server} cannot be reached ({describe(error)})"
    if reason is None:
        return None
    return f"{reason} ({type(error).__name__ if address else describe(error)})"


def is_untrusted(error: BaseException) -> bool:
    """Whether a server was not called because its certificate is not trusted."""
    return any(_reason_of_distrust(one) is not None for one in _chain(error))


def _reason_of_distrust(error: BaseException) -> str | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        return str(getattr(error, "verify_message", None) or error)
    return str(error) if _is_any(error, _UNTRUSTED_TYPES) else None


def _reason(error: BaseException, server: str) -> str | None:  # noqa: PLR0911 - a table, one line per reason
    name = errno.errorcode.get(error.errno or 0) if isinstance(error, OSError) else None
    host = (urlsplit(server).hostname or "") if "://" in server else ""
    if isinstance(error, socket.gaierror):
        return f"the name {host} cannot be resolved" if host else "the name of the server cannot be resolved"
    if name == "ECONNREFUSED":
        return f"connection refused by {server}"
    if name in _UNREACHABLE:
        return f"{server} cannot be reached: {getattr(error, 'strerror', None) or name}"
    if isinstance(error, ssl.SSLError):
        return f"no TLS connection to {server}: {getattr(error, 'reason', None) or error}"
    if _is_any(error, _TIMEOUT_TYPES):
        return f"{server} does not answer: connecting to it timed out"
    if isinstance(error, (ConnectionResetError, BrokenPipeError)) or _is_any(error, _CLOSED_TYPES):
        return f"the connection was closed by {server} before the answer was complete"
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, its causes and the members of groups, each once; httpcore suppresses the cause that says why."""
    pending, seen = [error], set[int]()
    while pending and len(seen) < _MOST_CAUSES:
        one = pending.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        if isinstance(one, BaseExceptionGroup):
            pending.extend(one.exceptions)
        pending.extend(cause for cause in (one.__cause__, one.__context__) if cause is not None)


def _address_of(error: BaseException) -> str | None:
    """Return the scheme, host and port of the request of an exception; None if it has none."""
    try:
        url = urlsplit(str(getattr(error, "request").url))  # noqa: B009 - a foreign property, which may raise anything
        if not url.scheme or not url.hostname:
            return None
        host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
        return f"{url.scheme}://{host}" + ("" if url.port is None else f":{url.port}")
    except Exception:  # noqa: BLE001 - rule 5
        return None


def _is_any(error: BaseException, names: set[str]) -> bool:
    return any(f"{ancestor.__module__}.{ancestor.__qualname__}" in names for ancestor in type(error).__mro__)
