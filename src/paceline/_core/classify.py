"""Which fault an exception is.

Rules owned here:

1. What the strategy says (`CallError`) counts; then what the provider says by a code, its own or HTTP's, on the
   exception or on its `response`; then the exception's type. Never the words of its message.
2. A group of exceptions that is nothing by itself is what the gravest of its members is.
3. Hints are never trusted: what is not a positive, finite number of seconds is no hint. A refusal by a limit that is a
   day's, or zero, is no throttling but an exhausted quota, whatever wait is asked for beside it.
4. Anything unknown is a bug, so that a mistake of the caller's is not paid for again and again.
5. Nothing here raises, whatever a foreign exception does when it is looked at.

Types are told by their names, as no client and no validator is a dependency. A name counts on any class of the ancestry,
so subclasses are what their bases are.
"""

from __future__ import annotations

import contextlib
import enum
import errno
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, TypeAlias

from . import provider_hints as google
from .exceptions import CallError
from .fault import Fault, FaultKind
from .provider_hints import header_quota, response_time
from .quota import QuotaHint, positive_number

ErrorReader: TypeAlias = Callable[[BaseException], Fault | None]
"""A provider's own reading of one exception that is no `CallError`; None leaves it to the rules here."""

_GRAVITY = (  # the gravest first: what ends most, then what cannot be mended, then what can
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
_BY_WORD = {  # these say more than the status that they come with
    "insufficient_quota": FaultKind.EXHAUSTED,
    "slow_down": FaultKind.THROTTLED,
}
_GRPC = {  # these count where there is no HTTP status
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
    # These would pass for what their bases are, and no further call mends them.
    FaultKind.BUG: "ssl.SSLCertVerificationError aiohttp.client_exceptions.ClientConnectorCertificateError",
}
_BY_GRPC = {name: kind for kind, names in _GRPC.items() for name in names.split()}
_BY_NAME = {name: kind for kind, names in _NAMES.items() for name in names.split()}
_NETWORK = {
    *("EHOSTUNREACH", "EHOSTDOWN", "ENETUNREACH", "ENETDOWN", "ENETRESET", "ENOTCONN", "EADDRNOTAVAIL"),
    *("ENOBUFS", "EMFILE", "ENFILE"),  # too many sockets: fewer calls mend it
}
_STATUS = re.compile(r"\s*([45]\d\d)(?:\s.*)?", re.ASCII | re.DOTALL)
_LONGEST = 16_000  # characters of a foreign text that are looked at
_MOST_HEADERS = 1_000


def classify(error: BaseException, *, wall_time: float, reading: ErrorReader | None = None) -> Fault:
    """Return the fault that `error` is.

    Args:
        error: what the strategy raised.
        wall_time: the time in seconds since 1970, to which an HTTP date in Retry-After is compared.
        reading: what the provider's own adapter makes of an exception; asked for each member of a group.
    """
    try:
        faults = [_fault_of(member, wall_time, reading) for member in _members(error)]
        return min(faults, key=lambda fault: (_GRAVITY.index(fault.kind), -(fault.retry_after or 0.0)))
    except Exception as mistake:  # noqa: BLE001 - rule 5: a foreign object may do anything
        return Fault(FaultKind.BUG, f"{describe(error)} (not classified: {describe(mistake)})")


def describe(error: BaseException) -> str:
    """Return what the exception says, after the name of its type; text that every encoding can take."""
    name = attribute(type(error), "__name__") or "exception"
    try:
        text = str(error)[:_LONGEST].encode("utf-8", "backslashreplace").decode()
    except Exception:  # noqa: BLE001 - a foreign __str__ may raise anything
        text = ""
    return f"{name}: {text}" if text else str(name)


def of_status(status: int) -> FaultKind:
    """Return the kind of fault that an HTTP status is; one that is no error's, but brought no answer, may pass."""
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return FaultKind.REJECTED if 400 <= status < 500 else FaultKind.TRANSIENT  # noqa: PLR2004 - HTTP's own bounds


def status_of(error: BaseException) -> int | None:
    """Return the HTTP error status that an exception carries, if any."""
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


def _fault_of(error: BaseException, wall_time: float, reading: ErrorReader | None) -> Fault:
    if isinstance(error, CallError):
        quota = error.quota
        asked = positive_number(error.retry_after) or (
            positive_number(quota.retry_after) if quota is not None else None
        )
        return Fault(error.kind, describe(error), asked, quota)
    fault = reading(error) if reading is not None else None
    if fault is not None:
        return fault
    return fault_with_hints(error, _kind(error) or FaultKind.BUG, wall_time=wall_time)


def fault_with_hints(error: BaseException, kind: FaultKind, *, wall_time: float) -> Fault:
    """Return the fault that `error` is if its status says `kind`, with what its body and its headers say besides."""
    if google.names_bad_key(attribute(error, "details")):
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
    """Return what an exception's body and headers say of quotas: the body goes first."""
    headers = headers_of(error)
    told = google.google_quota(attribute(error, "details"), wall_time=response_time(headers, wall_time))
    what = attribute(error, "type")  # openai's
    refused = (what if isinstance(what, str) else "") if kind is FaultKind.THROTTLED else None
    heard = header_quota(headers, wall_time=wall_time, refused=refused)
    if told is None or heard is None:
        return told or heard
    asked = told.retry_after if told.retry_after or told.is_spent else heard.retry_after
    return QuotaHint(retry_after=asked, limits=told.limits + heard.limits, reopens_in=told.reopens_in)


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
        # Where every address of a host refused, trio and asyncio raise a bare OSError without a number.
        unnumbered = type(error) is OSError and error.errno is None
        return FaultKind.TRANSIENT if unnumbered or errno.errorcode.get(error.errno or 0) in _NETWORK else None
    return None


def _codes(error: BaseException) -> Iterator[int | str]:
    """Yield what an exception and its response have as a code, by any of its usual names."""
    for holder in (error, attribute(error, "response")):
        for name in ("status_code", "status", "http_status", "code"):
            value = attribute(holder, name)
            if name == "code" and callable(value) and not isinstance(value, type):
                with contextlib.suppress(Exception):
                    value = value()  # gRPC's is a method
            if isinstance(value, enum.Enum):
                yield value.name
                value = value.value
            if isinstance(value, (int, str)):
                yield value


def attribute(holder: object, name: str) -> Any:
    """Return an attribute of a foreign object; None where there is none, or it cannot be had."""
    try:
        return getattr(holder, name, None)
    except Exception:  # noqa: BLE001 - a foreign property may raise anything
        return None


def headers_of(error: BaseException) -> Mapping[str, str]:
    """Return the headers of the response behind an exception, in lower case; empty where there are none."""
    for holder in (attribute(error, "response"), error):
        headers = attribute(holder, "headers")
        if headers is not None:
            return lowered(headers)
    return {}


def lowered(headers: Any) -> dict[str, str]:
    """Return headers, a mapping or pairs, by their names in lower case; empty where they are neither."""
    with contextlib.suppress(Exception):  # whatever else it is, it is no header
        pairs: Iterable[tuple[object, object]] = headers.items() if hasattr(headers, "items") else headers
        return {_text(key).lower(): _text(value) for key, value in islice(pairs, _MOST_HEADERS)}
    return {}


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
