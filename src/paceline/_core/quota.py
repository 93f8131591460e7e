"""What a provider says of its quotas, as a value that a strategy or a classifier attaches to a reply.

Rules owned here:

1. Every field may be missing. What is no non-negative, finite number is missing: a hint cannot carry NaN, an infinity or a
   negative number, and nothing here raises over one.
2. A hint is a claim, not a fact: whoever uses it bounds what it may do.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable

import attrs

DAY = 86_400.0


class Unit(enum.StrEnum):
    """What a quota counts."""

    REQUESTS = "requests"
    TOKENS = "tokens"


class Part(enum.StrEnum):
    """Which of a call's tokens a quota counts."""

    BOTH = "both"
    INPUT = "input"
    OUTPUT = "output"


def positive_number(value: object, *, zero: bool = False) -> float | None:
    """Return `value` as a float; None unless it is a positive, finite number.

    Args:
        value: Any object, also one of a provider or a user: nothing is raised for it.
        zero: Whether 0 is accepted too.
    """
    if value is None or isinstance(value, bool):
        return None
    try:
        number = float(value)  # type: ignore[arg-type]  # other types raise
    except Exception:  # noqa: BLE001 - a foreign __float__ may raise anything
        return None
    return number if 0 < number < math.inf or (zero and number == 0) else None


def _amount(value: object) -> float | None:
    return positive_number(value, zero=True)


@attrs.frozen(kw_only=True)
class QuotaLimit:
    """One limit of a provider's, as far as it was told."""

    unit: Unit = attrs.field(default=Unit.REQUESTS, converter=Unit)
    """What it counts."""
    part: Part = attrs.field(default=Part.BOTH, converter=Part)
    """Of the tokens, if it counts those."""
    limit: float | None = attrs.field(default=None, converter=_amount)
    """Units that are allowed in each period."""
    period: float | None = attrs.field(default=None, converter=_amount)
    """Seconds: 60 for a limit per minute, 86,400 for one per day."""
    remaining: float | None = attrs.field(default=None, converter=_amount)
    """Units that are left now."""
    reset: float | None = attrs.field(default=None, converter=_amount)
    """Seconds until all units are there again."""
    exceeded: bool = False
    """Whether this is the limit that refused the call."""
    name: str = ""
    """What the provider calls it."""

    @property
    def is_spent(self) -> bool:
        """Whether it refused the call and will go on doing so for long: it is a day's, or zero."""
        return self.exceeded and (self.limit == 0 or (self.period or 0.0) >= DAY)


def _limits(value: Iterable[QuotaLimit]) -> tuple[QuotaLimit, ...]:
    return tuple(value)


@attrs.frozen(kw_only=True)
class QuotaHint:
    """What one reply of a provider says of its quotas."""

    retry_after: float | None = attrs.field(default=None, converter=_amount)
    """Seconds that it asks to wait."""
    limits: tuple[QuotaLimit, ...] = attrs.field(default=(), converter=_limits)
    """The limits that it names."""
    reopens_in: float | None = attrs.field(default=None, converter=_amount)
    """Seconds until a spent quota is whole again (a day's, say); None: not said."""

    @property
    def is_spent(self) -> bool:
        """Whether one of the limits is."""
        return any(limit.is_spent for limit in self.limits)
