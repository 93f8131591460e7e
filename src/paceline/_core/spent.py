"""What is told of a quota that is spent: that its lane is closed, and when it reopens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from .fault import Fault, FaultKind
from .quota import DAY

_LONGEST = 366 * DAY  # seconds: nobody waits for more, and no calendar goes on for ever


def closed(quota: str, fault: Fault, *, wall_time: float) -> Fault:
    """Return the fault of what is left in a lane that `fault` has closed.

    Args:
        quota: the lane's name.
        fault: of the call that was refused.
        wall_time: the time in seconds since 1970.
    """
    said = fault.quota
    daily = said is not None and any(limit.is_spent and limit.period == DAY for limit in said.limits)
    message = f"the {'daily ' if daily else ''}quota of {quota} is spent"
    reopens = reopening(fault, wall_time)
    message += f"; it reopens in {reopens}" if reopens is not None else f": {fault.message}" if fault.message else ""
    return Fault(FaultKind.PENDING, message, None, said)


def all_closed(reasons: Sequence[Fault]) -> Fault | None:
    """Return the one fault that says why these lanes are closed; None if there are none."""
    if len(reasons) <= 1:
        return reasons[0] if reasons else None
    soonest = min(reasons, key=lambda reason: math.inf if (wait := reopens_in(reason)) is None else wait)
    return Fault(FaultKind.PENDING, "; ".join(reason.message for reason in reasons), None, soonest.quota)


def reopening(fault: Fault, wall_time: float) -> str | None:
    """Return when a spent quota is whole again: `5 h 12 min (2026-11-23 08:00 UTC)`; None: not known."""
    wait = reopens_in(fault)
    if wait is None:
        return None
    try:
        at = datetime.fromtimestamp(wall_time + wait, UTC) + timedelta(seconds=59)
    except (ValueError, OverflowError, OSError):
        return span(wait)
    return f"{span(wait)} ({at:%Y-%m-%d %H:%M} UTC)"


def reopens_in(fault: Fault) -> float | None:
    """Return the seconds until the quota behind a fault is whole again; None: not known, or not within a year."""
    wait = None if fault.quota is None else fault.quota.reopens_in
    return wait if wait is not None and wait <= _LONGEST else None


def span(seconds: float) -> str:
    """Return a time as people say it, to the minute and not too short: 45 s, 12 min, 5 h 12 min, 2 d 3 h."""
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{math.ceil(seconds)} s"
    hours, minutes = divmod(math.ceil(seconds / 60), 60)
    days, rest = divmod(hours, 24)
    if days:
        return f"{days} d {rest} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
