"""What a call to the simulated provider comes back with: a reply, or an error as a provider's client raises it.

1. What HTTP has a status for is a `SimulatedError` with that status, so that classification is exercised as with a real
   client; what a strategy finds out by itself is a `CallError`, with the tokens that it cost.
2. A hint travels as a Retry-After header, in Gemini's dialect in the body.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from .._core.exceptions import CallError
from .._core.fault import FaultKind
from .._core.usage import TokenUsage
from .admission import Refusal
from .dialect import NO_HEADERS, Dialect, gemini_body, headers
from .limits import Standing

_TOO_MANY_REQUESTS = 429
_STATUS = {
    FaultKind.OVERLOADED: (503, "the model is overloaded"),
    FaultKind.TRANSIENT: (500, "an internal error occurred"),
    FaultKind.REJECTED: (400, "the request is not valid"),
    FaultKind.DENIED: (401, "the key is not valid"),
}
_MESSAGE = {
    FaultKind.EXHAUSTED: "the daily quota is spent",
    FaultKind.INVALID: "the answer does not have the form that was asked for",
    FaultKind.TRUNCATED: "the answer hit the limit of output tokens",
    FaultKind.REFUSED: "the model declined to answer",
}


@attrs.frozen
class Reply:
    """An answer and what it cost."""

    text: str
    usage: TokenUsage
    headers: Mapping[str, str] = attrs.field(default=NO_HEADERS, repr=False, hash=False)
    """What it says of the limits, where the service does so."""


@attrs.frozen
class SimulatedResponse:
    """The response behind an error, as far as a classifier looks at it."""

    status_code: int
    headers: Mapping[str, str]


class SimulatedError(Exception):
    """The simulated provider answered with an HTTP error.

    Args:
        code: the status, also on `response`.
        message: for people.
        headers: of the response; `retry-after` on a 429 where the service gives hints.
        details: the body, as google-genai has it on its errors.
        type: what openai has as an error's type: which measure of limits refused.
    """

    def __init__(
        self,
        code: int,
        message: str,
        headers: Mapping[str, str] = NO_HEADERS,
        details: Mapping[str, Any] | None = None,
        type: str | None = None,  # noqa: A002 - openai's name for it
    ) -> None:
        super().__init__(code, message, headers, details, type)
        self.code = code
        self.message = message
        self.details = details
        self.type = type
        self.response = SimulatedResponse(code, headers)

    def __str__(self) -> str:
        return f"{self.code} {self.message}"


def refused(
    refusal: Refusal, hint: str | None, dialect: Dialect, standings: Sequence[Standing], now: float
) -> SimulatedError:
    """Return the error of a call that a limit refused, in the provider's dialect."""
    message = f"over the limit of {refusal.limit}"
    by = next((each for each in standings if each.refused), None)
    if dialect == "gemini":
        return SimulatedError(_TOO_MANY_REQUESTS, message, details=gemini_body(by, hint))
    asked = NO_HEADERS if hint is None else {"retry-after": hint}
    told = {**headers(dialect, standings, now), **asked}
    measure = by.per if by is not None and dialect == "openai" else None
    return SimulatedError(_TOO_MANY_REQUESTS, message, told or NO_HEADERS, type=measure)


def faulted(kind: FaultKind, usage: TokenUsage) -> SimulatedError | CallError:
    """Return the error of a fault of the door or of the answer."""
    if kind in _STATUS:
        return SimulatedError(*_STATUS[kind])
    return CallError(_MESSAGE[kind], kind=kind, usage=usage)
