"""When a call may start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from .._core.pace import PaceChange, PaceKnowledge, PaceStatistics, Signal


class RateController(Protocol):
    """Decides when the calls of one lane may start; is informed of each call's start and end.

    Times are seconds of the event loop's monotonic clock. A cost is a call's token estimate, input and output together; every
    call is one request besides. A processor's `pace` creates one controller per quota key, from what is known of the quota (its
    `learned` is a time of the same clock) or None. An exception of a controller ends the batch.
    """

    @property
    def limit(self) -> int:
        """How many calls may be in flight at once."""
        ...

    @property
    def rate(self) -> float:
        """The enforced rate in calls per second; inf if none is enforced."""
        ...

    @property
    def token_rate(self) -> float:
        """The enforced rate in tokens per second; inf if none is enforced."""
        ...

    @property
    def history(self) -> Sequence[PaceChange]:
        """The latest changes of the pace with their reasons, the oldest first; bounded."""
        ...

    def admit_at(self, now: float, cost: float) -> float:
        """Return when a call may start: `now` or earlier, a later time, or inf: not before a call in flight has settled."""
        ...

    def started(self, now: float, cost: float) -> Any:
        """Record the start of a call; return a ticket, any value, that `settled` receives."""
        ...

    def settled(self, ticket: Any, now: float, signal: Signal) -> None:
        """Record the end of a call; called once per ticket, also if the call was cancelled.

        Args:
            ticket: What `started` returned.
            now: Current time.
            signal: How the call ended. An answer is `Served`, also if it is of no use to the caller. `Excused` is a refusal for the
                sake of its item, while others are served, and has the tickets of the item's earlier refusals: they are no
                evidence of a limit either, although they were reported as `Throttled`.
        """
        ...

    def statistics(self) -> PaceStatistics:
        """Return a snapshot."""
        ...

    def knowledge(self, now: float) -> PaceKnowledge | None:
        """Return what was learned, for a later controller of the same quota; None: nothing yet.

        Its `learned` is `now`; the processor replaces it by the wall time.
        """
        ...


RateLimitObserver: TypeAlias = RateController
"""The former name of `RateController`."""
