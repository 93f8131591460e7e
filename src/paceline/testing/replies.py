"""How a simulated provider says what its limits are, and which of them refused: in the words of a real one.

    none         a Retry-After header on a refusal, where the service gives hints
    gemini       the body of a refusal: QuotaFailure with the id of the quota, RetryInfo; a cap names none, as on Vertex AI
    openai       x-ratelimit-* headers on every reply, the limit that refused also as the error's type
    anthropic    anthropic-ratelimit-* headers on every reply, with its Date

1. Of two limits that count the same, the one that refused is told, else the one that is used up most.
2. A limit is told by the minute, or by the day; what a shorter window would allow in a minute, as providers do.
3. Headers say how things stood when the call was admitted or refused; the hint is the service's, be it a lie.

What a call to the simulated provider comes back with: a reply, or an error as a provider's client raises it.

1. What HTTP has a status for is a `SimulatedError` with that status, so that classification is exercised as with a real
   client; what a strategy finds out by itself is a `CallError`, with the tokens that it cost.
2. A hint travels as a Retry-After header, in Gemini's dialect in the body.
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
from .limits import Measure, Standing

Dialect: TypeAlias = Literal["none", "gemini", "openai", "anthropic"]
DIALECTS = ("none", "gemini", "openai", "anthropic")
TALKATIVE = frozenset({"openai", "anthropic"})
"""Those that say something with good replies, too."""

NO_HEADERS: Mapping[str, str] = MappingProxyType({})
_EPOCH = 1_767_225_600.0  # 2026-01-01: when the clock of every simulated run begins, for one that tells times
_MINUTE, _DAY = 60.0, 86_400.0
_METRIC = "generativelanguage.googleapis.com/generate_content_"


def headers(dialect: Dialect, standings: Iterable[Standing], now: float) -> Mapping[str, str]:
    """Return the headers about limits that come with every reply."""
    if dialect == "openai":
        return {
            f"x-ratelimit-{name}-{each.per}": value
            for each in _shown(standings)
            for name, value in (
                ("limit", f"{round(each.amount)}"),
                ("remaining", f"{math.floor(each.remaining)}"),
                ("reset", _span(each.reset)),
            )
        }
    if dialect == "anthropic":
        return {"date": formatdate(math.floor(_EPOCH + now), usegmt=True)} | {
            f"anthropic-ratelimit-{each.per}-{name}": value
            for each in _shown(standings)
            for name, value in (
                ("limit", f"{round(each.amount)}"),
                ("remaining", f"{math.floor(each.remaining)}"),
                ("reset", _time(_EPOCH + now + each.reset)),
            )
        }
    return NO_HEADERS


def gemini_body(refused: Standing | None, hint: str | None) -> dict[str, Any]:
    """Return the body of a refusal by Gemini."""
    details: list[dict[str, Any]] = []
    if refused is not None:
        details.append({"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [_violation(refused)]})
        if hint is not None:
            details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{hint}s"})
    message = "You exceeded your current quota."
    return {"error": {"code": 429, "message": message, "status": "RESOURCE_EXHAUSTED", "details": details}}


def _violation(refused: Standing) -> dict[str, str]:
    daily = refused.period >= _DAY
    period = "PerDay" if daily else "PerMinute"
    value = max(1, round(refused.amount * (_DAY if daily else _MINUTE) / refused.period))
    if refused.per == "requests":
        metric, name = f"{_METRIC}requests", f"GenerateRequests{period}PerProjectPerModel"
    else:  # of a call's tokens both are counted, so that the id does not say InputTokens
        metric, name = f"{_METRIC}token_count", f"GenerateContentTokensPerModel{period}"
    return {"quotaMetric": metric, "quotaId": name, "quotaValue": str(value)}


def _shown(standings: Iterable[Standing]) -> Iterable[Standing]:
    by_measure: dict[Measure, Standing] = {}
    for each in sorted(standings, key=lambda each: (not each.refused, each.remaining / each.amount)):
        by_measure.setdefault(each.per, each)
    return by_measure.values()


def _span(seconds: float) -> str:
    """Return a time as Go prints it: 20ms, 7.66s, 6m0s, 23h59m59s."""
    milliseconds = math.ceil(seconds * 1_000 - 1e-6)
    if milliseconds < 1_000:  # noqa: PLR2004 - milliseconds in a second
        return f"{milliseconds}ms" if milliseconds else "0s"
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{f'{hours}h' if hours else ''}{f'{minutes}m' if hours or minutes else ''}{rest / 1_000:g}s"


def _time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(math.ceil(seconds), UTC):%Y-%m-%dT%H:%M:%SZ}"


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
        self.response: SimulatedResponse = SimulatedResponse(code, headers)

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
