"""Retry: the wait before an item is called again, and the state machine of one item.

The wait has full jitter, as in M. Brooker, "Exponential Backoff and Jitter" (AWS Architecture Blog, 2015): uniform between zero
and an exponentially growing bound, which spreads the retries of many items evenly. The caller draws the random number.

Rules owned here:

1. There are three separate budgets: passing failures, invalid outputs, truncated outputs. Each counts the calls that ended so;
   the call that uses up a budget is the item's last.
2. Being throttled uses no budget. It ends an item only if its lane had no success for `patience` seconds, or if the item is refused
   for its own sake (`refusals`). The item waits as long as the provider asked, unless that is absurdly long; other items run
   meanwhile. An overload that is a refusal (`overloads`) uses no budget either, but the next call has another number.
3. A fault that another call cannot cure ends the item at once. Two kinds end more than the item: a denied key stops the batch, an
   exhausted quota exhausts its lane.
4. A settled item stays settled: a further event is a bug, and raises.

             Answered ─────────────► Accept       ┐
             Throttled ─┬ lane alive ► CallAgain  │
    Open ──┤            └ starved ───► GiveUp     ├──► Settled, except after CallAgain, which stays Open
             Failed ────┬ budget left ► CallAgain │
                        └ else ──────► GiveUp, StopBatch, ExhaustLane
             Ended ──────────────────► GiveUp     ┘
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias, assert_never

import attrs

from .exceptions import ConfigurationError, IllegalTransitionError
from .fault import Fault, FaultKind
from .pace import TRUST
from .validators import Instance, is_at_least_one, is_seconds


def _is_not_below_base(backoff: Any, _: object, value: float) -> None:
    if not math.isfinite(value) or value < backoff.base:
        raise ConfigurationError(f"longest ({value}) must be finite and not below base ({backoff.base})")


@attrs.frozen(kw_only=True)
class Backoff:
    """Bounds of the wait after a failed call.

    Raises:
        ConfigurationError: A bound is not a number of seconds above 0, or `longest` is infinite or below `base`.
    """

    base: float = attrs.field(default=1.0, validator=is_seconds)
    """Bound after the first failure, in seconds; it doubles with each further failure."""
    longest: float = attrs.field(default=60.0, validator=[is_seconds, _is_not_below_base])
    """Upper bound of every wait, in seconds, also of one that the provider asked for."""


def delay(policy: Backoff, failures: int, chance: float, retry_after: float | None = None) -> float:
    """Return the seconds to wait after `failures` failures in a row (1 or more).

    Args:
        policy: Bounds of the wait.
        failures: Number of failures of the item so far.
        chance: Random number, uniform in [0, 1].
        retry_after: Seconds that the provider asked to wait: a minimum, up to `policy.longest`.
    """
    doublings = min(failures - 1, 1_000)  # 2.0**1024 overflows
    wait = chance * min(policy.longest, policy.base * 2.0**doublings)
    hint = retry_after if retry_after is not None and retry_after > 0 else 0.0
    return max(wait, min(hint, policy.longest))


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """How often an item may be called.

    Raises:
        ConfigurationError: A budget is not a whole number, 1 or more, or `patience` is not a number of seconds above 0.
    """

    max_attempts: int = attrs.field(default=5, validator=is_at_least_one)
    """Calls that may end in a passing failure (overloaded, transient, timeout) before the item is given up. A fast `overloaded` does not
    count while the provider serves others: many servers refuse calls above their limit so."""
    max_invalid: int = attrs.field(default=3, validator=is_at_least_one)
    """Calls that may end in an invalid output."""
    max_truncated: int = attrs.field(default=1, validator=is_at_least_one)
    """Calls that may end in a truncated output. One: the same prompt under the same limit is truncated again."""
    patience: float = attrs.field(default=900.0, validator=is_seconds)
    """Seconds without a success in its lane after which a throttled item is given up."""
    backoff: Backoff = attrs.field(factory=Backoff, validator=Instance(Backoff))
    """The waits after passing failures."""


@attrs.frozen
class Open:
    """The item may be called; its failures so far, by budget."""

    transient: int = 0
    invalid: int = 0
    truncated: int = 0
    refused: int = 0
    """Overloads that were refusals; there is no budget for them."""

    @property
    def attempt(self) -> int:
        """Number of the next call, from 1. A throttled call is repeated under the same number."""
        return 1 + self.transient + self.invalid + self.truncated + self.refused


@attrs.frozen
class Settled:
    """The item has its result."""


State: TypeAlias = Open | Settled


@attrs.frozen
class Answered:
    """The call returned an output that was accepted."""


@attrs.frozen
class Throttled:
    """The provider asked for fewer calls."""

    starved: float
    """Seconds for which the lane was throttled without a success."""
    retry_after: float | None = None
    """Seconds that the provider asked to wait."""
    own: bool = False
    """Whether the item is refused for its own sake, while its lane serves others."""


def _is_not_throttled(_: object, __: object, kind: FaultKind) -> None:
    if kind is FaultKind.THROTTLED:
        raise ValueError("a throttled call is the event Throttled, not Failed")


@attrs.frozen
class Failed:
    """The call failed in any other way."""

    kind: FaultKind = attrs.field(validator=_is_not_throttled)
    """Kind of the fault; not THROTTLED."""
    chance: float = 1.0
    """Random number for the jitter, uniform in [0, 1]."""
    retry_after: float | None = None
    """Seconds that the provider asked to wait."""
    refused: bool = False
    """Whether it is an overload by which the provider refused the call, while it served others."""


@attrs.frozen
class Ended:
    """The item ended without a call: by the batch, its lane, its deadline or a middleware."""


Event: TypeAlias = Answered | Throttled | Failed | Ended


@attrs.frozen
class Accept:
    """Settle the item with its output."""


@attrs.frozen
class CallAgain:
    """Put the item back into its lane."""

    delay: float
    """Seconds before the next call, at least; with 0 the lane's controller decides alone."""


@attrs.frozen
class GiveUp:
    """Settle the item with its fault."""


@attrs.frozen
class StopBatch:
    """Settle the item with its fault, and start no more calls in this batch."""


@attrs.frozen
class ExhaustLane:
    """Settle the item with its fault, and start no more calls in its lane."""


Effect: TypeAlias = Accept | CallAgain | GiveUp | StopBatch | ExhaustLane

_ACCEPT, GIVE_UP, _STOP_BATCH, _EXHAUST_LANE = Accept(), GiveUp(), StopBatch(), ExhaustLane()
AT_ONCE, SETTLED = CallAgain(0.0), Settled()
NEW: State = Open()
ANSWERED: Event = Answered()
ENDED: Event = Ended()


def event_of(fault: Fault, *, starved: float, chance: float, own: bool = False, refused: bool = False) -> Event:
    """Return the event for a failed call.

    Args:
        fault: Fault of the call.
        starved: Seconds for which the lane was throttled without a success.
        chance: Random number for the jitter, uniform in [0, 1].
        own: Whether the item is refused for its own sake.
        refused: Whether an overload is a refusal.
    """
    if fault.kind is FaultKind.THROTTLED:
        return Throttled(starved, fault.retry_after, own)
    return Failed(fault.kind, chance, fault.retry_after, refused)


def step(policy: RetryPolicy, state: State, event: Event) -> tuple[State, Effect]:
    """Return the next state, and the effect that the engine must carry out.

    Raises:
        IllegalTransitionError: The item is already settled.
    """
    if isinstance(state, Settled):
        raise IllegalTransitionError(f"{event} after the item was settled")
    match event:
        case Answered():
            return SETTLED, _ACCEPT
        case Throttled(starved):
            if event.own or starved >= policy.patience:
                return SETTLED, GIVE_UP
            return state, _wait_as_asked(event.retry_after)
        case Failed():
            return _failed(policy, state, event)
        case Ended():
            return SETTLED, GIVE_UP
        case _:
            assert_never(event)


def _wait_as_asked(asked: float | None) -> CallAgain:
    return CallAgain(asked) if asked is not None and 0 < asked <= TRUST else AT_ONCE


def _failed(  # noqa: C901, PLR0911 - a total table, one case per kind
    policy: RetryPolicy, state: Open, event: Failed
) -> tuple[State, Effect]:
    match event.kind:
        case FaultKind.OVERLOADED | FaultKind.TRANSIENT | FaultKind.TIMEOUT:
            failures = state.transient + 1
            if event.refused:
                return attrs.evolve(state, refused=state.refused + 1), _wait_as_asked(event.retry_after)
            if failures >= policy.max_attempts:
                return SETTLED, GIVE_UP
            wait = delay(policy.backoff, failures, event.chance, event.retry_after)
            return attrs.evolve(state, transient=failures), CallAgain(wait)
        case FaultKind.INVALID:
            if state.invalid + 1 >= policy.max_invalid:
                return SETTLED, GIVE_UP
            return attrs.evolve(state, invalid=state.invalid + 1), AT_ONCE
        case FaultKind.TRUNCATED:
            if state.truncated + 1 >= policy.max_truncated:
                return SETTLED, GIVE_UP
            return attrs.evolve(state, truncated=state.truncated + 1), AT_ONCE
        case FaultKind.DENIED:
            return SETTLED, _STOP_BATCH
        case FaultKind.EXHAUSTED:
            return SETTLED, _EXHAUST_LANE
        case (
            FaultKind.REFUSED
            | FaultKind.REJECTED
            | FaultKind.BUG
            | FaultKind.CANCELLED
            | FaultKind.SKIPPED
            | FaultKind.PENDING
        ):
            return SETTLED, GIVE_UP
        case FaultKind.THROTTLED:
            raise IllegalTransitionError("a throttled call is the event Throttled, not Failed")
        case _:
            assert_never(event.kind)
