"""What the error classifiers of providers share: their own reading before the usual one, and a key that is never told.

What a reply's headers say of quotas, for strategies that see them.

A long or private value in a strategy's identity, as a hash: what a journal needs is whether it is the same.

What replies in JSON have in common, whoever sends them.

Rules owned here:

1. Every level of a body may be missing or of another type, and then says nothing.
2. A body that cannot be read, or holds an error in spite of its status, is no answer; a passing failure unless it says more.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Protocol

import attrs

from .._core.classify import classify, lowered, of_status
from .._core.exceptions import CallError
from .._core.fault import Fault, FaultKind
from .._core.provider_hints import header_quota
from .._core.quota import QuotaHint
from .._core.usage import NO_USAGE, TokenUsage


class ErrorReader(Protocol):
    """A provider's own reading of an exception."""

    def __call__(self, error: BaseException, *, wall_time: float) -> Fault | None:
        """Return the fault; None leaves it to the default classifier's rules."""
        ...


class ProviderErrorClassifier:
    """Understands what a provider's package raises, and all that the default classifier does.

    Args:
        secret: the key, which a gateway may echo; it is blanked in every message.
    """

    reading: ClassVar[ErrorReader]

    def __init__(self, *, secret: str | None = None) -> None:
        self._secret = secret

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}()"

    def classify(self, exception: BaseException) -> Fault:
        """Return the fault."""
        now = time.time()
        fault = classify(exception, wall_time=now, read=partial(type(self).reading, wall_time=now))
        if self._secret and self._secret in fault.message:
            return attrs.evolve(fault, message=fault.message.replace(self._secret, "[redacted]"))
        return fault


def quota_hint(headers: Any) -> QuotaHint | None:
    """Return what a good reply's headers say of the provider's quotas; None: nothing.

        self.quota_hint = quota_hint(response.headers)          # in `execute`

    OpenAI's `x-ratelimit-*` and Anthropic's `anthropic-ratelimit-*` are understood. Takes what any HTTP client has as headers:
    a mapping or pairs, of text or bytes; never raises.
    """
    return header_quota(lowered(headers), wall_time=time.time())


_LENGTH = 16  # hexadecimal digits: enough to tell a user's settings apart


def fingerprint(value: Any) -> str | None:
    """Return a hash of plain data, or of a text; None: there is none."""
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=repr)
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:_LENGTH]


_MOST_TOKENS = 2**53  # a larger count is no count


def object_of(body: str | bytes) -> dict[str, Any]:
    """Return the object that a body is.

    Raises:
        CallError: it is none.
    """
    try:
        reply = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise CallError(f"the reply is no JSON: {error}", kind=FaultKind.TRANSIENT) from error
    if not isinstance(reply, dict):
        raise CallError(f"the reply is a JSON {type(reply).__name__}, no object", kind=FaultKind.TRANSIENT)
    return reply


def raise_error_of(reply: Mapping[str, Any], words: Mapping[str, FaultKind]) -> None:
    """Raise for a reply that holds an error, though its status says that all is well: gateways send such.

    Args:
        reply: the body.
        words: which kind a code or a type of the provider's is.

    Raises:
        CallError: it holds one.
    """
    if not reply.get("error"):
        return
    error = mapping(reply["error"])
    code, message = error.get("code"), error.get("message") or reply["error"]
    kind = kind_of(words, code, error.get("type")) or (of_status(code) if type(code) is int else FaultKind.TRANSIENT)
    raise CallError(f"the reply holds an error: {message}", kind=kind)


def kind_of(words: Mapping[str, FaultKind], *said: object) -> FaultKind | None:
    """Return the kind that the first known of some codes stands for."""
    return next((words[word] for word in said if isinstance(word, str) and word in words), None)


def mapping(value: object) -> dict[str, Any]:
    """Return `value` if it is an object; else an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[dict[str, Any]]:
    """Return the objects in `value` if it is a list; else none."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def count(counts: Mapping[str, Any], name: str) -> int:
    """Return a number of tokens; 0 where it is none."""
    value = counts.get(name)
    return value if type(value) is int and 0 <= value < _MOST_TOKENS else 0


def text_of(texts: list[str], usage: TokenUsage = NO_USAGE) -> str:
    """Return the parts of a text in one.

    Raises:
        CallError: there is none.
    """
    text = "".join(texts)
    if not text:
        raise CallError("the reply has no text", kind=FaultKind.INVALID, usage=usage)
    return text.encode("utf-8", "replace").decode()  # half a surrogate pair could not be stored
