"""Signals: how a call ended, as reported to a pace controller, and what a controller reports about itself.

Times are seconds of a monotonic clock, costs are tokens, unless a field says otherwise.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import attrs

from ..fault import FaultKind
from ..limitation import Limitation, LimitReason
from ..quota import QuotaHint


@attrs.frozen
class Served:
    """The call was answered, if only by a word about the request."""

    tokens: float | None = None
    """Tokens that the call cost; None: as many as were expected when it started."""
    quota: QuotaHint | None = None
    """What the provider said about its quotas; None: nothing."""
    accepted: bool = True
    """Whether the answer is of use; otherwise it was invalid, cut off, refused, or a rejection of the request."""


@attrs.frozen
class Throttled:
    """The provider refused the call (HTTP 429 or the like)."""

    retry_after: float | None = None
    """Seconds that the provider asked to wait; None: it did not say."""
    quota: QuotaHint | None = None
    """What the provider said about its quotas; None: nothing."""


@attrs.frozen
class Faulted:
    """The call failed for another reason; no evidence of a limit."""

    kind: FaultKind
    """Kind of the fault. Overload, transient faults and timeouts tell of the provider's health; a bug presumably followed an answer."""
    overdue: bool = False
    """Whether the call was cut off after a time in which nearly all calls are answered."""


@attrs.frozen
class Abandoned:
    """The call has no outcome: it was cancelled, or was not made after all."""


@attrs.frozen
class Excused:
    """The call was refused for the sake of its item, while others are served: it is no evidence, and neither are earlier refusals."""

    earlier: tuple[Any, ...] = ()
    """Tickets of the item's earlier refused calls, which were reported as `Throttled`."""


Signal: TypeAlias = Served | Throttled | Faulted | Abandoned | Excused
"""How a call ended."""
SERVED, ABANDONED = Served(), Abandoned()
TIMED_OUT = Faulted(FaultKind.TIMEOUT, overdue=True)

_MUCH_LONGER = 3.0  # times the usual duration


def cut_off_signal(seconds: float, usual: float) -> Signal:
    """Return how a call ended that was cancelled by the caller's own deadline, and not by the timeout of calls.

    It is a fault of the provider only if it took much longer than usual; otherwise the deadline was near, which is no evidence.

    Args:
        seconds: How long it was in flight.
        usual: How long a call is in flight, usually; 0: it is not known.
    """
    return TIMED_OUT if 0 < _MUCH_LONGER * usual <= seconds else ABANDONED


@attrs.frozen
class PaceChange:
    """One change of the pace, with its reason."""

    time: float
    """When it changed, in seconds of the controller's clock."""
    old: float
    """Value before the change, in the unit of `handle`; inf for a rate that was not limited."""
    new: float
    """Value after the change, in the same unit."""
    reason: str
    """The evidence, then what follows from it; a phrase without the provider's words."""
    handle: str = "workers"
    """What changed: "workers" (calls that may be in flight), "calls a second", "tokens a second", or "gate" (seconds until the
    open breaker lets a probe start; 0: closed, calls start again)."""


@attrs.frozen(kw_only=True)
class PaceStatistics:
    """A snapshot of a controller."""

    limit: int
    """Calls that may be in flight at a time."""
    rate: float
    """Calls that may start per second; inf while no limit is known."""
    token_rate: float
    """Tokens that may start per second; inf while no limit is known."""
    in_flight: int
    """Calls in flight."""
    served: int
    """Calls answered so far."""
    throttled: int
    """Calls refused so far."""
    gate: float
    """Time of the event loop's clock before which nothing starts, because the breaker is open; -inf while it is closed."""
    limitation: Limitation | None = None
    """What keeps a call from starting that waits, if only the controller does; None: the controller does not say."""
    opens_in: float = 0.0
    """Seconds until a call starts again, because the breaker is open or the quota is exhausted; 0: calls start. Only in the statistics of a
    pool or a processor."""

    @property
    def holding(self) -> Limitation:
        """What keeps a call from starting that waits; concluded from the numbers if the controller does not say."""
        if self.limitation is not None:
            return self.limitation
        if self.in_flight >= self.limit:
            return Limitation(reason=LimitReason.CONCURRENCY, value=self.limit)
        if self.rate < math.inf:
            return Limitation(reason=LimitReason.REQUESTS, value=self.rate)
        if self.token_rate < math.inf:
            return Limitation(reason=LimitReason.TOKENS, value=self.token_rate)
        return Limitation(reason=LimitReason.STARTING)


@attrs.frozen(kw_only=True)
class PaceKnowledge:
    """What a controller has learned about a quota, for the warm start of a later controller of the same quota."""

    limit: int
    """Calls that may be in flight at a time."""
    rate: float
    """Calls per second; inf: no limit was met."""
    token_rate: float
    """Tokens per second; inf: no limit was met."""
    latency: float
    """Seconds that a call takes on an unloaded provider; 0: not known."""
    learned: float
    """When it was learned, in seconds of Unix time; inside a controller, of the controller's clock."""


PaceKnowledge.__module__ = "paceline.typing"  # pickles of it are kept, and must not depend on where it is defined
