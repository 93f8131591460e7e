"""Budget: a cap on what calls cost, and the machine that keeps it.

    Reserve ──► Started | Waits | Refused        before a call: its upper estimate
    Release                                      once the call has ended
    Spend                                        what it cost, if it counts

Rules owned here:

1. A call starts if what is spent, what is reserved for calls in flight and its own upper estimate are together within each cap that
   concerns it: that of all calls, and that of its model.
2. It waits if it would be within them without the reservations: calls in flight mostly cost less than their estimates. Otherwise it is refused:
   the budget is used up for a call like this one.
3. So a cap is exceeded by no more than what single calls exceed their estimates.
4. What was spent before, as a journal has it, is spent.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, TypeAlias, assert_never

import attrs

from .exceptions import ConfigurationError
from .quantity import quantity
from .usage import TokenUsage
from .validators import Number, WholeNumber

_ROUNDING: Final = 1e-9  # USD: sums of costs are floats, and three calls of $0.10 are within $0.30

_usd = attrs.validators.optional(Number(above=0, noun="USD"))
_tokens = attrs.validators.optional(WholeNumber(above=0, noun="a whole number of tokens"))


def _frozen(models: Mapping[str, Budget]) -> Mapping[str, Budget]:
    return MappingProxyType(dict(models))


def _check_models(_: object, __: attrs.Attribute[Any], models: Mapping[object, object]) -> None:
    for name, budget in models.items():
        if not isinstance(name, str) or not isinstance(budget, Budget) or budget.models:
            raise ConfigurationError(
                f'models must be budgets by the name of the model, {{"gpt-5": Budget(usd=2)}}, not {name!r}: {budget!r}'
            )


@attrs.frozen(kw_only=True)
class Budget:
    """A cap on what the calls of a processor or pool cost: all of them, failed ones included, and with a journal those that it has.

        Budget(usd=5)
        Budget(usd=5, models={"gpt-5": Budget(usd=2)})          # the steps of a ladder are models

    Raises:
        ConfigurationError: A cap is not a number above 0, or none is given.
    """

    usd: float | None = attrs.field(default=None, validator=_usd)
    """Most that the calls may cost, in USD; needs the price of each model. None: any amount."""
    tokens: int | None = attrs.field(default=None, validator=_tokens)
    """Most tokens of the calls, input and output together. None: any number."""
    models: Mapping[str, Budget] = attrs.field(factory=dict, converter=_frozen, validator=_check_models)
    """Caps on the calls of single models, by name, within those of all calls."""

    def __attrs_post_init__(self) -> None:
        if self.usd is None and self.tokens is None and not self.models:
            raise ConfigurationError("a budget needs a cap: usd, tokens or models")

    def needs_price_of(self, model: str) -> bool:
        """Return whether the calls of a model can only be made if its price is known."""
        own = self.models.get(model)
        return self.usd is not None or (own is not None and own.usd is not None)

    @property
    def has_usd(self) -> bool:
        """Whether it has any cap in USD."""
        return self.usd is not None or any(own.usd is not None for own in self.models.values())

    def __str__(self) -> str:
        caps = [] if self.usd is None else [usd_text(self.usd)]
        return " and ".join(caps if self.tokens is None else [*caps, quantity(self.tokens, "token")])


def usd_text(usd: float) -> str:
    """Return an amount in USD for people: cents, or four significant digits of less than a dollar."""
    return f"${usd:,.2f}" if usd >= 1 else f"${usd:.4g}"


@attrs.frozen(kw_only=True)
class Spent:
    """What earlier calls have cost, as a journal has it; by the name of the model."""

    usd: Mapping[str, float] = attrs.field(factory=dict)
    """Known costs."""
    tokens: Mapping[str, int] = attrs.field(factory=dict)
    """Tokens of all calls."""
    unpriced: Mapping[str, Sequence[TokenUsage]] = attrs.field(factory=dict)
    """Usage of the calls whose cost was not known, one by one."""


# ---------------------------------------------------------------------------------------------- the machine


@attrs.frozen
class Sums:
    """What is spent and reserved under one cap."""

    usd: float = 0.0
    """Spent, in USD."""
    tokens: int = 0
    """Spent."""
    reserved_usd: float = 0.0
    reserved_tokens: int = 0
    calls: int = 0
    """Reservations."""


_NOTHING = Sums()


@attrs.frozen
class BudgetState:
    """What is spent and reserved: by all calls, and by those of each model that has a cap."""

    total: Sums = _NOTHING
    models: Mapping[str, Sums] = attrs.field(factory=dict)


@attrs.frozen
class Reserve:
    """A call is about to start. The event is also its reservation."""

    model: str
    usd: float
    """Upper estimate of its cost; 0 if no cap in USD concerns it."""
    tokens: int
    """Upper estimate of its tokens."""


@attrs.frozen
class Release:
    """A call has ended."""

    reservation: Reserve


@attrs.frozen
class Spend:
    """A call has cost something."""

    model: str
    usd: float
    tokens: int


Event: TypeAlias = Reserve | Release | Spend


class Verdict(enum.Enum):
    """Whether a call may start."""

    STARTED = enum.auto()
    """It may, and its estimate is reserved."""
    WAITS = enum.auto()
    """Not before a call in flight has ended."""
    REFUSED = enum.auto()
    """Not under this budget: it is used up."""
    MODEL_REFUSED = enum.auto()
    """Not under the budget of its model, which is used up."""
    SETTLED = enum.auto()
    """It has ended: nothing is to be done."""


def step(budget: Budget, state: BudgetState, event: Event) -> tuple[BudgetState, Verdict]:
    """Return the next state, and whether a call may start; it is unchanged if it may not."""
    match event:
        case Reserve():
            found = verdict(budget, state, event)
            if found is not Verdict.STARTED:
                return state, found
            return _changed(budget, state, event.model, _reserved, event), found
        case Release():
            return _changed(budget, state, event.reservation.model, _released, event.reservation), Verdict.SETTLED
        case Spend():
            return _changed(budget, state, event.model, _spent, event), Verdict.SETTLED
        case _:
            assert_never(event)


def verdict(budget: Budget, state: BudgetState, call: Reserve) -> Verdict:
    """Return whether a call may start."""
    found = _verdict(budget, state.total, call)
    if budget.models and found is not Verdict.REFUSED:
        own = budget.models.get(call.model)
        if own is not None:
            of_model = _verdict(own, state.models.get(call.model, _NOTHING), call)
            if of_model is Verdict.REFUSED:
                return Verdict.MODEL_REFUSED
            if of_model is Verdict.WAITS:
                return of_model
    return found


def _verdict(cap: Budget, sums: Sums, call: Reserve) -> Verdict:
    found = Verdict.STARTED
    if cap.usd is not None:
        least = sums.usd + call.usd
        if least > cap.usd + _ROUNDING:
            return Verdict.REFUSED
        if least + sums.reserved_usd > cap.usd + _ROUNDING:
            found = Verdict.WAITS
    if cap.tokens is not None:
        tokens = sums.tokens + call.tokens
        if tokens > cap.tokens:
            return Verdict.REFUSED
        if tokens + sums.reserved_tokens > cap.tokens:
            found = Verdict.WAITS
    return found


def _changed(budget: Budget, state: BudgetState, model: str, change: Any, by: Any) -> BudgetState:
    models = state.models
    if model in budget.models:
        models = {**models, model: change(models.get(model, _NOTHING), by)}
    return BudgetState(change(state.total, by), models)


def _reserved(sums: Sums, call: Reserve) -> Sums:
    return Sums(sums.usd, sums.tokens, sums.reserved_usd + call.usd, sums.reserved_tokens + call.tokens, sums.calls + 1)


def _released(sums: Sums, call: Reserve) -> Sums:
    if sums.calls <= 1:  # without reservations it is exactly 0: sums of floats are not
        return Sums(sums.usd, sums.tokens)
    return Sums(sums.usd, sums.tokens, sums.reserved_usd - call.usd, sums.reserved_tokens - call.tokens, sums.calls - 1)


def _spent(sums: Sums, call: Spend) -> Sums:
    return Sums(sums.usd + call.usd, sums.tokens + call.tokens, sums.reserved_usd, sums.reserved_tokens, sums.calls)


def used_up_text(budget: Budget, state: BudgetState, call: Reserve, found: Verdict) -> str:
    """Return why a call is refused, and what to do."""
    of_model = found is Verdict.MODEL_REFUSED
    cap = budget.models[call.model] if of_model else budget
    sums = state.models.get(call.model, _NOTHING) if of_model else state.total
    whose = f" of {call.model}" if of_model else ""
    if cap.usd is not None and sums.usd + call.usd > cap.usd + _ROUNDING:
        left = f"{usd_text(sums.usd)} of {usd_text(cap.usd)} is spent, and the next call may cost up to {usd_text(call.usd)}"
    else:
        left = f"{sums.tokens:,} of {quantity(cap.tokens or 0, 'token')} are spent, and the next call may take up to {call.tokens:,}"
    return f"the budget{whose} is used up: {left}; continue with a higher one"
