"""Foreign errors: what an exception of any client holds of the provider's answer: its status, its headers and its body.

Rules owned here:

1. The body is looked for wherever a client keeps it: on the exception (`body` of openai, anthropic and cohere, `details` of
   google-genai), on its response, or as JSON in the exception's text. An object in a list, under `error` or as a JSON string in a
   message (gateways quote the answer of the provider behind them) is a part of the body as well.
2. Only what the provider wrote is read. A body may quote the request; other keys than those known to hold errors are not entered,
   so that the words of a prompt are never taken for the provider's.
3. Every level may be missing, have any type, or be without end. Nothing here raises.
"""

from __future__ import annotations

import ast
import contextlib
import enum
import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import Any, TypeGuard

import attrs

_MOST_HEADERS = 1_000
_MOST_ENTRIES = 200  # objects of a body that are read; real ones have under 20
_LONGEST_BODY = 64_000  # characters of a body that are parsed
_LONGEST_MESSAGE = 8_000  # characters of one message
_BODY_NAMES = ("body", "details", "error", "errors")
_CODE_NAMES = ("code", "type", "error_code", "reason", "status")
_RESPONSE_BODY_NAMES = ("content", "text", "body")
_CONTAINERS = ("error", "errors", "details", "detail", "metadata", "innererror", "inner_error", "Error", "error_info")
_MESSAGES = ("message", "msg", "detail", "error", "error_description", "errorMessage", "Message", "raw", "title")
_CODES = ("code", "type", "status", "reason", "error_code", "errorCode", "Code", "__type", "error")
_STATUS_NAMES = ("code", "status", "status_code")
_LARGEST_CODE = 10**9
_MARKS = (
    "flagged_input",
    "failed_generation",
)  # keys that say something by being there: OpenRouter's moderation, Groq's quotation
_PREFIX = re.compile(r"(?:(?:[\w.]{1,80}(?:Error|Exception)|Error code: \d{3}|HTTP \d{3}|\[\d+\])\s*[-:]?\s*){1,6}")
"""What clients and gateways put before a provider's message: `litellm.RateLimitError: AnthropicException - `, `[1310]`."""
_GRPC = {  # the HTTP status of each gRPC code; google.rpc.Code
    "RESOURCE_EXHAUSTED": 429,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    **dict.fromkeys(("ABORTED", "CANCELLED", "DATA_LOSS", "INTERNAL", "UNKNOWN"), 500),
    **dict.fromkeys(("ALREADY_EXISTS", "FAILED_PRECONDITION", "INVALID_ARGUMENT", "OUT_OF_RANGE"), 400),
    **dict.fromkeys(("NOT_FOUND", "UNIMPLEMENTED"), 404),
}
_STATUS = re.compile(r"\s*([45]\d\d)(?:\s.*)?", re.ASCII | re.DOTALL)


@attrs.frozen
class ErrorBody:
    """The body of a provider's error, read."""

    entries: tuple[dict[str, Any], ...] = ()
    """Its objects, the outer ones first."""
    words: tuple[str, ...] = ()
    """Its codes, types and reasons, in lower case."""
    messages: tuple[str, ...] = ()
    """Its sentences, without what clients and gateways put before them."""
    status: int | None = None
    """The HTTP error status that it names, if any."""


@attrs.frozen
class Answer:
    """What a provider answered to a call that failed."""

    status: int | None = None
    """HTTP status, also the one that a gRPC code stands for or that the body names."""
    headers: Mapping[str, str] = attrs.field(factory=dict)
    """Headers by name in lower case."""
    body: ErrorBody = attrs.field(factory=ErrorBody)
    """The body."""


def read_answer(error: BaseException) -> Answer:
    """Return what an exception holds of the provider's answer."""
    status = status_of(error) or next((_GRPC[code] for code in codes_of(error) if code in _GRPC), None)
    body = _error_body(error, quotes_answer=status is None)
    return Answer(status or body.status, headers_of(error), body)


def _error_body(error: BaseException, *, quotes_answer: bool) -> ErrorBody:
    """Return the body in an exception.

    Args:
        error: Exception that the strategy raised.
        quotes_answer: Whether it may quote an answer of the model, as a validator's does: it has no status. Then its `body` counts alone.
    """
    own = {name: attribute(error, name) for name in _CODE_NAMES}
    for source in islice(_sources(error), 1 if quotes_answer else None):
        entries, messages = _parsed(source)
        if entries:
            return _body((own, *entries), messages)
    return _body((own,), () if quotes_answer else [_message_of(error)])


def read_body(value: object) -> ErrorBody:
    """Return what a parsed body says of an error."""
    return _body(*_parsed(lambda: value))


def _sources(error: BaseException) -> Iterator[Callable[[], object]]:
    """Yield functions that return a body, the likeliest first."""
    for name in _BODY_NAMES:
        yield partial(attribute, error, name)
    response = attribute(error, "response")
    if _is_mapping(response):  # of botocore
        yield lambda: response
    # A body that was not read yet is left alone: reading it would block the event loop.
    elif response is not None and attribute(response, "_content_consumed") is not False:
        yield from (partial(attribute, response, name) for name in _RESPONSE_BODY_NAMES)
    yield lambda: _message_of(error)


def _parsed(source: Callable[[], object]) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the objects and the messages in a body; none for a body that is not one."""
    entries: list[dict[str, Any]] = []
    messages: list[str] = []
    with contextlib.suppress(Exception):  # rule 3
        waiting: deque[object] = deque([_decoded(source())])
        steps = 0
        while waiting and steps < _MOST_ENTRIES:
            steps += 1
            value = waiting.popleft()
            if isinstance(value, Mapping):
                entries.append(entry := {str(key): item for key, item in islice(value.items(), _MOST_ENTRIES)})
                waiting.extend(_inner(entry, messages))
            elif isinstance(value, (list, tuple)):
                waiting.extend(islice(value, _MOST_ENTRIES))
            elif (message := _of_message(value)) is not None:
                waiting.append(message)
    return entries, messages


def _inner(entry: Mapping[str, object], messages: list[str]) -> Iterator[object]:
    """Yield what an object of a body contains; add its messages to `messages`."""
    for name in _MESSAGES:
        value = entry.get(name)
        if isinstance(value, str):
            inner = _decoded(value)
            if not isinstance(inner, str):
                yield inner
            messages.append(_plain(value))
    for name in _CONTAINERS:
        value = entry.get(name)
        if isinstance(value, (Mapping, list, tuple)):
            yield value


def _body(entries: Iterable[dict[str, Any]], messages: Iterable[str]) -> ErrorBody:
    entries = tuple(entries)
    words: dict[str, None] = {}
    status = None
    for entry in entries:
        with contextlib.suppress(Exception):  # rule 3
            status = status or next(filter(None, (_as_status(entry.get(name)) for name in _STATUS_NAMES)), None)
            values = [entry.get(name) for name in _CODES]
            words.update((_plain(value).lower(), None) for value in values if isinstance(value, str))
            words.update((str(value), None) for value in values if type(value) is int and abs(value) < _LARGEST_CODE)
            words.update((mark, None) for mark in _MARKS if mark in entry)
    texts = (_PREFIX.sub("", message, count=1) if _PREFIX.match(message) else message for message in messages)
    return ErrorBody(
        entries, tuple(words), tuple(dict.fromkeys(text.strip() for text in texts if text.strip())), status
    )


def _decoded(value: object) -> object:
    """Return the data that a text holds as JSON or as Python's own notation, also behind other words; otherwise the value."""
    if isinstance(value, (bytes, bytearray)):
        value = bytes(value[:_LONGEST_BODY]).decode("utf-8", "replace")
    if not isinstance(value, str):
        return value
    text = str.__str__(value)[:_LONGEST_BODY]
    starts = [start for start in (text.find("{"), text.find("[{")) if start >= 0]
    if not starts:
        return text
    text = text[min(starts) :]
    with contextlib.suppress(ValueError, RecursionError):
        return json.JSONDecoder().raw_decode(text)[0]
    text = text[:_LONGEST_MESSAGE]
    if "': " in text:  # openai's messages show the body as Python does
        with contextlib.suppress(Exception):
            return ast.literal_eval(text[: text.rfind("]" if text.startswith("[") else "}") + 1])
    return value


def _of_message(value: object) -> dict[str, object] | None:
    """Return a protobuf message of google.rpc as its JSON would be; None for other objects. Google's gRPC clients hold these."""
    if value is None or isinstance(value, (str, int, float)):
        return None
    entry: dict[str, object] = {}
    delay = attribute(value, "retry_delay")
    seconds, nanos = attribute(delay, "seconds"), attribute(delay, "nanos")
    if isinstance(seconds, int):
        entry["retryDelay"] = f"{seconds + (nanos if isinstance(nanos, int) else 0) / 1e9:.9f}s"
    violations = attribute(value, "violations")
    if violations is not None and not callable(violations):
        entry["violations"] = [
            {key: attribute(each, name) for key, name in _VIOLATION.items()}
            for each in islice(violations, _MOST_ENTRIES)
        ]
    reason, metadata = attribute(value, "reason"), attribute(value, "metadata")
    if isinstance(reason, str):
        entry["reason"] = reason
        entry["metadata"] = dict(metadata) if isinstance(metadata, Mapping) else {}
    return entry or None


_VIOLATION = {
    "quotaId": "quota_id",
    "quotaMetric": "quota_metric",
    "quotaValue": "quota_value",
    "message": "description",
}


def _message_of(error: BaseException) -> str:
    try:
        return str(error)[:_LONGEST_BODY]
    except Exception:  # noqa: BLE001 - a foreign __str__ may raise anything
        return ""


def _plain(text: str) -> str:
    """Return a text as an exact `str`: a subclass may raise at any use."""
    return str.__str__(text)[:_LONGEST_MESSAGE]


# ------------------------------------------------------------------------------------------------ status and headers


def status_of(error: BaseException) -> int | None:
    """Return the HTTP error status of an exception, if any."""
    return next(filter(None, map(_as_status, codes_of(error))), None)


def _as_status(code: object) -> int | None:
    match = _STATUS.fullmatch(code) if isinstance(code, str) else None
    number = int(match[1]) if match else code
    return int(number) if isinstance(number, int) and 400 <= number <= 599 else None  # noqa: PLR2004 - HTTP's own bounds


def status_of_response(error: BaseException) -> int | None:
    """Return the HTTP status of the response that an exception holds, whether it is an error or not."""
    status = attribute(attribute(error, "response"), "status_code")
    return next((code for code in _codes_in(status) if isinstance(code, int)), None)


def codes_of(error: BaseException) -> Iterator[int | str]:
    """Yield the codes of an exception and of its response, under all usual names."""
    response = attribute(error, "response")
    for holder in (error, response):
        for name in ("status_code", "status", "http_status", "code"):
            value = attribute(holder, name)
            with contextlib.suppress(Exception):  # rule 3
                if name == "code" and callable(value) and not isinstance(value, type):
                    value = value()  # a method in gRPC
            yield from _codes_in(value)
    if _is_mapping(response):  # of botocore
        with contextlib.suppress(Exception):
            yield response["ResponseMetadata"]["HTTPStatusCode"]


def _codes_in(value: object) -> list[int | str]:
    codes: list[int | str] = []
    with contextlib.suppress(Exception):  # rule 3
        if isinstance(value, enum.Enum):
            codes.append(value.name)
            value = value.value
        if isinstance(value, str):
            codes.append(_plain(value))
        elif isinstance(value, int):
            codes.append(int.__int__(value))
    return codes


def attribute(holder: object, name: str) -> Any:
    """Return an attribute of a foreign object; None if it is missing or raises."""
    try:
        return getattr(holder, name, None)
    except Exception:  # noqa: BLE001 - a foreign property may raise anything
        return None


def _is_mapping(value: object) -> TypeGuard[Mapping[Any, Any]]:
    try:
        return isinstance(value, Mapping)
    except Exception:  # noqa: BLE001 - a foreign `__class__` may raise anything
        return False


def headers_of(error: BaseException) -> Mapping[str, str]:
    """Return the headers of an exception's response, with names in lower case; empty without headers."""
    response = attribute(error, "response")
    for holder in (response, error):
        headers = attribute(holder, "headers")
        if headers is not None:
            return lowered(headers)
    if _is_mapping(response):  # of botocore
        with contextlib.suppress(Exception):
            return lowered(response["ResponseMetadata"]["HTTPHeaders"])
    return {}


def lowered(headers: Any) -> dict[str, str]:
    """Return headers, a mapping or pairs, by name in lower case; empty for any other object."""
    with contextlib.suppress(Exception):  # any other object has no headers
        pairs: Iterable[tuple[object, object]] = headers.items() if hasattr(headers, "items") else headers
        return {_text(key).lower(): _text(value) for key, value in islice(pairs, _MOST_HEADERS)}
    return {}


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
