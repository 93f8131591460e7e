"""Body hints: what the body of a provider's error reports about quotas and waits, whichever client raised it.

Rules owned here:

1. Any level of a body may be missing or have any value: then it reports nothing. Nothing here raises.
2. In a Google body, the id of a quota has priority over the delay: real bodies name a daily quota and a delay of one second.
3. A daily quota of Google reopens at midnight in California, as those of the Gemini API do; when one of zero does is unknown.
4. A daily quota that a message names is used up if the message asks to wait for longer than a minute, or for no time. OpenAI and
   Groq return a daily quota evenly, and ask to wait until the next call fits: a short wait is an ordinary refusal.
5. A request that asks for more than the limit holds is not refused for coming too early: no wait mends it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import attrs

from ..quota import DAY, Part, QuotaHint, QuotaLimit, Unit, positive_number
from .foreign_error import Answer, ErrorBody, lowered
from .header_hints import header_quota, response_time
from .waits import HOUR, MINUTE, parse_wait, wait_in_text

_RETRY_DELAY = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)s", re.ASCII)  # of google.rpc.RetryInfo
_COUNT = re.compile(r"0|[1-9]\d{0,17}", re.ASCII)
_PERIODS = {"perday": DAY, "perhour": HOUR, "perminute": MINUTE, "persecond": 1.0}  # as parts of quota ids
_LONGEST_NAME = 200  # characters of a quota's id or metric
_LONGEST_SENTENCES = 4_000  # characters of a message that are searched
_CALIFORNIA = "America/Los_Angeles"
_WAIT_FIELDS = {  # keys without `_` and `-`, in lower case, and the unit of a number in seconds
    "retryafter": 1.0,
    "retryafterms": 1e-3,
    "retryafterseconds": 1.0,
    "resetat": 1.0,
    "resetsat": 1.0,
    "resetinseconds": 1.0,
    "resetsinseconds": 1.0,
    "quotaresetdelay": 1.0,
    "quotaresettimestamp": 1.0,
}
_NUMBER = r"(\d{1,3}(?:,\d{3}){1,4}|\d{1,15})(?:\.\d{1,6})?"
_NUMBERS = re.compile(  # "on tokens per min (TPM): Limit 30000, Used 20000, Requested 15000", of OpenAI and Groq
    rf"(?:\bon\s+(?P<what>[a-z ]{{1,40}}?)\s+per\s+(?P<period>min|minute|day|hour|second)\b[^:]{{0,20}}:\s*)?"
    rf"\bLimit:?\s+{_NUMBER}(?:\s*/\s*\w{{1,10}})?[,.;]?\s+(?:Used:?\s+~?{_NUMBER}[,.;]?\s+)?Requested:?\s+~?{_NUMBER}",
    re.IGNORECASE | re.ASCII,
)
_WORDED_PERIODS = {"second": 1.0, "min": MINUTE, "minute": MINUTE, "hour": HOUR, "day": DAY}


def quota_of_answer(answer: Answer, *, wall_time: float, refused: str | None = None) -> QuotaHint | None:
    """Return what an answer reports about quotas, in its body and its headers; None if it reports nothing.

    Args:
        answer: The answer.
        wall_time: Wall-clock time in seconds since 1970.
        refused: As for `header_quota`.
    """
    body, headers = answer.body, answer.headers
    now = response_time(headers, wall_time)
    google = google_quota(body.entries, wall_time=now)
    stated = header_quota(headers, wall_time=wall_time, refused=refused)
    quoted = _quoted_headers(body, wall_time, refused)
    asked = wait_in_body(body, now)
    named = tuple(_limits_in(body.messages, asked)) if refused is not None else ()
    hints = [hint for hint in (google, stated, quoted) if hint is not None]
    limits = (*(google.limits if google else ()), *named)
    units = {limit.unit for limit in limits}
    for hint in (stated, quoted):
        if hint is not None:
            limits += tuple(limit for limit in hint.limits if not named or limit.unit not in units)
    if google is not None and google.is_spent:  # rule 2
        return attrs.evolve(google, limits=limits)
    wait = next((hint.retry_after for hint in hints if hint.retry_after is not None), asked)
    if not limits and wait is None:
        return None
    reopens = next((hint.reopens_in for hint in hints if hint.reopens_in is not None), None)
    if reopens is None and any(limit.is_spent for limit in named):
        reopens = wait
    return QuotaHint(retry_after=wait, limits=limits, reopens_in=reopens)


def wait_in_body(body: ErrorBody, wall_time: float) -> float | None:
    """Return the seconds that a field or a sentence of a body asks to wait; None if it does not ask."""
    for entry in body.entries:
        for key, value in entry.items():
            unit = _WAIT_FIELDS.get(key.lower().replace("_", "").replace("-", ""))
            wait = (
                None if unit is None or not isinstance(value, (int, float, str)) else parse_wait(str(value), wall_time)
            )
            if unit is not None and wait:
                return positive_number(wait * unit)
    return next(filter(None, (wait_in_text(text, wall_time) for text in body.messages)), None)


def _quoted_headers(body: ErrorBody, wall_time: float, refused: str | None) -> QuotaHint | None:
    """Return what the headers say that a gateway quotes in its body, as OpenRouter does in `metadata.headers`."""
    for entry in body.entries:
        headers = entry.get("headers")
        if isinstance(headers, Mapping):
            hint = header_quota(lowered(headers), wall_time=wall_time, refused=refused)
            if hint is not None:
                return hint
    return None


# ------------------------------------------------------------------------------------------------ numbers in messages


def requested_beyond_limit(body: ErrorBody, quota: QuotaHint | None) -> bool:
    """Return whether a request was refused because it alone asks for more than the limit holds (rule 5).

    Args:
        body: Body of the refusal.
        quota: What the provider reported about its quotas: gives the limit where the message has none.
    """
    for text in body.messages:
        numbers = _NUMBERS.search(text[:_LONGEST_SENTENCES])
        if numbers is not None:
            return _number(numbers[5]) > _number(numbers[3])
    asked = next(filter(None, (_REQUESTED.search(text[:_LONGEST_SENTENCES]) for text in body.messages)), None)
    held = [
        limit.limit
        for limit in (quota.limits if quota else ())
        if limit.unit is Unit.TOKENS and limit.limit is not None
    ]
    return asked is not None and bool(held) and _number(asked[1]) > max(held)


_REQUESTED = re.compile(rf"\bRequested:?\s+~?{_NUMBER}", re.IGNORECASE | re.ASCII)


def _limits_in(messages: Iterable[str], asked: float | None) -> Iterator[QuotaLimit]:
    """Yield the limits that messages name as what refused the call."""
    for text in messages:
        numbers = _NUMBERS.search(text[:_LONGEST_SENTENCES])
        if numbers is None or not numbers["period"]:
            continue
        period = _WORDED_PERIODS[numbers["period"].lower()]
        if period >= DAY and asked is not None and asked <= MINUTE:
            continue  # rule 4
        counts_tokens = "token" in numbers["what"].lower()
        name = f"{numbers['what']} per {numbers['period']}"
        limit = _number(numbers[3])
        unit = Unit.TOKENS if counts_tokens else Unit.REQUESTS
        yield QuotaLimit(unit=unit, limit=limit, period=period, reset=asked, exceeded=True, name=name)
        return


def _number(text: str) -> float:
    return float(text.replace(",", ""))


# ------------------------------------------------------------------------------------------------ details of Google


def google_quota(entries: Sequence[Mapping[str, Any]], *, wall_time: float) -> QuotaHint | None:
    """Return what the details in a Google body report about quotas; None if they report nothing.

    Args:
        entries: Objects of the body.
        wall_time: Wall-clock time in seconds since 1970.
    """
    limits = tuple(_limit(*quota) for entry in entries for quota in _quotas(entry))
    limits = tuple(dict.fromkeys(limit for limit in limits if limit.name or limit.limit is not None))
    asked = next(filter(None, map(_delay, entries)), None)
    if not limits and asked is None:
        return None
    spent = [limit for limit in limits if limit.is_spent]
    reopens = None
    if spent and all(limit.limit != 0 for limit in spent):
        reopens = seconds_to_midnight(wall_time)
    return QuotaHint(retry_after=None if spent else asked, limits=limits, reopens_in=reopens)


def seconds_to_midnight(wall_time: float) -> float | None:
    """Return the seconds from `wall_time` to the next midnight in California; None without a time zone database."""
    try:
        here = ZoneInfo(_CALIFORNIA)
        day = datetime.fromtimestamp(wall_time, here).date() + timedelta(days=1)
        return datetime(day.year, day.month, day.day, tzinfo=here).timestamp() - wall_time
    except (ZoneInfoNotFoundError, ValueError, OverflowError, OSError):
        return None


def _quotas(entry: Mapping[str, Any]) -> Iterator[tuple[object, object, object]]:
    """Yield the id, the metric and the value of each quota in a QuotaFailure or an ErrorInfo."""
    violations = entry.get("violations")
    for violation in violations if isinstance(violations, list) else ():
        if isinstance(violation, dict):
            yield violation.get("quotaId"), violation.get("quotaMetric"), violation.get("quotaValue")
    metadata = entry.get("metadata")
    if isinstance(metadata, dict):
        yield metadata.get("quota_limit"), metadata.get("quota_metric"), metadata.get("quota_limit_value")


def _limit(name: object, metric: object, value: object) -> QuotaLimit:
    name = name[:_LONGEST_NAME] if isinstance(name, str) else ""
    counted = f"{name} {metric[:_LONGEST_NAME] if isinstance(metric, str) else ''}".lower().replace("_", "")
    unit = Unit.TOKENS if "token" in counted else Unit.REQUESTS
    part = Part.INPUT if "inputtoken" in counted else Part.OUTPUT if "outputtoken" in counted else Part.BOTH
    period = next((seconds for word, seconds in _PERIODS.items() if word in name.lower()), None)
    limit = value if not isinstance(value, str) or _COUNT.fullmatch(value) else None
    return QuotaLimit(
        unit=unit, part=part, limit=positive_number(limit, zero=True), period=period, exceeded=True, name=name
    )


def _delay(entry: Mapping[str, Any]) -> float | None:
    delay = entry.get("retryDelay")
    match = _RETRY_DELAY.fullmatch(delay) if isinstance(delay, str) else None
    return positive_number(match[1]) if match else None
