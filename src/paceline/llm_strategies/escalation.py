"""A ladder of models: the cheapest first, a better one for what it cannot answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from .._core.escalation import EscalationPolicy
from .._core.exceptions import ConfigurationError, MisuseError
from .._core.request import Request
from .._core.usage import TokenUsage
from ..abc import Ladder, LLMCallStrategy

T = TypeVar("T")


class ModelEscalation(LLMCallStrategy[T], Generic[T]):
    """Asks the first strategy, and the next one up when an answer is at fault.

        ModelEscalation([lite, flash, pro])                                        # invalid outputs move an item up
        ModelEscalation([lite, pro], EscalationPolicy(on={"invalid", "truncated"}, budget=(2, 1)))

    Being throttled, timeouts and dropped connections never move an item. Each step waits in its own lane, so that a throttled
    cheap model holds up nobody who has moved on; it is prepared when its first item comes. The engine climbs: a processor, a
    stream or `run_prompts` is given the ladder like any other strategy. Results and attempts name the model that was called, and
    the batch's summary says what the top model alone would have cost, by estimate.

    Args:
        strategies: from the cheapest to the most capable.
        policy: which faults move an item, and after how many of them.

    Raises:
        ConfigurationError: there is no strategy, two share a quota, one is a ladder itself, or the policy has budgets for another
            number of strategies.
    """

    def __init__(self, strategies: Sequence[LLMCallStrategy[T]], policy: EscalationPolicy | None = None) -> None:
        if isinstance(strategies, LLMCallStrategy) or not isinstance(strategies, Sequence):
            raise ConfigurationError(f"strategies must be a list of them, not {type(strategies).__qualname__}")
        if not isinstance(policy, EscalationPolicy | None):
            raise ConfigurationError(f"policy must be an EscalationPolicy, not {type(policy).__qualname__}")
        self.ladder = Ladder(strategies, policy or EscalationPolicy())
        _need_quotas_of_their_own(strategies)

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}({list(self.steps)!r})"

    @property
    def steps(self) -> tuple[LLMCallStrategy[T], ...]:
        """The strategies, from the cheapest up."""
        return self.ladder.steps if self.ladder is not None else ()

    @property
    def quota(self) -> str:
        """The lane in which every item begins."""
        return self.steps[0].quota

    def restore(self, data: Any) -> T:
        """Return an output from what a journal has kept of it: as the steps do, which answer for the same type."""
        return self.steps[-1].restore(data)

    def objection(self, request: Request) -> str | None:
        """Return that of the first step which has one: each may be asked."""
        return next(filter(None, (step.objection(request) for step in self.steps)), None)

    async def execute(self, prompt: str, attempt: int, timeout: float) -> tuple[T, TokenUsage]:  # noqa: ARG002
        """Never called: the engine calls the steps.

        Raises:
            MisuseError: it was called all the same.
        """
        raise MisuseError("a ladder is climbed by the engine: give it to a processor, or wrap its steps one by one")


def _need_quotas_of_their_own(strategies: Sequence[LLMCallStrategy[T]]) -> None:
    first: dict[str, int] = {}
    for index, strategy in enumerate(strategies):
        quota = strategy.quota
        if quota in first:
            raise ConfigurationError(
                f"strategies[{first[quota]}] and strategies[{index}] share the quota {quota!r}; each step needs its own"
            )
        first[quota] = index
