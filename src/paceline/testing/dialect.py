"""How a simulated provider says what its limits are, and which of them refused: in the words of a real one.

    none         a Retry-After header on a refusal, where the service gives hints
    gemini       the body of a refusal: QuotaFailure with the id of the quota, RetryInfo; a cap names none, as on Vertex AI
    openai       x-ratelimit-* headers on every reply, the limit that refused also as the error's type
    anthropic    anthropic-ratelimit-* headers on every reply, with its Date

1. Of two limits that count the same, the one that refused is told, else the one that is used up most.
2. A limit is told by the minute, or by the day; what a shorter window would allow in a minute, as providers do.
3. Headers say how things stood when the call was admitted or refused; the hint is the service's, be it a lie.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import formatdate
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

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
