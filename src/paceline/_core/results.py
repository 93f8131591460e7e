"""What became of an item, and of a batch.

Every accepted item has exactly one `WorkItemResult`; a `BatchResult` is all of them and what they took together.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

import attrs

from .accounting import ModelUse, total
from .exceptions import _SHOWN_IDS, JournalError, PacelineError
from .fault import Fault, FaultKind
from .usage import NO_USAGE, TokenUsage

T = TypeVar("T")


@attrs.frozen
class Attempt:
    """One call that counted. Throttled calls are not attempts; a result counts them in `refusals`."""

    number: int
    """From 1: what `execute` was given as `attempt`."""
    started: float
    """Seconds after the batch began."""
    seconds: float
    """How long the call took."""
    quota: str
    """The lane it ran in."""
    usage: TokenUsage = NO_USAGE
    """What it cost, also when it failed."""
    fault: Fault | None = None
    """How it failed; None: it was accepted."""
    model: str | None = None
    """The `model` of the strategy that made it, if it has one."""


@attrs.frozen
class WorkItemResult(Generic[T]):
    """What became of one item."""

    item_id: str
    index: int
    """The item's place in its batch's input, from 0."""
    output: T | None = None
    """What the strategy returned; None unless `success`."""
    error: Fault | None = None
    """Why there is no output; None: there is one."""
    context: Any = None
    """What the item carried, untouched."""
    usage: TokenUsage = NO_USAGE
    """Tokens over all attempts."""
    attempts: tuple[Attempt, ...] = ()
    """The calls that counted, in order."""
    refusals: int = 0
    """How often the item's calls were throttled."""
    model: str | None = None
    """The `model` of the strategy that was called last, if it has one."""

    @property
    def success(self) -> bool:
        """Whether there is an output."""
        return self.error is None

    @property
    def seconds(self) -> float:
        """Seconds from the start of the first attempt to the end of the last."""
        if not self.attempts:
            return 0.0
        last = self.attempts[-1]
        return last.started + last.seconds - self.attempts[0].started


def is_pending(result: WorkItemResult[Any]) -> bool:
    """Return whether a result only says that its item was not settled."""
    return result.error is not None and result.error.kind is FaultKind.PENDING


def _count_succeeded(batch: BatchResult[Any]) -> int:
    return sum(result.success for result in batch.results)


def _count_failures(batch: BatchResult[Any]) -> Mapping[FaultKind, int]:
    return dict(Counter(result.error.kind for result in batch.results if result.error is not None))


def _add_usage(batch: BatchResult[Any]) -> TokenUsage:
    return sum((result.usage for result in batch.results), NO_USAGE)


@attrs.frozen(kw_only=True)
class BatchResult(Generic[T]):
    """A whole batch: one result per accepted item, in the order in which they were settled."""

    results: tuple[WorkItemResult[T], ...] = attrs.field(default=(), repr=False)
    """In completion order; see `in_input_order`. Empty where they went through a stream."""
    succeeded: int = attrs.field(default=attrs.Factory(_count_succeeded, takes_self=True))
    """Items with an output."""
    failures: Mapping[FaultKind, int] = attrs.field(default=attrs.Factory(_count_failures, takes_self=True))
    """How many items failed, by kind."""
    usage: TokenUsage = attrs.field(default=attrs.Factory(_add_usage, takes_self=True))
    """Tokens over all items that needed a call."""
    models: tuple[ModelUse, ...] = ()
    """What each model was used for, in the order of their first calls."""
    top_alone: tuple[ModelUse, ...] = ()
    """Of ladders: an estimate of what the top model would have been used for, had it answered alone. It takes each answer that
    was accepted for one call of the top model with the same tokens."""
    seconds: float = 0.0
    """Wall time."""
    refusals: int = 0
    """Calls that the provider throttled."""
    workers: tuple[int, int] = (0, 0)
    """The smallest and the largest number of workers at the same time, once there was one."""
    stopped: Fault | None = None
    """Why the batch ended before its work did, or left some of it undone as a quota was spent; None: it did neither."""
    recalled: int = 0
    """Items among these that needed no call: their results were in the journal, or another item had the same prompt."""

    @property
    def total_items(self) -> int:
        """Items accepted."""
        return self.succeeded + self.failed

    @property
    def failed(self) -> int:
        """Items without an output, the pending ones included."""
        return sum(self.failures.values())

    @property
    def cost(self) -> float | None:
        """USD, over all calls; None: the price of a model is not known."""
        return total(use.cost for use in self.models)

    def in_input_order(self) -> tuple[WorkItemResult[T], ...]:
        """Return the results in the order in which their items were given."""
        return tuple(sorted(self.results, key=lambda result: result.index))

    def summary(self) -> str:
        """Return a few lines for people: items, failures by kind, refusals, workers, tokens, wall time."""
        return summarise(
            succeeded=self.succeeded,
            failures=self.failures,
            refusals=self.refusals,
            workers=self.workers,
            usage=self.usage,
            seconds=self.seconds,
            stopped=self.stopped,
            models=self.models,
            top_alone=self.top_alone,
            recalled=self.recalled,
        )


def summarise(  # noqa: PLR0913 - one line of the text each
    *,
    succeeded: int,
    failures: Mapping[FaultKind, int],
    refusals: int,
    workers: Sequence[int],
    usage: TokenUsage,
    seconds: float,
    stopped: Fault | None,
    models: Sequence[ModelUse] = (),
    top_alone: Sequence[ModelUse] = (),
    recalled: int = 0,
) -> str:
    """Return the summary of a batch from its sums, for those who do not keep its results."""
    failed = sum(failures.values())
    total = succeeded + failed
    served = max(0, succeeded - recalled)
    pace = f", {served / seconds:,.1f} served a second" if seconds > 0 and math.isfinite(seconds) else ""
    lines = [f"items     {total:,}: {succeeded:,} succeeded, {failed:,} failed"]
    lines += [f"            {kind}: {count:,}" for kind, count in sorted(failures.items())]
    if recalled:
        lines.append(f"            {recalled:,} of them were known already, and cost nothing")
    lines += [
        f"refusals  {refusals:,}",
        f"workers   {workers[0]:,} to {workers[1]:,}",
        f"tokens    {usage.input_tokens:,} in ({usage.cached_input_tokens:,} cached), {usage.output_tokens:,} out",
        *_cost_lines(models, top_alone),
        f"time      {seconds:,.1f} s{pace}",
    ]
    if stopped is not None:
        lines.append(f"stopped   {stopped}")
    return "\n".join(lines)


def _cost_lines(models: Sequence[ModelUse], top_alone: Sequence[ModelUse]) -> list[str]:
    """Return what is told of costs: nothing, where no price is known and there is no ladder."""
    if not top_alone and all(use.price is None for use in models):
        return []
    lines = [f"cost      {_usd(total(use.cost for use in models))}"]
    if len(models) > 1:
        lines += [
            f"            {use.model}: {use.calls:,} calls, {use.accepted:,} accepted, {_usd(use.cost)}"
            for use in models
        ]
    lines += [
        f"            {use.model} alone would have cost about {_usd(use.cost)} (estimate)"
        for use in top_alone
        if use.cost is not None
    ]
    return lines


def _usd(cost: float | None) -> str:
    if cost is None:
        return "unknown: no price is known"
    return f"${cost:,.2f}" if cost >= 1 else f"${cost:.4g}"


class SourceError(PacelineError):
    """The source of work raised. What had been read from it was finished first, and is in `batch`."""

    def __init__(self, message: str, batch: BatchResult[Any]) -> None:
        super().__init__(message)
        self.batch = batch


class UnsavedError(JournalError):
    """Results could not be committed to the journal, and so were not shown. They were paid for: keep them.

    Args:
        message: why.
        batch: the batch, without them among its results.
        unsaved: they.
    """

    def __init__(self, message: str, batch: BatchResult[Any], unsaved: Sequence[WorkItemResult[Any]]) -> None:
        ids = [result.item_id for result in unsaved]
        more = f" and {len(ids) - _SHOWN_IDS:,} more" if len(ids) > _SHOWN_IDS else ""
        named = f": {', '.join(map(repr, ids[:_SHOWN_IDS]))}{more}" if ids else ""
        super().__init__(f"{message}; {len(ids):,} results could not be saved{named}")
        self.batch = batch
        self.unsaved: tuple[WorkItemResult[Any], ...] = tuple(unsaved)


for _error in (SourceError, UnsavedError):
    _error.__module__ = "paceline.exceptions"  # in tracebacks they go by the module that users import them from
