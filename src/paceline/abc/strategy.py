"""How one call to a model is made, and the ladder of strategies that an item may climb."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

import attrs

from .._core.escalation import EscalationPolicy
from .._core.exceptions import ConfigurationError
from .classifier import DefaultErrorClassifier

if TYPE_CHECKING:
    from .._core.accounting import Price
    from .._core.connections import Connections
    from .._core.quota import QuotaHint
    from .._core.request import Request
    from .._core.usage import TokenUsage
    from .classifier import ErrorClassifier
    from .native_batch import NativeBatch

T_co = TypeVar("T_co", covariant=True)

Tokens: TypeAlias = "TokenUsage | Mapping[str, Any] | None"
"""The tokens that a call used: a `TokenUsage`, a mapping with its fields (`input_tokens`, `output_tokens`, ...), or None: unknown."""


class LLMCallStrategy(ABC, Generic[T_co]):
    """Makes one call to a model.

    One instance may serve a million items: each item works on its own shallow copy, made after `prepare`. What `prepare`
    assigns is shared by all items; what `execute` and `on_error` assign stays with the item. A subclass need not call
    `super().__init__`.
    """

    error_classifier: ErrorClassifier = DefaultErrorClassifier()
    """Classifies the exceptions of `execute` and `prepare`."""
    model: str | None = None
    """The model's name, shown in results; None: unknown."""
    quota_hint: QuotaHint | None = None
    """The quotas that the provider's latest reply reported. `execute` assigns it on the item's own copy, whether it returns or
    raises; the engine reads it after each call and resets it to None."""
    price: Price | None = None
    """The price of its tokens in USD, for the batch's accounting; None: unknown."""
    max_output_tokens: int | None = None
    """Upper bound on the tokens of an answer, for the reservation of a budget and for estimates; None: unknown."""
    server: str | None = None
    """Where its calls go, for people, such as `https://api.openai.com/v1`: without credentials. None: unknown. It is shown before a run."""
    connections: Connections | None = None
    """The connections of its client, if they are limited: the engine starts no more calls at once, as a call that waits for a connection uses
    up its own time. None: any number."""
    ladder: Ladder | None = None
    """The strategies that the engine calls in place of this one; None: it calls this one. Read once, when the item is accepted."""
    is_sampled: bool = False
    """Whether its answers are drawn at a temperature above 0. Then equal prompts are separate samples, and a journal does not let them
    share a call unless it is set to."""
    takes_requests: bool = False
    """Whether `execute` accepts a `Request` as its prompt. If not, a request that is only text is passed as a string, and any other
    request is rejected."""

    @property
    def quota(self) -> str:
        """The quota key: strategies whose calls share a provider's quota return the same key and so share a lane.

        By default the class's name and the model. Each key has a lane and a controller of its own. Read from the item's own copy before
        each further call, so that an item whose `on_error` selects another model waits in that model's lane.
        """
        name = type(self).__qualname__
        return f"{name}:{self.model}" if self.model else name

    async def prepare(self) -> None:
        """Create what all items share, such as a client; called once per instance, before its first call.

        Each try may take `ProcessorConfig.timeout_per_item` seconds. A transient failure is retried as a call's would be; any
        other failure is the fault of every item of this instance. Cancelled when the batch is stopped or cancelled.
        """

    @abstractmethod
    async def execute(self, prompt: str, attempt: int, timeout: float) -> tuple[T_co, Tokens]:
        """Make one call.

        Args:
            prompt: Prompt of the item.
            attempt: Number of the attempt, from 1. A call that was throttled is repeated with the same number.
            timeout: Seconds after which the engine cancels the call; for information only.

        Returns:
            The output, and the tokens that the call used.

        Raises:
            Exception: Any exception; `error_classifier` turns it into a fault, and the retry policy decides whether the item is
                called again.

        Cancelled at the end of its timeout, at the item's or the batch's deadline, or with the batch. A value that it returns in
        spite of the cancellation counts.
        """

    def objection(self, request: Request) -> str | None:
        """Return why this strategy cannot execute `request`, as a sentence; None: it can.

        Called to check an input before a batch; makes no call.
        """
        return None if self.takes_requests else request.objection(type(self).__qualname__)

    def expected_tokens(self, prompt: str) -> float | None:
        """Return the token estimate of a call with this prompt: input and output together.

        None, the default, leaves the estimate to the mean of earlier calls. Called before each call of an item, on the event
        loop, and must be fast. An exception, or a value that is not a positive, finite number, counts as None.
        """

    async def on_error(self, exception: Exception, attempt: int) -> None:
        """Receive an exception of `execute`, before the item is called again or given up.

        Args:
            exception: The exception; the only member of an exception group is unwrapped.
            attempt: Number of the attempt, from 1.

        An exception raised here is logged and counted, and has no effect on the item.
        """

    def take_over(self, previous: LLMCallStrategy[Any]) -> None:
        """Take over an item on a ladder: called once on the item's own copy, before its first call on this step.

        Args:
            previous: The item's own copy of the strategy on the step below.

        If it raises, the item fails with a fault of the kind `bug`.
        """

    @property
    def identity(self) -> Mapping[str, Any]:
        """What its outputs depend on besides the prompt, as plain JSON data: a journal recalls results of the same identity only.

        By default the class, the model and the steps of its ladder. It is stored as it is: leave out credentials, and replace long
        texts by their hash.
        """
        name = type(self).__qualname__
        if self.ladder is None:
            return {"strategy": name, "model": self.model}
        return {"strategy": name, "steps": [dict(step.identity) for step in self.ladder.steps]}

    def restore(self, data: Any) -> T_co:
        """Return the output that a journal has stored as `data`.

        Args:
            data: The output as plain JSON data, which is returned as it is by default.

        If it raises, the item is called again.
        """
        return data  # type: ignore[no-any-return]  # for a strategy whose outputs are plain data, this is one

    def native_batch(self) -> NativeBatch:
        """Return the jobs of the provider's batch API that ask what this strategy would ask online.

        Raises:
            ConfigurationError: Its model has no batch API here.
        """
        raise ConfigurationError(f"{self.model or self.quota} has no batch API that can be used here")

    async def cleanup(self) -> None:
        """Release what `prepare` created; called once when the processor closes, shielded from cancellation.

        Also called if `prepare` failed or was cancelled. An exception is logged. An instance that overrides `prepare` or `cleanup`
        is kept until then, so one instance for each of a million items costs their memory; any other is released with its item.
        """


def _to_steps(steps: Iterable[LLMCallStrategy[Any]]) -> tuple[LLMCallStrategy[Any], ...]:
    return tuple(steps)


def _check_steps(_: object, __: attrs.Attribute[Any], steps: tuple[Any, ...]) -> None:
    if not steps:
        raise ConfigurationError("a ladder needs at least one strategy")
    for index, strategy in enumerate(steps):
        if not isinstance(strategy, LLMCallStrategy):
            name = getattr(strategy, "__qualname__", type(strategy).__qualname__)
            raise ConfigurationError(f"steps[{index}] must be an LLMCallStrategy, not {name}")
        if strategy.ladder is not None:
            raise ConfigurationError(f"steps[{index}] is itself a ladder; pass its steps instead")


def _budgets(ladder: Ladder) -> tuple[int, ...]:
    return tuple(ladder.policy.budgets(len(ladder.steps)))


@attrs.frozen
class Ladder:
    """Strategies from the cheapest to the most capable, and the rule by which an item moves up.

    Raises:
        ConfigurationError: There are no steps, a step is not a strategy or has a ladder of its own, or the policy has budgets for
            another number of steps.
    """

    steps: tuple[LLMCallStrategy[Any], ...] = attrs.field(converter=_to_steps, validator=_check_steps)
    """At least one, from the cheapest up."""
    policy: EscalationPolicy = attrs.field(
        factory=EscalationPolicy, validator=attrs.validators.instance_of(EscalationPolicy)
    )
    """The kinds of fault that move an item up, and how many it may have on each step."""
    budgets: tuple[int, ...] = attrs.field(init=False, default=attrs.Factory(_budgets, takes_self=True))
    """The number of such faults that an item may have on each step, derived from the policy."""
