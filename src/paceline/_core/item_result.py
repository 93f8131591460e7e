"""Item result: what became of one item, and its attempts.

1. Every accepted item has exactly one result: an output, or a fault, never both.
2. At run time `WorkItemResult` is one class. For a type checker the public name, in `results`, is a union of two views of it,
   `Succeeded` and `Failed`, so that a test of `success` or `error` narrows `output` and `error`. A union cannot be called:
   typed code makes a result with `make_result`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeGuard, TypeVar, cast

import attrs

from .accounting import total
from .exceptions import CallError, InvalidOutputError, RateLimitError
from .fault import Fault, FaultKind
from .usage import NO_USAGE, TokenUsage

T = TypeVar("T")


@attrs.frozen
class Attempt:
    """One call that counted. Throttled calls are not attempts; a result counts them in `refusals`."""

    number: int
    """Number of the call, from 1: the `attempt` of `execute`."""
    started: float
    """Seconds from the start of the batch to the start of the call."""
    seconds: float
    """Duration of the call in seconds."""
    quota: str
    """Quota key of the lane it ran in."""
    usage: TokenUsage = NO_USAGE
    """Tokens of the call, also if it failed."""
    fault: Fault | None = None
    """How it failed; None if its output was accepted."""
    model: str | None = None
    """The `model` of the strategy that made it, if it has one."""
    cost: float | None = None
    """Its cost in USD, failed calls included; None if the price is not known, or the kind of its tokens."""


@attrs.frozen
class WorkItemResult(Generic[T]):
    """The result of one item: its output or its fault."""

    item_id: str
    """Id of the item."""
    index: int
    """Position of the item in the input of its batch, from 0."""
    output: T | None = None
    """What the strategy returned; None if the item failed."""
    error: Fault | None = None
    """Why there is no output; None if the item succeeded."""
    context: Any = None
    """The item's `context`, unchanged."""
    usage: TokenUsage = NO_USAGE
    """Tokens over all attempts."""
    attempts: tuple[Attempt, ...] = ()
    """The calls that counted, in order."""
    refusals: int = 0
    """Number of throttled calls; they are not attempts."""
    model: str | None = None
    """The `model` of the strategy that was called last, if it has one."""

    @property
    def success(self) -> bool:
        """Whether there is an output."""
        return self.error is None

    def unwrap(self) -> T:
        """Return the output, or raise the fault.

            text = result.unwrap()

        The exception has `item_id`, `fault`, and the tokens of all attempts as `usage`.

        Raises:
            RateLimitError: The kind of the fault is `throttled`.
            InvalidOutputError: The kind is `invalid`. Its `text` is the answer; `problems` is empty, as a result
                does not keep them.
            CallError: The kind is any other one, also `pending` and `skipped`; the exception's `kind` has it.
        """
        if self.error is not None:
            raise _error_of(self.item_id, self.error, self.usage)
        return cast("T", self.output)

    @property
    def cost(self) -> float | None:
        """Cost of all attempts in USD; None without an attempt, or if the cost of one is not known."""
        return total(attempt.cost for attempt in self.attempts)

    @property
    def seconds(self) -> float:
        """Seconds from the start of the first attempt to the end of the last."""
        if not self.attempts:
            return 0.0
        last = self.attempts[-1]
        return last.started + last.seconds - self.attempts[0].started


def _error_of(item_id: str, fault: Fault, usage: TokenUsage) -> CallError:
    """Return the exception that a fault is raised as."""
    message = f"item {item_id!r}: {fault}"
    error: CallError
    if fault.kind is FaultKind.THROTTLED:
        error = RateLimitError(message, retry_after=fault.retry_after, quota=fault.quota)
    elif fault.kind is FaultKind.INVALID:
        error = InvalidOutputError(fault.answer or "", (), message=message)
    else:
        error = CallError(message, kind=fault.kind)
    error.retry_after, error.quota, error.usage = fault.retry_after, fault.quota, usage
    error.answer, error.reason = fault.answer, fault.reason
    error.item_id, error.fault = item_id, fault
    return error


if TYPE_CHECKING:

    class Succeeded(WorkItemResult[T]):
        """A result with an output, as a type checker sees it."""

        output: T
        error: None

        def __init__(  # noqa: PLR0913, PLR0917 - for `attrs.evolve`, which mypy checks by it
            self,
            item_id: str,
            index: int,
            output: T | None = None,
            error: Fault | None = None,
            context: Any = None,
            usage: TokenUsage = NO_USAGE,
            attempts: tuple[Attempt, ...] = (),
            refusals: int = 0,
            model: str | None = None,
        ) -> None: ...

        @property
        def success(self) -> Literal[True]: ...

    class Failed(WorkItemResult[T]):
        """A result with a fault, as a type checker sees it."""

        output: None
        error: Fault

        def __init__(  # noqa: PLR0913, PLR0917 - as above
            self,
            item_id: str,
            index: int,
            output: T | None = None,
            error: Fault | None = None,
            context: Any = None,
            usage: TokenUsage = NO_USAGE,
            attempts: tuple[Attempt, ...] = (),
            refusals: int = 0,
            model: str | None = None,
        ) -> None: ...

        @property
        def success(self) -> Literal[False]: ...

    ItemResult: TypeAlias = Succeeded[T] | Failed[T]
    """What a type checker takes `paceline.WorkItemResult` for."""


def make_result(  # noqa: PLR0913, PLR0917 - the fields of a result
    item_id: str,
    index: int,
    output: T | None = None,
    error: Fault | None = None,
    context: Any = None,
    usage: TokenUsage = NO_USAGE,
    attempts: tuple[Attempt, ...] = (),
    refusals: int = 0,
    model: str | None = None,
) -> ItemResult[T]:
    """Return a `WorkItemResult` with these fields: what typed code calls in place of the class, which a type checker takes for a union."""
    result = WorkItemResult(item_id, index, output, error, context, usage, attempts, refusals, model)
    return cast("ItemResult[T]", result)


def is_result(value: object) -> TypeGuard[ItemResult[Any]]:
    """Return whether a value is a `WorkItemResult`."""
    return isinstance(value, WorkItemResult)


def is_pending(result: WorkItemResult[Any]) -> bool:
    """Return whether the batch ended before the item of this result was settled."""
    return result.error is not None and result.error.kind is FaultKind.PENDING
