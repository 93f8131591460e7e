"""What the headers of a response say of the provider's quotas.

Rules owned here:

1. Three dialects, told apart by their names: OpenAI's `x-ratelimit-*`, Anthropic's `anthropic-ratelimit-*`, and Retry-After in
   all its forms. A gateway may rename any of them by something put before it.
2. Every header may be missing, or garbage, and then says nothing. Nothing here raises.
3. OpenAI and those who speak as it does never say what period a limit is for. It is a day if the reset is more than an hour
   away. It is a minute if the reset is within one and fits: a bucket's is the time in which what was used comes back, so that
   limit x reset / used is the period. Else it is not known: a minute's limit taken for a day's would stop the work.
4. Times are relative to the response's own Date where it has one: two clocks that differ do no harm.

Header names are in lower case throughout.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import attrs

from .fault import hint
from .quota import DAY, Part, QuotaHint, QuotaLimit, Unit, amount

_MINUTE, _HOUR, _MONTH = 60.0, 3_600.0, 31 * DAY
_TOLERANCE = 0.25  # of a period that follows from rounded numbers
_EPOCH = 1e9  # seconds: a larger number is a time, not a wait
_SPAN = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|d|h|m|s))+", re.ASCII)
_STEP = re.compile(r"(\d+(?:\.\d+)?)(ms|d|h|m|s)", re.ASCII)
_SECONDS = {"ms": 1e-3, "s": 1.0, "m": _MINUTE, "h": _HOUR, "d": DAY}
_LONGEST = 64  # characters of a value
_MARK, _PREFIXES = "-ratelimit-", ("x", "anthropic")
_ANTHROPIC = {
    "requests": (Unit.REQUESTS, Part.BOTH),
    "tokens": (Unit.TOKENS, Part.BOTH),
    "input-tokens": (Unit.TOKENS, Part.INPUT),
    "output-tokens": (Unit.TOKENS, Part.OUTPUT),
}


def quota_of(headers: Mapping[str, str], *, wall_time: float, refused: str | None = None) -> QuotaHint | None:
    """Return what a response's headers say of quotas; None: nothing.

    Args:
        headers: by their names in lower case.
        wall_time: the time in seconds since 1970.
        refused: None for a response that is no refusal; else what the limit counts that refused, as far as it was told:
            requests, tokens, or nothing. A limit of which nothing remains is taken for one that refused as well.
    """
    named = _canonical(headers)
    limits: tuple[QuotaLimit, ...] = ()
    if named:
        now = said_at(headers, wall_time)
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


def said_at(headers: Mapping[str, str], wall_time: float) -> float:
    """Return the time of a response, in seconds since 1970: what it says itself, or `wall_time`."""
    date = _http_date(headers.get("date"))
    return wall_time if date is None else date


def retry_after(headers: Mapping[str, str], *, wall_time: float) -> float | None:
    """Return the seconds that a response asks to wait.

    `retry-after-ms` (OpenAI, Azure) is the more exact, so it goes first; Retry-After is a number of seconds or an HTTP
    date (RFC 9110, section 10.2.3).

    Args:
        headers: by their names in lower case.
        wall_time: the time in seconds since 1970.
    """
    milliseconds = hint(_named(headers, "retry-after-ms"))
    if milliseconds is not None:
        return hint(milliseconds / 1_000)
    text = _named(headers, "retry-after")
    number = hint(text)
    date = _http_date(text) if number is None else None
    return number if date is None else hint(date - said_at(headers, wall_time))


def _canonical(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers about rate limits, without what a gateway put before their names."""
    named: dict[str, str] = {}
    for key, value in headers.items():
        start = key.find(_MARK)
        if start > 0:
            prefix = next((name for name in _PREFIXES if key.endswith(name, 0, start)), None)
            if prefix is not None:
                name = key[start - len(prefix) :]
                if name == key or name not in named:  # what was not renamed goes first
                    named[name] = value
    return named


def _openai(named: Mapping[str, str], now: float) -> Iterator[QuotaLimit]:
    for unit in Unit:
        limit = amount(named.get(f"x-ratelimit-limit-{unit}")) or None  # 0 stands for: not known
        remaining = amount(named.get(f"x-ratelimit-remaining-{unit}"))
        reset = _wait(named.get(f"x-ratelimit-reset-{unit}"), now)
        if limit is not None or remaining is not None:
            period = _period(limit, remaining, reset)
            yield QuotaLimit(
                unit=unit, limit=limit, period=period, remaining=remaining, reset=reset, name=f"x-ratelimit-{unit}"
            )


def _anthropic(named: Mapping[str, str], now: float) -> Iterator[QuotaLimit]:
    for what, (unit, part) in _ANTHROPIC.items():
        name = f"anthropic-ratelimit-{what}"
        limit = amount(named.get(f"{name}-limit")) or None
        remaining = amount(named.get(f"{name}-remaining"))
        reset = _wait(named.get(f"{name}-reset"), now)
        if limit is not None or remaining is not None:
            period = _MINUTE if reset is None or reset <= _HOUR else DAY
            yield QuotaLimit(
                unit=unit, part=part, limit=limit, period=period, remaining=remaining, reset=reset, name=name
            )


def _period(limit: float | None, remaining: float | None, reset: float | None) -> float | None:
    """Return the period under rule 3."""
    if not limit or remaining is None or not reset or remaining >= limit:
        return None
    if reset > _HOUR:
        return DAY
    likely = limit * reset / (limit - remaining)
    return _MINUTE if reset <= _MINUTE and likely <= _MINUTE * (1 + _TOLERANCE) else None


def _wait(text: str | None, now: float) -> float | None:
    """Return the seconds until a time that is told as a wait (`6m0s`, `20ms`, a number) or as a time; at most a month."""
    if text is None or len(text) > _LONGEST:
        return None
    text = text.strip()
    seconds = amount(text)
    if seconds is None and _SPAN.fullmatch(text):
        seconds = sum(float(number) * _SECONDS[unit] for number, unit in _STEP.findall(text))
    elif seconds is None or seconds > _EPOCH:
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
    """Return the seconds since 1970 of a time after RFC 3339, if it is one."""
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
