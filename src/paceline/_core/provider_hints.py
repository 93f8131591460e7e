"""Provider hints: what the headers of a response and the error bodies of Google report about quotas.

Rules owned here:

1. A header or a level of a body may be missing, or have any value: then it reports nothing. Nothing here raises.
2. There are three header dialects, recognised by their names: OpenAI's `x-ratelimit-*`, Anthropic's `anthropic-ratelimit-*`, and
   Retry-After in all its forms. A gateway may put a prefix before any of them.
3. OpenAI's dialect never reports the period of a limit. It is a day if the reset is more than an hour away. It is a minute if the
   reset is within a minute and fits: a token bucket resets in the time in which the used units come back, so the period is
   limit x reset / used. Otherwise it is unknown: taking a limit per minute for a daily one would stop the work.
4. Times are relative to the Date header of the response, if it has one, so that two clocks that differ do no harm.
5. In a Google body, the id of a quota has priority over the delay: real bodies name a daily quota and a delay of one second.
6. A daily quota of Google reopens at midnight in California, as those of the Gemini API do; when one of zero does is unknown.

Header names are in lower case throughout.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import attrs

from .quota import DAY, Part, QuotaHint, QuotaLimit, Unit, positive_number

_MINUTE, _HOUR, _MONTH = 60.0, 3_600.0, 31 * DAY  # seconds
_TOLERANCE = 0.25  # of a period that is computed from rounded numbers
_FIRST_TIMESTAMP = 1e9  # seconds: a larger number is a time since 1970, not a wait
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|d|h|m|s))+", re.ASCII)  # Go's form: 6m0s, 20ms
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|d|h|m|s)", re.ASCII)
_UNIT_SECONDS = {"ms": 1e-3, "s": 1.0, "m": _MINUTE, "h": _HOUR, "d": DAY}
_LONGEST_VALUE = 64  # characters of a header that are parsed
_MARK, _PREFIXES = "-ratelimit-", ("x", "anthropic")
_ANTHROPIC = {
    "requests": (Unit.REQUESTS, Part.BOTH),
    "tokens": (Unit.TOKENS, Part.BOTH),
    "input-tokens": (Unit.TOKENS, Part.INPUT),
    "output-tokens": (Unit.TOKENS, Part.OUTPUT),
}

_RETRY_DELAY = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)s", re.ASCII)  # of google.rpc.RetryInfo
_COUNT = re.compile(r"0|[1-9]\d{0,17}", re.ASCII)
_PERIODS = {"perday": DAY, "perhour": _HOUR, "perminute": _MINUTE, "persecond": 1.0}  # as parts of quota ids
_LONGEST_NAME = 200  # characters of a quota's id or metric
_CALIFORNIA = "America/Los_Angeles"


# ------------------------------------------------------------------------------------------------ response headers


def header_quota(headers: Mapping[str, str], *, wall_time: float, refused: str | None = None) -> QuotaHint | None:
    """Return what the headers of a response report about quotas; None if they report nothing.

    Args:
        headers: Headers by name in lower case.
        wall_time: Wall-clock time in seconds since 1970.
        refused: For a refusal, what the refusing limit counts: "requests", "tokens", or "" if it is not known. None for any other
            response. A limit without remaining units counts as a refusing one, too.
    """
    named = _canonical(headers)
    limits: tuple[QuotaLimit, ...] = ()
    if named:
        now = response_time(headers, wall_time)
        limits = (*_openai(named, now), *_anthropic(named, now))
        if refused is not None:
            limits = tuple(
                attrs.evolve(limit, exceeded=limit.remaining == 0 or limit.unit == refused) for limit in limits
            )
    asked = retry_after(headers, wall_time=wall_time)
    if not limits and asked is None:
        return None
    reopens = max((limit.reset for limit in limits if limit.is_spent and limit.reset is not None), default=None)
    return QuotaHint(retry_after=asked, limits=limits, reopens_in=reopens)


def response_time(headers: Mapping[str, str], wall_time: float) -> float:
    """Return the time of a response in seconds since 1970: its Date header, or `wall_time` without one."""
    date = _http_date(headers.get("date"))
    return wall_time if date is None else date


def retry_after(headers: Mapping[str, str], *, wall_time: float) -> float | None:
    """Return the seconds that a response asks to wait; None if it does not ask.

    `retry-after-ms` (OpenAI, Azure) is more precise, so it has priority; Retry-After is a number of seconds or an HTTP date
    (RFC 9110, section 10.2.3).

    Args:
        headers: Headers by name in lower case.
        wall_time: Wall-clock time in seconds since 1970.
    """
    milliseconds = positive_number(_named(headers, "retry-after-ms"))
    if milliseconds is not None:
        return positive_number(milliseconds / 1_000)
    text = _named(headers, "retry-after")
    number = positive_number(text)
    date = _http_date(text) if number is None else None
    return number if date is None else positive_number(date - response_time(headers, wall_time))


def _canonical(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers about rate limits, without the prefix of a gateway."""
    named: dict[str, str] = {}
    for key, value in headers.items():
        start = key.find(_MARK)
        if start > 0:
            prefix = next((name for name in _PREFIXES if key.endswith(name, 0, start)), None)
            if prefix is not None:
                name = key[start - len(prefix) :]
                if name == key or name not in named:  # a header without a prefix has priority
                    named[name] = value
    return named


def _openai(named: Mapping[str, str], now: float) -> Iterator[QuotaLimit]:
    for unit in Unit:
        limit = positive_number(named.get(f"x-ratelimit-limit-{unit}"))  # 0 means that it is not known
        remaining = positive_number(named.get(f"x-ratelimit-remaining-{unit}"), zero=True)
        reset = _wait(named.get(f"x-ratelimit-reset-{unit}"), now)
        if limit is not None or remaining is not None:
            period = _period(limit, remaining, reset)
            yield QuotaLimit(
                unit=unit, limit=limit, period=period, remaining=remaining, reset=reset, name=f"x-ratelimit-{unit}"
            )


def _anthropic(named: Mapping[str, str], now: float) -> Iterator[QuotaLimit]:
    for what, (unit, part) in _ANTHROPIC.items():
        name = f"anthropic-ratelimit-{what}"
        limit = positive_number(named.get(f"{name}-limit"))
        remaining = positive_number(named.get(f"{name}-remaining"), zero=True)
        reset = _wait(named.get(f"{name}-reset"), now)
        if limit is not None or remaining is not None:
            period = _MINUTE if reset is None or reset <= _HOUR else DAY
            yield QuotaLimit(
                unit=unit, part=part, limit=limit, period=period, remaining=remaining, reset=reset, name=name
            )


def _period(limit: float | None, remaining: float | None, reset: float | None) -> float | None:
    """Return the period of a limit in seconds, under rule 3."""
    if not limit or remaining is None or not reset or remaining >= limit:
        return None
    if reset > _HOUR:
        return DAY
    likely = limit * reset / (limit - remaining)
    return _MINUTE if reset <= _MINUTE and likely <= _MINUTE * (1 + _TOLERANCE) else None


def _wait(text: str | None, now: float) -> float | None:
    """Parse a wait (`6m0s`, `20ms`, a number) or a time into seconds from `now`; None beyond a month."""
    if text is None or len(text) > _LONGEST_VALUE:
        return None
    text = text.strip()
    seconds = positive_number(text, zero=True)
    if seconds is None and _DURATION.fullmatch(text):
        seconds = sum(float(number) * _UNIT_SECONDS[unit] for number, unit in _DURATION_PART.findall(text))
    elif seconds is None or seconds > _FIRST_TIMESTAMP:
        time = _timestamp(text) if seconds is None else seconds
        seconds = None if time is None else max(0.0, time - now)
    return seconds if seconds is not None and seconds <= _MONTH else None


def _named(headers: Mapping[str, str], name: str) -> str | None:
    found = headers.get(name)
    if found:
        return found
    ending = f"-{name}"
    return next((value for key, value in headers.items() if key.endswith(ending)), None)


def _timestamp(text: str) -> float | None:
    """Parse a time in the form of RFC 3339 into seconds since 1970; None if it is not valid."""
    try:
        date = datetime.fromisoformat(text)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def _http_date(text: str | None) -> float | None:
    try:
        date = parsedate_to_datetime(text or "")
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, IndexError, OverflowError, AttributeError):
        return None


# ------------------------------------------------------------------------------------------------ error bodies of Google


def google_quota(body: object, *, wall_time: float) -> QuotaHint | None:
    """Return what the body of an error reports about quotas; None if it reports nothing.

    Args:
        body: Body of the response, as decoded JSON.
        wall_time: Wall-clock time in seconds since 1970.
    """
    entries = list(_entries(body))
    limits = tuple(_limit(*quota) for entry in entries for quota in _quotas(entry))
    limits = tuple(limit for limit in limits if limit.name or limit.limit is not None)
    asked = next(filter(None, map(_delay, entries)), None)
    if not limits and asked is None:
        return None
    spent = [limit for limit in limits if limit.is_spent]
    reopens = None
    if spent and all(limit.limit != 0 for limit in spent):
        reopens = seconds_to_midnight(wall_time)
    return QuotaHint(retry_after=None if spent else asked, limits=limits, reopens_in=reopens)


def names_bad_key(body: object) -> bool:
    """Return whether the body of an error reports an invalid key; its status is 400."""
    reasons = (entry.get("reason") for entry in _entries(body))
    return any(isinstance(reason, str) and reason.startswith("API_KEY_") for reason in reasons)


def seconds_to_midnight(wall_time: float) -> float | None:
    """Return the seconds from `wall_time` to the next midnight in California; None without a time zone database."""
    try:
        here = ZoneInfo(_CALIFORNIA)
        day = datetime.fromtimestamp(wall_time, here).date() + timedelta(days=1)
        return datetime(day.year, day.month, day.day, tzinfo=here).timestamp() - wall_time
    except (ZoneInfoNotFoundError, ValueError, OverflowError, OSError):
        return None


def _entries(body: object) -> Iterator[dict[str, Any]]:
    """Yield the objects in `error.details`."""
    for part in body if isinstance(body, list) else [body]:
        error = part.get("error") if isinstance(part, dict) else None
        details = error.get("details") if isinstance(error, dict) else None
        yield from (entry for entry in details if isinstance(entry, dict)) if isinstance(details, list) else ()


def _quotas(entry: dict[str, Any]) -> Iterator[tuple[object, object, object]]:
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


def _delay(entry: dict[str, Any]) -> float | None:
    delay = entry.get("retryDelay")
    match = _RETRY_DELAY.fullmatch(delay) if isinstance(delay, str) else None
    return positive_number(match[1]) if match else None
