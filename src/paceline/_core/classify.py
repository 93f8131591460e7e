"""Classification: decides which fault an exception is.

Rules owned here:

1. What the strategy states (`CallError`) has priority; then a code of the provider or of HTTP, on the exception or on its
   `response`; then the type of the exception. The text of its message never counts.
2. A group of exceptions that has no kind of its own has the kind of its gravest member.
3. Hints are not trusted: a wait that is not a positive, finite number of seconds is ignored. A refusal by a limit of zero or for a
   day is an exhausted quota and not throttling, whatever wait is requested with it.
4. An unknown exception is a bug, so that a mistake of the caller is not paid for repeatedly.
5. Nothing here raises, even if a foreign exception does so when it is read.

Types are compared by name, as no client and no validator is a dependency. The name of any base class counts, so subclasses have
the kind of their bases.
"""

from __future__ import annotations

import contextlib
import enum
import errno
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, TypeAlias

from .exceptions import CallError
from .fault import Fault, FaultKind
from .provider_hints import google_quota, header_quota, names_bad_key, response_time
from .quota import QuotaHint, positive_number

ErrorReader: TypeAlias = Callable[[BaseException], Fault | None]
"""Reads an exception that is not a `CallError` by the rules of one provider; None leaves it to the rules of this module."""

_GRAVITY = (  # gravest first: what ends most, then what a retry cannot cure, then what it can
    FaultKind.DENIED,
    FaultKind.EXHAUSTED,
    FaultKind.BUG,
    FaultKind.CANCELLED,
    FaultKind.REJECTED,
    FaultKind.REFUSED,
    FaultKind.SKIPPED,
    FaultKind.PENDING,
    FaultKind.INVALID,
    FaultKind.TRUNCATED,
    FaultKind.TIMEOUT,
    FaultKind.TRANSIENT,
    FaultKind.OVERLOADED,
    FaultKind.THROTTLED,
)
_BY_STATUS = {
    401: FaultKind.DENIED,
    402: FaultKind.EXHAUSTED,
    403: FaultKind.DENIED,
    407: FaultKind.DENIED,
    408: FaultKind.TIMEOUT,
    429: FaultKind.THROTTLED,
    499: FaultKind.TRANSIENT,
    503: FaultKind.OVERLOADED,
    504: FaultKind.TIMEOUT,
    529: FaultKind.OVERLOADED,
}
_BY_WORD = {  # these are more specific than the status that they come with
    "insufficient_quota": FaultKind.EXHAUSTED,
    "slow_down": FaultKind.THROTTLED,
}
_GRPC = {  # these count if there is no HTTP status
    FaultKind.THROTTLED: "RESOURCE_EXHAUSTED",
    FaultKind.OVERLOADED: "UNAVAILABLE",
    FaultKind.TIMEOUT: "DEADLINE_EXCEEDED",
    FaultKind.TRANSIENT: "ABORTED CANCELLED DATA_LOSS INTERNAL UNKNOWN",
    FaultKind.DENIED: "PERMISSION_DENIED UNAUTHENTICATED",
    FaultKind.REJECTED: "ALREADY_EXISTS FAILED_PRECONDITION INVALID_ARGUMENT NOT_FOUND OUT_OF_RANGE UNIMPLEMENTED",
}
_NAMES = {
    FaultKind.CANCELLED: """
        asyncio.exceptions.CancelledError trio.Cancelled concurrent.futures._base.CancelledError
        anyio.TaskCancelled anyio.FutureCancelled""",
    FaultKind.INVALID: """
        pydantic_core._pydantic_core.ValidationError pydantic.error_wrappers.ValidationError
        pydantic.v1.error_wrappers.ValidationError cattrs.errors.BaseValidationError
        cattrs.errors.ForbiddenExtraKeysError msgspec.DecodeError json.decoder.JSONDecodeError""",
    FaultKind.TIMEOUT: """
        builtins.TimeoutError trio.TooSlowError httpx.TimeoutException httpx2.TimeoutException
        httpcore.TimeoutException httpcore2.TimeoutException aiohttp.client_exceptions.ServerTimeoutError
        requests.exceptions.ConnectTimeout requests.exceptions.Timeout
        openai.APITimeoutError anthropic.APITimeoutError""",
    FaultKind.TRANSIENT: """
        builtins.ConnectionError builtins.EOFError socket.gaierror socket.herror ssl.SSLError
        trio.BrokenResourceError anyio.BrokenResourceError anyio.EndOfStream anyio.IncompleteRead
        anyio.ConnectionFailed h11._util.RemoteProtocolError
        httpx.NetworkError httpx.ProtocolError httpx.ProxyError httpx.DecodingError
        httpx2.NetworkError httpx2.ProtocolError httpx2.ProxyError httpx2.DecodingError
        httpcore.NetworkError httpcore.ProtocolError httpcore.ProxyError
        httpcore2.NetworkError httpcore2.ProtocolError httpcore2.ProxyError
        aiohttp.client_exceptions.ClientConnectionError aiohttp.client_exceptions.ClientPayloadError
        aiohttp.client_exceptions.ContentTypeError
        requests.exceptions.ConnectionError requests.exceptions.ChunkedEncodingError
        requests.exceptions.ContentDecodingError urllib.error.URLError
        openai.APIConnectionError anthropic.APIConnectionError""",
    # Their base classes are passing failures, but no retry cures these.
    FaultKind.BUG: "ssl.SSLCertVerificationError aiohttp.client_exceptions.ClientConnectorCertificateError",
}
_BY_GRPC = {name: kind for kind, names in _GRPC.items() for name in names.split()}
_BY_NAME = {name: kind for kind, names in _NAMES.items() for name in names.split()}
_NETWORK = {
    *("EHOSTUNREACH", "EHOSTDOWN", "ENETUNREACH", "ENETDOWN", "ENETRESET", "ENOTCONN", "EADDRNOTAVAIL"),
    *("ENOBUFS", "EMFILE", "ENFILE"),  # too many sockets: fewer calls cure it
}
_STATUS = re.compile(r"\s*([45]\d\d)(?:\s.*)?", re.ASCII | re.DOTALL)
_LONGEST_TEXT = 16_000  # characters of a foreign text that are read
_MOST_HEADERS = 1_000


def classify(error: BaseException, *, wall_time: float, read: ErrorReader | None = None) -> Fault:
    """Return the fault for an exception.

    Args:
        error: Exception that the strategy raised.
        wall_time: Wall-clock time in seconds since 1970, for an HTTP date in Retry-After.
        read: Function that reads an exception by a provider's own rules; called for each member of a group.
    """
    try:
        faults = [_fault_of(member, wall_time, read) for member in _members(error)]
        return min(faults, key=lambda fault: (_GRAVITY.index(fault.kind), -(fault.retry_after or 0.0)))
    except Exception as mistake:  # noqa: BLE001 - rule 5: a foreign object may raise anything
        return Fault(FaultKind.BUG, f"{describe(error)} (not classified: {describe(mistake)})")


def describe(error: BaseException) -> str:
    """Return the name of an exception's type and its message, as text that can be encoded in UTF-8."""
    name = attribute(type(error), "__name__") or "exception"
    try:
        text = str(error)[:_LONGEST_TEXT].encode("utf-8", "backslashreplace").decode()
    except Exception:  # noqa: BLE001 - a foreign __str__ may raise anything
        text = ""
    return f"{name}: {text}" if text else str(name)


def of_status(status: int) -> FaultKind:
    """Return the kind of fault for an HTTP status. One below 400 came without a usable answer: a passing failure."""
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return FaultKind.REJECTED if 400 <= status < 500 else FaultKind.TRANSIENT  # noqa: PLR2004 - HTTP's own bounds


def status_of(error: BaseException) -> int | None:
    """Return the HTTP error status of an exception, if any."""
    for code in _codes(error):
        match = _STATUS.fullmatch(code) if isinstance(code, str) else None
        number = int(match[1]) if match else code
        if isinstance(number, int) and 400 <= number <= 599:  # noqa: PLR2004 - HTTP's own bounds
            return int(number)
    return None


def _members(error: BaseException) -> Iterator[BaseException]:
    pending = [error]
    while pending:
        member = pending.pop()
        if isinstance(member, BaseExceptionGroup) and _kind(member) is None:
            pending.extend(member.exceptions)
        else:
            yield member


def _fault_of(error: BaseException, wall_time: float, read: ErrorReader | None) -> Fault:
    if isinstance(error, CallError):
        quota = error.quota
        asked = positive_number(error.retry_after) or (
            positive_number(quota.retry_after) if quota is not None else None
        )
        return Fault(error.kind, describe(error), asked, quota)
    fault = read(error) if read is not None else None
    if fault is not None:
        return fault
    return fault_with_hints(error, _kind(error) or FaultKind.BUG, wall_time=wall_time)


def fault_with_hints(error: BaseException, kind: FaultKind, *, wall_time: float) -> Fault:
    """Return the fault for an exception of this kind, with the quota hints in its body and headers.

    Args:
        error: Exception that the strategy raised.
        kind: Kind of fault by its status; the hints may change it to DENIED or EXHAUSTED.
        wall_time: Wall-clock time in seconds since 1970.
    """
    if names_bad_key(attribute(error, "details")):
        kind = FaultKind.DENIED
    quota = _quota_of(error, kind, wall_time)
    if quota is None:
        return Fault(kind, describe(error), positive_number(attribute(error, "retry_after")))
    if quota.is_spent and kind is FaultKind.THROTTLED:
        return Fault(FaultKind.EXHAUSTED, describe(error), None, quota)
    return Fault(
        kind,
        describe(error),
        positive_number(quota.retry_after) or positive_number(attribute(error, "retry_after")),
        quota,
    )


def _quota_of(error: BaseException, kind: FaultKind, wall_time: float) -> QuotaHint | None:
    """Return what the body and the headers of an exception report about quotas; the body has priority."""
    headers = headers_of(error)
    from_body = google_quota(attribute(error, "details"), wall_time=response_time(headers, wall_time))
    counted = attribute(error, "type")  # of openai's exceptions
    refused = (counted if isinstance(counted, str) else "") if kind is FaultKind.THROTTLED else None
    from_headers = header_quota(headers, wall_time=wall_time, refused=refused)
    if from_body is None or from_headers is None:
        return from_body or from_headers
    wait = from_body.retry_after if from_body.retry_after or from_body.is_spent else from_headers.retry_after
    return QuotaHint(retry_after=wait, limits=from_body.limits + from_headers.limits, reopens_in=from_body.reopens_in)


def _kind(error: BaseException) -> FaultKind | None:
    if not isinstance(error, Exception):
        return _kind_of_type(error)  # SystemExit has a `code` too
    words = [code for code in _codes(error) if isinstance(code, str)]
    for word in words:
        if word in _BY_WORD:
            return _BY_WORD[word]
    status = status_of(error)
    if status is not None:
        return of_status(status)
    for word in words:
        if word in _BY_GRPC:
            return _BY_GRPC[word]
    return _kind_of_type(error)


def _kind_of_type(error: BaseException) -> FaultKind | None:
    for ancestor in type(error).__mro__:
        kind = _BY_NAME.get(f"{ancestor.__module__}.{ancestor.__qualname__}")
        if kind is not None:
            return kind
    if isinstance(error, OSError):
        # If every address of a host refuses, trio and asyncio raise a bare OSError without a number.
        unnumbered = type(error) is OSError and error.errno is None
        return FaultKind.TRANSIENT if unnumbered or errno.errorcode.get(error.errno or 0) in _NETWORK else None
    return None


def _codes(error: BaseException) -> Iterator[int | str]:
    """Yield the codes of an exception and of its response, under all usual names."""
    for holder in (error, attribute(error, "response")):
        for name in ("status_code", "status", "http_status", "code"):
            value = attribute(holder, name)
            if name == "code" and callable(value) and not isinstance(value, type):
                with contextlib.suppress(Exception):
                    value = value()  # a method in gRPC
            if isinstance(value, enum.Enum):
                yield value.name
                value = value.value
            if isinstance(value, (int, str)):
                yield value


def attribute(holder: object, name: str) -> Any:
    """Return an attribute of a foreign object; None if it is missing or raises."""
    try:
        return getattr(holder, name, None)
    except Exception:  # noqa: BLE001 - a foreign property may raise anything
        return None


def headers_of(error: BaseException) -> Mapping[str, str]:
    """Return the headers of an exception's response, with names in lower case; empty without headers."""
    for holder in (attribute(error, "response"), error):
        headers = attribute(holder, "headers")
        if headers is not None:
            return lowered(headers)
    return {}


def lowered(headers: Any) -> dict[str, str]:
    """Return headers, a mapping or pairs, by name in lower case; empty for any other object."""
    with contextlib.suppress(Exception):  # any other object has no headers
        pairs: Iterable[tuple[object, object]] = headers.items() if hasattr(headers, "items") else headers
        return {_text(key).lower(): _text(value) for key, value in islice(pairs, _MOST_HEADERS)}
    return {}


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
