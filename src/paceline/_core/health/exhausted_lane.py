"""Exhausted lanes: the faults of the items that are left in them, and when calls are served again.

The fault of an exhausted lane says which quota is used up, or quotes the provider, and, if known, when calls are served again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from ..durations import format_duration
from ..fault import Fault, FaultKind
from ..fault_groups import provider_words
from ..quota import DAY

_LONGEST_WAIT = 366 * DAY  # seconds: a longer wait is not useful, and dates are bounded


def exhausted_lane_fault(quota: str, fault: Fault, *, wall_time: float) -> Fault:
    """Return the fault of the items that are left in an exhausted lane.

    Args:
        quota: Quota key of the lane.
        fault: Fault of the call that exhausted it.
        wall_time: Wall-clock time in seconds since 1970.
    """
    hint = fault.quota
    reopens = reopening_text(fault, wall_time)
    if (hint is not None and hint.is_spent) or not fault.message:
        daily = hint is not None and any(limit.is_spent and limit.period == DAY for limit in hint.limits)
        message = f"the {'daily ' if daily else ''}quota of {quota} is exhausted"
        message += (
            f"; it reopens in {reopens}" if reopens is not None else f": {fault.message}" if fault.message else ""
        )
    else:  # the account, its model or its country: the provider's words say which
        message = f"{quota} serves no more calls{'' if reopens is None else f' for {reopens}'}: {provider_words(fault.message)}"
    return Fault(FaultKind.PENDING, message, None, hint, reason=fault.reason)


def exhausted_lanes_fault(reasons: Sequence[Fault]) -> Fault | None:
    """Combine the faults of exhausted lanes into one, with the soonest reopening; None for no lanes."""
    if len(reasons) <= 1:
        return reasons[0] if reasons else None
    soonest = min(reasons, key=lambda reason: math.inf if (wait := reopens_in(reason)) is None else wait)
    why = next((reason.reason for reason in reasons if reason.reason is not None), None)
    return Fault(FaultKind.PENDING, "; ".join(reason.message for reason in reasons), None, soonest.quota, reason=why)


def reopening_text(fault: Fault, wall_time: float) -> str | None:
    """Return when an exhausted quota reopens: `5 h 12 min (2026-11-23 08:00 UTC)`; None if it is not known."""
    wait = reopens_in(fault)
    if wait is None:
        return None
    try:
        at = datetime.fromtimestamp(wall_time + wait, UTC) + timedelta(seconds=59)
    except (ValueError, OverflowError, OSError):
        return format_duration(wait)
    return f"{format_duration(wait)} ({at:%Y-%m-%d %H:%M} UTC)"


def reopens_in(fault: Fault) -> float | None:
    """Return the seconds until the exhausted quota reopens; None if it is not known, or beyond a year."""
    wait = None if fault.quota is None else fault.quota.reopens_in
    return wait if wait is not None and wait <= _LONGEST_WAIT else None
