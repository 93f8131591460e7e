"""What tokens cost, in USD."""

from __future__ import annotations

import math

import attrs

from .exceptions import ConfigurationError
from .usage import TokenUsage

_MILLION = 1e6


def _is_price(_: object, attribute: attrs.Attribute[float], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        raise ConfigurationError(f"{attribute.name} must be USD per million tokens, 0 or more, not {value!r}")


def _input_price(price: Price) -> float:
    return price.input


@attrs.frozen
class Price:
    """USD per million tokens of one model.

    Raises:
        ConfigurationError: a price is no finite number, 0 or more.
    """

    input: float = attrs.field(validator=_is_price)
    """Of tokens sent."""
    output: float = attrs.field(validator=_is_price)
    """Of tokens generated, those spent on thinking included."""
    cached_input: float = attrs.field(default=attrs.Factory(_input_price, takes_self=True), validator=_is_price)
    """Of tokens sent that were read from a cache; by default as the others."""

    def of(self, usage: TokenUsage) -> float:
        """Return what this usage costs, in USD."""
        cached = min(usage.cached_input_tokens, usage.input_tokens)
        fresh = usage.input_tokens - cached
        return (fresh * self.input + cached * self.cached_input + usage.output_tokens * self.output) / _MILLION
