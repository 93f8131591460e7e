"""Lane job: what a lane knows of a job, and the connections that jobs take."""

from __future__ import annotations

from typing import Any, Protocol

import attrs

from .._core.priority_band import Customer
from .._core.refusals import RefusalRecord
from ..abc import LLMCallStrategy, LLMWorkItem


@attrs.define(eq=False)
class ConnectionUse:
    """How many connections of one client the calls in flight of one pool take. Counted by the jobs that take them."""

    limit: int
    taken: int = 0

    @property
    def has_room(self) -> bool:
        """Whether another call may start. If not, a call is in flight, and its end is the next event."""
        return self.taken < self.limit

    def take(self) -> None:
        """Count a connection as taken."""
        self.taken += 1

    def give_back(self) -> None:
        """Count a connection as free."""
        self.taken -= 1


class LaneJob(Protocol):
    """What a lane knows of a job."""

    @property
    def item(self) -> LLMWorkItem[Any]:
        """The item."""
        ...

    @property
    def customer(self) -> Customer:
        """With whose jobs it waits."""
        ...

    @property
    def active_strategy(self) -> LLMCallStrategy[Any]:
        """The strategy of its next call."""
        ...

    @property
    def use(self) -> ConnectionUse | None:
        """The connections that its next call needs one of; None: they are not limited."""
        ...

    @property
    def cost(self) -> float:
        """Token estimate of its next call; 0: not computed yet."""
        ...

    @property
    def refused(self) -> RefusalRecord:
        """Its latest refusals, in a row."""
        ...

    @property
    def started(self) -> float:
        """The time at which its latest call started."""
        ...

    @property
    def order(self) -> int:
        """Number of its latest call in its lane."""
        ...

    @property
    def was_called(self) -> bool:
        """Whether a call of it has ended."""
        ...

    def wait(self, *, estimate_again: bool = False) -> None:
        """Record that it waits in its lane's queue."""
        ...

    def estimate(self, cost: float, characters: int | None) -> None:
        """Set the token estimate of its next call."""
        ...

    def start(self, now: float, order: int, ticket: Any) -> None:
        """Record that its call may start."""
        ...

    def finish(self) -> Any:
        """Record that its call has ended; return the controller's ticket."""
        ...

    def refuse(self, refused: RefusalRecord) -> None:
        """Set its refusals in a row."""
        ...
