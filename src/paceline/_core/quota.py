"""Quota hints: what a provider reports about its quotas, attached by a strategy or a classifier to a reply or an error.

Rules owned here:

1. Every field may be missing. A value that is not a finite number, 0 or more, counts as missing, and nothing is raised for it.
2. A hint is a claim, not a fact: its user bounds its effects.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable

import attrs

DAY = 86_400.0  # seconds


class Unit(enum.StrEnum):
    """What a quota counts."""

    REQUESTS = "requests"
    TOKENS = "tokens"


class Part(enum.StrEnum):
    """Which tokens of a call a quota counts."""

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
    """One limit of a provider, as far as it was reported."""

    unit: Unit = attrs.field(default=Unit.REQUESTS, converter=Unit)
    """What the limit counts."""
    part: Part = attrs.field(default=Part.BOTH, converter=Part)
    """Which tokens it counts; BOTH for a limit on requests."""
    limit: float | None = attrs.field(default=None, converter=_amount)
    """Units allowed in each period."""
    period: float | None = attrs.field(default=None, converter=_amount)
    """Length of the period in seconds: 60 for a limit per minute, 86,400 for one per day."""
    remaining: float | None = attrs.field(default=None, converter=_amount)
    """Units left now."""
    reset: float | None = attrs.field(default=None, converter=_amount)
    """Seconds until all units are available again."""
    exceeded: bool = False
    """Whether this is the limit that refused the call."""
    name: str = ""
    """The provider's name of the limit."""

    @property
    def is_spent(self) -> bool:
        """Whether the limit refused the call and will refuse calls for long: it is zero, or for a day or more."""
        return self.exceeded and (self.limit == 0 or (self.period or 0.0) >= DAY)


def _limits(value: Iterable[QuotaLimit]) -> tuple[QuotaLimit, ...]:
    return tuple(value)


@attrs.frozen(kw_only=True)
class QuotaHint:
    """What one reply of a provider reports about its quotas."""

    retry_after: float | None = attrs.field(default=None, converter=_amount)
    """Seconds that the provider asks to wait."""
    limits: tuple[QuotaLimit, ...] = attrs.field(default=(), converter=_limits)
    """The limits that it reports."""
    reopens_in: float | None = attrs.field(default=None, converter=_amount)
    """Seconds until an exhausted quota is available again, a daily one for example; None if it is not known."""

    @property
    def is_spent(self) -> bool:
        """Whether a limit is exhausted: see `QuotaLimit.is_spent`."""
        return any(limit.is_spent for limit in self.limits)
