"""Job: an accepted item on its way to its result."""

from __future__ import annotations

import math
from typing import Any

from anyio import CancelScope

from ..._core import escalation, retry
from ..._core.budget import Reserve
from ..._core.fault import Fault
from ..._core.health.refusals import NOT_REFUSED, RefusalRecord
from ..._core.item_result import WorkItemResult as ItemResultClass
from ..._core.queue.priority_band import Customer
from ..._core.quick_records import quick
from ..._core.results import Attempt, WorkItemResult
from ..._core.usage import NO_USAGE, TokenUsage
from ...abc import Ladder, LLMCallStrategy, LLMWorkItem
from ..tracing import ItemTrace
from .lane import Lane
from .lane_job import ConnectionUse
from .spending import OverBudget
from .strategy_values import ladder_of, model_of
from .submitter import Submitter

_result = quick(ItemResultClass)


class Job:
    """An accepted item until it is settled. Its fields are set by its own methods only.

    A class by hand: an initializer that sets each of its fields would cost 2 us an item, and most fields of most items keep their defaults.
    """

    ladder: Ladder | None = None
    lane: Lane[Job] | None = None
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
    overloaded_at: float | None = None
    """When its latest call ended to which the provider answered that it is overloaded; None: none did."""
    charged: tuple[Any, ...] = ()
    """The controller's tickets for these, as far as they were reported as evidence about the lane."""
    deadline: float = math.inf
    """The time of the item's deadline."""
    waiting: bool = False
    """Whether it is in its lane's queue."""
    seen_by_middlewares: bool = False
    recalled: bool = False
    """Whether its result was known without a call of its own."""
    result: WorkItemResult[Any] | None = None
    """Set when it is decided; delivered after the hooks have seen it."""
    is_delivered: bool = False
    """Whether its result was handed over, or waits for its commit."""
    cost: float = 0.0
    """Token estimate of its next call; 0: not computed yet."""
    characters: int | None = None
    """Length of the prompt that `cost` was computed from."""
    use: ConnectionUse | None = None
    """The connections that its next call needs one of; None: they are not limited."""
    trace: ItemTrace | None = None
    """Receives its calls and its result as they happen; None: nothing does."""
    reservation: Reserve | None = None
    """What is reserved for its call under a budget; None: nothing, or there is no budget."""
    over_budget: OverBudget | None = None
    """Why its call may not start; None: it may."""
    turn: Any = None
    """What the task of a single call has to do next; None: it is an item of a batch, or the task has left."""
    in_flight: bool = False
    """Whether the controller counts its call as in flight."""
    ticket: Any = None
    """The controller's ticket for that call."""
    scope: CancelScope | None = None
    """The cancel scope of its call, while it may be cancelled."""
    was_cancelled: bool = False
    """Whether that scope was cancelled because of its latest call."""
    number: int = 0
    """The number of its latest call, from 1."""
    started: float = 0.0
    """The time at which its latest call started."""
    expires: float = math.inf
    """The time at which the call in flight is cancelled."""

    def __init__(self, submitter: Submitter[Job], item: LLMWorkItem[Any], index: int) -> None:
        self.submitter = submitter
        self.item = item
        self.index = index
        self.customer: Customer = submitter
        """With whose jobs it waits in a lane."""
        self.origin: LLMCallStrategy[Any] = item.strategy
        """The strategy that is called for it: the item's own, or the step of its ladder."""
        self.active_strategy: LLMCallStrategy[Any] = self.origin
        """The item's own copy that makes its calls; before the first call, the strategy it will be copied from."""
        if ladder_of(self.origin) is not None:
            self.replace_item(item)

    # ------------------------------------------------------------------------------------------ what it is

    def replace_item(self, item: LLMWorkItem[Any]) -> None:
        """Set the item, which a middleware may have replaced, and start with its strategy."""
        self.item = item
        self.ladder = ladder_of(item.strategy)
        if self.ladder is None:
            self.origin, self.state = item.strategy, retry.NEW
        else:
            self.origin, self.state = self.ladder.steps[0], escalation.NEW
        self.active_strategy = self.origin

    def pass_middlewares(self, item: LLMWorkItem[Any]) -> None:
        """Record that the middlewares have seen the item, and set it to what they left."""
        self.seen_by_middlewares = True
        if item.strategy is not self.item.strategy:
            self.replace_item(item)
        self.item = item

    def trace_with(self, trace: ItemTrace) -> None:
        """Report its calls and its result as they happen."""
        self.trace = trace

    def wait_as(self, customer: Customer) -> None:
        """Let it wait with the jobs of this customer."""
        self.customer = customer

    def set_turn(self, turn: Any) -> None:
        """Set what the task of a single call has to do next."""
        self.turn = turn

    def end_by(self, deadline: float) -> None:
        """Set the time of its deadline."""
        self.deadline = deadline

    @property
    def attempt(self) -> int:
        """The number of its next call, or of the call in flight, from 1."""
        return len(self.attempts) if isinstance(self.state, retry.Settled) else self.state.attempt

    @property
    def was_called(self) -> bool:
        """Whether a call of it has ended."""
        return bool(self.attempts or self.refusals)

    @property
    def lane_or_raise(self) -> Lane[Job]:
        """The lane of a job that has one: every job that waits or was called."""
        if self.lane is None:
            raise AssertionError(f"item {self.item.item_id!r} is in no lane")
        return self.lane

    # ------------------------------------------------------------------------------------------ its way

    def enter(self, lane: Lane[Job], use: ConnectionUse | None) -> None:
        """Let its next call be one of this lane, and need one of these connections."""
        if self.lane is not lane:
            self.charged = ()  # tickets of another controller
        self.lane, self.use = lane, use

    def wait(self, *, estimate_again: bool = False) -> None:
        """Record that it waits in its lane's queue."""
        self.waiting = True
        if estimate_again:
            self.cost = 0.0

    def wait_beside(self, other: Job) -> None:
        """Record that it waits in the lane of another job, which needs one of the same connections."""
        self.lane, self.use, self.waiting = other.lane, other.use, True

    def leave_queue(self) -> None:
        """Record that it waits no more; if it is still in the queue, it is skipped there."""
        self.waiting = False

    def estimate(self, cost: float, characters: int | None) -> None:
        """Set the token estimate of its next call."""
        self.cost, self.characters = cost, characters

    def reserve(self, call: Reserve | None, over_budget: OverBudget | None) -> None:
        """Set what is reserved for its call, or why it may not start."""
        self.reservation, self.over_budget = call, over_budget

    def start(self, now: float, order: int, ticket: Any) -> None:
        """Record that its call may start: the controller counts it."""
        self.waiting, self.in_flight = False, True
        self.number = 1 if self.state is retry.NEW else self.attempt
        self.started, self.order, self.ticket = now, order, ticket
        if self.use is not None:
            self.use.take()

    def start_call(self, scope: CancelScope, expires: float) -> None:
        """Let its call be ended from `expires` on, by cancelling `scope`."""
        self.scope, self.expires, self.was_cancelled = scope, expires, False

    @property
    def may_be_cancelled(self) -> bool:
        """Whether its call is being made."""
        return self.scope is not None

    def cancel_call(self) -> None:
        """Cancel its call."""
        if self.scope is not None:
            self.was_cancelled = True
            self.scope.cancel()

    def finish_call(self, *, is_cut_off: bool) -> None:
        """Record that its call has returned or raised; `is_cut_off`: that it was cancelled."""
        self.scope = None
        if is_cut_off:
            self.submitter.tally.record_cut_off()
        if self.trace is not None:
            self.trace.leave_call(is_cancelled=is_cut_off and not self.was_cancelled)

    def finish(self) -> Any:
        """Record that the controller counts its call no more; return the controller's ticket."""
        self.in_flight = False
        if self.use is not None:
            self.use.give_back()
        ticket, self.ticket = self.ticket, None
        return ticket

    def set_strategy(self, own: LLMCallStrategy[Any]) -> None:
        """Set its own copy of its strategy."""
        self.strategy = self.active_strategy = own

    # ------------------------------------------------------------------------------------------ decisions

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
        self.previous, self.strategy = self.strategy, None
        self.origin = self.active_strategy = self.ladder.steps[step]
        self.clear_refusals()

    def record_attempt(self, attempt: Attempt) -> None:
        """Record a call that counts."""
        self.attempts += (attempt,)

    def record_refusal(self) -> None:
        """Record that a call of it was throttled."""
        self.refusals += 1

    def refuse(self, refused: RefusalRecord) -> None:
        """Set its refusals in a row."""
        self.refused = refused

    def charge(self) -> None:
        """Keep the ticket of its call, whose refusal is evidence about its lane."""
        self.charged += (self.ticket,)

    def take_back_charges(self) -> tuple[Any, ...]:
        """Return the tickets that it keeps, and keep none: its refusals are no evidence."""
        charged, self.charged = self.charged, ()
        return charged

    def record_overload(self, now: float) -> float | None:
        """Record that the provider was overloaded; return when it had been before, if it had."""
        before, self.overloaded_at = self.overloaded_at, now
        return before

    def clear_refusals(self) -> None:
        """Start afresh: its latest call was not refused, or was in another lane."""
        if self.refused is not NOT_REFUSED:
            self.refused, self.charged = NOT_REFUSED, ()

    def settle(self, output: Any, fault: Fault | None) -> None:
        """Decide its result."""
        attempts = self.attempts
        self.result = _result(  # type: ignore[assignment]  # as `make_result`, without a call
            self.item.item_id,
            self.index,
            output,
            fault,
            self.item.context,
            attempts[0].usage if len(attempts) == 1 else self.usage,
            attempts,
            self.refusals,
            attempts[-1].model if attempts else model_of(self.active_strategy),
        )

    def set_result(self, result: WorkItemResult[Any], *, recalled: bool = False) -> None:
        """Set its result, which a middleware or a journal may have made; `recalled`: it needed no call of its own."""
        self.result = result
        self.recalled = self.recalled or recalled

    def deliver(self) -> None:
        """Record that its result is handed over."""
        self.is_delivered = True

    @property
    def usage(self) -> TokenUsage:
        """Tokens of all attempts."""
        total = NO_USAGE
        for attempt in self.attempts:
            if attempt.usage is not NO_USAGE:
                total = attempt.usage if total is NO_USAGE else total + attempt.usage
        return total
