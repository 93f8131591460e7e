"""What a call to the simulated provider comes back with: a reply, or an error as a provider's client raises it.

1. What HTTP has a status for is a `SimulatedError` with that status, so that classification is exercised as with a real
   client; what a strategy finds out by itself is a `CallError`, with the tokens that it cost.
2. A hint travels as a Retry-After header and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import attrs

from .._core.exceptions import CallError
from .._core.fault import FaultKind
from .._core.usage import TokenUsage
from .admission import Refusal

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})
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
    """

    def __init__(self, code: int, message: str, headers: Mapping[str, str] = _NO_HEADERS) -> None:
        super().__init__(code, message, headers)
        self.code = code
        self.message = message
        self.response = SimulatedResponse(code, headers)

    def __str__(self) -> str:
        return f"{self.code} {self.message}"


def refused(refusal: Refusal, hint: str | None) -> SimulatedError:
    """Return the error of a call that a limit refused."""
    headers = _NO_HEADERS if hint is None else {"retry-after": hint}
    return SimulatedError(_TOO_MANY_REQUESTS, f"over the limit of {refusal.limit}", headers)


def faulted(kind: FaultKind, usage: TokenUsage) -> SimulatedError | CallError:
    """Return the error of a fault of the door or of the answer."""
    if kind in _STATUS:
        return SimulatedError(*_STATUS[kind])
    return CallError(_MESSAGE[kind], kind=kind, usage=usage)
