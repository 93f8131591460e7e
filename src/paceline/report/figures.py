"""Figures: what a report says about a batch, as frozen records of plain data.

Numbers that grow with the batch are cut: a report of a million items is as long as that of a thousand.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import attrs

from .._core.usage import TokenUsage
from ..journal.aggregates import ItemTotals
from ..journal.figures import Counts, PaceEntry

MOST_LANES: Final = 6
"""Lanes that have figures over time, those with the most calls."""
MOST_MODELS: Final = 40
"""Models that have figures, those with the most calls."""
MOST_DECISIONS: Final = 200
"""Decisions of the controllers that are listed, the latest ones."""
MOST_RUNS: Final = 40
"""Runs that have figures, the latest ones."""


@attrs.frozen(kw_only=True)
class RunSpan:
    """One run on the journal, and what it has done."""

    run: int
    """Number of the run, from 1."""
    version: str
    """Version of paceline."""
    started: datetime | None
    """Time of the start; None: the journal has an invalid time."""
    state: str
    """`running`, `ended` or `killed`, which includes a crash."""
    seconds: float
    """Seconds that it took, or has taken so far; of a killed run those to the last thing that it recorded."""
    calls: int = 0
    """Calls that counted."""
    accepted: int = 0
    """Calls whose output was accepted."""
    cost: float | None = None
    """USD of the calls whose cost is known; None: of no call."""


@attrs.frozen(kw_only=True)
class Latency:
    """How long calls took. All but `most` are accurate to 1 %."""

    calls: int
    """Number of calls."""
    p50: float
    """Seconds that half of the calls took at most."""
    p90: float
    """Seconds that 90 % of the calls took at most."""
    p99: float
    """Seconds that 99 % of the calls took at most."""
    most: float
    """Seconds of the longest call."""
    bars: tuple[tuple[float, float, int], ...] = ()
    """Distribution: from and to which seconds, on a logarithmic scale, and the number of calls."""


@attrs.frozen(kw_only=True)
class ModelFigures:
    """What one model was used for, over all runs."""

    model: str
    """Name of the model, or the lane if the strategy has no model."""
    tier: int | None
    """Its place on the ladder, from 1, the cheapest; None: there is no ladder, or it is not on it."""
    calls: int
    """Calls that counted; throttled ones do not."""
    accepted: int
    """Calls whose output was accepted."""
    usage: TokenUsage
    """Tokens of all these calls, also of those that failed."""
    cost: float | None
    """USD; None: the cost of a call is not known."""
    latency: Latency | None
    """How long its calls took; None: not known."""


@attrs.frozen(kw_only=True)
class TopAlone:
    """What the accepted answers would have cost if the top model of the ladder had given all of them, with the same tokens."""

    model: str
    """The top model."""
    cost: float
    """USD, an estimate."""
    is_exact: bool
    """Whether its prices for input and output are known from its own calls; otherwise its mean price of a token is used."""


@attrs.frozen(kw_only=True)
class Moment:
    """One interval of time, in one run, over all lanes."""

    run: int
    """Number of the run."""
    at: float
    """Start of the interval, in seconds since the run's batch began."""
    seconds: float
    """Its length."""
    started: int
    """Calls that started in it."""
    accepted: int
    """Calls that ended in it with an answer that was accepted."""
    failed: int
    """Calls that ended in it without one; throttled ones do not count."""
    refusals: int
    """Throttled calls of the items that were settled in it."""
    tokens: int
    """Tokens of output of the calls that ended in it."""
    cost: float
    """USD of the calls that ended in it, as far as known."""
    in_flight: float
    """Calls in flight, on average; throttled ones do not count."""


@attrs.frozen(kw_only=True)
class LaneMoment:
    """One interval of time, in one run and one lane."""

    started: int
    """Calls that started in it."""
    in_flight: float
    """Calls in flight, on average."""
    workers: float | None
    """Limit on calls in flight at its end; None: not recorded."""
    calls_per_second: float | None
    """Limit on the rate of calls at its end; None: not known."""
    tokens_per_second: float | None
    """Limit on the rate of tokens at its end; None: not known."""
    stopped: float
    """Seconds for which no call started, because all were refused or failed."""


@attrs.frozen(kw_only=True)
class LaneFigures:
    """One lane over time."""

    quota: str
    """Name of the lane."""
    moments: tuple[LaneMoment, ...]
    """As many as the report has moments, and of the same times."""


@attrs.frozen(kw_only=True)
class LimitShare:
    """For how long something was what limited the batch."""

    quota: str | None
    """The lane that it held back; None: it is not a lane's."""
    limit: str
    """What limited the batch, in words."""
    seconds: float
    """For how long, over all runs."""
    share: float
    """The same as a share of the time of all runs, 0 to 1."""
    kind: str
    """A `reason` of the journal's table `limits`, or `other`."""


@attrs.frozen(kw_only=True)
class LimitSpan:
    """What limited the batch, or one lane, from one time to another."""

    quota: str | None
    """The lane; None: it is not a lane's."""
    run: int
    """Number of the run."""
    start: float
    """Seconds since the run's batch began."""
    end: float
    """Seconds since the run's batch began."""
    limit: str
    """What limited it, in words."""
    kind: str
    """As in `LimitShare`."""
    value: float | None = None
    """The limit, on average: calls or tokens a second, or calls in flight; None: it has no number, or that is not known."""
    is_recorded: bool
    """Whether the run recorded it, for the batch as a whole; otherwise it is derived for the lane."""


@attrs.frozen(kw_only=True)
class Failure:
    """Items that failed alike."""

    kind: str
    """Kind of the fault."""
    message: str
    """The provider's words in the first of them, at most 160 characters."""
    count: int
    """Number of items."""
    ids: tuple[str, ...]
    """Ids of a few of them."""
    answer: str | None = None
    """The beginning of an answer that was not accepted; None: there is no such answer, or texts are left out."""


@attrs.frozen(kw_only=True)
class JournalReport:
    """What a journal says about its batch: the figures of `paceline report`."""

    journal: str
    """Path of the journal."""
    made: datetime
    """When the report was made."""
    writer: int | None
    """Process that writes the journal now; None: no process does."""
    counts: Counts
    """Its items: in all, succeeded, failed, pending."""
    stopped: str | None
    """Why the latest run ended early; None: it did not."""
    settings: Mapping[str, str]
    """What the batch was run with, by the names of the options; empty if the journal has no options."""
    runs: tuple[RunSpan, ...]
    """The latest runs, the oldest first."""
    run_count: int
    """Number of all runs."""
    usage: TokenUsage
    """Tokens of all calls of the models that are listed."""
    cost: float | None
    """USD of all calls; None: the cost of a call is not known."""
    models: tuple[ModelFigures, ...]
    """Models, those of a ladder in its order, others by their number of calls."""
    other_calls: int
    """Calls of models that are not listed."""
    top_alone: TopAlone | None
    """What the top of the ladder alone would have cost; None: there is no ladder, or its price is not known."""
    latency: Latency | None
    """How long calls took; None: no call counted."""
    moments: tuple[Moment, ...]
    """The batch over time."""
    lanes: tuple[LaneFigures, ...]
    """The busiest lanes over time."""
    limits: tuple[LimitShare, ...]
    """What limited the batch, the longest first."""
    limit_spans: tuple[LimitSpan, ...]
    """The same in the order of time."""
    pace: tuple[PaceEntry, ...]
    """The latest decisions of the controller, without climbs; see `explain` for all."""
    pace_count: int
    """Number of all changes of the pace."""
    failures: tuple[Failure, ...]
    """Items that failed, by kind and message, the most frequent first."""
    slowest: tuple[ItemTotals, ...]
    """The items that took longest."""
    dearest: tuple[ItemTotals, ...]
    """The items that cost most."""

    @property
    def seconds(self) -> float:
        """Seconds of all runs that are listed."""
        return sum(run.seconds for run in self.runs)
