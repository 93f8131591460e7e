"""What did a batch cost, by model, and what would it have cost on the top of its ladder alone?

Rules owned here:

1. Every call that counts is booked on the model that made it, the failed ones too. A cost is known where the price is.
2. The estimate for the top alone takes each answer that was accepted from a ladder for one call of the top model with the same
   tokens, at its price. It is an estimate: another model may read and write other numbers of tokens, and may need more calls.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from .price import Price
from .usage import NO_USAGE, TokenUsage


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


@attrs.define
class Account:
    """A batch's running account."""

    _uses: dict[str, ModelUse] = attrs.field(factory=dict)
    _alone: dict[str, ModelUse] = attrs.field(factory=dict)

    def book(self, model: str, usage: TokenUsage, price: Price | None, *, accepted: bool) -> None:
        """Book a call on a model."""
        _book(self._uses, model, usage, price, accepted=accepted)

    def book_alone(self, top: str, usage: TokenUsage, price: Price | None) -> None:
        """Book an answer accepted from a ladder, for the estimate of its top model alone."""
        _book(self._alone, top, usage, price, accepted=True)

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """Each model's use, in the order of their first calls."""
        return tuple(self._uses.values())

    @property
    def top_alone(self) -> tuple[ModelUse, ...]:
        """The estimated use of each ladder's top model, had it answered alone what its ladder has answered."""
        return tuple(self._alone.values())


def _book(uses: dict[str, ModelUse], model: str, usage: TokenUsage, price: Price | None, *, accepted: bool) -> None:
    use = uses.get(model) or ModelUse(model=model, price=price)
    uses[model] = ModelUse(
        model=model,
        calls=use.calls + 1,
        accepted=use.accepted + accepted,
        usage=use.usage if usage is NO_USAGE else use.usage + usage,
        price=use.price or price,
    )
