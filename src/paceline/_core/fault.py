"""Faults: the ways in which a call or its item can fail, as values.

Rules owned here:

1. Every failure has exactly one kind; the set of kinds is closed, and every table over it is total.
2. A fault contains no secrets: text that looks like a credential, or is the one that a strategy knows, is replaced before it is stored or cut. Nor does it contain what a terminal could
   obey.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from urllib.parse import quote

import attrs

from .printable import printable
from .quota import QuotaHint, positive_number


class FaultKind(enum.StrEnum):
    """How a call, or its item, failed."""

    THROTTLED = "throttled"
    """The provider asked for fewer calls (429)."""
    OVERLOADED = "overloaded"
    """The provider is out of capacity for all its users (503, 529)."""
    TRANSIENT = "transient"
    """A passing failure: another 5xx, a dropped connection, a malformed response."""
    TIMEOUT = "timeout"
    """The deadline of a call or of its item passed."""
    INVALID = "invalid"
    """The output does not match its type."""
    TRUNCATED = "truncated"
    """The output hit the limit of output tokens."""
    REFUSED = "refused"
    """The model declined to answer: a safety block, or a reply without candidates."""
    REJECTED = "rejected"
    """The request itself is wrong or too large (400, 404, 413, another 4xx)."""
    DENIED = "denied"
    """The credentials are wrong (401, an invalid key), the account is closed, or the server's certificate is not trusted: no call can
    succeed."""
    EXHAUSTED = "exhausted"
    """The account gets no more answers from this model for a long time: a daily quota or the credit is used up, or the model or the
    country is not allowed."""
    BUG = "bug"
    """Any other exception of the strategy, or a return value of the wrong form."""
    CANCELLED = "cancelled"
    """The call raised a cancellation that paceline did not request."""
    SKIPPED = "skipped"
    """A middleware decided that the item needs no call."""
    PENDING = "pending"
    """The batch ended before the item was settled; it can run again."""


class FaultReason(enum.StrEnum):
    """Why a call failed, where its kind does not say what can be done about it."""

    TOO_LARGE = "too_large"
    """`rejected`: the request alone is larger than the limit."""
    NOT_THE_API = "not_the_api"
    """`transient` or `rejected`: a web page came instead of an answer, so the address is not that of the provider's API, or a proxy's page
    stands before it."""
    REFUSED_ALONE = "refused_alone"
    """`throttled`: the item was refused each time, whereas others were served."""
    POLICY = "policy"
    """`refused`: the provider's policy does not allow the prompt; the model was not asked, or not heard."""
    NO_ACCESS = "no_access"
    """`exhausted`: the account may not use the model."""
    REGION = "region"
    """`exhausted`: the provider does not serve this country, or not with this model."""
    UNTRUSTED = "untrusted"
    """`denied`: the server's certificate is not trusted, so that neither key nor prompt was sent."""
    CREDIT = "credit"
    """`exhausted`: credit, a budget or a spending limit is used up, or billing is not set up."""
    BUDGET = "budget"
    """`pending`: the budget that was given here is used up, or cannot be kept as a price is not known."""


TRANSIENT_KINDS = frozenset(
    {
        FaultKind.THROTTLED,
        FaultKind.OVERLOADED,
        FaultKind.TRANSIENT,
        FaultKind.TIMEOUT,
        FaultKind.DENIED,
        FaultKind.EXHAUSTED,
        FaultKind.BUG,
        FaultKind.CANCELLED,
    }
)
"""Kinds that are not caused by the item: later, with another key or with corrected code, it may succeed."""

_SECRET = re.compile(
    r"""(?ix)
    AIza [\w-]{20,}                                # Google API keys
    | (?: (?<! [a-z] ) | (?<= \\[nrt] ) )          # not the tail of a word, as in task-...; an escaped line break is not a letter
      (?:sk|pk|rk) - [\w-]{16,}                    # OpenAI, Anthropic and their like
    | (?P<kept> bearer \s+ ) [\w.~+/=-]{8,}        # Authorization headers
    | (?<= [?&]key= ) [^&\s"']+                    # keys in a query string
    | (?<= :// ) [^\s/?\#@"']+ (?= @ )             # the user and the password of an address
    """
)
_LONGEST_MESSAGE = 2_000  # characters: enough to act upon, and a million of them still fit in memory
_LONGEST_ANSWER = 100_000  # characters: what a model writes with 25,000 tokens
UNTRUSTED_ADVICE = "check the server's address, or name the certificate of its authority in SSL_CERT_FILE"
"""What to do about a certificate that is not trusted."""
TOO_LARGE = "refused as too large for the limit"
"""What precedes the provider's words in the fault of an item that is larger than the limit."""


_REDACTED = "[redacted]"
_secrets: ContextVar[tuple[str, ...]] = ContextVar("_secrets", default=())


@contextmanager
def blanking(secret: str | None) -> Iterator[None]:
    """Let the faults that are made in the block not contain a secret: as it is, in a URL and in JSON.

    Args:
        secret: The secret; None: nothing is blanked.
    """
    forms = () if not secret else (secret, quote(secret, safe=""), json.dumps(secret)[1:-1])
    token = _secrets.set(tuple(dict.fromkeys(forms)))
    try:
        yield
    finally:
        _secrets.reset(token)


def _blanked(text: str) -> str:
    for secret in _secrets.get():
        text = text.replace(secret, _REDACTED)
    return text


def redact(text: str) -> str:
    """Return `text` with anything that looks like a credential replaced, cut to 2,000 characters."""
    text = _SECRET.sub(r"\g<kept>[redacted]", _blanked(text))
    return text if len(text) <= _LONGEST_MESSAGE else text[: _LONGEST_MESSAGE - 1] + "…"


def _bounded(answer: str | None) -> str | None:
    if answer is None:
        return None
    answer = _blanked(answer)
    return answer if len(answer) <= _LONGEST_ANSWER else answer[: _LONGEST_ANSWER - 1] + "…"


def _shown(message: str) -> str:
    return printable(redact(message.replace("\r\n", "\n")))


_is_text_or_none = attrs.validators.optional(attrs.validators.instance_of(str))


@attrs.frozen
class Fault:
    """One failure: its kind, a message, and what the provider reported about waiting."""

    kind: FaultKind = attrs.field(validator=attrs.validators.instance_of(FaultKind))
    """The kind, which decides what follows."""
    message: str = attrs.field(default="", converter=_shown)
    """What happened, for people. Credentials are replaced, and control characters are escaped, but for line breaks and tabs."""
    retry_after: float | None = attrs.field(default=None, converter=positive_number)
    """Seconds that the provider asked to wait; None if it did not, or not for a positive, finite time."""
    quota: QuotaHint | None = attrs.field(
        default=None, validator=attrs.validators.optional(attrs.validators.instance_of(QuotaHint))
    )
    """What the provider reported about its quotas, if anything."""
    is_unreached: bool = attrs.field(default=False, kw_only=True, eq=False, repr=False)
    """Whether the server could not be reached, or closed the connection: calls that all fail so stop the batch early."""
    reason: FaultReason | None = attrs.field(
        default=None, kw_only=True, eq=False, converter=attrs.converters.optional(FaultReason)
    )
    """Why, where the kind alone does not say what can be done; None: not known."""
    answer: str | None = attrs.field(
        default=None, kw_only=True, eq=False, repr=False, validator=_is_text_or_none, converter=_bounded
    )
    """What the model answered, of an answer that was not accepted: `invalid`, `truncated` or `refused`; cut to 100,000 characters.
    It was paid for: result rows and journals keep it, logs and events do not have it. None: the model did not answer, or the strategy did not report it."""

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}" if self.message else str(self.kind)

    @property
    def misses_api(self) -> bool:
        """Whether the call did not get to the provider's API: the server was not reached, or is another one."""
        return self.is_unreached or self.reason is FaultReason.NOT_THE_API


def overdue_fault(seconds: float) -> Fault:
    """Return the fault of an item that was not settled within its deadline of `seconds`."""
    return Fault(FaultKind.TIMEOUT, f"the item was not settled within its deadline of {seconds:g} s")


def too_large_fault(message: str, quota: QuotaHint | None = None) -> Fault:
    """Return the fault of an item that alone is larger than the limit.

    Args:
        message: The provider's words.
        quota: What the provider reported about its quotas.
    """
    return Fault(FaultKind.REJECTED, f"{TOO_LARGE}: {message}", None, quota, reason=FaultReason.TOO_LARGE)


DRAINED = "the batch was drained"
POOL_DRAINED = "the pool was drained"


def pending_fault(reason: str) -> Fault:
    """Return the fault of an item that its batch left unsettled."""
    return Fault(FaultKind.PENDING, reason)
