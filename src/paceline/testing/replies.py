"""Replies of the simulated provider: answers, errors, and reports of its limits in the dialect of a real provider.

    none         a Retry-After header on a refusal, if the service gives hints
    gemini       the body of a refusal: QuotaFailure with the id of the quota, RetryInfo; a cap names no quota, as on Vertex AI
    openai       x-ratelimit-* headers on every reply; the measure of the limit that refused is also the error's type
    anthropic    anthropic-ratelimit-* headers on every reply, with its Date

1. An error that HTTP has a status for is a `SimulatedError` with that status, so that it is classified as a real client's error
   is; an error that a strategy detects in an answer is a `CallError`, with the tokens that the answer cost.
2. Of two limits with the same measure, the one that refused is reported, otherwise the one with the smallest share left.
3. A limit is reported per minute or per day; a shorter window as what it allows per minute, as providers do.
4. Reports show the status when the call was admitted or refused; the hint is the service's, even if it is wrong. It is a
   Retry-After header, in Gemini's dialect a part of the body.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import formatdate
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import attrs

from .._core.exceptions import CallError
from .._core.fault import FaultKind
from .._core.usage import TokenUsage
from .admission import Refusal
from .limits import LimitStatus, Measure

Dialect: TypeAlias = Literal["none", "gemini", "openai", "anthropic"]
DIALECTS = ("none", "gemini", "openai", "anthropic")
REPORTING_DIALECTS = frozenset({"openai", "anthropic"})
"""Dialects that report limits with good replies too."""

NO_HEADERS: Mapping[str, str] = MappingProxyType({})
_EPOCH = (
    1_767_225_600.0  # 2026-01-01: the time of day at which every simulated run begins, for dialects that report times
)
_MINUTE, _DAY = 60.0, 86_400.0
_TOO_MANY_REQUESTS = 429
_METRIC = "generativelanguage.googleapis.com/generate_content_"


def limit_headers(dialect: Dialect, statuses: Iterable[LimitStatus], now: float) -> Mapping[str, str]:
    """Return the headers that report limits with every reply."""
    if dialect == "openai":
        return {
            f"x-ratelimit-{name}-{each.per}": value
            for each in _reported(statuses)
            for name, value in (
                ("limit", f"{round(each.amount)}"),
                ("remaining", f"{math.floor(each.remaining)}"),
                ("reset", _go_duration(each.reset)),
            )
        }
    if dialect == "anthropic":
        return {"date": formatdate(math.floor(_EPOCH + now), usegmt=True)} | {
            f"anthropic-ratelimit-{each.per}-{name}": value
            for each in _reported(statuses)
            for name, value in (
                ("limit", f"{round(each.amount)}"),
                ("remaining", f"{math.floor(each.remaining)}"),
                ("reset", _rfc3339(_EPOCH + now + each.reset)),
            )
        }
    return NO_HEADERS


def gemini_body(refused: LimitStatus | None, hint: str | None, code: int = 429) -> dict[str, Any]:
    """Return the body of a refusal as Gemini sends it."""
    if code != _TOO_MANY_REQUESTS:
        return {"error": {"code": code, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
    details: list[dict[str, Any]] = []
    if refused is not None:
        details.append({"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [_violation(refused)]})
        if hint is not None:
            details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{hint}s"})
    message = "You exceeded your current quota."
    return {"error": {"code": code, "message": message, "status": "RESOURCE_EXHAUSTED", "details": details}}


def _violation(refused: LimitStatus) -> dict[str, str]:
    daily = refused.period >= _DAY
    period = "PerDay" if daily else "PerMinute"
    value = max(1, round(refused.amount * (_DAY if daily else _MINUTE) / refused.period))
    if refused.per == "requests":
        metric, name = f"{_METRIC}requests", f"GenerateRequests{period}PerProjectPerModel"
    else:  # input and output tokens are counted together, so the id does not say InputTokens
        metric, name = f"{_METRIC}token_count", f"GenerateContentTokensPerModel{period}"
    return {"quotaMetric": metric, "quotaId": name, "quotaValue": str(value)}


def _reported(statuses: Iterable[LimitStatus]) -> Iterable[LimitStatus]:
    by_measure: dict[Measure, LimitStatus] = {}
    for each in sorted(statuses, key=lambda each: (not each.refused, each.remaining / each.amount)):
        by_measure.setdefault(each.per, each)
    return by_measure.values()


def _go_duration(seconds: float) -> str:
    """Return a duration in Go's notation, as OpenAI does: 20ms, 7.66s, 6m0s, 23h59m59s."""
    milliseconds = math.ceil(seconds * 1_000 - 1e-6)
    if milliseconds < 1_000:  # noqa: PLR2004 - milliseconds in a second
        return f"{milliseconds}ms" if milliseconds else "0s"
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{f'{hours}h' if hours else ''}{f'{minutes}m' if hours or minutes else ''}{rest / 1_000:g}s"


def _rfc3339(seconds: float) -> str:
    return f"{datetime.fromtimestamp(math.ceil(seconds), UTC):%Y-%m-%dT%H:%M:%SZ}"


_STATUS = {
    FaultKind.OVERLOADED: (503, "the model is overloaded"),
    FaultKind.TRANSIENT: (500, "an internal error occurred"),
    FaultKind.REJECTED: (400, "the request is not valid"),
    FaultKind.DENIED: (401, "the key is not valid"),
}
_ANSWERS = {
    FaultKind.INVALID: "An answer in another format.",
    FaultKind.TRUNCATED: "The beginning of an answer that",
    FaultKind.REFUSED: "I cannot help with that.",
}
_MESSAGE = {
    FaultKind.EXHAUSTED: "the daily quota is exhausted",
    FaultKind.INVALID: "the answer does not have the requested format",
    FaultKind.TRUNCATED: "the answer hit the limit of output tokens",
    FaultKind.REFUSED: "the model declined to answer",
}


@attrs.frozen
class Reply:
    """An answer and its cost."""

    text: str
    """The answer."""
    usage: TokenUsage
    """Tokens of the call."""
    headers: Mapping[str, str] = attrs.field(default=NO_HEADERS, repr=False, hash=False)
    """Report of the limits, if the service's dialect has one."""


@attrs.frozen
class SimulatedResponse:
    """The response of an error, as far as a classifier reads it."""

    status_code: int
    """HTTP status."""
    headers: Mapping[str, str]
    """HTTP headers; with the limits, if the service reports them."""


class SimulatedError(Exception):
    """The simulated provider answered with an HTTP error.

    Args:
        code: HTTP status, also on `response`.
        message: Text for people.
        headers: Headers of the response; `retry-after` on a 429 if the service gives hints.
        details: Body of the response, as google-genai's errors have it.
        type: Measure of the limit that refused, as openai's errors have it.
        is_refusal: Whether a limit, or `shed_share`, refused the call; otherwise the error is a fault, whatever its status.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what errors of different clients have
        self,
        code: int,
        message: str,
        headers: Mapping[str, str] = NO_HEADERS,
        details: Mapping[str, Any] | None = None,
        type: str | None = None,  # noqa: A002 - openai's name
        is_refusal: bool = False,  # noqa: FBT001, FBT002 - an exception that can be pickled has positional arguments
    ) -> None:
        super().__init__(code, message, headers, details, type, is_refusal)
        self.code = code
        self.message = message
        self.details = details
        self.type = type
        self.is_refusal = is_refusal
        self.response: SimulatedResponse = SimulatedResponse(code, headers)

    def __str__(self) -> str:
        return f"{self.code} {self.message}"


def refusal_error(  # noqa: PLR0913, PLR0917 - all that a refusal reports
    refusal: Refusal, hint: str | None, dialect: Dialect, statuses: Sequence[LimitStatus], now: float, code: int = 429
) -> SimulatedError:
    """Return the error of a call that was refused, in the service's dialect; `code`: its HTTP status."""
    message = "refused by chance" if refusal.limit is None else f"over the limit of {refusal.limit}"
    refused_by = next((each for each in statuses if each.refused), None)
    if dialect == "gemini":
        return SimulatedError(code, message, details=gemini_body(refused_by, hint, code), is_refusal=True)
    retry_after = NO_HEADERS if hint is None else {"retry-after": hint}
    headers = {**limit_headers(dialect, statuses, now), **retry_after}
    measure = refused_by.per if refused_by is not None and dialect == "openai" else None
    return SimulatedError(code, message, headers or NO_HEADERS, type=measure, is_refusal=True)


def fault_error(kind: FaultKind, usage: TokenUsage) -> SimulatedError | CallError:
    """Return the error of a fault other than a refusal by a limit."""
    if kind in _STATUS:
        return SimulatedError(*_STATUS[kind])
    return CallError(_MESSAGE[kind], kind=kind, usage=usage, answer=_ANSWERS.get(kind))
