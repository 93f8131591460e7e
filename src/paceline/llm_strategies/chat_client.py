"""Which service a chat strategy calls, and as whom; and what is particular to each provider's package.

How OpenAI and Anthropic, and those who speak as they do, say no by an exception of their packages.

Rules owned here:

1. An error is what its HTTP status says, unless a code in its body says more.
2. A refusal for what the input says is the item's own, whatever its status: it must not stop a batch, as a bad key does.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any
from urllib.parse import urlsplit

import attrs

from .._core.classify import attribute, fault_with_hints, of_status
from .._core.exceptions import ConfigurationError, MissingKeyError
from .._core.fault import Fault, FaultKind
from .._core.request import Dialect
from .common import ProviderErrorClassifier, kind_of, mapping


@attrs.frozen(kw_only=True)
class Provider:
    """What is particular to one provider's package."""

    name: Dialect
    """As lists of prices call it, and requests."""
    title: str
    """As people call it."""
    path: str
    """Where requests are sent to."""
    client: type[Any]
    """The client's class."""
    key_names: tuple[str, ...]
    """The variables of the environment that may hold a key, in the order in which they are looked at."""
    url_name: str
    """The variable that may hold the base URL."""
    arguments: frozenset[str]
    """Of a request."""
    modes: tuple[str, ...]
    """In which a schema can be asked for; the first is the default."""


@attrs.frozen
class Access:
    """Where to call and as whom; the key is never printed."""

    api_key: str | None = attrs.field(repr=False)
    base_url: str | None
    """None: the provider's own."""

    @classmethod
    def of(cls, name: str, provider: Provider, api_key: str | None, base_url: str | None) -> Access:
        """Fill up from the environment what is not given.

        Args:
            name: the strategy's, for messages.
            provider: that is called.
            api_key: if it is given.
            base_url: if it is given.

        Raises:
            ConfigurationError: the address or the key cannot be one.
            MissingKeyError: there is no key, and the service is the provider's own.
        """
        names = provider.key_names
        url = base_url or os.environ.get(provider.url_name) or None
        if url is not None and not _is_url(url):
            shown = url.rpartition("@")[2]  # before it there may be a password
            raise ConfigurationError(f"base_url must be like http://127.0.0.1:8000/v1, not {shown!r}")
        found = (api_key, *map(os.environ.get, names))
        key = next((key.strip() for key in found if key and key.strip()), None)
        if key is None and url is None:
            raise MissingKeyError(f"{name} found no key: give api_key or client, or set {' or '.join(names)}")
        if key is not None and not (key.isascii() and key.isprintable() and " " not in key):
            raise ConfigurationError(f"the key of {name} has characters that no key has (it is not shown here)")
        return cls(key, url)


def _is_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        return url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:  # a port that is none
        return False


def one_of(what: str, name: object, names: Sequence[str]) -> str:
    """Return a name that is one of some.

    Raises:
        ConfigurationError: it is none; with the nearest spelling.
    """
    if isinstance(name, str) and name in names:
        return name
    near = get_close_matches(str(name), names, n=1)
    raise ConfigurationError(
        f"{what} is unknown: {name!r}; " + (f"did you mean {near[0]!r}?" if near else f"known are {', '.join(names)}")
    )


WORDS = {
    "account_deactivated": FaultKind.DENIED,
    "authentication_error": FaultKind.DENIED,
    "billing_error": FaultKind.EXHAUSTED,
    "billing_hard_limit_reached": FaultKind.EXHAUSTED,
    "billing_not_active": FaultKind.EXHAUSTED,
    "content_filter": FaultKind.REFUSED,
    "content_policy_violation": FaultKind.REFUSED,
    "contract_spend_limit_reached": FaultKind.EXHAUSTED,
    "enforced_spend_limit_reached": FaultKind.EXHAUSTED,
    "insufficient_quota": FaultKind.EXHAUSTED,
    "invalid_api_key": FaultKind.DENIED,
    "linked_organization_spend_limit_reached": FaultKind.EXHAUSTED,
    "organization_on_hold": FaultKind.DENIED,
    "overloaded_error": FaultKind.OVERLOADED,
    "ramp_limit_exceeded": FaultKind.THROTTLED,
    "rate_limit_error": FaultKind.THROTTLED,
    "rate_limit_exceeded": FaultKind.THROTTLED,
    "slow_down": FaultKind.THROTTLED,
    "timeout_error": FaultKind.TIMEOUT,
}


def _read(error: BaseException, *, wall_time: float) -> Fault | None:
    status = attribute(error, "status_code")
    if not isinstance(status, int) or attribute(error, "response") is None:
        return None
    body = mapping(attribute(error, "body"))
    if "flagged_input" in mapping(body.get("metadata")):  # OpenRouter's moderation, as a 403
        kind = FaultKind.REFUSED
    else:
        said = (attribute(error, name) for name in ("error_code", "code", "type"))
        kind = kind_of(WORDS, *said) or of_status(status)
    return fault_with_hints(error, kind, wall_time=wall_time)


class ChatErrorClassifier(ProviderErrorClassifier):
    """Understands the exceptions of the openai and the anthropic package, and all that the default classifier does.

    Args:
        secret: the key, which a gateway may echo; it is blanked in every message.
    """

    reading = staticmethod(_read)
