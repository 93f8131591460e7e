"""Header hints: what the headers of a response report about quotas.

Rules owned here:

1. A header may be missing, or have any value: then it reports nothing. Nothing here raises.
2. There are four header dialects, recognised by their names: OpenAI's `x-ratelimit-*`, Anthropic's `anthropic-ratelimit-*`, the
   IETF's `ratelimit-*`, and Retry-After in all its forms. A gateway may put a prefix before any of them.
3. OpenAI's dialect never reports the period of a limit. It is a day if the reset is more than an hour away. It is a minute if the
   reset is within a minute and fits: a token bucket resets in the time in which the used units come back, so the period is
   limit x reset / used. Otherwise it is unknown: taking a limit per minute for a daily one would stop the work.
   A name may state it as its last word, as at Cerebras: `x-ratelimit-limit-tokens-day`.
4. Times are relative to the Date header of the response, if it has one, so that two clocks that differ do no harm.
5. Of a refusal without Retry-After, the reset of a used-up limit is the wait if it is the end of a window: a number or a time. Go's
   form (`6m0s`) is of token buckets, and says when all units are back: the next call fits much sooner.

Header names are in lower case throughout.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import attrs

from ..quota import DAY, Part, QuotaHint, QuotaLimit, Unit, positive_number
from .waits import FIRST_TIMESTAMP, HOUR, MINUTE, http_date, parse_wait

_TOLERANCE = 0.25  # of a period that is computed from rounded numbers
_MARK, _PREFIXES = "ratelimit-", ("x-", "anthropic-", "")
_OPENAI = {
    "requests": Unit.REQUESTS,
    "req": Unit.REQUESTS,  # of Mistral, with a period
    "tokens": Unit.TOKENS,
}
_PERIODS = {"": None, "-second": 1.0, "-minute": MINUTE, "-hour": HOUR, "-day": DAY, "-month": 30 * DAY}
_MEASURES = [  # name of a limit, names of its headers, what it counts, its period if the name has it
    (f"{start}{end}", [f"{start}-{what}{end}" for what in ("limit", "remaining", "reset")], unit, period)
    for start, end, unit, period in (
        *(
            ("x-ratelimit", f"-{word}{ending}", unit, period)
            for ending, period in _PERIODS.items()
            for word, unit in _OPENAI.items()
        ),
        *((start, "", Unit.REQUESTS, None) for start in ("x-ratelimit", "ratelimit")),  # of all calls; the IETF's names
    )
]
_ANTHROPIC = {
    "requests": (Unit.REQUESTS, Part.BOTH),
    "tokens": (Unit.TOKENS, Part.BOTH),
    "input-tokens": (Unit.TOKENS, Part.INPUT),
    "output-tokens": (Unit.TOKENS, Part.OUTPUT),
}
_WAIT_NAMES = ("retry-after", "ratelimit-reset-after", "retry-after-seconds")
_IETF = re.compile(r"(?:^|[;,\s])(limit|remaining|reset|q|r|t)=(\d{1,12})", re.ASCII)  # RateLimit: "default";r=0;t=50
_IETF_NAMES = {"q": "limit", "r": "remaining", "t": "reset"}
_LONGEST_VALUE = 200  # characters of a header that are parsed
_GO_FORM = re.compile(r"\d[a-zµ]", re.ASCII)
_RESETS = ("x-ratelimit-reset", "ratelimit-reset", "anthropic-ratelimit-unified-reset")
"""Resets of all calls."""


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
    now = response_time(headers, wall_time) if named else wall_time  # a date is parsed only if it is needed
    if named:
        limits = (*_openai(named, now), *_anthropic(named, now))
        if refused is not None:
            limits = tuple(
                attrs.evolve(limit, exceeded=limit.remaining == 0 or limit.unit == refused) for limit in limits
            )
    asked = retry_after(headers, wall_time=wall_time)
    if asked is None and refused is not None:
        asked = _end_of_window(named, limits, now)
    if not limits and asked is None:
        return None
    reopens = max((limit.reset for limit in limits if limit.is_spent and limit.reset is not None), default=None)
    return QuotaHint(retry_after=asked, limits=limits, reopens_in=reopens)


def response_time(headers: Mapping[str, str], wall_time: float) -> float:
    """Return the time of a response in seconds since 1970: its Date header, or `wall_time` without one."""
    date = http_date(headers.get("date"))
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
    for name in _WAIT_NAMES:
        text = _named(headers, name)
        if text is None:
            continue
        number = positive_number(text)
        if number is None or number > FIRST_TIMESTAMP:  # a time
            now, date = response_time(headers, wall_time), http_date(text)
            number = positive_number(parse_wait(text, now) if date is None else date - now)
        if number is not None:
            return number
    return None


def _canonical(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers about rate limits, without the prefix of a gateway."""
    named: dict[str, str] = {}
    for key, value in headers.items():
        start = key.find(_MARK)
        if start < 0:
            continue
        prefix = next(name for name in _PREFIXES if key.endswith(name, 0, start))
        name = key[start - len(prefix) :]
        if name == key or name not in named:  # a header without a prefix has priority
            named[name] = value
    for found, text in _IETF.findall(headers.get("ratelimit", "")[:_LONGEST_VALUE]):
        named.setdefault(f"{_MARK}{_IETF_NAMES.get(found, found)}", text)
    return named


def _openai(named: Mapping[str, str], now: float) -> Iterator[QuotaLimit]:
    for pattern, (limits, remains, resets), unit, known in _MEASURES:
        if limits not in named and remains not in named:
            continue
        limit = positive_number(named.get(limits))  # 0 means that it is not known
        remaining = positive_number(named.get(remains), zero=True)
        reset = parse_wait(named.get(resets), now)
        if limit is not None or remaining is not None:
            period = known or _period(limit, remaining, reset)
            yield QuotaLimit(unit=unit, limit=limit, period=period, remaining=remaining, reset=reset, name=pattern)


def _end_of_window(named: Mapping[str, str], limits: tuple[QuotaLimit, ...], now: float) -> float | None:
    """Return the seconds until the windows end that refused a call, under rule 5; None if it is not known."""
    names: list[str] = []
    for limit in limits:
        if limit.remaining == 0:
            names += (f"{limit.name}-reset", limit.name.replace("ratelimit", "ratelimit-reset", 1))
    if names or all(limit.remaining is None for limit in limits):
        names += _RESETS
    texts = [text for name in names if (text := named.get(name)) and not _GO_FORM.search(text)]
    return max(filter(None, (parse_wait(text, now) for text in texts)), default=None)


def _anthropic(named: Mapping[str, str], now: float) -> Iterator[QuotaLimit]:
    for what, (unit, part) in _ANTHROPIC.items():
        name = f"anthropic-ratelimit-{what}"
        limit = positive_number(named.get(f"{name}-limit"))
        remaining = positive_number(named.get(f"{name}-remaining"), zero=True)
        reset = parse_wait(named.get(f"{name}-reset"), now)
        if limit is not None or remaining is not None:
            period = MINUTE if reset is None or reset <= HOUR else DAY
            yield QuotaLimit(
                unit=unit, part=part, limit=limit, period=period, remaining=remaining, reset=reset, name=name
            )


def _period(limit: float | None, remaining: float | None, reset: float | None) -> float | None:
    """Return the period of a limit in seconds, under rule 3."""
    if not limit or remaining is None or not reset or remaining >= limit:
        return None
    if reset > HOUR:
        return DAY
    likely = limit * reset / (limit - remaining)
    return MINUTE if reset <= MINUTE and likely <= MINUTE * (1 + _TOLERANCE) else None


def _named(headers: Mapping[str, str], name: str) -> str | None:
    found = headers.get(name)
    if found:
        return found
    ending = f"-{name}"
    return next((value for key, value in headers.items() if key.endswith(ending)), None)
