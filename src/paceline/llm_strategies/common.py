"""What strategies of several providers share: the check of arguments, the classifier's base, quota hints, fingerprints, JSON replies.

Rules owned here:

1. A provider's own rules for an exception come before the default classifier's. The API key is blanked in every message.
2. Each level of a reply may be missing or of another type; it then counts as empty.
3. A reply that cannot be parsed, or that holds an error in spite of its HTTP status, raises `CallError`: a transient fault,
   unless the error names another kind.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, ClassVar, NoReturn, Self, SupportsIndex
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import attrs

from .._core.accounting import Price
from .._core.exceptions import CallError, ConfigurationError
from .._core.fault import Fault, FaultKind, FaultReason, blanking
from .._core.media_type import ANSWERED_HTML, is_html
from .._core.provider_answers.classify import classify, fault_of_answer
from .._core.provider_answers.finish_reasons import unfinished
from .._core.provider_answers.foreign_error import Answer, lowered, read_body
from .._core.provider_answers.header_hints import header_quota
from .._core.provider_answers.provider_errors import kind_of_answer, reason_of_answer
from .._core.quota import QuotaHint
from .._core.server_url import checked_url, shown_url
from .._core.usage import NO_USAGE, TokenUsage

_FINGERPRINT_LENGTH = 16  # hexadecimal digits: enough to distinguish one user's settings
_TEXT_PARTS = (None, "text", "output_text")
"""Types of a content's parts whose text is the answer's; others hold thoughts, refusals and references."""


class KeyHolder:
    """A strategy that holds a key: it can be copied, but not pickled, as a pickle is a file like any other."""

    def __copy__(self) -> Self:
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    def __reduce_ex__(self, protocol: SupportsIndex, /) -> NoReturn:
        raise TypeError(
            f"{type(self).__qualname__} cannot be pickled, as it may hold an API key: make another one in the other process, from its arguments"
        )


class ProviderErrorClassifier:
    """Classifies the exceptions of a provider's package, and all others as the default classifier does.

    Args:
        secret: API key that a gateway may echo; it is blanked in every message.
        server: Server that is called, for people: named where a web page came instead of an answer.
    """

    read_error: ClassVar[Callable[[BaseException], Fault | None] | None] = None
    """Returns the fault of an exception that needs rules of its own; None leaves it to the default rules."""

    def __init__(self, *, secret: str | None = None, server: str | None = None) -> None:
        self._secret = secret
        self._server = server

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}()"

    def classify(self, exception: BaseException) -> Fault:
        """Return the fault."""
        with blanking(self._secret):
            fault = classify(exception, wall_time=time.time(), read=type(self).read_error)
            if fault.reason is FaultReason.NOT_THE_API and self._server:
                return attrs.evolve(fault, message=f"{fault.message.removesuffix('?')} ({self._server})?")
            return attrs.evolve(fault)  # one that the exception carried has not been blanked


def check_arguments(  # noqa: PLR0913 - one for each argument
    *,
    model: object,
    client: object,
    client_class: type[Any],
    base_url: object,
    system_instruction: object,
    price: object,
) -> None:
    """Check the types of the arguments that all strategies have.

    Args:
        model: Must be a name that is not blank.
        client: Must be of `client_class`, or None.
        client_class: Class of the package's client.
        base_url: Must be a string, or None.
        system_instruction: As `base_url`.
        price: Must be a `Price`, or None.

    Raises:
        ConfigurationError: An argument has a wrong type; the message names it.
    """
    if not isinstance(model, str) or not model.strip():
        raise ConfigurationError(f"model must be the name of a model, not {model!r}")
    if client is not None and not isinstance(client, client_class):
        wanted = f"{client_class.__module__.removesuffix('.client')}.{client_class.__qualname__}"
        raise ConfigurationError(f"client must be of the class {wanted}, not {type(client).__qualname__}")
    for name, text in (("base_url", base_url), ("system_instruction", system_instruction)):
        if not isinstance(text, str | None):
            raise ConfigurationError(f"{name} must be a string, not {type(text).__name__}")
    if not isinstance(price, Price | None):
        raise ConfigurationError(f"price must be a paceline.Price, not {type(price).__name__}")


def quota_hint(headers: Any) -> QuotaHint | None:
    """Return what the headers of a successful reply say about the provider's quotas; None if they say nothing.

        self.quota_hint = quota_hint(response.headers)          # in `execute`

    Understands OpenAI's `x-ratelimit-*` and Anthropic's `anthropic-ratelimit-*`. Never raises.

    Args:
        headers: Headers as any HTTP client holds them: a mapping or pairs, of text or bytes.
    """
    return header_quota(lowered(headers), wall_time=time.time())


def setting(*names: str) -> str | None:
    """Return the first of some environment variables that is set, without spaces around it; a blank one is not set."""
    return next((value.strip() for name in names if (value := os.environ.get(name, "")).strip()), None)


def server_setting(
    base_url: str | None, variable: str, *, ignored: Sequence[str] = (), endpoints: Sequence[str] = ()
) -> str | None:
    """Return the URL of the server that is called, from an argument or a variable; None: the provider's own.

    Args:
        base_url: URL given by the user, if any.
        variable: Environment variable that may hold it.
        ignored: Variables by which other programs find the server. They are not used, so they must not be the only ones set.
        endpoints: Paths that the client appends.

    Raises:
        ConfigurationError: The URL is not valid, or an ignored variable is set and `variable` is not.
    """
    if base_url is not None:
        return checked_url(base_url, "base_url", endpoints=endpoints)
    url = setting(variable)
    if url is not None:
        return checked_url(url, variable, endpoints=endpoints)
    for name in ignored:
        if (value := setting(name)) is not None:
            raise ConfigurationError(
                f"{name} is set to {shown_url(value)!r} but is not used here: set {variable} to call that server, or unset {name}"
            )
    return None


def shown_server(url: str) -> str:
    """Return a server's URL for people, without credentials, with the proxy that the environment names for it."""
    parts = urlsplit(url)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    is_direct = proxy is None or proxy_bypass(parts.netloc.rpartition("@")[2])
    return shown_url(url) if is_direct else f"{shown_url(url)} through the proxy {shown_url(proxy or '')}"


def output_bound(arguments: Mapping[str, Any]) -> int | None:
    """Return the upper bound on the tokens of an answer to requests with these arguments; None if they have none."""
    given = {**as_mapping(arguments.get("extra_body")), **arguments}
    bounds = [given.get(name) for name in ("max_completion_tokens", "max_tokens", "max_output_tokens")]
    return next((bound for bound in bounds if type(bound) is int and bound > 0), None)


def is_same_host(url: str, other: str) -> bool:
    """Whether two URLs name the same host."""
    return urlsplit(url).hostname == urlsplit(other).hostname


def fingerprint(value: Any) -> str | None:
    """Return a hash of plain data or text, for a strategy's identity; None for None.

    A journal compares long or private settings by their hash and does not store them.
    """
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=repr)
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:_FINGERPRINT_LENGTH]


def parse_object(body: str | bytes) -> dict[str, Any]:
    """Return the JSON object in a reply's body.

    Raises:
        CallError: The body is not a JSON object.
    """
    try:
        reply = json.loads(body)
    except (ValueError, RecursionError) as error:
        if is_html(body):
            words, reason = f"{ANSWERED_HTML}: is the URL right?", FaultReason.NOT_THE_API
            raise CallError(words, kind=FaultKind.TRANSIENT, reason=reason) from error
        raise CallError(f"the reply is not JSON: {error}", kind=FaultKind.TRANSIENT) from error
    if not isinstance(reply, dict):
        raise CallError(f"the reply is a JSON {type(reply).__name__}, not an object", kind=FaultKind.TRANSIENT)
    return reply


def raise_reply_error(reply: Mapping[str, Any], usage: TokenUsage = NO_USAGE) -> None:
    """Raise the error that a reply holds although its HTTP status is a success, as gateways send them.

    Args:
        reply: Parsed body, or a choice in it.
        usage: Tokens that the reply reports.

    Raises:
        CallError: The reply holds an error. A code that is an HTTP status has the kind of that status.
    """
    if not reply.get("error"):
        return
    body = read_body({"error": reply["error"]})
    error = as_mapping(reply["error"])
    words = [
        error.get("message") or reply["error"],
        as_mapping(error.get("metadata")).get("raw"),
    ]  # `raw`: OpenRouter's provider
    answer = Answer(body.status, {}, body)
    # Without a status the words count as if it were a 400; an error that no code and no words explain is a passing failure.
    read = attrs.evolve(answer, status=answer.status or HTTPStatus.BAD_REQUEST)
    kind = kind_of_answer(read)
    if answer.status is None and kind is FaultKind.REJECTED:
        kind = FaultKind.TRANSIENT
    text = f"the reply holds an error: {': '.join(str(word) for word in words if word)}"
    fault = fault_of_answer(kind or FaultKind.TRANSIENT, answer, text, wall_time=time.time())
    reason = fault.reason or reason_of_answer(read, fault.kind)
    raise CallError(
        fault.message, kind=fault.kind, usage=usage, retry_after=fault.retry_after, quota=fault.quota, reason=reason
    )


def require_finished(  # noqa: PLR0913 - all but two have defaults
    reason: object,
    usage: TokenUsage,
    *,
    vendors_own: object = None,
    message: object = None,
    answer: str = "",
    answered_by_tool: bool = False,
) -> None:
    """Raise if a model stopped for another reason than being finished.

    Args:
        reason: Finish reason in the reply.
        usage: Tokens that the reply reports.
        vendors_own: Reason of the vendor behind a gateway, if the reply has it.
        message: What the reply says about the reason.
        answer: What the model has answered.
        answered_by_tool: Whether a tool call is the answer.

    Raises:
        CallError: The answer is truncated, refused or does not count for another reason.
    """
    found = unfinished(reason, vendors_own)
    if found is not None and not (answered_by_tool and found.kind is FaultKind.INVALID):
        words = f": {message}" if isinstance(message, str) and message else ""
        raise CallError(
            f"the model finished with {found.reason}{words}", kind=found.kind, usage=usage, answer=answer or None
        )


def texts_of(content: object) -> list[str]:
    """Return the texts of an answer's content without the model's thoughts: content is a text, a part, or a list of them."""
    parts = content if isinstance(content, list) else [content]
    texts = []
    for part in parts:
        text = part
        if isinstance(part, dict):
            text = part.get("text") if part.get("type") in _TEXT_PARTS else None
        if isinstance(text, dict):  # as OpenAI's assistants write it
            text = text.get("value")
        if isinstance(text, str):
            texts.append(text)
    return texts


def as_mapping(value: object) -> dict[str, Any]:
    """Return `value` if it is an object; otherwise an empty one."""
    return value if isinstance(value, dict) else {}


def as_objects(value: object) -> list[dict[str, Any]]:
    """Return the objects in `value` if it is a list; otherwise an empty list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def json_text(value: object) -> str:
    """Return what a tool was called with as JSON: a text is JSON already."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def join_texts(texts: list[str], usage: TokenUsage = NO_USAGE) -> str:
    """Return the parts of an answer as one text.

    Raises:
        CallError: The answer is empty.
    """
    text = "".join(texts)
    if not text:
        raise CallError("the reply has no text", kind=FaultKind.INVALID, usage=usage)
    return text.encode("utf-8", "replace").decode()  # half a surrogate pair could not be stored
