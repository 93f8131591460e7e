"""What makes calls: a strategy, the ladder that it may stand for, and what tells its faults."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

import attrs

from .._core import classify as _classify
from .._core.escalation import EscalationPolicy
from .._core.exceptions import ConfigurationError

if TYPE_CHECKING:
    from .._core.fault import Fault
    from .._core.price import Price
    from .._core.quota import QuotaHint
    from .._core.request import Request
    from .._core.usage import TokenUsage

T_co = TypeVar("T_co", covariant=True)

Tokens: TypeAlias = "TokenUsage | Mapping[str, Any] | None"


class ErrorClassifier(Protocol):
    """Says which fault an exception is."""

    def classify(self, exception: BaseException) -> Fault:
        """Return the fault. An exception raised here makes it a bug of the strategy."""
        ...


class DefaultErrorClassifier:
    """Knows `CallError`, any exception with an HTTP status, and those of the usual HTTP clients and validators.

    Retry-After is understood in seconds and as an HTTP date, `retry-after-ms` in milliseconds; a hint that is no positive,
    finite number is no hint. What OpenAI's and Anthropic's headers and the details of Google's errors say of quotas is read
    into the fault's `quota`; a refusal by a day's limit, or by one of 0, is an exhausted quota. Anything unknown is a bug.
    """

    def classify(self, exception: BaseException) -> Fault:
        """Return the fault."""
        return _classify.classify(exception, wall_time=time.time())


class LLMCallStrategy(ABC, Generic[T_co]):
    """Makes one call to a model.

    One instance may serve a million items: each item works on its own shallow copy, made after `prepare`. What `prepare`
    assigned is shared; what `execute` and `on_error` assign stays with the item. A subclass need not call
    `super().__init__`.
    """

    error_classifier: ErrorClassifier = DefaultErrorClassifier()
    """Says which fault an exception of `execute` or `prepare` is."""
    model: str | None = None
    """The model's name, for results."""
    quota_hint: QuotaHint | None = None
    """What the provider said of its quotas with the latest reply. `execute` assigns it on the item's own copy, whether it
    returns or raises; the engine reads it after each call and puts None in its place."""

    price: Price | None = None
    """What its tokens cost, for the batch's account; None: not known."""
    ladder: Ladder | None = None
    """The strategies that the engine calls in place of this one, from the cheapest up; None: it calls this one itself. Read
    when the item comes in."""

    takes_requests: bool = False
    """Whether `execute` takes a `Request` as its prompt. To one that does not, a plain request is given as one text, and any other
    is rejected."""

    @property
    def quota(self) -> str:
        """The lane: calls that share a provider's quota share a name. By default the class's name, and the model's.

        There are to be few: every lane is looked at when a call is to start. Asked of the item's own copy before each further
        call, so that an item whose `on_error` has chosen another model waits in the lane of that one.
        """
        name = type(self).__qualname__
        return f"{name}:{self.model}" if self.model else name

    async def prepare(self) -> None:
        """Make what all items share; called once for each instance, before its first call.

        A passing failure is retried as a call's is; any other settles the instance's items with its fault.
        """

    @abstractmethod
    async def execute(self, prompt: str, attempt: int, timeout: float) -> tuple[T_co, Tokens]:
        """Make one call and return its output and tokens.

        Args:
            prompt: the item's prompt.
            attempt: from 1; a call that was throttled is made again under the same number.
            timeout: seconds after which the engine cancels the call; for information.

        Whatever it raises becomes the item's fault, or its retry. It is cancelled when its time is up or the batch is
        cancelled, and must let that pass.
        """

    def objection(self, request: Request) -> str | None:
        """Return why it cannot be asked a request in a provider's own form, in a sentence; None: it can.

        Asked before a batch by those who would rather know then; nothing is called.
        """
        return None if self.takes_requests else request.objection(type(self).__qualname__)

    def expected_tokens(self, prompt: str) -> float | None:
        """Return the tokens, input and output together, that a call with this prompt is expected to cost.

        None, the default, leaves it to what is learned from earlier calls. Asked before each call of an item, on the event
        loop: it is to be quick. What it raises, and what is no positive, finite number, counts as None.
        """

    async def on_error(self, exception: Exception, attempt: int) -> None:
        """Hear of an exception of `execute` before the item is called again or given up."""

    def take_over(self, previous: LLMCallStrategy[Any]) -> None:
        """Take over an item on a ladder: called once on its own copy, before its first call there.

        Args:
            previous: the copy that made its calls so far, on the step below.
        """

    @property
    def identity(self) -> Mapping[str, Any]:
        """What its outputs depend on besides the prompt, as plain data: for a journal, which gives no result of another.

        By default the class, the model and the steps of its ladder. There must be no key in it, nor any long text: a hash of one.
        """
        name = type(self).__qualname__
        if self.ladder is None:
            return {"strategy": name, "model": self.model}
        return {"strategy": name, "steps": [dict(step.identity) for step in self.ladder.steps]}

    def restore(self, data: Any) -> T_co:
        """Return an output from what a journal has kept of it.

        Args:
            data: the output as plain JSON data, which it is by default.

        What it raises has the item called again.
        """
        return data  # type: ignore[no-any-return]  # of a strategy whose outputs are plain data, it is one

    async def cleanup(self) -> None:
        """Release what `prepare` made; called once when the processor closes, shielded from cancellation, in bounded time.

        Also when `prepare` failed or was cut short. An instance that defines either is kept until then, so one instance for
        each of a million items costs their memory; one that defines neither is let go with its item.
        """


def _to_steps(steps: Iterable[LLMCallStrategy[Any]]) -> tuple[LLMCallStrategy[Any], ...]:
    return tuple(steps)


def _is_steps(_: object, __: attrs.Attribute[Any], steps: tuple[Any, ...]) -> None:
    if not steps:
        raise ConfigurationError("a ladder needs at least one strategy")
    for index, strategy in enumerate(steps):
        if not isinstance(strategy, LLMCallStrategy):
            name = getattr(strategy, "__qualname__", type(strategy).__qualname__)
            raise ConfigurationError(f"steps[{index}] must be an LLMCallStrategy, not {name}")
        if strategy.ladder is not None:
            raise ConfigurationError(f"steps[{index}] is a ladder itself; give its steps")


def _budgets(ladder: Ladder) -> tuple[int, ...]:
    return tuple(ladder.policy.budgets(len(ladder.steps)))


@attrs.frozen
class Ladder:
    """Strategies from the cheapest to the most capable, and when an item moves up.

    Raises:
        ConfigurationError: there are no steps, one of them is no strategy or a ladder itself, or the policy has budgets for
            another number of steps.
    """

    steps: tuple[LLMCallStrategy[Any], ...] = attrs.field(converter=_to_steps, validator=_is_steps)
    policy: EscalationPolicy = attrs.field(
        factory=EscalationPolicy, validator=attrs.validators.instance_of(EscalationPolicy)
    )
    budgets: tuple[int, ...] = attrs.field(init=False, default=attrs.Factory(_budgets, takes_self=True))
    """The faults of the policy that an item may have on each step."""
