"""Ports: every place where an application or another library can plug its own code into paceline.

    LLMWorkItem       one prompt with an id, and the strategy that answers it
    ErrorClassifier   turns an exception of a strategy into a `Fault`; DefaultErrorClassifier is the default
    LLMCallStrategy   makes one call to a model
    Ladder            strategies from the cheapest to the most capable, climbed by the engine
    Middleware        sees every item before its first call and every result, and may replace them
    BaseObserver      receives the events of a batch
    Journal           stores results, so that an interrupted batch can be resumed
    RateController    decides when a call of one lane may start

Rules that hold for all ports:

1. Coroutines are awaited on the processor's event loop and must not block it. Methods that are not coroutines run between two
   steps of the event loop and must return at once.
2. Times are seconds and token counts are whole calls (input and output together), unless a docstring says otherwise.
3. Cancellation must pass: a coroutine that catches the cancellation exception of trio or asyncio must raise it again.
4. Every coroutine of a middleware or an observer, `on_error` and `cleanup` get `ProcessorConfig.hook_timeout` seconds; one that
   takes longer is cancelled and treated as if it had raised TimeoutError.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

import attrs

from ._core.escalation import EscalationPolicy
from ._core.exceptions import ConfigurationError, InvalidWorkItemError
from ._core.prompt import Media, Prompt
from ._core.provider_answers import classify as _classify
from ._core.request import Request

if TYPE_CHECKING:
    from ._core.accounting import Price
    from ._core.connections import Connections
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
T_co = TypeVar("T_co", covariant=True)

Tokens: TypeAlias = "TokenUsage | Mapping[str, Any] | None"
"""The tokens that a call used: a `TokenUsage`, a mapping with its fields (`input_tokens`, `output_tokens`, ...), or None: unknown."""


# ---------------------------------------------------------------------------------------------- work item


def _to_prompt(value: str | Sequence[str | Media] | Request) -> Prompt:
    return tuple(value) if isinstance(value, list) else value  # type: ignore[return-value]  # checked with the other fields


def _check_item(item: LLMWorkItem[Any]) -> None:
    item_id: object = item.item_id
    if not isinstance(item_id, str) or not item_id.strip():
        raise InvalidWorkItemError(f"item_id must be a non-empty string, not {item_id!r}")
    strategy: object = item.strategy
    if not isinstance(strategy, LLMCallStrategy):
        raise InvalidWorkItemError(
            f"item {item_id!r}: strategy must be an LLMCallStrategy, not {_not_a_strategy(strategy)}"
        )
    prompt: object = item.prompt
    if isinstance(prompt, (str, Request)):
        return
    if not isinstance(prompt, tuple):
        name = type(prompt).__name__
        raise InvalidWorkItemError(
            f"item {item_id!r}: prompt must be a string, a list of parts or a Request, not {name}"
        )
    if not prompt:
        raise InvalidWorkItemError(f"item {item_id!r}: prompt has no parts")
    for index, part in enumerate(prompt):
        if not isinstance(part, (str, Media)):
            name, hint = type(part).__name__, _CHAT_HINT if isinstance(part, Mapping) else ""
            raise InvalidWorkItemError(f"item {item_id!r}: prompt[{index}] must be a string or Media, not {name}{hint}")


def _not_a_strategy(value: object) -> str:
    """Return the name of something that is not a strategy, with what to do about it."""
    if callable(value) and not isinstance(value, type):
        hint = "; wrap an async function with CallableStrategy(function)"
    elif isinstance(value, type):
        hint = "; pass an instance, not the class"
    else:
        hint = "; pass an instance of a subclass that defines async execute(prompt, attempt, timeout)"
    name = value.__qualname__ if isinstance(value, type) else type(value).__qualname__
    return f"{name}{hint}"


_CHAT_HINT = '; a chat in a provider\'s form is Request("openai", {"messages": ...})'


@attrs.frozen
class LLMWorkItem(Generic[T]):
    """One prompt to be answered.

    Raises:
        InvalidWorkItemError: The id is empty, or the strategy or the prompt is of another type.
    """

    item_id: str
    """Not empty, and unique in its batch."""
    strategy: LLMCallStrategy[T]
    """Makes the calls; all items may share one instance."""
    prompt: Prompt = attrs.field(converter=_to_prompt, repr=False)
    """A text; or, for strategies that accept them, a list of texts and `Media`, or a `Request`."""
    context: Any = attrs.field(default=None, repr=False, eq=False)
    """Any value; it is returned with the result, unchanged."""

    def __attrs_post_init__(self) -> None:
        # most items, without a call of a validator for each field; `isinstance` asks an abstract class in Python, which takes longest
        is_text = type(self.item_id) is type(self.prompt) is str
        if not (is_text and self.item_id.strip() and LLMCallStrategy in type(self.strategy).__mro__):
            _check_item(self)


# ---------------------------------------------------------------------------------------------- classifier


class ErrorClassifier(Protocol):
    """Turns an exception into a fault."""

    def classify(self, exception: BaseException) -> Fault:
        """Return the fault that `exception` means.

        Called for each exception of `execute` and of `prepare`, on the event loop. If it raises, or returns anything but a `Fault`,
        the item fails with a fault of the kind `bug`, and the log has the traceback.
        """
        ...


class DefaultErrorClassifier:
    """Classifies `CallError`, any exception with an HTTP status, and those of the usual HTTP clients and validators.

    A code in the provider's body has priority over the status: see the reference of faults. Waits and quotas are read from
    headers and bodies into the fault's `retry_after` and `quota`; a wait that is not a positive, finite number of seconds is
    ignored. A refusal because of a daily limit, or of a limit of 0, is an exhausted quota. An exception of an unknown type is a
    bug.
    """

    def classify(self, exception: BaseException) -> Fault:
        """Return the fault that `exception` means."""
        return _classify.classify(exception, wall_time=time.time())


# ---------------------------------------------------------------------------------------------- strategy


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

    async def cleanup(self) -> None:
        """Release what `prepare` created; called once when the processor closes, shielded from cancellation.

        Also called if `prepare` failed or was cancelled. An exception is logged. An instance that overrides `prepare` or `cleanup`
        is kept until then, so one instance for each of a million items costs their memory; any other is released with its item.
        """


# ---------------------------------------------------------------------------------------------- ladder


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


# ---------------------------------------------------------------------------------------------- middleware


class Middleware:
    """Sees every item and every result; override the hooks you need.

    A hook that returns None leaves the item or result unchanged. No exception of a hook loses an item: if `before_process`
    raises, the item fails with a fault of the kind `bug`; an exception of the other hooks is logged and counted. Hooks of an
    item are awaited before its next step, in the order of the processor's `middlewares` (`after_process` in reverse), and are
    cancelled with the batch. None of them delays other items' calls, or counts as a call in flight.
    """

    async def before_process(self, work_item: LLMWorkItem[Any]) -> LLMWorkItem[Any] | None:
        """Return an item to call in place of `work_item`, with the same id; called once, before the item's first call.

        Not called for items whose results are recalled.

        Raises:
            Skip: Settle the item without a call, as `skipped`.
        """

    async def after_process(self, result: WorkItemResult[Any]) -> WorkItemResult[Any] | None:
        """Return a result in place of `result`, with the same id and index; called before it is committed and handed over.

        Not called for recalled results, nor for items that are pending because the batch was cancelled.
        """

    async def on_retry(self, work_item: LLMWorkItem[Any], attempt: int, error: Exception) -> None:
        """Receive the exception of attempt number `attempt` (from 1) of an item that will be called again; not for throttled calls."""


# ---------------------------------------------------------------------------------------------- observer


class BaseObserver:
    """Receives the events of batches and calls. No call waits for it: an exception is logged and counted, and has no effect on any item.

    Each observer receives the events in their order, one after the other, from a queue of its own. If 20,000 wait there, new ones are
    dropped; how many is logged, and is `dropped_events` of the statistics.
    """

    async def on_event(self, event: ProcessingEvent, data: dict[str, Any]) -> None:
        """Receive one event.

        Args:
            event: Kind of the event.
            data: Fields of the event's record in `paceline.observers`, as a dict of its own for each observer.

        A batch returns its results once the events were received, or after `hook_timeout` seconds. Cancelled when the processor or pool is
        left and it has not returned.
        """


# ---------------------------------------------------------------------------------------------- journal


class Journal(Protocol):
    """Stores the results of a batch; `paceline.journal.SqliteJournal` does so in a file.

    Used by one processor at a time: opened when the processor is entered, closed when it is left. `recall`, `commit` and `close`
    are shielded from cancellation and have no timeout. If `recall`, `key_of` or `commit` raises, no more calls start and the batch
    ends with the error; an exception that is not a `JournalError` is also logged with its traceback.
    """

    async def open(self, *, share: bool = True) -> Mapping[str, PaceKnowledge]:
        """Open the journal; return what was last stored about quotas, by quota key.

        Args:
            share: Whether items with the same key share a call. False if a middleware defines `before_process`: it may turn equal
                prompts into different ones.

        Raises:
            JournalError: It cannot be opened; then it is not closed either.
        """
        ...

    def key_of(self, item: LLMWorkItem[Any]) -> Hashable | None:
        """Return a key that is equal for items of which one call serves all; None: the item needs a call of its own.

        Called after the item was recalled.
        """
        ...

    async def recall(self, items: Sequence[LLMWorkItem[Any]]) -> Sequence[WorkItemResult[Any] | None]:
        """Register items; return for each its stored result, or None if it has to be called.

        `paceline.typing.make_result` constructs a result for a type checker.

        Raises:
            JournalChangedError: An item differs from the one that was stored under its id.
        """
        ...

    async def commit(self, results: Sequence[WorkItemResult[Any]], prices: Mapping[str, Price]) -> None:
        """Store results and what their attempts cost: all of them or none. Of a pending result, store only the attempts.

        Args:
            results: Results of items that were recalled before.
            prices: Known prices in USD, by model; an attempt has its own cost.

        Raises:
            JournalError: Nothing was stored. It may be called again with the same results.
        """
        ...

    async def note(self, changes: Sequence[tuple[str, PaceChange]], knowledge: Mapping[str, PaceKnowledge]) -> None:
        """Store changes of the pace and what was learned about quotas; called every 10 seconds and at the end of a batch.

        Args:
            changes: Pairs of quota key and change; the time of a change is in seconds since the batch started.
            knowledge: What was learned, by quota key.

        Raises:
            JournalError: Nothing was stored. It is logged; no result depends on it.
        """
        ...

    async def close(self) -> None:
        """Release what `open` acquired."""
        ...


# ---------------------------------------------------------------------------------------------- rate controller


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
