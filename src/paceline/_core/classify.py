"""Which fault an exception is.

Rules owned here:

1. What the strategy says (`CallError`) counts; then the HTTP status that the exception carries as `code` or
   `status_code`, by itself or on its `response`; then its type. Never the words of its message.
2. A group of exceptions is what the gravest of them is.
3. Hints are never trusted: what is not a positive, finite number of seconds is no hint.
4. Anything unknown is a bug, so that a mistake of the caller's is not paid for again and again.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

from .exceptions import CallError
from .fault import Fault, FaultKind

# The gravest first: what ends most, then what cannot be mended, then what can.
_GRAVITY = (
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
    403: FaultKind.DENIED,
    408: FaultKind.TIMEOUT,
    429: FaultKind.THROTTLED,
    503: FaultKind.OVERLOADED,
    504: FaultKind.TIMEOUT,
    529: FaultKind.OVERLOADED,
}
# Names, as neither pydantic, cattrs nor any HTTP client is a dependency. A name counts on any class of the exception's
# ancestry, so subclasses are recognised as what they are.
_BY_NAME = {
    "pydantic_core._pydantic_core.ValidationError": FaultKind.INVALID,
    "pydantic.v1.error_wrappers.ValidationError": FaultKind.INVALID,
    "cattrs.errors.BaseValidationError": FaultKind.INVALID,
    "cattrs.errors.StructureHandlerNotFoundError": FaultKind.BUG,
}
for _client in ("httpx", "httpx2", "httpcore", "httpcore2"):
    for _module in (_client, f"{_client}._exceptions"):
        _BY_NAME[f"{_module}.TimeoutException"] = FaultKind.TIMEOUT
        _BY_NAME[f"{_module}.NetworkError"] = FaultKind.TRANSIENT
        _BY_NAME[f"{_module}.ProtocolError"] = FaultKind.TRANSIENT
        _BY_NAME[f"{_module}.ProxyError"] = FaultKind.TRANSIENT
_BY_NAME["aiohttp.client_exceptions.ClientConnectionError"] = FaultKind.TRANSIENT
_BY_NAME["aiohttp.client_exceptions.ClientPayloadError"] = FaultKind.TRANSIENT
_BY_NAME["anyio.BrokenResourceError"] = FaultKind.TRANSIENT
_BY_NAME["trio.BrokenResourceError"] = FaultKind.TRANSIENT
_BY_NAME["anyio._core._exceptions.BrokenResourceError"] = FaultKind.TRANSIENT


def classify(error: BaseException, *, wall_time: float) -> Fault:
    """Return the fault that `error` is.

    Args:
        error: what the strategy raised; a group counts as its gravest member.
        wall_time: the time in seconds since 1970, to which an HTTP date in Retry-After is compared.
    """
    if isinstance(error, BaseExceptionGroup) and type(error).__module__ in {"builtins", "exceptiongroup"}:
        faults = [classify(member, wall_time=wall_time) for member in error.exceptions]
        return min(faults, key=lambda fault: _GRAVITY.index(fault.kind))
    message = describe(error)
    if isinstance(error, CallError):
        return Fault(error.kind, message, seconds(error.retry_after))
    kind = _kind(error)
    return Fault(kind, message, retry_after(headers_of(error), wall_time=wall_time))


def describe(error: BaseException) -> str:
    """Return what the exception says, by its type where it says nothing."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - a foreign __str__ may raise anything
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _kind(error: BaseException) -> FaultKind:
    for ancestor in type(error).__mro__:
        kind = _BY_NAME.get(f"{ancestor.__module__}.{ancestor.__qualname__}")
        if kind is not None:
            return kind
    status = status_of(error)
    if status is not None:
        return of_status(status)
    if isinstance(error, json.JSONDecodeError):
        return FaultKind.INVALID
    if isinstance(error, TimeoutError):
        return FaultKind.TIMEOUT
    if isinstance(error, (ConnectionError, EOFError)):
        return FaultKind.TRANSIENT
    return FaultKind.BUG


def of_status(status: int) -> FaultKind:
    """Return the kind of fault that an HTTP status of 400 to 599 is."""
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return FaultKind.TRANSIENT if status >= 500 else FaultKind.REJECTED  # noqa: PLR2004 - HTTP's own bound


def status_of(error: BaseException) -> int | None:
    """Return the HTTP error status that an exception carries, if any."""
    holders = (error, getattr(error, "response", None))
    for holder in holders:
        for name in ("code", "status_code", "status", "http_status"):
            value = _attribute(holder, name)
            if isinstance(value, str) and value.isascii() and value.isdigit():
                value = int(value[:4])
            if isinstance(value, int) and not isinstance(value, bool) and 400 <= value <= 599:  # noqa: PLR2004
                return int(value)
    return None


def headers_of(error: BaseException) -> Mapping[str, str]:
    """Return the headers of the response behind an exception, in lower case; empty where there are none."""
    for holder in (_attribute(error, "response"), error):
        headers = _attribute(holder, "headers")
        with contextlib.suppress(Exception):  # whatever else a foreign object does, it is no header
            return {str(key).lower(): str(value) for key, value in _pairs(headers)}
    return {}


def _pairs(headers: Any) -> Iterable[tuple[Any, Any]]:
    if headers is None:
        raise TypeError
    pairs: Iterable[tuple[Any, Any]] = headers.items() if hasattr(headers, "items") else headers
    return pairs


def _attribute(holder: object, name: str) -> Any:
    try:
        return getattr(holder, name, None)
    except Exception:  # noqa: BLE001 - a foreign property may raise anything
        return None


def seconds(value: object) -> float | None:
    """Return `value` as a wait in seconds; None unless it is a positive, finite number."""
    try:
        number = float(value)  # type: ignore[arg-type]  # anything else raises, and is no hint
    except (TypeError, ValueError, OverflowError):
        return None
    return number if 0 < number < math.inf else None


def retry_after(headers: Mapping[str, str], *, wall_time: float) -> float | None:
    """Return the seconds that a response asks to wait.

    `retry-after-ms` (OpenAI, Azure) is the more exact, so it goes first; Retry-After is a number of seconds or an HTTP
    date (RFC 9110, section 10.2.3), compared with the response's own Date where it has one.
    """
    milliseconds = seconds(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1_000
    text = headers.get("retry-after")
    if text is None:
        return None
    number = seconds(text)
    if number is not None:
        return number
    date = _timestamp(text)
    if date is None:
        return None
    origin = _timestamp(headers.get("date", ""))
    return seconds(date - (wall_time if origin is None else origin))


def _timestamp(text: str) -> float | None:
    try:
        date = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    try:
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
