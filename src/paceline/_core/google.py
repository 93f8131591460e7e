"""What the body of an error of Google's says: which quota refused, how long to wait, whether the key is at fault.

Rules owned here:

1. The id of a quota beats the delay that comes with it: real bodies name a daily quota, and a delay of one second.
2. A day's quota is whole again at midnight in California, as the Gemini API's are; one of zero nobody knows when.
3. Every level of a body may be missing or of another type, and then says nothing. Nothing here raises.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from .fault import hint
from .quota import DAY, Part, QuotaHint, QuotaLimit, Unit, amount

_DURATION = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)s", re.ASCII)
_COUNT = re.compile(r"0|[1-9]\d{0,17}", re.ASCII)
_PERIODS = {"perday": DAY, "perhour": 3_600.0, "perminute": 60.0, "persecond": 1.0}
_CALIFORNIA = "America/Los_Angeles"
_LONGEST = 200  # characters of a name


def quota_of(body: object, *, wall_time: float) -> QuotaHint | None:
    """Return what an error's body says of quotas; None: nothing.

    Args:
        body: of the response, as JSON is read.
        wall_time: the time in seconds since 1970.
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
    """Whether an error's body says that the key is not valid; it comes as a 400."""
    reasons = (entry.get("reason") for entry in _entries(body))
    return any(isinstance(reason, str) and reason.startswith("API_KEY_") for reason in reasons)


def seconds_to_midnight(wall_time: float) -> float | None:
    """Return the seconds from `wall_time` to the next midnight in California; None where its time is not known."""
    try:
        here = ZoneInfo(_CALIFORNIA)
        day = datetime.fromtimestamp(wall_time, here).date() + timedelta(days=1)
        return datetime(day.year, day.month, day.day, tzinfo=here).timestamp() - wall_time
    except (ZoneInfoNotFoundError, ValueError, OverflowError, OSError):
        return None


def _entries(body: object) -> Iterator[dict[str, Any]]:
    """Yield the entries of `error.details`."""
    for part in body if isinstance(body, list) else [body]:
        error = part.get("error") if isinstance(part, dict) else None
        details = error.get("details") if isinstance(error, dict) else None
        yield from (entry for entry in details if isinstance(entry, dict)) if isinstance(details, list) else ()


def _quotas(entry: dict[str, Any]) -> Iterator[tuple[object, object, object]]:
    """Yield the id, the metric and the value of each quota that an entry names: a QuotaFailure's, or an ErrorInfo's."""
    violations = entry.get("violations")
    for violation in violations if isinstance(violations, list) else ():
        if isinstance(violation, dict):
            yield violation.get("quotaId"), violation.get("quotaMetric"), violation.get("quotaValue")
    metadata = entry.get("metadata")
    if isinstance(metadata, dict):
        yield metadata.get("quota_limit"), metadata.get("quota_metric"), metadata.get("quota_limit_value")


def _limit(name: object, metric: object, value: object) -> QuotaLimit:
    name = name[:_LONGEST] if isinstance(name, str) else ""
    counted = f"{name} {metric[:_LONGEST] if isinstance(metric, str) else ''}".lower().replace("_", "")
    unit = Unit.TOKENS if "token" in counted else Unit.REQUESTS
    part = Part.INPUT if "inputtoken" in counted else Part.OUTPUT if "outputtoken" in counted else Part.BOTH
    period = next((seconds for word, seconds in _PERIODS.items() if word in name.lower()), None)
    limit = value if not isinstance(value, str) or _COUNT.fullmatch(value) else None
    return QuotaLimit(unit=unit, part=part, limit=amount(limit), period=period, exceeded=True, name=name)


def _delay(entry: dict[str, Any]) -> float | None:
    delay = entry.get("retryDelay")
    match = _DURATION.fullmatch(delay) if isinstance(delay, str) else None
    return hint(match[1]) if match else None
