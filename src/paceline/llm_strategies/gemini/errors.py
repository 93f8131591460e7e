"""Gemini's errors and replies: faults of exceptions, and answers of replies.

Rules owned here:

1. Errors of the API are classified as those of any provider (`_core/provider_answers/classify.py`); here are only those of google-auth.
2. A reply without candidates, or whose model did not finish by itself, is not an answer, even if it has text. Its usage is
   reported all the same.
3. A missing context cache comes as a 403 or 404 whose message names it, and has no other mark: only here the wording counts.
4. Each level of a reply may be missing or of another type; it then counts as empty.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, ClassVar

from ..._core.exceptions import CallError
from ..._core.fault import Fault, FaultKind, FaultReason
from ..._core.provider_answers.classify import describe, fault_of_answer
from ..._core.provider_answers.foreign_error import Answer, attribute, lowered
from ..._core.provider_answers.provider_errors import of_status
from ..._core.provider_answers.reported_usage import gemini_usage
from ..._core.usage import TokenUsage
from ..common import (
    ProviderErrorClassifier,
    as_mapping,
    as_objects,
    join_texts,
    parse_object,
    raise_reply_error,
    require_finished,
)

_API_ERROR = "google.genai.errors.APIError"
_AUTH_ERROR = "google.auth.exceptions.GoogleAuthError"
_CACHE = re.compile(r"cached[\s_]?content", re.IGNORECASE)


def _read_error(error: BaseException) -> Fault | None:
    if _is(error, _AUTH_ERROR):
        transient = attribute(error, "retryable") is True or _is(error, "google.auth.exceptions.TransportError")
        return Fault(FaultKind.TRANSIENT if transient else FaultKind.DENIED, describe(error))
    return None


def _is(error: BaseException, name: str) -> bool:
    return any(f"{ancestor.__module__}.{ancestor.__qualname__}" == name for ancestor in type(error).__mro__)


class GeminiErrorClassifier(ProviderErrorClassifier):
    """Classifies the exceptions of google-auth, and all others as the default classifier does.

    Args:
        secret: API key that a gateway may echo; it is blanked in every message.
    """

    read_error: ClassVar[Callable[[BaseException], Fault | None] | None] = staticmethod(_read_error)


def is_cache_gone(error: BaseException) -> bool:
    """Whether the service reports that the context cache does not exist, or is not visible to this caller."""
    if not _is(error, _API_ERROR) or attribute(error, "code") not in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND):
        return False
    message = attribute(error, "message")
    return isinstance(message, str) and _CACHE.search(message) is not None


def read_reply(body: str | bytes) -> tuple[str, TokenUsage]:
    """Return the text of a reply's first candidate, without the model's thoughts, and its usage.

    Raises:
        CallError: The reply is refused, truncated or cannot be parsed; with the usage that the reply reports.
    """
    reply = parse_object(body)
    usage = gemini_usage(reply.get("usageMetadata"))
    raise_reply_error(reply, usage)
    candidates = reply.get("candidates") or []
    if not isinstance(candidates, list) or not all(isinstance(candidate, dict) for candidate in candidates):
        raise CallError("the reply's candidates are not a list of objects", kind=FaultKind.TRANSIENT, usage=usage)
    blocked = as_mapping(reply.get("promptFeedback")).get("blockReason")
    if not candidates or blocked:
        reason = f"the prompt was blocked: {blocked}" if blocked else "the reply has no candidates"
        raise CallError(reason, kind=FaultKind.REFUSED, usage=usage, reason=FaultReason.POLICY if blocked else None)
    return _text_of(candidates[0], usage), usage


def read_complete_reply(body: str | bytes) -> tuple[dict[str, Any], TokenUsage]:
    """Return a reply as data and its usage, for any finish reason.

    Raises:
        CallError: The body is not a Gemini reply.
    """
    reply = parse_object(body)
    usage = gemini_usage(reply.get("usageMetadata"))
    if not reply.get("candidates") and not reply.get("promptFeedback"):
        raise CallError("the reply has no candidates and gives no reason", kind=FaultKind.TRANSIENT, usage=usage)
    return reply, usage


def _text_of(candidate: dict[str, Any], usage: TokenUsage) -> str:
    parts = as_objects(as_mapping(candidate.get("content")).get("parts"))
    texts = [part["text"] for part in parts if isinstance(part.get("text"), str) and part.get("thought") is not True]
    reason, message = candidate.get("finishReason"), candidate.get("finishMessage")
    require_finished(reason, usage, message=message, answer="".join(texts))
    if texts and not any(texts):
        return ""  # Gemini sends an empty text as an answer
    return join_texts(texts, usage)


async def require_readable_body(response: Any) -> None:
    """Raise for an error reply whose body google-genai cannot parse, before the SDK loses its status.

    A response hook of httpx2 clients.

    Raises:
        CallError: The fault that the HTTP status names.
    """
    if response.status_code == HTTPStatus.OK or response.has_redirect_location:
        return
    await response.aread()
    try:
        response.json()
    except json.JSONDecodeError:
        return  # the SDK uses the body as text
    except (ValueError, RecursionError) as error:
        answer = Answer(response.status_code, lowered(response.headers))
        text = f"HTTP {response.status_code}, with a body that cannot be read"
        fault = fault_of_answer(of_status(response.status_code), answer, text, wall_time=time.time())
        raise CallError(
            fault.message, kind=fault.kind, retry_after=fault.retry_after, quota=fault.quota, reason=fault.reason
        ) from error
