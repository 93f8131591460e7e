"""What tokens cost, in USD.

What did a batch cost, by model, and what would it have cost on the top of its ladder alone?

Rules owned here:

1. Every call that counts is booked on the model that made it, the failed ones too. A cost is known where the price is.
2. The estimate for the top alone takes each answer that was accepted from a ladder for one call of the top model with the same
   tokens, at its price. It is an estimate: another model may read and write other numbers of tokens, and may need more calls.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from .usage import NO_USAGE, TokenUsage
from .validators import is_price

_MILLION = 1e6


def _input_price(price: Price) -> float:
    return price.input


@attrs.frozen
class Price:
    """USD per million tokens of one model.

    Raises:
        ConfigurationError: a price is no finite number, 0 or more.
    """

    input: float = attrs.field(validator=is_price)
    """Of tokens sent."""
    output: float = attrs.field(validator=is_price)
    """Of tokens generated, those spent on thinking included."""
    cached_input: float = attrs.field(default=attrs.Factory(_input_price, takes_self=True), validator=is_price)
    """Of tokens sent that were read from a cache; by default as the others."""

    def of(self, usage: TokenUsage) -> float:
        """Return what this usage costs, in USD."""
        cached = min(usage.cached_input_tokens, usage.input_tokens)
        fresh = usage.input_tokens - cached
        return (fresh * self.input + cached * self.cached_input + usage.output_tokens * self.output) / _MILLION


@attrs.frozen(kw_only=True)
class ModelUse:
    """What one model was used for in a batch."""

    model: str
    """Its name, or that of the lane where the strategy has no `model`."""
    calls: int = 0
    """Those that counted: throttled ones do not."""
    accepted: int = 0
    """Calls whose output was accepted."""
    usage: TokenUsage = NO_USAGE
    """Tokens over all its calls, the failed ones too."""
    price: Price | None = None
    """None: not known."""

    @property
    def cost(self) -> float | None:
        """USD; None: the price is not known."""
        return None if self.price is None else self.price.of(self.usage)


def total(costs: Iterable[float | None]) -> float | None:
    """Return a sum of USD; None if one of them is not known, or there are none."""
    known = list(costs)
    return None if not known or None in known else sum(cost for cost in known if cost is not None)


class _Row:
    """The running sums of one model: every call pays for this, so it is changed in place."""

    __slots__ = ("accepted", "calls", "price", "usage")

    def __init__(self, price: Price | None) -> None:
        self.calls = self.accepted = 0
        self.usage = NO_USAGE
        self.price = price

    def add(self, usage: TokenUsage, accepted: bool) -> None:  # noqa: FBT001 - a count of 0 or 1
        self.calls += 1
        self.accepted += accepted
        if usage is not NO_USAGE:
            self.usage = usage if self.usage is NO_USAGE else self.usage + usage


class Account:
    """A batch's running account."""

    def __init__(self) -> None:
        self._uses: dict[str, _Row] = {}
        self._alone: dict[str, _Row] = {}

    def __contains__(self, model: object) -> bool:
        return model in self._uses

    def book(self, model: str, usage: TokenUsage, price: Price | None, *, accepted: bool) -> None:
        """Book a call on a model; its price is that of its first call."""
        row = self._uses.get(model)
        if row is None:
            row = self._uses[model] = _Row(price)
        row.add(usage, accepted)

    def book_alone(self, top: str, usage: TokenUsage, price: Price | None) -> None:
        """Book an answer accepted from a ladder, for the estimate of its top model alone."""
        row = self._alone.get(top)
        if row is None:
            row = self._alone[top] = _Row(price)
        row.price = row.price or price  # known, most often, when the first item has come so far
        row.add(usage, accepted=True)

    @property
    def prices(self) -> dict[str, Price]:
        """The prices that are known, by model."""
        return {model: row.price for model, row in self._uses.items() if row.price is not None}

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """Each model's use, in the order of their first calls."""
        return _uses(self._uses)

    @property
    def top_alone(self) -> tuple[ModelUse, ...]:
        """The estimated use of each ladder's top model, had it answered alone what its ladder has answered."""
        return _uses(self._alone)


def _uses(rows: dict[str, _Row]) -> tuple[ModelUse, ...]:
    return tuple(
        ModelUse(model=model, calls=row.calls, accepted=row.accepted, usage=row.usage, price=row.price)
        for model, row in rows.items()
    )
