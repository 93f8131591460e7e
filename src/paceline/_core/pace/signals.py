"""What a pace controller hears of the calls, and what it tells about itself.

Times are seconds of a clock that does not go back, costs tokens.
"""

from __future__ import annotations

from typing import TypeAlias

import attrs

from ..fault import FaultKind
from ..quota import QuotaHint


@attrs.frozen
class Served:
    """The call was answered."""

    tokens: float | None = None
    """What it cost in the end; None: as was expected when it started."""
    quota: QuotaHint | None = None
    """What the provider said of its quotas."""


@attrs.frozen
class Throttled:
    """The provider refused the call."""

    retry_after: float | None = None
    """Seconds it asked to wait."""
    quota: QuotaHint | None = None
    """What it said of its quotas."""


@attrs.frozen
class Faulted:
    """The call failed in another way: no evidence of a limit."""

    kind: FaultKind


@attrs.frozen
class Abandoned:
    """The call never reached an end: it was cancelled, or not made after all."""


Signal: TypeAlias = Served | Throttled | Faulted | Abandoned
SERVED, ABANDONED = Served(), Abandoned()


@attrs.frozen
class PaceChange:
    """One change of the pace, explained."""

    time: float
    old: float
    new: float
    reason: str
    handle: str = "workers"
    """What changed: workers, calls a second, tokens a second, or the gate (seconds until it opens)."""


@attrs.frozen(kw_only=True)
class PaceStatistics:
    """A snapshot of a controller."""

    limit: int
    """Workers."""
    rate: float
    """Calls a second; inf while no rate is enforced."""
    token_rate: float
    """Tokens a second; inf while no rate is enforced."""
    in_flight: int
    served: int
    throttled: int
    gate: float
    """Nothing starts before this time."""


@attrs.frozen(kw_only=True)
class PaceKnowledge:
    """What a controller has learned of a quota: to be saved, and given to a later controller of the same quota."""

    limit: int
    """Workers."""
    rate: float
    """Calls a second; inf: no limit was met."""
    token_rate: float
    """Tokens a second; inf: no limit was met."""
    latency: float
    """Seconds that an undisturbed call takes; 0: not known."""
    learned: float
    """When: Unix time, seconds."""
