"""Classification: decides which fault an exception is.

Rules owned here:

1. What the strategy states (`CallError`) has priority; then a code in the provider's body, then the HTTP status of the exception or
   of its `response`; then the type of the exception. Words count only for the rows of `provider_errors`.
2. A group of exceptions that has no kind of its own has the kind of its gravest member.
3. Hints are not trusted: a wait that is not a positive, finite number of seconds is ignored. A refusal by a limit of zero or for a
   day is an exhausted quota and not throttling, whatever wait is requested with it. A quota that is back within a minute, in the
   provider's own words, is not exhausted.
4. A single long wait does not exhaust a quota: Azure asks one request that is larger than the limit to wait for a day. The hint keeps
   it (`reopens_in`), so that a lane in which all calls are asked to wait for long can say when to resume.
5. An unknown exception is a bug, so that a mistake of the caller is not paid for repeatedly.
6. Nothing here raises, even if a foreign exception does so when it is read.

Types are compared by name, as no client and no validator is a dependency. The name of any base class counts, so subclasses have
the kind of their bases.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import TypeAlias

import attrs

from ..exceptions import CallError
from ..fault import Fault, FaultKind, FaultReason, too_large_fault
from ..media_type import ANSWERED_HTML, is_html
from ..quota import QuotaHint, positive_number
from ..server_url import shown_url
from .body_hints import quota_of_answer, requested_beyond_limit, wait_in_body
from .connection_failure import connection_failure, is_untrusted
from .foreign_error import Answer, attribute, read_answer, status_of_response
from .provider_errors import kind_of_answer, of_status, reason_of_answer, says_too_large
from .waits import HOUR, MINUTE

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
_NAMES = {
    FaultKind.CANCELLED: """
        asyncio.exceptions.CancelledError trio.Cancelled concurrent.futures._base.CancelledError
        anyio.TaskCancelled anyio.FutureCancelled""",
    FaultKind.INVALID: """
        pydantic_core._pydantic_core.ValidationError pydantic.error_wrappers.ValidationError
        pydantic.v1.error_wrappers.ValidationError cattrs.errors.BaseValidationError
        cattrs.errors.ForbiddenExtraKeysError msgspec.DecodeError json.decoder.JSONDecodeError""",
    # The provider was not asked: fewer calls at once cure it, and no attempt is spent.
    FaultKind.THROTTLED: "httpx.PoolTimeout httpx2.PoolTimeout httpcore.PoolTimeout httpcore2.PoolTimeout",
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
        openai.APIConnectionError anthropic.APIConnectionError
        openai.APIError anthropic.APIError""",
    # Their base classes are passing failures, but no retry cures these.
    FaultKind.DENIED: "ssl.SSLCertVerificationError aiohttp.client_exceptions.ClientConnectorCertificateError",
}
_BY_NAME = {name: kind for kind, names in _NAMES.items() for name in names.split()}
_NETWORK = {
    *("EHOSTUNREACH", "EHOSTDOWN", "ENETUNREACH", "ENETDOWN", "ENETRESET", "ENOTCONN", "EADDRNOTAVAIL"),
    *("ENOBUFS", "EMFILE", "ENFILE"),  # too many sockets: fewer calls cure it
}
_OF_CONNECTIONS = {FaultKind.TRANSIENT, FaultKind.TIMEOUT}
_OTHER_LOOP = (
    "Event loop is closed",
    "attached to a different loop",
    "bound to a different event loop",
    "is not the running loop",
)
"""Words of asyncio's errors for objects of another event loop."""
_OTHER_BACKEND = {
    "no running event loop": "asyncio",
    "like asyncio? That won't work": "asyncio",  # trio's, of what asyncio yields
    "must be called from async context": "trio",
}
"""Words of errors for code of another kind of event loop, and which it needs."""
_IS_URL_RIGHT = ": is the URL right?"
_MOST_CAUSES = 8
_LONGEST_WORDS = 120  # characters of an error's own words in a longer message
_LONGEST_TEXT = 16_000  # characters of a foreign text that are read
_LONG_WAIT = HOUR / 2  # seconds: twice the patience of a batch
_MEASURES = {"requests", "tokens"}


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
    except Exception as mistake:  # noqa: BLE001 - rule 6: a foreign object may raise anything
        return Fault(FaultKind.BUG, f"{describe(error)} (not classified: {describe(mistake)})")


def describe(error: BaseException) -> str:
    """Return the name of an exception's type and its message, as text that can be encoded in UTF-8."""
    name = attribute(type(error), "__name__") or "exception"
    try:
        text = str(error)[:_LONGEST_TEXT].encode("utf-8", "backslashreplace").decode()
    except Exception:  # noqa: BLE001 - a foreign __str__ may raise anything
        text = ""
    return f"{name}: {text}" if text else str(name)


def _message(error: BaseException, answer: Answer) -> str:
    """Return an exception as text; of one whose text is a web page, only the HTTP status."""
    text = describe(error)
    if answer.status is None or not (is_html(text.partition(": ")[2]) or _is_page(answer)):
        return text
    is_of_url = answer.status in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}
    return f"HTTP {answer.status}: {ANSWERED_HTML}{_IS_URL_RIGHT if is_of_url else ''}"


def _is_page(answer: Answer) -> bool:
    """Whether an answer says that it is a web page, and no data was found in it."""
    has_data = len(answer.body.entries) > 1  # the first is the exception itself
    return answer.headers.get("content-type", "").lower().startswith("text/html") and not has_data


def _members(error: BaseException) -> Iterator[BaseException]:
    pending = [error]
    while pending:
        member = pending.pop()
        if isinstance(member, BaseExceptionGroup) and _kind(member, read_answer(member)) is None:
            pending.extend(member.exceptions)
        else:
            yield member


def _fault_of(error: BaseException, wall_time: float, read: ErrorReader | None) -> Fault:
    if isinstance(error, CallError):
        return _fault_of_call_error(error)
    fault = read(error) if read is not None else None
    if fault is not None:
        return fault
    answer = read_answer(error)
    if (fault := _fault_of_set_up(error, answer)) is not None:
        return fault
    kind = _kind(error, answer) or FaultKind.BUG
    asked = positive_number(attribute(error, "retry_after"))
    if (fault := _fault_of_connection(error, kind, answer, asked)) is not None:
        return fault
    message = _message(error, answer)
    fault = fault_of_answer(kind, answer, message, wall_time=wall_time, asked=asked)
    is_page = message.endswith(_IS_URL_RIGHT)
    return attrs.evolve(fault, reason=fault.reason or FaultReason.NOT_THE_API) if is_page else fault


def _fault_of_connection(error: BaseException, kind: FaultKind, answer: Answer, asked: float | None) -> Fault | None:
    """Return the fault of an exception that is due to the connection; None if it is not."""
    if kind not in _OF_CONNECTIONS or answer.status is not None:
        return None
    for cause in _causes(error):
        if isinstance(cause, CallError):  # of a hook of ours, which the package took for a lost connection
            return _fault_of_call_error(cause)
    reason = connection_failure(error, describe)
    if reason is None:
        return None
    if is_untrusted(error):
        return Fault(FaultKind.DENIED, reason, reason=FaultReason.UNTRUSTED)
    return Fault(kind, reason, asked, is_unreached=True)


def _fault_of_call_error(error: CallError) -> Fault:
    if isinstance(error.fault, Fault):
        return error.fault  # an item's, raised by `unwrap` in a strategy that runs a batch itself
    quota = error.quota
    asked = positive_number(error.retry_after) or (positive_number(quota.retry_after) if quota is not None else None)
    return Fault(error.kind, describe(error), asked, quota, reason=error.reason, answer=error.answer)


def _fault_of_set_up(error: BaseException, answer: Answer) -> Fault | None:
    """Return the fault of an exception that is due to how the client was set up; None if it is not."""
    status, location = status_of_response(error), answer.headers.get("location")
    if status is not None and HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST and location:
        url = attribute(attribute(error, "response"), "url")
        asked = (shown_url(str(url)) if url is not None else None) or "the server"
        to = shown_url(location) or "another of its paths"
        message = f"HTTP {status}: {asked} redirects to {to}, where prompts and keys are not sent; check the URL of the server"
        return Fault(FaultKind.REJECTED, message)
    for cause in _causes(error):
        if isinstance(cause, RuntimeError | TypeError) and (needed := _backend_needed_by(describe(cause))) is not None:
            words = describe(cause)[:_LONGEST_WORDS]
            return Fault(
                FaultKind.BUG,
                f'the strategy needs {needed} ({words}): pass backend="{needed}" to run_prompts or anyio.run',
            )
        text = describe(cause).partition(": ")[2] if isinstance(cause, RuntimeError) else ""
        if any(words in text for words in _OTHER_LOOP):
            return Fault(
                FaultKind.BUG,
                f"the client belongs to another event loop ({text[:_LONGEST_WORDS]}): make a client in each event loop, "
                "or give the strategy a key in place of a client",
            )
    return None


def _backend_needed_by(text: str) -> str | None:
    """Return the kind of event loop that an error says is missing; None: it does not say so."""
    return next((backend for words, backend in _OTHER_BACKEND.items() if words in text), None)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and what it was raised from."""
    for _ in range(_MOST_CAUSES):
        yield error
        cause = error.__cause__ or error.__context__
        if cause is None:
            return
        error = cause


def fault_of_answer(
    kind: FaultKind, answer: Answer, message: str, *, wall_time: float, asked: float | None = None
) -> Fault:
    """Return the fault for the answer of a provider, with the quota hints in its body and headers.

    Args:
        kind: Kind of fault by the codes and the status; a refusal may turn out to be of another kind.
        answer: The answer.
        message: Text for people, with the provider's words.
        wall_time: Wall-clock time in seconds since 1970.
        asked: Seconds to wait, where neither the body nor the headers have a wait.
    """
    is_refusal = kind is FaultKind.THROTTLED or answer.status == HTTPStatus.TOO_MANY_REQUESTS
    refused = next((word for word in answer.body.words if word in _MEASURES), "") if is_refusal else None
    quota = quota_of_answer(answer, wall_time=wall_time, refused=refused)
    if says_too_large(answer) or (is_refusal and requested_beyond_limit(answer.body, quota)):
        return too_large_fault(message, _not_exceeded(quota))
    spent = quota is not None and quota.is_spent
    wait = positive_number(quota.retry_after if quota is not None else None) or asked
    if kind is FaultKind.THROTTLED and spent:
        kind = FaultKind.EXHAUSTED
    elif kind is FaultKind.EXHAUSTED and is_refusal and not spent:
        back = wait_in_body(answer.body, wall_time)  # a header may be a gateway's, which knows nothing of the quota
        if back is not None and back <= MINUTE:
            kind = FaultKind.THROTTLED  # rule 3
    if kind is FaultKind.EXHAUSTED:
        back = wait if not spent and wait is not None and wait > MINUTE else None
        return Fault(kind, message, None, _with_reopening(quota, back), reason=reason_of_answer(answer, kind))
    if kind is FaultKind.THROTTLED and wait is not None and wait > _LONG_WAIT:
        quota = _with_reopening(quota or QuotaHint(retry_after=wait), wait)  # rule 4
    return Fault(kind, message, wait, quota, reason=reason_of_answer(answer, kind))


def _with_reopening(quota: QuotaHint | None, reopens: float | None) -> QuotaHint | None:
    """Return a hint with the seconds until its quota reopens, unless it has them or they are not known."""
    if reopens is None or (quota is not None and quota.reopens_in is not None):
        return quota
    return QuotaHint(reopens_in=reopens) if quota is None else attrs.evolve(quota, reopens_in=reopens)


def _not_exceeded(quota: QuotaHint | None) -> QuotaHint | None:
    """Return the limits of a hint as such: no other call was refused by them."""
    if quota is None:
        return None
    return QuotaHint(limits=(attrs.evolve(limit, exceeded=False) for limit in quota.limits))


def _kind(error: BaseException, answer: Answer) -> FaultKind | None:
    if not isinstance(error, Exception):
        return _kind_of_type(error)  # SystemExit has a `code` too
    return kind_of_answer(answer) or _kind_of_type(error) or _kind_of_unusable_answer(error)


def _kind_of_unusable_answer(error: BaseException) -> FaultKind | None:
    """Return the kind of an exception that a client raised for an answer that is no error by its status."""
    codes = [code for name in ("status_code", "code") if type(code := attribute(error, name)) is int]
    return of_status(codes[0]) if codes and attribute(error, "response") is not None else None


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
