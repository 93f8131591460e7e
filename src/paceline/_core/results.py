"""Results of a batch: the result of each accepted item, and their sums."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import attrs

from . import result_table
from .accounting import ModelUse, total
from .exceptions import JournalError, PacelineError
from .fault import Fault, FaultKind
from .fault_groups import FaultGroup, FaultGroups
from .item_result import Attempt, is_pending, is_result, make_result
from .quantity import quantity
from .result_html import outcome_html
from .usage import NO_USAGE, TokenUsage

if TYPE_CHECKING:
    import pandas as pd

    from .item_result import ItemResult as WorkItemResult
else:
    from .item_result import WorkItemResult

__all__ = [
    "Attempt",
    "BatchResult",
    "SourceError",
    "UnsavedError",
    "WorkItemResult",
    "is_pending",
    "is_result",
    "make_result",
    "summarize",
    "unnamed_faults",
]

T = TypeVar("T")

_SHOWN_IDS = 20  # in a message


def _count_succeeded(batch: BatchResult[Any]) -> int:
    return sum(result.success for result in batch.results)


def _count_failures(batch: BatchResult[Any]) -> Mapping[FaultKind, int]:
    return dict(Counter(result.error.kind for result in batch.results if result.error is not None))


def _group_messages(batch: BatchResult[Any]) -> tuple[FaultGroup, ...]:
    groups = FaultGroups()
    for result in batch.results:
        if result.error is not None and not is_pending(result):
            error = result.error
            groups.add(error.kind, error.message, item_id=result.item_id, reason=error.reason)
    return groups.representative()


def _add_usage(batch: BatchResult[Any]) -> TokenUsage:
    return sum((result.usage for result in batch.results), NO_USAGE)


@attrs.frozen(kw_only=True)
class BatchResult(Generic[T]):
    """The result of a batch: one result for each accepted item, and their sums."""

    results: tuple[WorkItemResult[T], ...] = attrs.field(default=(), repr=False)
    """Results in the order in which they were settled; see `in_input_order`. Empty if they were delivered by a stream."""
    succeeded: int = attrs.field(default=attrs.Factory(_count_succeeded, takes_self=True))
    """Items with an output."""
    failures: Mapping[FaultKind, int] = attrs.field(default=attrs.Factory(_count_failures, takes_self=True))
    """Items without an output, by the kind of the fault in their results; those that were left have the kind `pending`."""
    messages: tuple[FaultGroup, ...] = attrs.field(default=attrs.Factory(_group_messages, takes_self=True))
    """The most frequent messages of failed items, at least one of each kind, with their numbers; pending items have none."""
    usage: TokenUsage = attrs.field(default=attrs.Factory(_add_usage, takes_self=True))
    """Tokens over all items that were called."""
    models: tuple[ModelUse, ...] = ()
    """Use of each model, in the order of first calls."""
    top_alone: tuple[ModelUse, ...] = ()
    """Estimated use of each ladder's top model, if it had given all accepted answers: one call for each answer, with the same
    tokens."""
    seconds: float = 0.0
    """Wall-clock time of the batch, in seconds."""
    refusals: int = 0
    """Number of throttled calls."""
    workers: tuple[int, int] = (0, 0)
    """Workers: the lowest and the highest limit on calls in flight, from the first call on."""
    most_in_flight: int = 0
    """The most calls that were in flight at once."""
    stopped: Fault | None = None
    """Why the batch was stopped early, or left items pending in an exhausted lane; None if it did neither."""
    systematic: tuple[FaultGroup, ...] = ()
    """Faults with which all calls of a lane failed, so that no more were made there and its other items are pending."""
    faults: tuple[FaultGroup, ...] = ()
    """The most frequent faults of calls, with their numbers: those of repeated calls are among them, throttled calls are not."""
    cut_off: int = 0
    """Calls that were cancelled in flight, by a timeout, a deadline or a cancellation: the provider may bill them."""
    recalled: int = 0
    """Items that needed no call: the journal had their results, or another item had the same prompt."""

    @property
    def total_items(self) -> int:
        """Accepted items."""
        return self.succeeded + self.failed + self.pending

    @property
    def failed(self) -> int:
        """Items that were settled with a fault. Pending items have not failed: they can run again."""
        return sum(self.failures.values()) - self.pending

    @property
    def pending(self) -> int:
        """Items that were left when the batch ended: they did not fail, and can run again."""
        return self.failures.get(FaultKind.PENDING, 0)

    @property
    def cost(self) -> float | None:
        """Cost of all calls in USD; None if the price of a model is not known."""
        return total(use.cost for use in self.models)

    def in_input_order(self) -> tuple[WorkItemResult[T], ...]:
        """Return the results in the order of the input."""
        return tuple(sorted(self.results, key=lambda result: result.index))

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return a row for each item, in the order of the input, as a dictionary; empty if the results were delivered by a stream.

        Each row has `id`, `output` and `context` (the objects themselves), `success`, `error_kind` and `error_message` (None: it succeeded),
        `model`, the tokens over all attempts (`input_tokens`, `output_tokens`, `cached_input_tokens`, `total_tokens`,
        `cache_written_tokens`, `cache_written_1h_tokens`), `cost` (USD; None: not known), `attempts`, `refusals`, and `seconds`.
        """
        return list(result_table.rows(self.in_input_order()))

    def to_pandas(self) -> pd.DataFrame:
        """Return the rows of `to_dicts` as a pandas frame.

        Texts have the type `string`, outputs and contexts `object`, `success` `bool`, tokens, attempts and refusals `int64`,
        seconds and cost `float64`. What is not known is missing: `pd.NA` in texts, NaN in the cost.

        Raises:
            MissingExtraError: pandas is not installed; the extra `pandas` has it.
        """
        return result_table.frame(self.in_input_order())

    def _repr_html_(self) -> str:
        """Return the outcome as a small table, as a notebook shows it."""
        pending = f", {self.pending:,} pending" if self.pending else ""
        head = f"{quantity(self.total_items, 'item')}: {self.succeeded:,} succeeded, {self.failed:,} failed{pending}"
        usage = self.usage
        facts = [
            ("time", f"{self.seconds:,.1f} s"),
            ("cost", _usd(self.cost, self.models)),
            (
                "tokens",
                f"{usage.input_tokens:,} in ({usage.cached_input_tokens:,} cached), {usage.output_tokens:,} out",
            ),
            ("throttled", quantity(self.refusals, "call")),
        ]
        if len(self.models) > 1:
            facts += [(use.model, f"{quantity(use.calls, 'call')}, {_usd(use.cost, [use])}") for use in self.models]
        if self.recalled:
            facts.append(("recalled", f"{quantity(self.recalled, 'item')} without a call"))
        if self.stopped is not None:
            facts.append(("stopped", self.stopped.message))
        return outcome_html(head, facts, self.failures, self.messages)

    def summary(self) -> str:
        """Return a few lines for people: items, failures by kind, refusals, workers, tokens, cost, wall-clock time."""
        return summarize(
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
            messages=self.messages,
            faults=self.faults,
            cut_off=self.cut_off,
            most_in_flight=self.most_in_flight,
        )


def summarize(  # noqa: PLR0913 - one line of the text each
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
    messages: Sequence[FaultGroup] = (),
    faults: Sequence[FaultGroup] = (),
    cut_off: int = 0,
    most_in_flight: int = 0,
) -> str:
    """Return the summary of a batch from its sums, without its results."""
    pending = failures.get(FaultKind.PENDING, 0)
    failed = sum(failures.values()) - pending
    total = succeeded + failed + pending
    called = max(0, succeeded - recalled)
    pace = f", {called / seconds:,.1f} items/s" if seconds > 0 and math.isfinite(seconds) else ""
    pace += " in this run, without those recalled" if pace and recalled else ""
    left = f", {pending:,} pending" if pending else ""
    lines = [f"items     {total:,}: {succeeded:,} succeeded, {failed:,} failed{left}"]
    for kind, count in sorted(failures.items()):
        if kind is not FaultKind.PENDING:
            lines.append(f"            {kind}: {count:,}")
            groups = [group for group in messages if group.kind is kind and group.message]
            lines += [f"              {group.line}" for group in groups]
            if groups and (rest := count - sum(group.count for group in groups)) > 0:
                lines.append(f"              and {rest:,} more of other messages")
    if recalled:
        lines.append(f"            {recalled:,} of them were recalled without a call")
    if failures:
        unnamed = unnamed_faults(faults, messages, stopped)
        lines += [f"{'' if index else 'faults':10}{group}" for index, group in enumerate(unnamed)]
    if cut_off:
        lines.append(f"cut off   {quantity(cut_off, 'call')} cut off in flight; they may be billed")
    lines += [
        f"throttled {quantity(refusals, 'call')}",
        f"workers   {workers[0]:,} to {workers[1]:,}, at most {quantity(most_in_flight, 'call')} in flight",
        f"tokens    {usage.input_tokens:,} in ({usage.cached_input_tokens:,} cached), {usage.output_tokens:,} out",
        *_cost_lines(models, top_alone),
        f"time      {seconds:,.1f} s{pace}",
    ]
    if stopped is not None:
        lines.append(f"stopped   {stopped.message if stopped.kind is FaultKind.PENDING else stopped}")
    return "\n".join(lines)


def unnamed_faults(
    faults: Sequence[FaultGroup], messages: Sequence[FaultGroup], stopped: Fault | None
) -> tuple[FaultGroup, ...]:
    """Return the faults of calls that neither the messages of failed items nor the reason of the end name."""
    named, reason = {(group.kind, group.message) for group in messages}, "" if stopped is None else stopped.message
    return tuple(
        group
        for group in faults
        if (group.kind, group.message) not in named and not (group.message and group.message.rstrip(".") in reason)
    )


def _cost_lines(models: Sequence[ModelUse], top_alone: Sequence[ModelUse]) -> list[str]:
    """Return the lines about costs; none if no price is known and there is no ladder."""
    if not top_alone and all(use.price is None for use in models):
        return []
    lines = [f"cost      {_usd(total(use.cost for use in models), models)}"]
    if len(models) > 1:
        lines += [
            f"            {use.model}: {quantity(use.calls, 'call')}, {use.accepted:,} accepted, {_usd(use.cost, [use])}"
            for use in models
        ]
    lines += [
        f"            {use.model} alone would have cost about {_usd(use.cost, [use])} (estimate)"
        for use in top_alone
        if use.cost is not None
    ]
    return lines


def _usd(cost: float | None, models: Sequence[ModelUse]) -> str:
    if cost is None and models and all(use.price is not None for use in models):
        return "unknown: the provider reported only the total of tokens"
    if cost is None:
        return "unknown: no price is known"
    return f"${cost:,.2f}" if cost >= 1 else f"${cost:.4g}"


class SourceError(PacelineError):
    """The source of work raised. The items that were read before it did were finished first.

    Args:
        message: What the source raised.
        batch: Result of the batch, with these items.
    """

    def __init__(self, message: str, batch: BatchResult[Any]) -> None:
        super().__init__(message)
        self.batch = batch


class UnsavedError(JournalError):
    """Results could not be committed to the journal, and so were not delivered. They were paid for: save them.

    Args:
        message: Reason.
        batch: Result of the batch, without the unsaved items.
        unsaved: Results that were not committed.
    """

    def __init__(self, message: str, batch: BatchResult[Any], unsaved: Sequence[WorkItemResult[Any]]) -> None:
        ids = [result.item_id for result in unsaved]
        more = f" and {len(ids) - _SHOWN_IDS:,} more" if len(ids) > _SHOWN_IDS else ""
        named = f": {', '.join(map(repr, ids[:_SHOWN_IDS]))}{more}" if ids else ""
        super().__init__(f"{message}; {quantity(len(ids), 'result')} could not be saved{named}")
        self.batch = batch
        self.unsaved: tuple[WorkItemResult[Any], ...] = tuple(unsaved)


for _error in (SourceError, UnsavedError):
    _error.__module__ = "paceline.exceptions"  # so that tracebacks show where users import them from
