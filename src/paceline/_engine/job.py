"""Job and lane: an item on its way, and the queue it waits in. The engine's mutable records, each owned by one batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import attrs
from anyio import CancelScope

from .._core import escalation, fault_warnings, retry, systematic_failure
from .._core.accounting import Price
from .._core.connections import Connections
from .._core.fault import Fault, FaultKind, FaultReason
from .._core.lanes import Backlog
from .._core.long_hints import NO_LONG_HINTS, LongHints
from .._core.pace import TRUST, PaceChange
from .._core.pace.history import UnreadChanges
from .._core.prompt import characters_of
from .._core.provider_answers.classify import describe
from .._core.quantity import quantity
from .._core.quota import QuotaHint, Unit, positive_number
from .._core.refusals import NOT_REFUSED, LaneRefusals, RefusalRecord
from .._core.results import Attempt, WorkItemResult, make_result
from .._core.token_estimate import TokenCosts
from .._core.usage import NO_USAGE, TokenUsage
from ..abc import Ladder, LLMCallStrategy, LLMWorkItem, RateController
from .guard import logger

_REPEATEDLY = 2  # refusals between which others were served: a token estimate alone is too coarse to end an item
_ENOUGH_FAILED = 3  # items: fewer may be bad themselves
_MIN_READ_AHEAD = 64  # items per lane; two for each call that may be in flight if that is more


@attrs.define(eq=False)
class ConnectionUse:
    """How many connections of one client the calls in flight of one batch take. Counted by the lanes."""

    limit: int
    taken: int = 0

    @property
    def has_room(self) -> bool:
        """Whether another call may start. If not, a call is in flight, and its end is the next event."""
        return self.taken < self.limit


@attrs.define(eq=False)
class Job:
    """An accepted item until it is settled."""

    item: LLMWorkItem[Any]
    index: int
    origin: LLMCallStrategy[Any]
    """The strategy that is called for it: the item's own, or the step of its ladder."""
    ladder: Ladder | None = None
    lane: Lane | None = None
    state: retry.State | escalation.State = retry.NEW
    strategy: LLMCallStrategy[Any] | None = None
    """The item's own copy of `origin`, made before its first call there."""
    previous: LLMCallStrategy[Any] | None = None
    """The item's own copy of the strategy on the step below."""
    attempts: tuple[Attempt, ...] = ()
    refusals: int = 0
    """How often its calls were throttled."""
    refused: RefusalRecord = NOT_REFUSED
    """Its latest refusals by its lane, in a row."""
    order: int = 0
    """Number of its latest call in its lane."""
    charged: tuple[Any, ...] = ()
    """The controller's tickets for these, as far as they were reported as evidence about the lane."""
    deadline: float = math.inf
    """The time of the item's deadline, which starts with its first call."""
    waiting: bool = False
    """Whether it is in its lane's backlog."""
    seen_by_middlewares: bool = False
    recalled: bool = False
    """Whether its result was known without a call of its own."""
    result: WorkItemResult[Any] | None = None
    """Set when it is decided; delivered after the hooks have seen it."""
    cost: float = 0.0
    """Token estimate of its next call; 0: not computed yet."""
    characters: int | None = None
    """Length of the prompt that `cost` was computed from."""

    use: ConnectionUse | None = None
    """The connections that its next call needs one of; None: they are not limited."""
    in_flight: bool = False
    """Whether the controller counts its call as in flight."""
    ticket: Any = None
    """The controller's ticket for that call."""
    scope: CancelScope | None = None
    """Its worker's cancel scope, during a call."""
    started: float = 0.0
    """The time at which its latest call started."""
    expires: float = math.inf
    """The time at which the call in flight is cancelled."""

    @property
    def attempt(self) -> int:
        """The number of its next call, or of the call in flight, from 1."""
        return len(self.attempts) if isinstance(self.state, retry.Settled) else self.state.attempt

    @property
    def was_called(self) -> bool:
        """Whether a call of it has ended."""
        return bool(self.attempts or self.refusals)

    @property
    def lane_or_raise(self) -> Lane:
        """The lane of a job that has one: every job that waits or was called."""
        if self.lane is None:
            raise AssertionError(f"item {self.item.item_id!r} is in no lane")
        return self.lane

    @classmethod
    def of(cls, item: LLMWorkItem[Any], index: int) -> Job:
        """Return the job of an accepted item."""
        job = cls(item, index, item.strategy)
        job.replace_item(item)
        return job

    def replace_item(self, item: LLMWorkItem[Any]) -> None:
        """Set the item, which a middleware may have replaced, and start with its strategy."""
        self.item = item
        self.ladder = _ladder_of(item.strategy)
        if self.ladder is None:
            self.origin, self.state = item.strategy, retry.NEW
        else:
            self.origin, self.state = self.ladder.steps[0], escalation.NEW

    def step(self, policy: retry.RetryPolicy, event: retry.Event) -> escalation.Effect:
        """Apply an event to the item's retry state, and return the effect to carry out."""
        if self.ladder is None or isinstance(self.state, retry.Open):
            self.state, effect = retry.step(policy, self.state, event)  # type: ignore[arg-type]  # without a ladder it is never a state of a ladder
            return effect
        self.state, ladder_effect = escalation.step(
            policy, self.ladder.budgets, self.ladder.policy.on, self.state, event
        )
        return ladder_effect

    def move_up(self, step: int) -> None:
        """Move to a higher step of the ladder."""
        if self.ladder is None:
            raise AssertionError(f"item {self.item.item_id!r} has no ladder")
        self.origin, self.previous, self.strategy = self.ladder.steps[step], self.strategy, None
        self.clear_refusals()

    def clear_refusals(self) -> None:
        """Start afresh: its latest call was not refused, or was in another lane."""
        if self.refused is not NOT_REFUSED:
            self.refused, self.charged = NOT_REFUSED, ()

    @property
    def active_strategy(self) -> LLMCallStrategy[Any]:
        """The item's own copy that makes its calls; before the first call, the strategy it will be copied from."""
        return self.origin if self.strategy is None else self.strategy

    @property
    def usage(self) -> TokenUsage:
        """Tokens of all attempts."""
        total = NO_USAGE
        for attempt in self.attempts:
            if attempt.usage is not NO_USAGE:
                total = attempt.usage if total is NO_USAGE else total + attempt.usage
        return total

    def make_result(self, output: Any, fault: Fault | None) -> WorkItemResult[Any]:
        """Return the item's result with this output or fault."""
        return make_result(
            self.item.item_id,
            self.index,
            output,
            fault,
            self.item.context,
            self.usage,
            self.attempts,
            self.refusals,
            self.attempts[-1].model if self.attempts else model_of(self.active_strategy),
        )


@attrs.frozen
class LearnedQuota:
    """What is learned about a quota; it outlives a batch."""

    pace: RateController
    costs: TokenCosts = attrs.field(factory=TokenCosts)
    unreported: UnreadChanges = attrs.field(factory=UnreadChanges)
    """The observers' position in the history of the pace."""
    unrecorded: UnreadChanges = attrs.field(factory=UnreadChanges)
    """The journal's position in it."""


class Lane:
    """The jobs that share a quota, and the rate controller that paces them."""

    def __init__(self, quota: str, learned: LearnedQuota) -> None:
        self.quota = quota
        self.pace: RateController = learned.pace
        self.costs: TokenCosts = learned.costs
        self._unreported = learned.unreported
        self._unrecorded = learned.unrecorded
        self.backlog: Backlog[Job] = Backlog()
        self.refusals: LaneRefusals = LaneRefusals()
        self.long_hints: LongHints = NO_LONG_HINTS
        self.in_flight: int = 0
        self.exhausted: Fault | None = None
        """Why no more calls start here; None: they may."""
        self._refused_since = math.inf
        """The time since which calls are refused and none is served; inf: none was refused."""
        self._failed: frozenset[int] = frozenset()
        """Some items, by index, whose calls failed for a passing reason since one was served."""
        self.failing_since: float = math.inf
        """When the first of these calls ended, in seconds; inf: none failed."""
        self._warnings = fault_warnings.NO_WARNINGS
        self._health = systematic_failure.NEW
        self._is_suspended = False

    @property
    def load(self) -> float:
        """Calls in flight over the limit."""
        return self.in_flight / max(1, self.pace.limit)

    def has_room(self, share: float) -> bool:
        """Whether the source should be read for this lane: fewer jobs wait than `share` of what is read ahead for it."""
        return self.exhausted is None and self.backlog.in_turn < share * max(_MIN_READ_AHEAD, 2 * self.pace.limit)

    def ready_at(self, now: float) -> float:
        """Return the earliest time of the next call; inf: an event must come first, such as a new job."""
        if self.exhausted is not None or self._is_suspended:
            return math.inf
        job = self.backlog.peek(now)
        if job is None:
            return self.backlog.ready_at(now)
        if job.use is not None and not job.use.has_room:
            return math.inf
        return self.pace.admit_at(now, job.cost or self._estimate_cost(job))

    def add(self, job: Job) -> None:
        """Let a job wait for its first call."""
        if not self.in_flight and not self.backlog:
            self._refused_since = math.inf  # the lane was idle: earlier refusals say nothing about now
        job.lane = self
        job.waiting = True
        self.backlog.add(job)

    def put_back(self, job: Job, not_before: float, now: float) -> None:
        """Let a job wait for a further call; it may come from another lane."""
        if job.lane is not self:
            job.charged = ()  # tickets of another controller
            if not self.in_flight and not self.backlog:
                self._refused_since = job.refused.since  # it may go from lane to lane, and be refused in each
        job.lane = self
        job.waiting = True
        job.cost = 0.0
        step_back = job.refused.step_back
        if job.refused.is_own:  # its next refusal tells nothing new before a call that starts from now on is served
            step_back += self.in_flight
        self.backlog.put_back(job, not_before, now, step_back)

    def start(self, job: Job, now: float) -> None:
        """Count a call as started."""
        job.waiting = False
        job.started = now
        job.in_flight = True
        job.order = self.refusals.record_start()
        job.ticket = self.pace.started(now, job.cost or self._estimate_cost(job))
        self.in_flight += 1
        if job.use is not None:
            job.use.taken += 1
        self.backlog.idle = False

    def finish(self, job: Job, now: float, signal: Any) -> None:
        """Count a call as ended."""
        self.in_flight -= 1
        if job.use is not None:
            job.use.taken -= 1
        self.backlog.idle = not self.in_flight
        job.in_flight = False
        ticket, job.ticket = job.ticket, None
        self.pace.settled(ticket, now, signal)

    def _estimate_cost(self, job: Job) -> float:
        """Set and return the token estimate of a job's next call."""
        prompt = job.item.prompt
        characters = job.characters = characters_of(prompt)
        strategy = job.active_strategy
        estimate = None
        if type(strategy).expected_tokens is not LLMCallStrategy.expected_tokens:
            estimate = _expected_tokens(strategy, prompt)
        job.cost = estimate or self.costs.expected(characters)
        return job.cost

    def is_too_large(self, job: Job, quota: QuotaHint | None) -> bool:
        """Whether a job that was refused repeatedly is larger than the whole limit that the provider names."""
        if quota is None or job.refused.counted < _REPEATEDLY:
            return False
        whole = self.costs.as_total_tokens(quota) or quota
        limits = (each.limit for each in whole.limits if each.unit is Unit.TOKENS)
        return any(limit is not None and 0 < limit < job.cost for limit in limits)

    def unreported_changes(self) -> Sequence[PaceChange]:
        """Return the changes of the pace since the last call of this method, the oldest first."""
        return self._unreported.read(self.pace.history)

    def unrecorded_changes(self) -> Sequence[PaceChange]:
        """Return, for the journal, the changes of the pace since the last call of this method."""
        return self._unrecorded.read(self.pace.history)

    def record_served(self, job: Job) -> None:
        """Record that the provider served a job's call: patience starts from the beginning."""
        self._refused_since = math.inf
        self._failed, self.failing_since = frozenset(), math.inf
        self.long_hints = NO_LONG_HINTS
        self.refusals.record_served(job.refused, job.order)
        self.backlog.record_served()

    def record_refusal(self, now: float) -> None:
        """Record that the provider refused a call."""
        self._refused_since = min(self._refused_since, now)

    def record_passing_fault(self, job: Job, now: float, patience: float) -> bool:
        """Record that a job's call failed for a passing reason; return whether the lane is down for longer than anyone waits.

        It is if the controller lets the next call start only after `patience` seconds, as every call failed for even longer.
        """
        self.failing_since = min(self.failing_since, now)
        if len(self._failed) < _ENOUGH_FAILED:
            self._failed |= {job.index}
        if self.in_flight or self.pace.admit_at(now, job.cost) - now <= patience:
            return False
        return len(self._failed) >= _ENOUGH_FAILED or all(other.was_called for other in self.backlog)

    def record_end(
        self, event: systematic_failure.Ended, *, patience: float, keep_going: bool
    ) -> systematic_failure.Evidence | None:
        """Record how a call ended; return the evidence if all calls so far failed alike, so that no more are made."""
        if self._health is systematic_failure.SERVED:
            return None
        self._health = systematic_failure.step(self._health, event, patience=patience, keep_going=keep_going)
        self._is_suspended = isinstance(self._health, systematic_failure.Suspended)
        return self._health.evidence if isinstance(self._health, systematic_failure.Failing) else None

    def is_worth_a_warning(self, event: systematic_failure.Ended) -> bool:
        """Record how a call ended; return whether the log should have a warning about it."""
        self._warnings, is_worth_it = fault_warnings.step(self._warnings, event)
        return is_worth_it

    def starved(self, now: float) -> float:
        """Return for how many seconds calls have been refused without one being served."""
        return max(0.0, now - self._refused_since)

    def patience_ends_at(self, patience: float) -> float:
        """Return when the jobs that wait here are given up; inf: nothing waits, or nothing is refused."""
        if not len(self.backlog):
            return math.inf
        return self._refused_since + (min(patience, TRUST) if self.has_only_suspects else patience)

    @property
    def has_only_suspects(self) -> bool:
        """Whether all jobs that wait here are refused for their own sake, more likely than by chance."""
        return not self.in_flight and not self.backlog.in_turn and all(job.refused.is_own for job in self.backlog)


def own_refusal_fault(lane: Lane, job: Job, message: str = "") -> Fault:
    """Return the fault of an item that is refused for its own sake; `message`: the provider's words."""
    text = f"refused {quantity(job.refused.times, 'time')} in a row, whereas {lane.quota} served others"
    return Fault(FaultKind.THROTTLED, f"{text}: {message}" if message else text, reason=FaultReason.REFUSED_ALONE)


def _expected_tokens(strategy: LLMCallStrategy[Any], prompt: Any) -> float | None:
    """Return a strategy's own token estimate; None if it has none or it is invalid."""
    try:
        return positive_number(strategy.expected_tokens(prompt))
    except Exception as error:  # noqa: BLE001 - a user's code may raise anything
        logger.warning("%s.expected_tokens failed: %s", type(strategy).__qualname__, describe(error))
        return None


def model_of(strategy: LLMCallStrategy[Any]) -> str | None:
    """Return the name of a strategy's model; None if it has none or it cannot be read."""
    try:
        model = strategy.model
    except Exception:  # noqa: BLE001 - a foreign property may raise anything
        return None
    return model if isinstance(model, str) else None


def price_of(strategy: LLMCallStrategy[Any]) -> Price | None:
    """Return a strategy's price; None if it has none or it cannot be read."""
    try:
        price = strategy.price
    except Exception:  # noqa: BLE001 - as above
        return None
    return price if isinstance(price, Price) else None


def connections_of(strategy: LLMCallStrategy[Any]) -> Connections | None:
    """Return the connections of a strategy's client; None if they are not limited or cannot be read."""
    try:
        connections = strategy.connections
    except Exception:  # noqa: BLE001 - as above
        return None
    return connections if isinstance(connections, Connections) else None


def _ladder_of(strategy: LLMCallStrategy[Any]) -> Ladder | None:
    try:
        ladder = strategy.ladder
    except Exception as error:  # noqa: BLE001 - as above
        logger.warning("%s.ladder failed: %s", type(strategy).__qualname__, describe(error))
        return None
    return ladder if isinstance(ladder, Ladder) else None
