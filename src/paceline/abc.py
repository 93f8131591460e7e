"""What is to be done: one prompt, under one name, by one strategy.

What makes calls: a strategy, the ladder that it may stand for, and what tells its faults.

What stands around the calls: middlewares, which may change items and results, and observers, which are told.

What the engine leans on: the controller of a lane's pace, and the journal.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

import attrs

from ._core import classify as _classify
from ._core.escalation import EscalationPolicy
from ._core.exceptions import ConfigurationError, InvalidWorkItemError
from ._core.prompt import Media, Prompt
from ._core.request import Request

if TYPE_CHECKING:
    from ._core.accounting import Price
    from ._core.events import ProcessingEvent
    from ._core.fault import Fault
    from ._core.pace import PaceChange, PaceKnowledge, PaceStatistics, Signal
    from ._core.quota import QuotaHint
    from ._core.results import WorkItemResult
    from ._core.usage import TokenUsage


__all__ = [
    "BaseObserver",
    "DefaultErrorClassifier",
    "ErrorClassifier",
    "Journal",
    "LLMCallStrategy",
    "LLMWorkItem",
    "Ladder",
    "Middleware",
    "RateController",
    "RateLimitObserver",
    "Tokens",
]


T = TypeVar("T")


def _is_id(_: object, _attribute: attrs.Attribute[str], value: object) -> None:
    if not isinstance(value, str) or not value.strip():
        raise InvalidWorkItemError(f"item_id must be a non-empty string, not {value!r}")


def _is_strategy(item: Any, _attribute: attrs.Attribute[Any], value: object) -> None:
    if isinstance(value, LLMCallStrategy):
        return
    if callable(value) and not isinstance(value, type):
        hint = "; wrap an async function with CallableStrategy(function)"
    elif isinstance(value, type):
        hint = "; give an instance, not the class"
    else:
        hint = ": a subclass that defines async execute(prompt, attempt, timeout)"
    name = value.__qualname__ if isinstance(value, type) else type(value).__qualname__
    raise InvalidWorkItemError(f"item {item.item_id!r}: strategy must be an LLMCallStrategy, not {name}{hint}")


def _to_prompt(value: str | Sequence[str | Media] | Request) -> Prompt:
    return tuple(value) if isinstance(value, list) else value  # type: ignore[return-value]  # the validator looks at it next


def _is_prompt(item: Any, _attribute: attrs.Attribute[Prompt], value: object) -> None:
    if isinstance(value, (str, Request)):
        return
    if not isinstance(value, tuple):
        name = type(value).__name__
        raise InvalidWorkItemError(
            f"item {item.item_id!r}: prompt must be a string, a list of parts or a Request, not {name}"
        )
    if not value:
        raise InvalidWorkItemError(f"item {item.item_id!r}: prompt has no parts")
    for index, part in enumerate(value):
        if not isinstance(part, (str, Media)):
            name = type(part).__name__
            raise InvalidWorkItemError(f"item {item.item_id!r}: prompt[{index}] must be a string or Media, not {name}")


@attrs.frozen
class LLMWorkItem(Generic[T]):
    """One prompt to be answered.

    Raises:
        InvalidWorkItemError: the id is empty, the strategy is none, or the prompt is none.
    """

    item_id: str = attrs.field(validator=_is_id)
    """Unique in its batch."""
    strategy: LLMCallStrategy[T] = attrs.field(validator=_is_strategy)
    """Makes the calls; may be shared by all items."""
    prompt: Prompt = attrs.field(converter=_to_prompt, validator=_is_prompt, repr=False)
    """What is sent: a text; or a list of texts and `Media`, or a `Request`, for strategies that take such."""
    context: Any = attrs.field(default=None, repr=False, eq=False)
    """Anything; it comes back with the result."""


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


class Middleware:
    """Sees every item and every result; override what is of interest.

    Returning None leaves the item or result as it is, returning another one replaces it. What a hook raises never loses an
    item: an exception of `before_process` settles it as a bug, one of the others is logged and counted.
    """

    async def before_process(self, work_item: LLMWorkItem[Any]) -> LLMWorkItem[Any] | None:
        """See an item before its first call; may raise `Skip`. A replacement must keep the id."""

    async def after_process(self, result: WorkItemResult[Any]) -> WorkItemResult[Any] | None:
        """See an item's result before anyone else does. A replacement must keep the id and the index."""

    async def on_retry(self, work_item: LLMWorkItem[Any], attempt: int, error: Exception) -> None:
        """Hear that the call numbered `attempt` failed and that the item will be called again."""


class BaseObserver:
    """Is told what happens. What it raises is logged and counted, and harms no item."""

    async def on_event(self, event: ProcessingEvent, data: dict[str, Any]) -> None:
        """Hear of one event; `data` has the fields of its record in `paceline.observers`."""


class RateController(Protocol):
    """The controller of one lane: hears every call's start and end, and answers with the pace.

    Times are seconds of a clock that does not go back. A cost is the tokens that a call is expected to use, input and
    output together; every call is one request besides.

    A processor's `pace` makes one for each quota: it is called with what is known of the quota, or None. There the time at
    which it was learned is one of that same clock.
    """

    @property
    def limit(self) -> int:
        """How many calls may be in flight."""
        ...

    @property
    def rate(self) -> float:
        """Calls a second; inf while none is enforced."""
        ...

    @property
    def token_rate(self) -> float:
        """Tokens a second; inf while none is enforced."""
        ...

    @property
    def history(self) -> Sequence[PaceChange]:
        """The latest changes of the pace, explained; bounded."""
        ...

    def admit_at(self, now: float, cost: float) -> float:
        """Return when a call may start: `now` or before, a later time, or inf: not before one settles."""
        ...

    def started(self, now: float, cost: float) -> Any:
        """Count a call that starts; return a ticket that `settled` is given back."""
        ...

    def settled(self, ticket: Any, now: float, signal: Signal) -> None:
        """Count the call's end, once for each ticket."""
        ...

    def statistics(self) -> PaceStatistics:
        """Return a snapshot."""
        ...

    def knowledge(self, now: float) -> PaceKnowledge | None:
        """Return what was learned, to be given to a later controller of the same quota; None: nothing yet.

        Its `learned` is `now`: whoever saves it puts the time of the wall in its place.
        """
        ...


RateLimitObserver: TypeAlias = RateController
"""The former name of `RateController`."""


class Journal(Protocol):
    """Keeps the results of a batch. `paceline.journal` has one in a file.

    Used by one processor at a time: opened when that is entered, closed when it is left. What it raises but `JournalError` is
    taken for a bug of its.
    """

    async def open(self, *, share: bool = True) -> Mapping[str, PaceKnowledge]:
        """Make ready; return what was known of quotas when it was last written.

        Args:
            share: whether an item may have the result of another with the same prompt. Not so where a middleware sees items
                before they are called: it may make other prompts of the same.
        """
        ...

    def key_of(self, item: LLMWorkItem[Any]) -> Hashable | None:
        """Return what two items have in common of which one needs no call of its own; None: each needs its own.

        Asked when the item has been recalled.
        """
        ...

    async def recall(self, items: Sequence[LLMWorkItem[Any]]) -> Sequence[WorkItemResult[Any] | None]:
        """Take note of items; return for each the result that is kept of it, or None: it is to be called.

        Raises:
            JournalChangedError: one of them is not what it was.
        """
        ...

    async def commit(self, results: Sequence[WorkItemResult[Any]], prices: Mapping[str, Price]) -> None:
        """Keep results, with what their attempts cost; all or none. Of a pending one only the attempts.

        Args:
            results: of items that were recalled before.
            prices: of models, by name, as far as they are known.

        Raises:
            JournalError: they are not kept. It may be called with them again.
        """
        ...

    async def note(self, changes: Sequence[tuple[str, PaceChange]], knowledge: Mapping[str, PaceKnowledge]) -> None:
        """Keep what the pace did, and what was learned.

        Args:
            changes: each with its quota; their times are seconds since the batch began.
            knowledge: of quotas, by name.

        Raises:
            JournalError: it is not kept, which loses no result.
        """
        ...

    async def close(self) -> None:
        """Let go of what `open` made."""
        ...
