"""When does an item move up to a more capable model? The retry machine, with a ladder beside it.

Rules owned here:

1. An item begins on the lowest step. Only a fault of a kind that the policy names counts on the ladder: by default an
   invalid output. Each step has a budget of such faults; the one that uses it up moves the item up, and on the highest step
   it is given up.
2. A fault that counts on the ladder does not count in the retry machine, and every other event is that machine's alone: being
   throttled, a timeout or a dropped connection never moves an item.
3. Up is the only direction, one step at a time.

So an item ends: it has at most the sum of the steps' budgets of faults that the policy names, beside those of the retry
machine's own budgets, which count over all steps together.

             Failed(kind of the policy) ─┬ budget of the step left ► CallAgain, on the same step
    Climbing ──┤                         ├ a step above ───────────► MoveUp
               │                         └ else ───────────────────► GiveUp
               └ anything else ──────────► as the retry machine says
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import attrs

from . import retry
from .exceptions import ConfigurationError
from .fault import FaultKind

MAY_COUNT = frozenset({FaultKind.INVALID, FaultKind.TRUNCATED, FaultKind.REFUSED})
"""Faults of the answer, which another model may not have; the others are of the service or the way to it."""


def _to_kinds(value: object) -> object:
    if isinstance(value, str) or not isinstance(value, Iterable):
        return value
    try:
        return frozenset(FaultKind(kind) for kind in value)
    except ValueError:
        return value


def _is_kinds(_: object, __: attrs.Attribute[frozenset[FaultKind]], value: object) -> None:
    if not isinstance(value, frozenset) or not value or not value <= MAY_COUNT:
        known = ", ".join(sorted(MAY_COUNT))
        raise ConfigurationError(f"on must be a set of {known}, and not empty, not {value!r}")


def _to_budget(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _is_budget(_: object, __: attrs.Attribute[int], value: object) -> None:
    budgets = value if isinstance(value, tuple) else (value,)
    if not budgets or any(type(budget) is not int or budget < 1 for budget in budgets):
        raise ConfigurationError(f"budget must be a whole number, 1 or more, or one for each step, not {value!r}")


@attrs.frozen(kw_only=True)
class EscalationPolicy:
    """When an item moves up.

    Raises:
        ConfigurationError: a kind of fault cannot count on a ladder, or a budget is no whole number, 1 or more.
    """

    on: frozenset[FaultKind] = attrs.field(
        default=frozenset({FaultKind.INVALID}), converter=_to_kinds, validator=_is_kinds
    )
    """The faults that count: of invalid, truncated and refused."""
    budget: int | tuple[int, ...] = attrs.field(default=1, converter=_to_budget, validator=_is_budget)
    """How many such faults an item may have on a step before it moves on; one number for each step, or one for all."""

    def budgets(self, steps: int) -> Sequence[int]:
        """Return the budget of each step.

        Raises:
            ConfigurationError: there are budgets for another number of steps.
        """
        if isinstance(self.budget, int):
            return (self.budget,) * steps
        if len(self.budget) != steps:
            raise ConfigurationError(f"budget has {len(self.budget)} numbers, for {steps} steps")
        return self.budget


_UNSPENT = retry.Open()


@attrs.frozen
class Climbing:
    """The item may be called on its step."""

    spending: retry.Open = _UNSPENT
    """What its calls have spent otherwise, over all steps."""
    step: int = 0
    """From 0, the lowest."""
    spent: int = 0
    """Faults that counted on this step."""
    below: int = 0
    """And on those below."""

    @property
    def attempt(self) -> int:
        """The number of the next call, from 1, over all steps."""
        return self.spending.attempt + self.spent + self.below


State: TypeAlias = Climbing | retry.Settled


@attrs.frozen
class MoveUp:
    """Put the item into the lane of the next step, to be called at once."""

    step: int
    """From 0."""


Effect: TypeAlias = retry.Effect | MoveUp
NEW: State = Climbing()


def step(
    policy: retry.RetryPolicy, budgets: Sequence[int], on: frozenset[FaultKind], state: State, event: retry.Event
) -> tuple[State, Effect]:
    """Return the next state and the one thing that the engine must now do.

    Args:
        policy: of the retry machine.
        budgets: of each step.
        on: the kinds of fault that count on the ladder.
        state: where the item is.
        event: what befell it.

    Raises:
        IllegalTransitionError: the item is already settled.
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
