"""Limitation: what keeps a batch from being faster now, as one reason of a closed set.

Rules owned here:

1. Every situation has exactly one limitation. Where several things hold calls back, that one is named which would have to change first: a
   pause before the budget, what the caller does (disk, reader, hooks, processor, `max_workers`) before the pace of a lane.
2. Of several lanes the one counts in which most calls wait.
3. A look sees one moment, and two things may limit a batch in turn. So what counts is what most of the looks of the last seconds saw; what
   cannot be a matter of chance, such as a pause, counts at once.
"""

from __future__ import annotations

import enum
import math
from collections import Counter, deque
from collections.abc import Sequence

import attrs


class LimitReason(enum.StrEnum):
    """What keeps a batch from being faster. Journals store the values."""

    REQUESTS = "requests"
    """The rate of calls that the provider allows."""
    TOKENS = "tokens"
    """The rate of tokens that the provider allows."""
    CONCURRENCY = "concurrency"
    """The number of calls in flight that the provider allows."""
    SPEED = "speed"
    """The speed of the provider: more calls in flight would only wait there."""
    OUTAGE = "outage"
    """The provider refuses or fails every call, so that only one now and then is made."""
    STARTING = "starting"
    """Nothing yet: the pace grows until it meets a limit."""
    RETRIES = "retries"
    """Every item that waits waits for its next try."""
    CONNECTIONS = "connections"
    """The connections of the caller's client."""
    MAX_WORKERS = "max_workers"
    """The caller's bound on calls in flight."""
    DISK = "disk"
    """Results are committed to the journal more slowly than they come."""
    READER = "reader"
    """Results are consumed more slowly than they come."""
    HOOKS = "hooks"
    """The middlewares are slower than the calls."""
    PROCESSOR = "processor"
    """The event loop is busy or blocked, so that calls start late."""
    BUDGET = "budget"
    """The caller's budget."""
    PAUSED = "paused"
    """The batch is paused."""
    INPUT = "input"
    """Nothing: the input is read more slowly than it is answered."""
    LAST_CALLS = "last_calls"
    """Nothing: every item that is left is in flight or being settled."""
    STOPPING = "stopping"
    """The batch was stopped: the calls in flight finish."""
    ENDED = "ended"
    """Nothing is left to do."""


class LimitBasis(enum.StrEnum):
    """How a limit is known. Journals store the values."""

    LEARNED = "learned"
    """It was measured in this run."""
    STATED = "stated"
    """The provider said so."""
    EARLIER = "earlier"
    """An earlier run learned it."""


@attrs.frozen(kw_only=True)
class Limitation:
    """What keeps a batch from being faster now. Two are equal if only their numbers differ."""

    reason: LimitReason
    """The reason."""
    quota: str | None = None
    """Quota key of the lane that is held back; None: the reason is not a lane's."""
    basis: LimitBasis | None = None
    """How the limit is known; None: it is not a provider's limit."""
    value: float | None = attrs.field(default=None, eq=False)
    """The limit: calls or tokens per second, or calls in flight; None: the reason has no number."""
    opens_in: float | None = attrs.field(default=None, eq=False)
    """Seconds until a call is tried, in an outage; None: it is not known, or there is no outage."""


@attrs.frozen(kw_only=True)
class LaneSituation:
    """A lane in which calls wait."""

    quota: str
    """Its quota key."""
    waiting: int
    """Calls that wait here."""
    pace: Limitation
    """What its controller says."""
    waits_for_time: bool = False
    """Whether each of them waits for the time of its next try."""
    lacks_connection: bool = False
    """Whether the next one waits for a connection of the caller's client."""
    is_suspended: bool = False
    """Whether the first calls have to end before others start."""
    opens_in: float = 0.0
    """Seconds until a call is tried, as the lane is shut; 0: it is not."""


@attrs.frozen(kw_only=True)
class Situation:
    """What a pool does at one moment."""

    is_running: bool = True
    """Whether something is left to do."""
    is_paused: bool = False
    is_stopping: bool = False
    """Whether no more calls start, in any batch."""
    is_out_of_budget: bool = False
    """Whether the budget keeps calls from starting."""
    commits_are_late: bool = False
    """Whether calls wait until results are committed."""
    reader_is_late: bool = False
    """Whether calls wait until results are consumed."""
    hooks_are_late: bool = False
    """Whether calls wait until hooks have ended, or new items are in middlewares while no call waits."""
    processor_is_late: bool = False
    """Whether the event loop lags."""
    in_flight: int = 0
    """Calls in flight."""
    max_workers: int = 1
    """The caller's bound on them."""
    lanes: Sequence[LaneSituation] = ()
    """Lanes in which calls wait."""
    is_preparing: bool = False
    """Whether a strategy is being prepared for items that wait."""
    is_reading: bool = False
    """Whether more items may come from a source."""


def limitation(now: Situation) -> Limitation:  # noqa: C901, PLR0911, PLR0912 - the order of the reasons, in one place
    """Return what keeps a pool from being faster at one moment."""
    if not now.is_running:
        return Limitation(reason=LimitReason.ENDED)
    if now.is_stopping:
        return Limitation(reason=LimitReason.STOPPING)
    if now.is_paused:
        return Limitation(reason=LimitReason.PAUSED)
    if now.is_out_of_budget:
        return Limitation(reason=LimitReason.BUDGET)
    lane = max(now.lanes, key=lambda lane: lane.waiting, default=None)
    if lane is not None and (lane.opens_in > 0 or lane.pace.reason is LimitReason.OUTAGE):
        return Limitation(reason=LimitReason.OUTAGE, quota=lane.quota, opens_in=lane.opens_in or None)
    if now.commits_are_late:
        return Limitation(reason=LimitReason.DISK)
    if now.reader_is_late:
        return Limitation(reason=LimitReason.READER)
    if now.hooks_are_late:
        return Limitation(reason=LimitReason.HOOKS)
    if now.processor_is_late:
        return Limitation(reason=LimitReason.PROCESSOR)
    if lane is None:
        if now.is_preparing:
            return Limitation(reason=LimitReason.STARTING)
        return Limitation(reason=LimitReason.INPUT if now.is_reading else LimitReason.LAST_CALLS)
    if now.in_flight >= now.max_workers:
        return Limitation(reason=LimitReason.MAX_WORKERS, value=now.max_workers)
    if lane.is_suspended:
        return Limitation(reason=LimitReason.STARTING, quota=lane.quota)
    if lane.lacks_connection:
        return Limitation(reason=LimitReason.CONNECTIONS, quota=lane.quota)
    if lane.waits_for_time:
        return Limitation(reason=LimitReason.RETRIES, quota=lane.quota)
    return attrs.evolve(lane.pace, quota=lane.quota)


_REMEMBERED = 3.0  # seconds: long enough for a few looks, and short enough for a display
_CERTAIN = frozenset(
    {LimitReason.ENDED, LimitReason.STOPPING, LimitReason.PAUSED, LimitReason.BUDGET, LimitReason.OUTAGE}
)


class RecentLimitations:
    """What most of the looks of the last seconds saw."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, Limitation]] = deque()
        self._latest: Limitation | None = None

    @property
    def latest(self) -> Limitation | None:
        """What counts since the latest look; None: nothing was looked at yet."""
        return self._latest

    def add(self, now: float, seen: Limitation) -> Limitation:
        """Add what a look at `now`, in seconds, saw; return what counts."""
        if seen.reason in _CERTAIN or (self._latest is not None and self._latest.reason in _CERTAIN):
            self._seen.clear()
        self._seen.append((now, seen))
        while now - self._seen[0][0] >= _REMEMBERED:
            self._seen.popleft()
        counts = Counter(each for _, each in self._seen)
        most = max(counts.values())
        likely = self._latest if self._latest is not None and counts[self._latest] == most else None
        likely = likely or next(each for _, each in reversed(self._seen) if counts[each] == most)
        self._latest = next(each for _, each in reversed(self._seen) if each == likely)  # with the latest numbers
        return self._latest


_MINUTE = 60.0  # seconds: providers state their limits per minute
_WORDS = {
    LimitReason.REQUESTS: "requests per minute of {quota}{rate}{known}",
    LimitReason.TOKENS: "tokens per minute of {quota}{rate}{known}",
    LimitReason.CONCURRENCY: "calls at once that {quota} allows{calls}{known}",
    LimitReason.SPEED: "the speed of {quota}: more calls at once would only wait",
    LimitReason.OUTAGE: "{quota} answers no calls{next_try}",
    LimitReason.STARTING: "nothing yet: the pace still grows",
    LimitReason.RETRIES: "waits before calls are repeated",
    LimitReason.CONNECTIONS: "the connections of your client",
    LimitReason.MAX_WORKERS: "{max_workers}{calls}",
    LimitReason.DISK: "your disk: results wait to be committed to the journal",
    LimitReason.READER: "the reader of the results: it is slower than the calls",
    LimitReason.HOOKS: "your middlewares: they are slower than the calls",
    LimitReason.PROCESSOR: "this machine's processor: calls start late",
    LimitReason.BUDGET: "the budget",
    LimitReason.PAUSED: "paused",
    LimitReason.INPUT: "nothing: the input is read slower than it is answered",
    LimitReason.LAST_CALLS: "nothing: the last calls are in flight",
    LimitReason.STOPPING: "stopped: the calls in flight finish",
    LimitReason.ENDED: "nothing: all is done",
}
_KNOWN = {
    LimitBasis.LEARNED: ", learned",
    LimitBasis.STATED: ", as the server says",
    LimitBasis.EARLIER: ", learned earlier",
}


def describe_limitation(limitation: Limitation, *, max_workers: str = "max_workers", try_at: str | None = None) -> str:
    """Return a limitation in words, without a full stop.

    Args:
        limitation: The limitation.
        max_workers: What the caller knows the bound on calls in flight as, such as "your --max-workers".
        try_at: Time of the next try in an outage, in words; None: it is said in how many seconds.
    """
    value, opens_in = limitation.value, limitation.opens_in
    if try_at is None and opens_in is not None:
        try_at = f"in {math.ceil(opens_in):,} s"
    has_value = value is not None and math.isfinite(value)
    return _WORDS[limitation.reason].format(
        quota=limitation.quota or "the provider",
        rate=f": {_MINUTE * value:,.0f}" if value is not None and has_value else "",
        calls=f": {value:,.0f}" if has_value else "",
        known="" if limitation.basis is None else _KNOWN[limitation.basis],
        next_try="" if try_at is None else f"; next try {try_at}",
        max_workers=max_workers,
    )
