"""Prices of models from genai-prices, offline, where the user gives none.

The package is an extra and takes a second to import, so the first lookup imports it, in a worker thread. Its list may be out of
date: give a price if it matters.

Rules owned here:

1. A price is that of text. Where it depends on the length of the prompt, the price of long prompts is a tier.
2. The list answers a kind of processing that it does not know with the standard price. So the price of batch, flex or priority
   processing counts as known only if it differs from the standard one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any, Generic, Literal, TypeAlias, TypeVar, get_args

from anyio import to_thread

from .._core.accounting import Price
from .._core.budget import Budget
from .._core.exceptions import ConfigurationError, MissingExtraError
from ..abc import LLMCallStrategy

T_co = TypeVar("T_co", covariant=True)

Processing: TypeAlias = Literal["standard", "batch", "flex", "priority"]
"""How a provider processes a call, and so what it charges."""

_SAMPLE = 1_000  # tokens; below every price tier for long prompts
_MILLION = 1_000_000
_CONTEXTS: Mapping[str, dict[str, str]] = {
    "standard": {},
    "batch": {"processing": "batch"},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
}
"""What genai-prices calls each of them."""
_PROVIDERS = {"gemini": "google"}
"""Providers with another name there."""
_WITHOUT_WRITES = (
    "google"  # its replies report no tokens written: a cache is made by a call of its own, at the price of input
)


async def find_price(model: str, provider: str | None, processing: Processing = "standard") -> Price | None:
    """Return `price_of(model, provider, processing)` without blocking the event loop.

    On cancellation the thread is abandoned.
    """
    return await to_thread.run_sync(price_of, model, provider, processing, abandon_on_cancel=True)


def price_of(model: str, provider: str | None, processing: Processing = "standard") -> Price | None:
    """Return a model's present price; None if genai-prices is not installed, or does not list it.

    Blocks for up to a second while the list is read: not for an event loop. Never raises.

    Args:
        model: Name of the model; a path before it, such as `models/`, is skipped.
        provider: `google`, `openai`, `anthropic` or another provider in genai-prices; None: any that has the model.
        processing: How the calls are processed; of most models the list has the standard price only.
    """
    try:
        found = _listed(model, provider, processing)
    except Exception:  # noqa: BLE001 - a missing price must not stop a batch
        return None
    if processing != "standard" and found == price_of(model, provider):
        return None  # rule 2
    return found


def listed_price(name: str, *, processing: Processing = "standard") -> Price:
    """Return the price that a model has in the list of genai-prices, for a server that runs it under another name or address.

        OpenAIStrategy("my-deployment", base_url="https://gateway.example/v1", price=listed_price("openai/gpt-5"))

    Blocks for up to a second at its first call.

    Args:
        name: Name of the model, with its provider before it: `openai/gpt-5`, `anthropic/claude-haiku-4-5`; or without, if one provider has it.
        processing: How the calls are processed.

    Raises:
        ConfigurationError: The list does not have the model, or not the price of this processing.
        MissingExtraError: genai-prices is not installed.
    """
    if processing not in _CONTEXTS:
        raise ConfigurationError(f"processing must be one of {', '.join(get_args(Processing))}, not {processing!r}")
    try:
        import genai_prices  # noqa: F401, PLC0415 - an extra, and slow to import
    except ImportError:
        raise MissingExtraError("A listed price", "prices") from None
    provider, slash, model = name.partition("/")
    if not slash:
        provider, model = "", name
    price = price_of(model, _PROVIDERS.get(provider, provider) or None, processing)
    if price is None:
        kind = "price" if processing == "standard" else f"{processing} price"
        raise ConfigurationError(
            f"genai-prices lists no {kind} of {name!r}; name a model of it, such as openai/gpt-5, or give the price itself"
        )
    return price


def _listed(model: str, provider: str | None, processing: Processing) -> Price:
    from genai_prices import Usage, calc_price  # noqa: PLC0415 - as above

    name, context = model.rpartition("models/")[2], _CONTEXTS[processing]

    def cost(**tokens: int) -> Any:
        usage: Any = Usage(**tokens)
        return calc_price(usage, name, provider_id=provider, price_context=context or None)

    sample = cost(input_tokens=_SAMPLE, output_tokens=_SAMPLE)
    writes = sample.provider.id != _WITHOUT_WRITES

    def prices(sent: int, tiers: Mapping[int, Price]) -> Price:
        def usd_per_million(**tokens: int) -> float:
            return float(cost(input_tokens=sent, **tokens).total_price * _MILLION / sent)

        both = cost(input_tokens=sent, output_tokens=_SAMPLE).total_price - cost(input_tokens=sent).total_price
        written = {
            "cache_written": {"cache_write_tokens": sent},
            "cache_written_1h": {"cache_write_tokens": sent, "cache_write_1h_tokens": sent},
        }
        return Price(
            input=usd_per_million(),
            output=float(both * _MILLION / _SAMPLE),
            cached_input=usd_per_million(cache_read_tokens=sent),
            tiers=tiers,
            **({field: usd_per_million(**tokens) for field, tokens in written.items()} if writes else {}),
        )

    return prices(_SAMPLE, {start: prices(start + 1, {}) for start in sorted({*_tier_starts(sample.model_price)})})


def _tier_starts(model_price: Any) -> Iterator[int]:
    """Yield the numbers of input tokens above which a model has other prices."""
    for price in vars(model_price).values():
        for tier in getattr(price, "tiers", ()):
            yield tier.start


def known_price(strategy: LLMCallStrategy[Any]) -> Price | None:
    """Return a strategy's price before it is prepared; None if it is not known. Blocks as `price_of` does."""
    with suppress(ImportError):
        import genai_prices  # noqa: F401, PLC0415 - once imported, `Priced.price` looks the price up
    return strategy.price


def native_price(strategy: LLMCallStrategy[Any]) -> Price | None:
    """Return the price of a strategy's calls in the provider's batch API; None if it is not known. Blocks as `price_of` does.

    It is that of the list, if the list has one of its own and the user gave none; otherwise half the price of a call, as all three providers
    charge.
    """
    step = getattr(strategy, "strategy", strategy)
    known = known_price(strategy)
    listed = step.batch_price if isinstance(step, Priced) else None
    return listed or (None if known is None else _half(known))


def _half(price: Price) -> Price:
    return Price(
        price.input / 2,
        price.output / 2,
        cached_input=price.cached_input / 2,
        cache_written=price.cache_written / 2,
        cache_written_1h=price.cache_written_1h / 2,
        tiers={above: _half(dearer) for above, dearer in price.tiers},
    )


async def require_prices(budget: Budget, strategy: LLMCallStrategy[Any]) -> None:
    """Check that the price is known of each model that a strategy may call, as far as a budget needs it.

    Raises:
        ConfigurationError: A price is not known.
    """
    for step in strategy.ladder.steps if strategy.ladder else (strategy,):
        name = step.model or step.quota
        if not budget.needs_price_of(name) or step.price is not None:
            continue
        if _is_loaded() or await to_thread.run_sync(known_price, step, abandon_on_cancel=True) is None:
            raise ConfigurationError(
                f"no price is known of {name}, so a budget in USD cannot be kept: give its strategy a price, such as price=Price(0.25, 2) "
                'in USD per million tokens or price=listed_price("openai/gpt-5"), or give a budget in tokens'
            )


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
    _processing: Processing = "standard"
    """How the provider processes the calls."""

    @property
    def price(self) -> Price | None:
        """Price of its tokens, in USD per million; None if it is not known, or not known yet."""
        known = self._given_price or self._found_price
        if known is None and self._listed_as is not None and _is_loaded():
            return _remembered(*self._listed_as, self._processing)
        return known

    @price.setter
    def price(self, price: Price | None) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]  # it has a setter
        self._given_price = price

    @property
    def batch_price(self) -> Price | None:
        """Price of the same calls in the provider's batch API, from the list; None: it is not known, or a price was given.

        Blocks as `price_of` does.
        """
        return (
            None if self._listed_as is None or self._given_price is not None else _remembered(*self._listed_as, "batch")
        )

    async def _look_up_price(self) -> None:
        if self._given_price is None and self._found_price is None and self._listed_as is not None:
            self._found_price = await find_price(*self._listed_as, self._processing)

    def _switch_model(self, model: str) -> None:
        """Make an item's copy of the strategy call another model, at that model's price."""
        if model != self.model:
            self.model: str | None = model
            self._found_price = None
            self._listed_as = self._listed_as and (model, self._listed_as[1])


def processing_of(service_tier: object) -> Processing:
    """Return how calls with this `service_tier` are processed; `auto` and unknown ones count as standard."""
    return "flex" if service_tier == "flex" else "priority" if service_tier == "priority" else "standard"


def _is_loaded() -> bool:
    return hasattr(sys.modules.get("genai_prices"), "calc_price")
