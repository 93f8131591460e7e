"""Waits: the ways in which providers write how long to wait, and until when.

Rules owned here:

1. A number without a unit is in seconds; a number beyond a billion is a time since 1970, in seconds or milliseconds.
2. A date without a time zone is in UTC.
3. A wait beyond a month is not plausible and counts as missing. Nothing here raises.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from ..quota import DAY, positive_number

MINUTE, HOUR, MONTH = 60.0, 3_600.0, 31 * DAY  # seconds
FIRST_TIMESTAMP = 1e9  # seconds: a larger number is a time since 1970, not a wait
_FIRST_MILLISECONDS = 1e11  # the year 5138 in seconds: a larger number is in milliseconds
_LONGEST_VALUE = 64  # characters of a header that are parsed
_LONGEST_SENTENCES = 4_000  # characters of a message that are searched
_UNIT_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": MINUTE, "h": HOUR, "d": DAY}
_NUMBER = r"\d{1,15}(?:\.\d{1,15})?"
_UNIT = (  # Go's units, and words
    r"(?:ns|us|µs|ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?)(?![a-z])"
)
_DURATION = re.compile(rf"(?:{_NUMBER}(?:ms|ns|us|µs|d|h|m|s)){{1,8}}", re.ASCII)  # 6m0s, 20ms
_SPOKEN = re.compile(rf"({_NUMBER})\s?(ns|us|µs|milliseconds?|ms|s|m|h|d)", re.IGNORECASE)
_CLOCK = re.compile(r"(?:(\d{1,2})\.)?(\d{1,2}):(\d\d):(\d\d)", re.ASCII)  # 05:12:00, of Azure's gateway
_DATE = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:T|\s+at\s+|\s+)(\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)\d*\s?(Z|UTC|GMT|[+-]\d\d:?\d\d)?", re.ASCII
)
_ASKED = re.compile(
    r"(?:try\s+again|retry(?:[-_]after)?|retrying|wait|resets?|replenished|regain\s+access|available(?:\s+again)?)"
    r"(?:\s+(?:in|after|at|on|until|for|back|your\s+request))*[\s:~]{1,3}"
    rf"(?:(?P<date>{_DATE.pattern})|(?P<clock>{_CLOCK.pattern})(?![\d:])"
    rf"|(?P<spoken>{_NUMBER}\s?{_UNIT}(?:[\s,]{{0,2}}(?:and\s)?{_NUMBER}\s?{_UNIT}){{0,4}})"
    rf"|(?P<bare>{_NUMBER})(?=[.,;)\]\"']*$|[.,;]\s))",
    re.IGNORECASE | re.ASCII,
)


def parse_wait(text: str | None, now: float) -> float | None:
    """Parse a wait (`6m0s`, `20ms`, `12`) or a time (RFC 3339, HTTP date, seconds or milliseconds since 1970).

    Args:
        text: Text of a header or of a field.
        now: Wall-clock time in seconds since 1970.

    Returns:
        Seconds from `now`, 0 or more; None if the text is neither, or beyond a month.
    """
    if text is None or len(text) > _LONGEST_VALUE:
        return None
    text = text.strip()
    seconds = positive_number(text, zero=True)
    if seconds is not None:
        seconds = _relative(seconds, now)
    elif _DURATION.fullmatch(text):
        seconds = _spoken_seconds(text)
    elif (time := timestamp(text)) is not None or (time := http_date(text)) is not None:
        seconds = max(0.0, time - now)
    return seconds if seconds is not None and seconds <= MONTH else None


def wait_in_text(text: str, now: float) -> float | None:
    """Return the seconds after which a message asks to try again; None if it does not ask.

    Args:
        text: Message of a provider, such as `Please try again in 1m13.5s.` or `Your limit will reset at 2026-11-30 18:00:00.`
        now: Wall-clock time in seconds since 1970.
    """
    for match in _ASKED.finditer(text[:_LONGEST_SENTENCES]):
        seconds: float | None
        if match["date"]:
            time = timestamp(match["date"])
            seconds = None if time is None else time - now
        elif match["clock"]:
            seconds = _clock_seconds(match["clock"])
        elif match["spoken"]:
            seconds = _spoken_seconds(match["spoken"])
        else:
            seconds = _relative(float(match["bare"]), now)
        if seconds is not None and 0 < seconds <= MONTH:
            return seconds
    return None


def timestamp(text: str) -> float | None:
    """Parse a date and time in the form of RFC 3339, or nearly so, into seconds since 1970; None if it is not valid."""
    match = _DATE.fullmatch(text)
    zone = match[3] if match else None
    plain = f"{match[1]}T{match[2]}{'' if zone in {None, 'UTC', 'GMT'} else zone}" if match else text
    try:
        date = datetime.fromisoformat(plain)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def http_date(text: str | None) -> float | None:
    """Parse an HTTP date into seconds since 1970; None if it is not valid."""
    try:
        date = parsedate_to_datetime(text or "")
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, IndexError, OverflowError, AttributeError):
        return None


def _relative(number: float, now: float) -> float:
    """Return the seconds from `now` that a number without a unit means."""
    if number <= FIRST_TIMESTAMP:
        return number
    time = number / 1_000 if number > _FIRST_MILLISECONDS else number
    return max(0.0, time - now)


def _spoken_seconds(text: str) -> float:
    parts = ((float(number), unit.lower()) for number, unit in _SPOKEN.findall(text))
    seconds = sum(number * _UNIT_SECONDS["ms" if unit.startswith("milli") else unit] for number, unit in parts)
    return round(seconds, 9)  # 350 ms are 0.35 s


def _clock_seconds(text: str) -> float:
    match = _CLOCK.fullmatch(text)
    if match is None:
        return 0.0
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return days * DAY + hours * HOUR + minutes * MINUTE + seconds
