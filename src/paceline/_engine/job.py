"""An item on its way, and the lane it waits in: the engine's own mutable records, each owned by one batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import attrs
from anyio import CancelScope

from .._core import escalation, retry
from .._core.accounting import Price
from .._core.classify import describe
from .._core.fault import Fault
from .._core.lanes import Backlog
from .._core.pace import PaceChange
from .._core.pace.history import UnreadChanges
from .._core.prompt import characters_of
from .._core.quota import positive_number
from .._core.results import Attempt, WorkItemResult
from .._core.token_estimate import TokenCosts
from .._core.usage import NO_USAGE, TokenUsage
from ..abc import Ladder, LLMCallStrategy, LLMWorkItem, RateController
from .guard import logger

_READ_AHEAD = 64  # items, or two for each worker if that is more


@attrs.define(eq=False)
class Job:
    """An accepted item until it is settled."""

    item: LLMWorkItem[Any]
    index: int
    origin: LLMCallStrategy[Any]
    """The strategy that is called for it: the item's, or the step of its ladder."""
    ladder: Ladder | None = None
    lane: Lane | None = None
    state: retry.State | escalation.State = retry.NEW
    strategy: LLMCallStrategy[Any] | None = None
    """The item's own copy of `origin`, made at its first call there."""
    previous: LLMCallStrategy[Any] | None = None
    """The copy that was called on the step below."""
    attempts: tuple[Attempt, ...] = ()
    refusals: int = 0
    deadline: float = math.inf
    """When the item's time is up, counted from its first call."""
    waiting: bool = False
    """Whether it is in its lane's backlog."""
    seen: bool = False
    """Whether the middlewares have seen it."""
    recalled: bool = False
    """Whether its result was known without a call of its own."""
    result: WorkItemResult[Any] | None = None
    """Known from the moment of the decision; delivered after the hooks have seen it."""
    cost: float = 0.0
    """Tokens that its next call is expected to use; 0: not asked yet."""
    characters: int | None = None
    """Of the prompt by which that was told."""

    admitted: bool = False
    """Whether the controller counts it as in flight."""
    ticket: Any = None
    """What the controller gave for that."""
    scope: CancelScope | None = None
    """Its worker's, while in a call."""
    started: float = 0.0
    expires: float = math.inf
    """When the call in flight is cancelled."""

    @property
    def attempt(self) -> int:
        """The number of its next call, or of the one in flight."""
        return len(self.attempts) if isinstance(self.state, retry.Settled) else self.state.attempt

    @property
    def lane_or_raise(self) -> Lane:
        """The lane of a job that has one: every job that was ever admitted."""
        if self.lane is None:
            raise AssertionError(f"item {self.item.item_id!r} is in no lane")
        return self.lane

    @classmethod
    def of(cls, item: LLMWorkItem[Any], index: int) -> Job:
        """Return the job of an item that was accepted."""
        job = cls(item, index, item.strategy)
        job.aim(item)
        return job

    def aim(self, item: LLMWorkItem[Any]) -> None:
        """Take the item, as a middleware may have replaced it, and begin with the strategy that it names."""
        self.item = item
        self.ladder = _ladder_of(item.strategy)
        if self.ladder is None:
            self.origin, self.state = item.strategy, retry.NEW
        else:
            self.origin, self.state = self.ladder.steps[0], escalation.NEW

    def step(self, policy: retry.RetryPolicy, event: retry.Event) -> escalation.Effect:
        """Decide what follows from what befell the item, and note it."""
        if self.ladder is None or isinstance(self.state, retry.Open):
            self.state, effect = retry.step(policy, self.state, event)  # type: ignore[arg-type]  # without a ladder it never climbs
            return effect
        self.state, higher = escalation.step(policy, self.ladder.budgets, self.ladder.policy.on, self.state, event)
        return higher

    def move_up(self, step: int) -> None:
        """Leave the step of the ladder for a higher one."""
        if self.ladder is None:
            raise AssertionError(f"item {self.item.item_id!r} has no ladder")
        self.origin, self.previous, self.strategy = self.ladder.steps[step], self.strategy, None

    @property
    def called(self) -> LLMCallStrategy[Any]:
        """The copy that makes its calls; before the first of them, what it will be a copy of."""
        return self.origin if self.strategy is None else self.strategy

    @property
    def usage(self) -> TokenUsage:
        """Tokens over all attempts."""
        total = NO_USAGE
        for attempt in self.attempts:
            if attempt.usage is not NO_USAGE:
                total = attempt.usage if total is NO_USAGE else total + attempt.usage
        return total

    def settled(self, output: Any, fault: Fault | None) -> WorkItemResult[Any]:
        """Return the result that this job comes to."""
        return WorkItemResult(
            self.item.item_id,
            self.index,
            output,
            fault,
            self.item.context,
            self.usage,
            self.attempts,
            self.refusals,
            self.attempts[-1].model if self.attempts else model_of(self.called),
        )


@attrs.frozen
class Learned:
    """What is learned of a quota; it outlives a batch."""

    pace: RateController
    costs: TokenCosts = attrs.field(factory=TokenCosts)
    news: UnreadChanges = attrs.field(factory=UnreadChanges)
    """Of what the observers are told."""
    entries: UnreadChanges = attrs.field(factory=UnreadChanges)
    """Of what the journal has noted."""


class Lane:
    """The jobs that share a quota, and the controller of their pace."""

    def __init__(self, quota: str, learned: Learned) -> None:
        self.quota = quota
        self.pace = learned.pace
        self.costs = learned.costs
        self._news = learned.news
        self._entries = learned.entries
        self.backlog: Backlog[Job] = Backlog()
        self.in_flight = 0
        self.closed: Fault | None = None
        """Why nothing starts here any more."""
        self._refused_since = math.inf

    @property
    def load(self) -> float:
        """Calls in flight over the limit."""
        return self.in_flight / max(1, self.pace.limit)

    def has_room(self, share: float) -> bool:
        """Whether reading on is of use: less than `share` of what the lane reads ahead waits here."""
        return self.closed is None and len(self.backlog) < share * max(_READ_AHEAD, 2 * self.pace.limit)

    def ready_at(self, now: float) -> float:
        """Return when the next call may start."""
        if self.closed is not None:
            return math.inf
        job = self.backlog.peek(now)
        if job is None:
            return self.backlog.ready_at(now)
        return self.pace.admit_at(now, job.cost or self._appraise(job))

    def add(self, job: Job) -> None:
        """Let a job wait for its first call."""
        if not self.in_flight and not self.backlog:
            self.served()  # it was idle: what was refused before says nothing of now
        job.lane = self
        job.waiting = True
        self.backlog.add(job)

    def put_back(self, job: Job, not_before: float, now: float) -> None:
        """Let a job wait for its next call; it may come from another lane."""
        if job.lane is not self and not self.in_flight and not self.backlog:
            self.served()  # as above
        job.lane = self
        job.waiting = True
        job.cost = 0.0
        self.backlog.put_back(job, not_before, now)

    def start(self, job: Job, now: float) -> None:
        """Count a call as started."""
        job.waiting = False
        job.started = now
        job.admitted = True
        job.ticket = self.pace.started(now, job.cost or self._appraise(job))
        self.in_flight += 1

    def finish(self, job: Job, now: float, signal: Any) -> None:
        """Count a call as ended, once."""
        self.in_flight -= 1
        job.admitted = False
        ticket, job.ticket = job.ticket, None
        self.pace.settled(ticket, now, signal)

    def _appraise(self, job: Job) -> float:
        """Note what the next call of a job is expected to cost, and by the length of which prompt."""
        prompt = job.item.prompt
        characters = job.characters = characters_of(prompt)
        strategy = job.called
        own = None
        if type(strategy).expected_tokens is not LLMCallStrategy.expected_tokens:
            own = _own_estimate(strategy, prompt)
        job.cost = own or self.costs.expected(characters)
        return job.cost

    def news(self) -> Sequence[PaceChange]:
        """Return the changes of the pace that it did not return before, the oldest first."""
        return self._news.read(self.pace.history)

    def entries(self) -> Sequence[PaceChange]:
        """Return, for the journal, the changes of the pace that it did not return before."""
        return self._entries.read(self.pace.history)

    def served(self) -> None:
        """The provider served a call: patience begins anew."""
        self._refused_since = math.inf

    def refused(self, now: float) -> None:
        """The provider refused a call."""
        self._refused_since = min(self._refused_since, now)

    def starved(self, now: float) -> float:
        """Return for how many seconds calls have been refused without one being served."""
        return max(0.0, now - self._refused_since)

    def loses_patience_at(self, patience: float) -> float:
        """Return when the jobs that wait here are to be given up; inf: nothing waits, or nothing is refused."""
        return self._refused_since + patience if len(self.backlog) else math.inf


def _own_estimate(strategy: LLMCallStrategy[Any], prompt: Any) -> float | None:
    try:
        return positive_number(strategy.expected_tokens(prompt))
    except Exception as error:  # noqa: BLE001 - a user's code may raise anything
        logger.warning("%s.expected_tokens failed: %s", type(strategy).__qualname__, describe(error))
        return None


def model_of(strategy: LLMCallStrategy[Any]) -> str | None:
    """Return the name of a strategy's model, if it has one."""
    try:
        model = strategy.model
    except Exception:  # noqa: BLE001 - a foreign property may raise anything
        return None
    return model if isinstance(model, str) else None


def price_of(strategy: LLMCallStrategy[Any]) -> Price | None:
    """Return a strategy's price, if it has one."""
    try:
        price = strategy.price
    except Exception:  # noqa: BLE001 - as above
        return None
    return price if isinstance(price, Price) else None


def _ladder_of(strategy: LLMCallStrategy[Any]) -> Ladder | None:
    try:
        ladder = strategy.ladder
    except Exception as error:  # noqa: BLE001 - as above
        logger.warning("%s.ladder failed: %s", type(strategy).__qualname__, describe(error))
        return None
    return ladder if isinstance(ladder, Ladder) else None
