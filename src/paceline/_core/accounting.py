"""Accounting: prices, the calls and tokens of each model of a batch, and their cost in USD.

Rules owned here:

1. Every call that counts is booked on the model that made it, including failed calls. A cost is known if the price is, and if all
   tokens are known to be input or output.
2. Each input token has one price: that of reading from a cache, of writing to it, or of input.
3. A cost is that of one call, and other costs are sums of these: where long prompts have other prices, the price of a sum of tokens
   is not the sum of the prices.
4. The estimate for the top model of a ladder alone counts each accepted answer of the ladder as one call of the top model with
   the same tokens, at its price. It is an estimate: another model may use other numbers of tokens, and may need more calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from .exceptions import ConfigurationError
from .usage import NO_USAGE, TokenUsage, UsageSum
from .validators import is_price

_MILLION = 1e6
_WRITING = (
    1.25  # price of writing to a cache for 5 minutes over that of input: Anthropic, OpenAI from GPT-5.6 on, Alibaba
)
_WRITING_1H = 1.6  # price of writing for an hour over that of writing for 5 minutes: Anthropic (2 / 1.25)


def _input_price(price: Price) -> float:
    return price.input


def _writing_price(price: Price) -> float:
    return price.input * _WRITING if is_price.accepts(price.input) else 0.0  # the validators run later, and raise


def _writing_price_1h(price: Price) -> float:
    return price.cache_written * _WRITING_1H if is_price.accepts(price.cache_written) else 0.0  # as above


def _to_tiers(tiers: Mapping[int, Price] | Iterable[tuple[int, Price]]) -> tuple[tuple[int, Price], ...]:
    pairs = dict(tiers)
    return tuple((above, pairs[above]) for above in sorted(pairs))


def _check_tiers(_: object, __: attrs.Attribute[Any], tiers: tuple[tuple[object, object], ...]) -> None:
    for above, price in tiers:
        if type(above) is not int or above < 0 or not isinstance(price, Price) or price.tiers:
            raise ConfigurationError(
                "tiers must be prices without tiers, by the number of input tokens above which they hold: "
                f"{{200_000: Price(2.5, 15)}}, not {above!r}: {price!r}"
            )


@attrs.frozen
class Price:
    """Price of one model, in USD per million tokens.

        Price(0.25, 2)
        Price(1.25, 10, cached_input=0.125, tiers={200_000: Price(2.5, 15, 0.25)})

    Raises:
        ConfigurationError: A price is not a finite number, 0 or more, or a tier is not a price without tiers.
    """

    input: float = attrs.field(validator=is_price)
    """Price of input tokens."""
    output: float = attrs.field(validator=is_price)
    """Price of output tokens, those spent on thinking included."""
    cached_input: float = attrs.field(default=attrs.Factory(_input_price, takes_self=True), validator=is_price)
    """Price of input tokens that were read from a cache; by default that of input tokens."""
    cache_written: float = attrs.field(default=attrs.Factory(_writing_price, takes_self=True), validator=is_price)
    """Price of input tokens that were written to a cache; by default 1.25 times that of input tokens."""
    cache_written_1h: float = attrs.field(default=attrs.Factory(_writing_price_1h, takes_self=True), validator=is_price)
    """Price of input tokens that were written to a cache for an hour; by default 1.6 times that of other written ones."""
    tiers: tuple[tuple[int, Price], ...] = attrs.field(default=(), converter=_to_tiers, validator=_check_tiers)
    """Prices of calls with longer prompts, by the number of input tokens above which all tokens of the call have them; ascending."""

    def of(self, usage: TokenUsage) -> float:
        """Return the cost of one call in USD: of its input and output tokens, as tokens of an unknown kind have no price.

        Of several calls add up the costs: see `tiers`.
        """
        for above, price in reversed(self.tiers):
            if usage.input_tokens > above:
                return price.of(usage)
        if not (usage.cached_input_tokens or usage.cache_written_tokens):
            return (usage.input_tokens * self.input + usage.output_tokens * self.output) / _MILLION
        cached = min(usage.cached_input_tokens, usage.input_tokens)
        written = min(usage.cache_written_tokens, usage.input_tokens - cached)
        written_1h = min(usage.cache_written_1h_tokens, written)
        fresh = usage.input_tokens - cached - written
        return (
            fresh * self.input
            + cached * self.cached_input
            + (written - written_1h) * self.cache_written
            + written_1h * self.cache_written_1h
            + usage.output_tokens * self.output
        ) / _MILLION


def most_of(price: Price, sent: int, made: int) -> float:
    """Return the cost in USD of a call with so many input and output tokens, none of which was read from a cache."""
    for above, dearer in price.tiers:
        if sent > above:
            price = dearer
    return (sent * price.input + made * price.output) / _MILLION


def cost_of(usage: TokenUsage, price: Price | None) -> float | None:
    """Return the cost of one call in USD; None if the price is not known, or tokens are neither input nor output."""
    return None if price is None or not usage.is_itemised else price.of(usage)


@attrs.frozen(kw_only=True)
class ModelUse:
    """How much one model was used in a batch."""

    model: str
    """Name of the model, or the quota key if the strategy has no `model`."""
    calls: int = 0
    """Calls that counted: all but the throttled ones."""
    accepted: int = 0
    """Calls whose output was accepted."""
    usage: TokenUsage = NO_USAGE
    """Tokens over all these calls, including the failed ones."""
    price: Price | None = None
    """Price of the model; None if it is not known."""
    cost: float | None = None
    """Cost of all these calls in USD; None if the price is not known, or what kind of tokens were used."""


def total(costs: Iterable[float | None]) -> float | None:
    """Return the sum of costs in USD; None if there is no cost, or one is not known."""
    known = list(costs)
    return None if not known or None in known else sum(cost for cost in known if cost is not None)


class _Row:
    """The running sums of one model; mutable, as it is updated by every call."""

    __slots__ = ("_known", "_unpriced", "_unpriced_calls", "accepted", "calls", "price", "tokens")

    def __init__(self) -> None:
        self.calls = self.accepted = 0
        self.tokens = UsageSum()
        self.price: Price | None = None
        self._known = 0.0
        self._unpriced_calls = 0
        self._unpriced = UsageSum()

    @property
    def cost(self) -> float | None:
        """Sum of the calls' costs; None if one of them is not known."""
        return None if self._unpriced_calls else self._known

    def add(self, usage: TokenUsage, price: Price | None, cost: float | None, accepted: bool) -> None:  # noqa: FBT001 - a count of 0 or 1
        self.calls += 1
        self.accepted += accepted
        self.tokens.add(usage)
        if price is not None:
            self.price = price
        if cost is None:
            self._unpriced_calls += 1
            self._unpriced.add(usage)
        else:
            self._known += cost


class _Estimate(_Row):
    """The same calls, if another model had made them; its price may become known only after the first of them."""

    __slots__ = ()

    @property
    def cost(self) -> float | None:
        """Estimated cost: without a price of their own, calls have the price of short prompts."""
        if self.price is None or not self.tokens.usage.is_itemised:
            return None
        return self._known + attrs.evolve(self.price, tiers=()).of(self._unpriced.usage)


class Account:
    """The running account of a batch."""

    def __init__(self) -> None:
        self._uses: dict[str, _Row] = {}
        self._alone: dict[str, _Estimate] = {}

    def book(self, model: str, usage: TokenUsage, price: Price | None, *, accepted: bool) -> float | None:
        """Book a call on a model, at the price of that call; return its cost in USD, None if it is not known."""
        row = self._uses.get(model)
        if row is None:
            row = self._uses[model] = _Row()
        cost = None if price is None else cost_of(usage, price)
        row.add(usage, price, cost, accepted)
        return cost

    def book_alone(self, top: str, usage: TokenUsage, price: Price | None) -> None:
        """Book an accepted answer of a ladder, for the estimate of its top model alone."""
        row = self._alone.get(top)
        if row is None:
            row = self._alone[top] = _Estimate()
        row.add(usage, price, cost_of(usage, price), accepted=True)

    @property
    def prices(self) -> dict[str, Price]:
        """Known prices by model."""
        return {model: row.price for model, row in self._uses.items() if row.price is not None}

    @property
    def cost(self) -> float | None:
        """Cost of all calls in USD, 0 before the first; None if that of a call is not known."""
        costs = [row.cost for row in self._uses.values()]
        return None if None in costs else sum(cost for cost in costs if cost is not None)

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """Use of each model, in the order of first calls."""
        return _uses(self._uses)

    @property
    def top_alone(self) -> tuple[ModelUse, ...]:
        """Estimated use of each ladder's top model, if it had given all accepted answers of the ladder."""
        return _uses(self._alone)


def _uses(rows: Mapping[str, _Row]) -> tuple[ModelUse, ...]:
    return tuple(
        ModelUse(
            model=model,
            calls=row.calls,
            accepted=row.accepted,
            usage=row.tokens.usage,
            price=row.price,
            cost=row.cost,
        )
        for model, row in rows.items()
    )
