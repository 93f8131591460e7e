"""Statistics: the counts of a batch, and a snapshot of a pool or processor."""

from __future__ import annotations

import math
from collections import Counter

import attrs

from ..._core.accounting import Account, total
from ..._core.fault import Fault, FaultKind
from ..._core.fault_groups import FaultGroup, FaultGroups
from ..._core.limitation import Limitation
from ..._core.pace import PaceStatistics
from ..._core.results import WorkItemResult, is_pending
from ..._core.usage import TokenUsage, UsageSum


@attrs.frozen(kw_only=True)
class ProcessorStatistics:
    """A snapshot of a processor: sums over all its batches, and the current state."""

    total_items: int
    """Items accepted, over all batches."""
    succeeded: int
    """Items with an output, over all batches."""
    failed: int
    """Items settled with a fault, over all batches; skipped items are among them, pending ones are not."""
    failures: dict[FaultKind, int]
    """Items without an output by kind of fault, over all batches; those that were left have the kind `pending`."""
    pending: int = 0
    """Items that were left when their batch ended, over all batches: they can run again."""
    faults: tuple[FaultGroup, ...] = ()
    """The most frequent faults of calls, over all batches; calls that were repeated are among them, throttled ones are not."""
    cut_off: int = 0
    """Calls that were cancelled in flight, by a timeout, a deadline or a cancellation, over all batches: they may be billed."""
    recalled: int = 0
    """Items that needed no call, over all batches: their results were in the journal, or another item had the same prompt."""
    retries: int = 0
    """Calls of settled items that were repeated because the one before failed, over all batches; throttled calls do not count."""
    messages: tuple[FaultGroup, ...] = ()
    """The most frequent messages of items that failed, over all batches."""
    cost: float | None = None
    """Cost of all calls in USD, over all batches; None: the price of a model is not known."""
    spent: float | None = None
    """What counts against the budget in USD so far, earlier runs of the journal included; None: it has no such cap."""
    max_cost: float | None = None
    """The budget in USD; None: it has no such cap."""
    spent_tokens: int | None = None
    """Tokens that count against the budget in tokens so far; None: it has no such cap."""
    max_tokens: int | None = None
    """The budget in tokens; None: it has no such cap."""
    max_workers: float = math.inf
    """The bound on calls in flight that is set, now."""
    limitation: Limitation | None = None
    """What keeps the batches that run from being faster, now; None: unknown."""
    is_paused: bool = False
    """Whether no calls start until `resume`."""
    rate_limit_count: int
    """Calls that a provider throttled, over all batches."""
    usage: TokenUsage
    """Tokens of all calls, over all batches; recalled results do not count."""
    hook_failures: int
    """Exceptions and timeouts of middlewares, observers, `on_error` and `cleanup` that had no effect on an item, over all batches."""
    dropped_events: int = 0
    """Events that slow observers did not receive, over all batches."""
    waiting: int
    """Items queued or accepted that are neither settled nor in flight, now."""
    in_flight: int
    """Calls in flight, now."""
    workers: int
    """Tasks that make calls, now."""
    workers_range: tuple[int, int]
    """The lowest and the highest limit on calls in flight in the running batch, or else in the latest."""
    lanes: dict[str, PaceStatistics]
    """Statistics of each lane's rate controller, by quota key."""


@attrs.define
class Tally:
    """The counts of one batch, or sums over several."""

    accepted: int = 0
    succeeded: int = 0
    failures: Counter[FaultKind] = attrs.field(factory=Counter)
    refusals: int = 0
    cut_off: int = 0
    """Calls that were cancelled in flight."""
    tokens: UsageSum = attrs.field(factory=UsageSum)
    account: Account = attrs.field(factory=Account)
    call_faults: FaultGroups = attrs.field(factory=FaultGroups)
    """Faults of calls, except for refusals."""
    item_faults: FaultGroups = attrs.field(factory=FaultGroups)
    """Faults of settled items, except for pending ones."""
    systematic: list[FaultGroup] = attrs.field(factory=list)
    """Faults that exhausted a lane, because all of its calls failed so."""
    recalled: int = 0
    retries: int = 0
    """Calls of settled items that were repeated because the one before failed."""
    _cost_before: float | None = 0.0  # USD of the batches that were added
    max_workers: int = 0
    """The most workers that worked at once."""
    min_allowed: int | None = None
    """The fewest workers that the controllers allowed; None: not known yet."""
    max_allowed: int = 0
    """The most workers that the controllers allowed."""

    def accept(self) -> int:
        """Count an accepted item; return its index."""
        self.accepted += 1
        return self.accepted - 1

    def record_refusal(self) -> None:
        """Count a call that was throttled."""
        self.refusals += 1

    def record_cut_off(self) -> None:
        """Count a call that was cancelled in flight."""
        self.cut_off += 1

    def record_in_flight(self, calls: int) -> None:
        """Record how many calls are in flight."""
        self.max_workers = max(self.max_workers, calls)

    def record_systematic(self, group: FaultGroup) -> None:
        """Record the fault because of which no more calls start in a lane; each one counts once."""
        if not any(known.kind == group.kind and known.message == group.message for known in self.systematic):
            self.systematic.append(group)

    def count(self, result: WorkItemResult[object], *, recalled: bool = False) -> None:
        """Count a settled item; `recalled`: it needed no call in this batch, so its tokens do not count."""
        if result.error is None:
            self.succeeded += 1
        else:
            self.failures[result.error.kind] += 1
            if not is_pending(result):
                error = result.error
                self.item_faults.add(error.kind, error.message, item_id=result.item_id, reason=error.reason)
        if recalled:
            self.recalled += 1
        else:
            self.tokens.add(result.usage)
            self.retries += max(0, len(result.attempts) - 1)

    def record_fault(self, fault: Fault) -> int:
        """Count the fault of a call; return how many were alike."""
        return self.call_faults.add(fault.kind, fault.message, reason=fault.reason)

    def record_allowed(self, workers: int) -> None:
        """Record how many workers the controllers allow."""
        if self.min_allowed is None or workers < self.min_allowed:
            self.min_allowed = workers
        self.max_allowed = max(self.max_allowed, workers)

    def add(self, other: Tally) -> None:
        """Add the counts of another batch."""
        self.accepted += other.accepted
        self.succeeded += other.succeeded
        self.failures += other.failures
        self.recalled += other.recalled
        self.refusals += other.refusals
        self.cut_off += other.cut_off
        self.retries += other.retries
        self._cost_before = total([self._cost_before, other.cost])
        self.tokens.add(other.usage)
        self.call_faults.update(other.call_faults)
        self.item_faults.update(other.item_faults)

    @property
    def usage(self) -> TokenUsage:
        """Tokens of all calls; recalled results do not count."""
        return self.tokens.usage

    @property
    def cost(self) -> float | None:
        """Cost of all calls in USD; None if that of a call is not known."""
        return total([self._cost_before, self.account.cost])

    @property
    def failed(self) -> int:
        """Items settled with a fault; pending ones are not among them."""
        return sum(self.failures.values()) - self.pending

    @property
    def pending(self) -> int:
        """Items that were left."""
        return self.failures[FaultKind.PENDING]

    @property
    def workers_range(self) -> tuple[int, int]:
        """The fewest workers that the controllers allowed, and the most."""
        return self.min_allowed or 0, self.max_allowed
