"""Escalation: a ladder of models around the retry machine of an item.

Rules owned here:

1. An item starts on the lowest step. Only faults of the policy's kinds count on the ladder: by default an invalid output. Each
   step has a budget of such faults. The fault that uses it up moves the item to the next step; on the highest step, the item is
   given up.
2. A fault that counts on the ladder does not count in the retry machine. All other events belong to that machine: a throttled
   call, a timeout or a dropped connection never moves an item.
3. An item only moves up, one step at a time.

So every item ends: it has at most the sum of the steps' budgets of ladder faults, and the budgets of the retry machine count over
all steps together.

             Failed(kind of the policy) ─┬ budget of the step left ► CallAgain, on the same step
    Climbing ──┤                         ├ a step above ───────────► MoveUp
               │                         └ else ───────────────────► GiveUp
               └ any other event ────────► as the retry machine decides
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import attrs

from . import retry
from .exceptions import ConfigurationError
from .fault import FaultKind

MAY_COUNT = frozenset({FaultKind.INVALID, FaultKind.TRUNCATED, FaultKind.REFUSED})
"""Faults of the answer, which another model may avoid; all others are faults of the service or the connection."""


def _to_kinds(value: Iterable[FaultKind | str]) -> frozenset[FaultKind]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        return value  # type: ignore[return-value]  # refused by the validator, which runs next
    try:
        return frozenset(FaultKind(kind) for kind in value)
    except ValueError:
        return value  # type: ignore[return-value]  # as above


def _is_kinds(_: object, __: attrs.Attribute[frozenset[FaultKind]], value: object) -> None:
    if not isinstance(value, frozenset) or not value or not value <= MAY_COUNT:
        known = ", ".join(sorted(MAY_COUNT))
        raise ConfigurationError(f"on must be a non-empty set of {known}, not {value!r}")


def _to_budget(value: int | Sequence[int]) -> int | tuple[int, ...]:
    return tuple(value) if isinstance(value, list) else value  # type: ignore[return-value]  # as above


def _is_budget(_: object, __: attrs.Attribute[int], value: object) -> None:
    budgets = value if isinstance(value, tuple) else (value,)
    if not budgets or any(type(budget) is not int or budget < 1 for budget in budgets):
        raise ConfigurationError(f"budget must be a whole number, 1 or more, or one for each step, not {value!r}")


@attrs.frozen(kw_only=True)
class EscalationPolicy:
    """When an item moves up its ladder.

    Raises:
        ConfigurationError: A kind of fault cannot count on a ladder, or a budget is not a whole number, 1 or more.
    """

    on: frozenset[FaultKind] = attrs.field(
        default=frozenset({FaultKind.INVALID}), converter=_to_kinds, validator=_is_kinds
    )
    """Kinds of fault that count: any of invalid, truncated and refused."""
    budget: int | tuple[int, ...] = attrs.field(default=1, converter=_to_budget, validator=_is_budget)
    """Number of such faults that an item may have on a step: one number for all steps, or one for each."""

    def budgets(self, steps: int) -> Sequence[int]:
        """Return the budget of each step.

        Raises:
            ConfigurationError: The number of budgets differs from `steps`.
        """
        if isinstance(self.budget, int):
            return (self.budget,) * steps
        if len(self.budget) != steps:
            raise ConfigurationError(
                f"budget must have one number for each of the {steps} steps, not {len(self.budget)}"
            )
        return self.budget


_UNSPENT = retry.Open()


@attrs.frozen
class Climbing:
    """The item may be called on its step."""

    spending: retry.Open = _UNSPENT
    """State of the retry machine, over all steps."""
    step: int = 0
    """Current step, from 0, the lowest."""
    spent: int = 0
    """Faults that counted on this step."""
    below: int = 0
    """Faults that counted on the steps below."""

    @property
    def attempt(self) -> int:
        """Number of the next call, from 1, over all steps."""
        return self.spending.attempt + self.spent + self.below


State: TypeAlias = Climbing | retry.Settled


@attrs.frozen
class MoveUp:
    """Put the item into the lane of the next step, to be called at once."""

    step: int
    """Step that it moves to, from 0."""


Effect: TypeAlias = retry.Effect | MoveUp
NEW: State = Climbing()


def step(
    policy: retry.RetryPolicy, budgets: Sequence[int], on: frozenset[FaultKind], state: State, event: retry.Event
) -> tuple[State, Effect]:
    """Return the next state, and the effect that the engine must carry out.

    Args:
        policy: Policy of the retry machine.
        budgets: Budget of each step.
        on: Kinds of fault that count on the ladder.
        state: State of the item.
        event: Event to process.

    Raises:
        IllegalTransitionError: The item is already settled.
    """
    if isinstance(state, Climbing) and isinstance(event, retry.Failed) and event.kind in on:
        return _failed(budgets, state)
    inner = state.spending if isinstance(state, Climbing) else state
    after, effect = retry.step(policy, inner, event)
    if isinstance(after, retry.Settled) or isinstance(state, retry.Settled):
        return retry.SETTLED, effect
    return attrs.evolve(state, spending=after), effect


def _failed(budgets: Sequence[int], state: Climbing) -> tuple[State, Effect]:
    if state.spent + 1 < budgets[state.step]:
        return attrs.evolve(state, spent=state.spent + 1), retry.AT_ONCE
    if state.step + 1 < len(budgets):
        up = state.step + 1
        return Climbing(state.spending, up, 0, state.below + state.spent + 1), MoveUp(up)
    return retry.SETTLED, retry.GIVE_UP
