"""ModelEscalation: a ladder of models, the cheapest first and a better one for the prompts that it cannot answer."""

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
    """Calls the first strategy, and the next one up when an answer is at fault.

        ModelEscalation([lite, flash, pro])                                        # invalid outputs move an item up
        ModelEscalation([lite, pro], EscalationPolicy(on={"invalid", "truncated"}, budget=(2, 1)))

    Throttling, timeouts and dropped connections never move an item. Each step has its own lane, so a throttled cheap model
    does not delay the items that have moved up; a step is prepared when its first item arrives. Pass the ladder to a processor,
    a stream or `run_prompts` like any other strategy: the engine calls the steps. Results and attempts name the model that
    was called, and the batch's summary estimates what the top model alone would have cost.

    Args:
        strategies: Steps, from the cheapest to the most capable.
        policy: The faults that move an item, and how many of them.

    Raises:
        ConfigurationError: The list is empty, two share a quota, one is a ladder itself, or the policy has budgets for
            another number of strategies.
    """

    def __init__(self, strategies: Sequence[LLMCallStrategy[T]], policy: EscalationPolicy | None = None) -> None:
        if isinstance(strategies, LLMCallStrategy) or not isinstance(strategies, Sequence):
            raise ConfigurationError(f"strategies must be a list of strategies, not {type(strategies).__qualname__}")
        if not isinstance(policy, EscalationPolicy | None):
            raise ConfigurationError(f"policy must be an EscalationPolicy, not {type(policy).__qualname__}")
        self.ladder: Ladder | None = Ladder(strategies, policy or EscalationPolicy())
        _require_distinct_quotas(strategies)

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}({list(self.steps)!r})"

    @property
    def steps(self) -> tuple[LLMCallStrategy[T], ...]:
        """Strategies, from the cheapest up."""
        return self.ladder.steps if self.ladder is not None else ()

    @property
    def is_sampled(self) -> bool:  # type: ignore[override]  # follows from the steps
        """Whether a step's answers are drawn at a temperature above 0."""
        return any(step.is_sampled for step in self.steps)

    @property
    def quota(self) -> str:
        """Lane in which every item starts."""
        return self.steps[0].quota

    def restore(self, data: Any) -> T:
        """Return an output from its data in a journal, as every step does: all answer with the same type."""
        return self.steps[-1].restore(data)

    def objection(self, request: Request) -> str | None:
        """Return the first objection of a step, as each step may be called; otherwise None."""
        return next(filter(None, (step.objection(request) for step in self.steps)), None)

    async def execute(self, prompt: str, attempt: int, timeout: float) -> tuple[T, TokenUsage]:  # noqa: ARG002
        """Raise: the engine calls the steps, never the ladder.

        Raises:
            MisuseError: Always.
        """
        raise MisuseError(
            "ModelEscalation cannot be called itself; pass it to a processor, or wrap its steps one by one"
        )


def _require_distinct_quotas(strategies: Sequence[LLMCallStrategy[T]]) -> None:
    first: dict[str, int] = {}
    for index, strategy in enumerate(strategies):
        quota = strategy.quota
        if quota in first:
            raise ConfigurationError(
                f"strategies[{first[quota]}] and strategies[{index}] share the quota {quota!r}; each step needs its own"
            )
        first[quota] = index
