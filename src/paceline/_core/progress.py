"""Progress: the figures of a batch at one moment, as displays, callbacks and `paceline status` have them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import attrs

from .fault_groups import FaultGroup
from .limitation import Limitation
from .ranges import Range
from .usage import NO_USAGE, TokenUsage

NO_FAILURES: Mapping[str, int] = MappingProxyType({})


@attrs.frozen(kw_only=True)
class RunProgress:
    """The figures of one moment."""

    seconds: float
    """Since the first snapshot."""
    total: int | None
    """Items of the batch; None: its source has no length."""
    done: int
    """Items that have a result, those of earlier runs included. Pending items are not done."""
    failed: int
    """Items that this run has settled with a fault. Pending items have not failed."""
    in_flight: int
    """Calls in flight."""
    workers: int
    """Calls that may be in flight at once."""
    pace: float
    """Calls that may start per second; inf while no limit is known."""
    token_pace: float
    """Tokens that may be used per second; inf while no limit is known."""
    rate: float
    """Calls served per second, lately."""
    refusals: int
    """Refusals by the providers."""
    wait: float
    """Seconds until the next call may start while the breaker is open; otherwise 0."""
    pending: int = 0
    """Items that this run leaves without a result; they can run again."""
    retries: int = 0
    """Calls of settled items that were repeated because the one before failed."""
    failures: Mapping[str, int] = NO_FAILURES
    """Items that this run has settled with a fault, by kind; pending ones are not among them."""
    messages: tuple[FaultGroup, ...] = ()
    """The most frequent messages of items that failed."""
    faults: tuple[FaultGroup, ...] = ()
    """The most frequent faults of this run's calls, those of repeated calls included."""
    usage: TokenUsage = NO_USAGE
    """Tokens of this run's settled items."""
    cost: float | None = None
    """Cost of this run's calls so far, in USD; None: the price of a model is not known."""
    cost_at_end: Range | None = None
    """What this run will have cost at its end, in USD, with its range; None: unknown, as is the number of items or a price."""
    spent: float | None = None
    """What counts against the cap in USD so far, earlier runs of the journal included; None: there is no such cap."""
    max_cost: float | None = None
    """The cap in USD; None: there is no cap."""
    spent_tokens: int | None = None
    """Tokens that count against the cap in tokens so far; None: there is no such cap."""
    max_tokens: int | None = None
    """The cap in tokens; None: there is no cap."""
    items_rate: float = 0.0
    """Items done per second, lately."""
    left: float | None
    """Seconds to the end at the present rate; None: unknown."""
    limitation: Limitation | None = None
    """What keeps the batch from being faster now; None: unknown."""
    is_paused: bool = False
    """Whether no calls start until the batch is resumed."""
    is_stopping: bool = False
    """Whether the run was stopped, and waits for the calls in flight."""
    is_finished: bool = False
    """Whether this is the last snapshot of the run."""
    time: float = 0.0
    """Wall-clock time of the snapshot, in seconds since 1970; 0: unknown."""
