"""Lane job: what a lane knows of a job, the connections that jobs take, and the tokens that their calls may cost."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Protocol

import attrs

from ..._core.budget import Reserve
from ..._core.fault import Fault, FaultKind, FaultReason
from ..._core.health.refusals import RefusalRecord
from ..._core.prompt import characters_of
from ..._core.provider_answers.classify import describe
from ..._core.quantity import quantity
from ..._core.queue.priority_band import Customer
from ..._core.quota import QuotaHint, Unit, positive_number
from ..._core.token_estimate import TokenCosts
from ...abc import LLMCallStrategy, LLMWorkItem
from ..loop.foreign import logger

_CLASSES = 256  # of strategies of which is known whether they estimate
_REPEATEDLY = 2  # refusals between which others were served: a token estimate alone is too coarse to end an item


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

    @property
    def reservation(self) -> Reserve | None:
        """What is reserved for its call; None: nothing."""
        ...

    def reserve(self, call: Reserve | None, over_budget: Any) -> None:
        """Set what is reserved for its call, or why it may not start."""
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


def estimate_cost(job: LaneJob, costs: TokenCosts) -> float:
    """Set and return the token estimate of a job's next call, in a lane with these costs."""
    prompt, strategy = job.item.prompt, job.active_strategy
    characters = len(prompt) if isinstance(prompt, str) else characters_of(prompt)
    estimate = _expected_tokens(strategy, prompt) if _estimates(type(strategy)) else None
    cost = estimate or costs.expected(characters)
    job.estimate(cost, characters)
    return cost


@lru_cache(_CLASSES)
def _estimates(cls: type[LLMCallStrategy[Any]]) -> bool:
    """Whether strategies of this class estimate tokens themselves."""
    return cls.expected_tokens is not LLMCallStrategy.expected_tokens


def _expected_tokens(strategy: LLMCallStrategy[Any], prompt: Any) -> float | None:
    """Return a strategy's own token estimate; None if it has none or it is invalid."""
    try:
        return positive_number(strategy.expected_tokens(prompt))
    except Exception as error:  # noqa: BLE001 - a user's code may raise anything
        logger.warning("%s.expected_tokens failed: %s", type(strategy).__qualname__, describe(error))
        return None


def is_too_large(job: LaneJob, costs: TokenCosts, quota: QuotaHint | None) -> bool:
    """Whether a job that was refused repeatedly is larger than the whole limit that the provider names, in a lane with these costs."""
    if quota is None or job.refused.counted < _REPEATEDLY:
        return False
    whole = costs.as_total_tokens(quota) or quota
    limits = (each.limit for each in whole.limits if each.unit is Unit.TOKENS)
    return any(limit is not None and 0 < limit < job.cost for limit in limits)


def own_refusal_fault(quota: str, job: LaneJob, message: str = "") -> Fault:
    """Return the fault of an item that is refused for its own sake; `message`: the provider's words."""
    text = f"refused {quantity(job.refused.times, 'time')} in a row, whereas {quota} served others"
    return Fault(FaultKind.THROTTLED, f"{text}: {message}" if message else text, reason=FaultReason.REFUSED_ALONE)
