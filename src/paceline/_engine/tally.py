"""What is counted while a batch runs, and the snapshots that are taken of it."""

from __future__ import annotations

from collections import Counter

import attrs

from .._core.accounting import Account
from .._core.fault import FaultKind
from .._core.pace import PaceStatistics
from .._core.results import WorkItemResult
from .._core.usage import NO_USAGE, TokenUsage


@attrs.frozen(kw_only=True)
class ProcessorStatistics:
    """A snapshot of a processor: sums over all its batches, and what is going on now."""

    total_items: int
    """Items accepted."""
    succeeded: int
    failed: int
    failures: dict[FaultKind, int]
    """Failed items by kind."""
    recalled: int = 0
    """Items that needed no call: their results were in the journal, or another item had the same prompt."""
    rate_limit_count: int
    """Calls that a provider throttled."""
    usage: TokenUsage
    hook_failures: int
    """How often a middleware, observer or `on_error` failed without harming an item."""
    waiting: int
    """Items accepted and neither settled nor in flight, now."""
    in_flight: int
    """Calls in flight, now."""
    workers: int
    """Tasks that make calls, now."""
    workers_range: tuple[int, int]
    """The fewest workers that the controllers allowed and the most that worked at once, in the last batch."""
    lanes: dict[str, PaceStatistics]
    """Each lane's controller, by quota."""


@attrs.define
class Tally:
    """Running sums."""

    accepted: int = 0
    succeeded: int = 0
    failures: Counter[FaultKind] = attrs.field(factory=Counter)
    refusals: int = 0
    usage: TokenUsage = NO_USAGE
    account: Account = attrs.field(factory=Account)
    recalled: int = 0
    most_workers: int = 0
    least_allowed: int | None = None

    def count(self, result: WorkItemResult[object], *, recalled: bool = False) -> None:
        """Count a settled item; `recalled`: it needed no call here."""
        if result.error is None:
            self.succeeded += 1
        else:
            self.failures[result.error.kind] += 1
        if recalled:
            self.recalled += 1
        elif result.usage is not NO_USAGE:
            self.usage += result.usage

    def allow(self, workers: int) -> None:
        """Note how many workers the controllers allow."""
        if self.least_allowed is None or workers < self.least_allowed:
            self.least_allowed = workers

    def add(self, other: Tally) -> None:
        """Add another batch's sums."""
        self.accepted += other.accepted
        self.succeeded += other.succeeded
        self.failures += other.failures
        self.recalled += other.recalled
        self.refusals += other.refusals
        self.usage += other.usage

    @property
    def failed(self) -> int:
        """Items settled without an output."""
        return sum(self.failures.values())

    @property
    def workers_range(self) -> tuple[int, int]:
        """The fewest workers that the controllers allowed, and the most that worked at once."""
        return min(self.least_allowed or 0, self.most_workers), self.most_workers
