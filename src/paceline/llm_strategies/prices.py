"""Prices of models from genai-prices, offline, where the user gives none.

The package is an extra and takes a second to import, so the first lookup imports it, in a worker thread. Its list may be out of
date: give a price if it matters.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any, Generic, TypeVar

from anyio import to_thread

from .._core.accounting import Price
from ..abc import LLMCallStrategy

T_co = TypeVar("T_co", covariant=True)

_SAMPLE = 1_000  # tokens; below every price tier for long prompts
_MILLION = 1_000_000


_WITHOUT_WRITES = (
    "google"  # its replies report no tokens written: a cache is made by a call of its own, at the price of input
)


async def find_price(model: str, provider: str) -> Price | None:
    """Return `price_of(model, provider)` without blocking the event loop.

    On cancellation the thread is abandoned.
    """
    return await to_thread.run_sync(price_of, model, provider, abandon_on_cancel=True)


def price_of(model: str, provider: str) -> Price | None:
    """Return a model's present price; None if genai-prices is not installed or does not list the model.

    Where the price depends on the length of the prompt, it is the lowest one, for text. Blocks for up to a second while the list
    is read: not for an event loop. Never raises.

    Args:
        model: Name of the model; a path before it, such as `models/`, is skipped.
        provider: `google`, `openai`, `anthropic` or another provider in genai-prices.
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
            **({} if provider == _WITHOUT_WRITES else _writing(usd_per_million)),
        )
    except Exception:  # noqa: BLE001 - a missing price must not stop a batch
        return None


def _writing(usd_per_million: Callable[..., float]) -> dict[str, float]:
    """Return the prices of writing to a cache; that of input where the list has none of its own."""
    tokens = {"input_tokens": _SAMPLE, "cache_write_tokens": _SAMPLE}
    return {
        "cache_written": usd_per_million(**tokens),
        "cache_written_1h": usd_per_million(**tokens, cache_write_1h_tokens=_SAMPLE),
    }


def known_price(strategy: LLMCallStrategy[Any]) -> Price | None:
    """Return a strategy's price before it is prepared; None if it is not known. Blocks as `price_of` does."""
    with suppress(ImportError):
        import genai_prices  # noqa: F401, PLC0415 - once imported, `Priced.price` looks the price up
    return strategy.price


_remembered = lru_cache(maxsize=64)(price_of)


class Priced(LLMCallStrategy[T_co], Generic[T_co]):
    """A strategy whose price is looked up if none was given.

    `prepare` looks it up off the event loop. A strategy that is not prepared, such as an unused top of a ladder, looks it up when
    `price` is read, provided that another strategy has already imported genai-prices.
    """

    _given_price: Price | None = None
    _found_price: Price | None = None
    _listed_as: tuple[str, str] | None = None
    """Model and provider in the list; None if the price must not be looked up."""

    @property
    def price(self) -> Price | None:
        """Price of its tokens, in USD per million; None if it is not known, or not known yet."""
        known = self._given_price or self._found_price
        if known is None and self._listed_as is not None and _is_loaded():
            return _remembered(*self._listed_as)
        return known

    @price.setter
    def price(self, price: Price | None) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]  # it has a setter
        self._given_price = price

    async def _look_up_price(self) -> None:
        if self._given_price is None and self._found_price is None and self._listed_as is not None:
            self._found_price = await find_price(*self._listed_as)

    def _switch_model(self, model: str) -> None:
        """Make an item's copy of the strategy call another model, at that model's price."""
        if model != self.model:
            self.model: str | None = model
            self._found_price = None
            self._listed_as = self._listed_as and (model, self._listed_as[1])


def _is_loaded() -> bool:
    return hasattr(sys.modules.get("genai_prices"), "calc_price")
