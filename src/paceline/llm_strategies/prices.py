"""What a model's tokens cost, where the user does not say: by genai-prices, without network.

The package is an extra, and takes a second to import: it is looked for when the first price is asked for, in a worker
thread. Lists go out of date: a price that matters is one that the user gives.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import lru_cache
from typing import Any, Generic, TypeVar

from anyio import to_thread

from .._core.accounting import Price
from ..abc import LLMCallStrategy

T_co = TypeVar("T_co", covariant=True)

_SAMPLE = 1_000  # tokens, few enough for no tier of long prompts
_MILLION = 1_000_000


async def find_price(model: str, provider: str) -> Price | None:
    """Return what `price_of` does, without blocking the event loop.

    Cancellation passes at once; the thread ends by itself.
    """
    return await to_thread.run_sync(price_of, model, provider, abandon_on_cancel=True)


def price_of(model: str, provider: str) -> Price | None:
    """Return a model's price today; None: genai-prices is not installed, or does not know the model.

    Of prices that rise with the length of the prompt it is the lowest, that of text. May take a second, as the list is
    read: not for an event loop. Never raises.

    Args:
        model: the model's name; what stands before it in a path, such as `models/`, is passed over.
        provider: `google`, `openai`, `anthropic` or another that genai-prices knows.
    """
    try:
        from genai_prices import Usage, calc_price  # noqa: PLC0415 - an extra, and slow to import
    except ImportError:
        return None

    def usd_per_million(**tokens: int) -> float:
        usage: Any = Usage(**tokens)
        return float(calc_price(usage, name, provider_id=provider).total_price * _MILLION / _SAMPLE)

    name = model.rpartition("models/")[2]
    try:
        return Price(
            input=usd_per_million(input_tokens=_SAMPLE),
            output=usd_per_million(output_tokens=_SAMPLE),
            cached_input=usd_per_million(input_tokens=_SAMPLE, cache_read_tokens=_SAMPLE),
        )
    except Exception:  # noqa: BLE001 - an account without a cost is better than no batch
        return None


def known_price(strategy: LLMCallStrategy[Any]) -> Price | None:
    """Return what a strategy's tokens cost, before it is prepared; None: not known. Reads the list, as `price_of` does."""
    with suppress(ImportError):
        import genai_prices  # noqa: F401, PLC0415 - from then on a strategy looks there itself
    return strategy.price


_remembered = lru_cache(maxsize=64)(price_of)


class Priced(LLMCallStrategy[T_co], Generic[T_co]):
    """A strategy whose price is looked up where none was given.

    Its own `prepare` does so off the event loop. Of one that was not prepared, such as the top of a ladder that nobody has needed,
    it is looked up when asked for, provided that another has had the list read already.
    """

    _given_price: Price | None = None
    _found_price: Price | None = None
    _listed_as: tuple[str, str] | None = None
    """The model and its provider in the list; None: it is not to be looked up."""

    @property
    def price(self) -> Price | None:
        """What its tokens cost, in USD; None: not known, or not yet."""
        known = self._given_price or self._found_price
        if known is None and self._listed_as is not None and _is_loaded():
            return _remembered(*self._listed_as)
        return known

    @price.setter
    def price(self, price: Price | None) -> None:
        self._given_price = price

    async def _look_up_price(self) -> None:
        if self._given_price is None and self._found_price is None and self._listed_as is not None:
            self._found_price = await find_price(*self._listed_as)

    def _calls(self, model: str) -> None:
        """Have an item's own copy call another model than the strategy's, at that one's price."""
        if model != self.model:
            self.model = model
            self._found_price = None
            self._listed_as = self._listed_as and (model, self._listed_as[1])


def _is_loaded() -> bool:
    return hasattr(sys.modules.get("genai_prices"), "calc_price")
