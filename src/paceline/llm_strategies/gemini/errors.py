"""How Gemini says no: by an error, or by a reply that holds no answer.

Rules owned here:

1. An error is what its HTTP status says, unless its details say more: a violated quota that is per day, or zero, is
   exhausted; a key that is not valid is denied, though it comes as a 400.
2. A reply without candidates, or whose model did not finish by itself, is no answer, whatever text it has. What it cost is
   told all the same.
3. A cache that is gone comes as a 403 or a 404 whose message names it, and by nothing else: there alone words count.
4. Every level of a body may be missing or of another type, and then says nothing.
"""

from __future__ import annotations

import json
import re
import time
from http import HTTPStatus
from typing import Any

from ..._core.classify import attribute, describe, fault_with_hints, lowered, of_status
from ..._core.exceptions import CallError
from ..._core.fault import Fault, FaultKind
from ..._core.provider_hints import header_quota
from ..._core.usage import TokenUsage
from ..common import ProviderErrorClassifier, object_of

_API_ERROR = "google.genai.errors.APIError"
_AUTH_ERROR = "google.auth.exceptions.GoogleAuthError"
_ANSWERED = {"", "STOP", "FINISH_REASON_UNSPECIFIED"}
_BY_FINISH_REASON = {  # any other is a refusal: safety in its many forms, and what is to come
    "MAX_TOKENS": FaultKind.TRUNCATED,
    "CONTINUATION": FaultKind.TRUNCATED,
    "MALFORMED_RESPONSE": FaultKind.TRANSIENT,
    "MALFORMED_FUNCTION_CALL": FaultKind.INVALID,
    "UNEXPECTED_TOOL_CALL": FaultKind.INVALID,
    "TOO_MANY_TOOL_CALLS": FaultKind.INVALID,
    "MISSING_THOUGHT_SIGNATURE": FaultKind.REJECTED,
    "PUP_LIMITED_DISABLED": FaultKind.DENIED,
}
_CACHE = re.compile(r"cached[\s_]?content", re.IGNORECASE)
_MOST_TOKENS = 2**53  # a larger count is no count


def _read(error: BaseException, *, wall_time: float) -> Fault | None:
    if _is(error, _API_ERROR):
        return _read_api_error(error, wall_time)
    if _is(error, _AUTH_ERROR):
        passing = attribute(error, "retryable") is True or _is(error, "google.auth.exceptions.TransportError")
        return Fault(FaultKind.TRANSIENT if passing else FaultKind.DENIED, describe(error))
    return None


def _read_api_error(error: BaseException, wall_time: float) -> Fault | None:
    status = attribute(error, "code")
    return fault_with_hints(error, of_status(status), wall_time=wall_time) if isinstance(status, int) else None


def _is(error: BaseException, name: str) -> bool:
    return any(f"{ancestor.__module__}.{ancestor.__qualname__}" == name for ancestor in type(error).__mro__)


class GeminiErrorClassifier(ProviderErrorClassifier):
    """Understands google-genai's errors and google-auth's, and all that the default classifier does.

    Args:
        secret: the key, which a gateway may echo; it is blanked in every message.
    """

    reading = staticmethod(_read)


def is_cache_gone(error: BaseException) -> bool:
    """Whether the service says that there is no such context cache, or none that this caller may see."""
    if not _is(error, _API_ERROR) or attribute(error, "code") not in {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}:
        return False
    message = attribute(error, "message")
    return isinstance(message, str) and _CACHE.search(message) is not None


def read_reply(body: str | bytes) -> tuple[str, TokenUsage]:
    """Return the text of a reply's first candidate, without the model's thoughts, and what it cost.

    Raises:
        CallError: refused, truncated, or not readable; with the usage, as far as the reply says it.
    """
    reply = object_of(body)
    usage = _usage_of(_dict(reply.get("usageMetadata")))
    candidates = reply.get("candidates") or []
    if not isinstance(candidates, list) or not all(isinstance(candidate, dict) for candidate in candidates):
        raise CallError("the reply's candidates are no list of objects", kind=FaultKind.TRANSIENT, usage=usage)
    blocked = _dict(reply.get("promptFeedback")).get("blockReason")
    if not candidates or blocked:
        reason = f"the prompt was blocked: {blocked}" if blocked else "the reply has no candidates"
        raise CallError(reason, kind=FaultKind.REFUSED, usage=usage)
    return _text_of(candidates[0], usage), usage


def read_whole(body: str | bytes) -> tuple[dict[str, Any], TokenUsage]:
    """Return a reply as data and what it cost, whatever its model finished with.

    Raises:
        CallError: it is no reply.
    """
    reply = object_of(body)
    usage = _usage_of(_dict(reply.get("usageMetadata")))
    if not reply.get("candidates") and not reply.get("promptFeedback"):
        raise CallError("the reply has no candidates, and says no reason", kind=FaultKind.TRANSIENT, usage=usage)
    return reply, usage


def _text_of(candidate: dict[str, Any], usage: TokenUsage) -> str:
    reason = str(candidate.get("finishReason") or "").upper()
    if reason not in _ANSWERED:
        kind = _BY_FINISH_REASON.get(reason, FaultKind.REFUSED)
        raise CallError(f"the model finished with {reason}", kind=kind, usage=usage)
    parts = _dict(candidate.get("content")).get("parts")
    said = [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
    texts = [part["text"] for part in said if isinstance(part.get("text"), str) and part.get("thought") is not True]
    if not texts:
        raise CallError("the reply has no text", kind=FaultKind.INVALID, usage=usage)
    return "".join(texts).encode("utf-8", "replace").decode()  # half a surrogate pair could not be stored


def _usage_of(counts: dict[str, Any]) -> TokenUsage:
    def count(name: str) -> int:
        value = counts.get(name)
        return value if type(value) is int and 0 <= value < _MOST_TOKENS else 0

    sent = count("promptTokenCount") + count("toolUsePromptTokenCount")
    generated = count("candidatesTokenCount") + count("thoughtsTokenCount")
    total = count("totalTokenCount") or sent + generated
    return TokenUsage(sent, generated, count("cachedContentTokenCount"), total)


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


async def must_be_readable(response: Any) -> None:
    """Raise for an error whose body google-genai could not read, before it loses the status over it.

    A response hook of httpx2 clients.

    Raises:
        CallError: what the status says.
    """
    if response.status_code == HTTPStatus.OK or response.has_redirect_location:
        return
    await response.aread()
    try:
        response.json()
    except json.JSONDecodeError:
        return  # taken as text
    except (ValueError, RecursionError) as error:
        raise CallError(
            f"HTTP {response.status_code}, with a body that cannot be read",
            kind=of_status(response.status_code),
            quota=header_quota(lowered(response.headers), wall_time=time.time()),
        ) from error
