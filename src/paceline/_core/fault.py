"""What can go wrong with one call, as a value.

Rules owned here:

1. Every failure has exactly one kind; the kinds are closed and every table over them is total.
2. A fault carries no secrets: what looks like a credential is blanked before it is stored.

What is told of a quota that is spent: that its lane is closed, and when it reopens.
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import attrs

from .durations import format_duration
from .quota import DAY, QuotaHint, positive_number


class FaultKind(enum.StrEnum):
    """The one way in which a call, or the item behind it, went wrong."""

    THROTTLED = "throttled"
    """The provider asked for fewer calls (429)."""
    OVERLOADED = "overloaded"
    """The provider is out of capacity for everybody (503, 529)."""
    TRANSIENT = "transient"
    """A passing failure: another 5xx, a dropped connection, a malformed reply."""
    TIMEOUT = "timeout"
    """A deadline passed: of one call, or of the whole item."""
    INVALID = "invalid"
    """The output does not have the type that was asked for."""
    TRUNCATED = "truncated"
    """The output hit the limit of output tokens."""
    REFUSED = "refused"
    """The model declined: a safety block, or no candidates at all."""
    REJECTED = "rejected"
    """The request itself is wrong (400, 404, another 4xx)."""
    DENIED = "denied"
    """The credentials are wrong (401, 403): nothing further can succeed."""
    EXHAUSTED = "exhausted"
    """A quota is spent for a long time: per day, zero, or unpaid."""
    BUG = "bug"
    """Any other exception of the strategy, or a reply of the wrong form."""
    CANCELLED = "cancelled"
    """A cancellation that paceline did not ask for leaked out of the call."""
    SKIPPED = "skipped"
    """A middleware decided that the item needs no call."""
    PENDING = "pending"
    """The batch ended before the item was settled; it may be run again."""


PASSING = frozenset(
    {
        FaultKind.THROTTLED,
        FaultKind.OVERLOADED,
        FaultKind.TRANSIENT,
        FaultKind.TIMEOUT,
        FaultKind.DENIED,
        FaultKind.EXHAUSTED,
        FaultKind.BUG,
        FaultKind.CANCELLED,
    }
)
"""Kinds that say nothing of the item itself: with a better day, a better key or mended code it may have an output."""

_SECRET = re.compile(
    r"""(?ix)
    AIza [\w-]{20,}                                # Google API keys
    | (?: (?<! [a-z] ) | (?<= \\[nrt] ) )          # not the tail of a word, as in task-...; an escaped line break is none
      (?:sk|pk|rk) - [\w-]{16,}                    # OpenAI, Anthropic and their like
    | (?P<kept> bearer \s+ ) [\w.~+/=-]{8,}        # Authorization headers
    | (?<= [?&]key= ) [^&\s"']+                    # keys in a query string
    | (?<= :// ) [^\s/?\#@"']+ (?= @ )             # the user and the password of an address
    """
)
_LONGEST_MESSAGE = 2_000  # characters: enough to act upon, short enough to keep a million of


def redact(text: str) -> str:
    """Return `text` without what looks like a credential, at most 2,000 characters long."""
    text = _SECRET.sub(r"\g<kept>[redacted]", text)
    return text if len(text) <= _LONGEST_MESSAGE else text[: _LONGEST_MESSAGE - 1] + "…"


@attrs.frozen
class Fault:
    """One failure: its kind, a sentence about it, and what the provider said of waiting."""

    kind: FaultKind = attrs.field(validator=attrs.validators.instance_of(FaultKind))
    message: str = attrs.field(default="", converter=redact)
    """For people. Credentials are blanked."""
    retry_after: float | None = attrs.field(default=None, converter=positive_number)
    """Seconds the provider asked to wait, if it said so: positive and finite; anything else is no hint."""
    quota: QuotaHint | None = attrs.field(
        default=None, validator=attrs.validators.optional(attrs.validators.instance_of(QuotaHint))
    )
    """What the provider said of its quotas, if it said anything."""

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}" if self.message else str(self.kind)


def overdue_fault(seconds: float) -> Fault:
    """Return the fault of an item whose own time, so many seconds, is up."""
    return Fault(FaultKind.TIMEOUT, f"the item was not settled within its deadline of {seconds:g} s")


DRAINED = "the batch was drained"


def pending_fault(reason: str) -> Fault:
    """Return the fault of an item that its batch did not reach."""
    return Fault(FaultKind.PENDING, reason)


_LONGEST = 366 * DAY  # seconds: nobody waits for more, and no calendar goes on for ever


def exhausted_lane_fault(quota: str, fault: Fault, *, wall_time: float) -> Fault:
    """Return the fault of what is left in a lane that `fault` has closed.

    Args:
        quota: the lane's name.
        fault: of the call that was refused.
        wall_time: the time in seconds since 1970.
    """
    said = fault.quota
    daily = said is not None and any(limit.is_spent and limit.period == DAY for limit in said.limits)
    message = f"the {'daily ' if daily else ''}quota of {quota} is spent"
    reopens = reopening_text(fault, wall_time)
    message += f"; it reopens in {reopens}" if reopens is not None else f": {fault.message}" if fault.message else ""
    return Fault(FaultKind.PENDING, message, None, said)


def exhausted_lanes_fault(reasons: Sequence[Fault]) -> Fault | None:
    """Return the one fault that says why these lanes are closed; None if there are none."""
    if len(reasons) <= 1:
        return reasons[0] if reasons else None
    soonest = min(reasons, key=lambda reason: math.inf if (wait := reopens_in(reason)) is None else wait)
    return Fault(FaultKind.PENDING, "; ".join(reason.message for reason in reasons), None, soonest.quota)


def reopening_text(fault: Fault, wall_time: float) -> str | None:
    """Return when a spent quota is whole again: `5 h 12 min (2026-11-23 08:00 UTC)`; None: not known."""
    wait = reopens_in(fault)
    if wait is None:
        return None
    try:
        at = datetime.fromtimestamp(wall_time + wait, UTC) + timedelta(seconds=59)
    except (ValueError, OverflowError, OSError):
        return format_duration(wait)
    return f"{format_duration(wait)} ({at:%Y-%m-%d %H:%M} UTC)"


def reopens_in(fault: Fault) -> float | None:
    """Return the seconds until the quota behind a fault is whole again; None: not known, or not within a year."""
    wait = None if fault.quota is None else fault.quota.reopens_in
    return wait if wait is not None and wait <= _LONGEST else None
