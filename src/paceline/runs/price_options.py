"""Price options: the prices that a run is given, as text, as a table, or as `Price`.

    in=0.25,out=2.00                            of every model of the run, in USD per million tokens
    in=0.25,out=2.00,cached=0.025,written=0.3   with tokens read from a cache, and written to it
    as=openai/gpt-5                             what the price list has for this model
    my-model:in=0.25,out=2.00                   of one model of the run

Rules owned here:

1. A given price wins over the list; that of one model wins over that of every model.
2. Prices are stored as plain data, by the name of the model; the empty name stands for every model.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from .._core.accounting import Price
from .._core.exceptions import ConfigurationError
from ..abc import LLMCallStrategy
from ..llm_strategies.prices import listed_price
from .option_values import OptionError

EVERY_MODEL = ""
"""Stands for the name of each model that has no price of its own."""

_FIELDS = {
    "in": "input",
    "out": "output",
    "cached": "cached_input",
    "written": "cache_written",
    "written_1h": "cache_written_1h",
}
_KEYS = (*_FIELDS, "as")
_TEXT = re.compile(
    rf"(?:(?P<model>.+?)\s*:\s*)?(?P<rates>(?:{'|'.join(_KEYS)})\s*=[^=]*(?:,\s*\w+\s*=[^=]*)*)", re.DOTALL
)
_FORM = "must be such as in=0.25,out=2.00 (USD per million tokens), as=openai/gpt-5, or MODEL:in=0.25,out=2.00"


def how_to_price() -> str:
    """Return how to give a price, for messages."""
    own = "give one with --price in=0.25,out=2.00 (USD per million tokens)"
    if find_spec("genai_prices") is None:
        return f"{own}, or install a list of prices with: pip install 'paceline[prices]'"
    return f"{own}, or say which listed model it is with --price as=openai/gpt-5"


def prices_in(given: object) -> dict[str, dict[str, Any]]:
    """Parse prices: a text, a table, a `Price`, or a list of them; a later one wins.

    Raises:
        OptionError: One cannot be read.
    """
    if isinstance(given, Price):
        return {EVERY_MODEL: _data_of(given)}
    if isinstance(given, str):
        return _of_text(given)
    if isinstance(given, Mapping):
        return _of_table(given)
    if isinstance(given, Sequence):
        found: dict[str, dict[str, Any]] = {}
        for one in given:
            found |= prices_in(one)
        return found
    raise OptionError("price", f"{_FORM}; not {given!r:.60}")


def _of_text(text: str) -> dict[str, dict[str, Any]]:
    if text.lstrip().startswith("{"):
        try:
            return _of_table(json.loads(text))
        except (ValueError, RecursionError):
            raise OptionError("price", f"{_FORM}; not {text!r:.60}") from None
    match = _TEXT.fullmatch(text.strip())
    if match is None:
        raise OptionError("price", f"{_FORM}; not {text!r:.60}")
    pairs = [pair.partition("=") for pair in match["rates"].split(",")]
    table = {name.strip(): value.strip() for name, _, value in pairs}
    if len(table) < len(pairs):
        raise OptionError("price", f"a price is given twice in {text!r:.60}")
    return {match["model"] or EVERY_MODEL: _checked(table)}


def _of_table(table: Mapping[Any, Any]) -> dict[str, dict[str, Any]]:
    """Parse a table of rates for every model, of tables by model, or of both."""
    rates = {
        name: value for name, value in table.items() if name in {*_KEYS, "tiers"} and not isinstance(value, Mapping)
    }
    found = {EVERY_MODEL: _checked(rates)} if rates else {}
    for name, value in table.items():
        if name in rates:
            continue
        if isinstance(value, Price):
            found[name] = _data_of(value)
        elif isinstance(value, Mapping):
            found[str(name)] = _checked(value)
        elif isinstance(value, str):
            found[str(name)] = _of_text(value)[EVERY_MODEL]
        else:
            raise OptionError("price", f"{_FORM}; not {name} = {value!r:.60}")
    return found


def _checked(table: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the rates of one model as numbers."""
    unknown = [name for name in table if name not in {*_KEYS, "tiers"}]
    if unknown:
        raise OptionError("price", f"has no {unknown[0]!r}; it has {', '.join(_KEYS)}")
    if "as" in table:
        if len(table) > 1 or not isinstance(table["as"], str) or not table["as"]:
            raise OptionError("price", "as=PROVIDER/MODEL stands alone: the list has the prices")
        return {"as": table["as"]}
    rates: dict[str, Any] = {name: _number(name, value) for name, value in table.items() if name != "tiers"}
    if not {"in", "out"} <= rates.keys():
        raise OptionError("price", f"needs both in and out; it has {', '.join(rates) or 'neither'}")
    tiers = table.get("tiers", ())
    if not isinstance(tiers, Sequence) or not all(
        isinstance(tier, Mapping) and type(tier.get("above")) is int for tier in tiers
    ):
        raise OptionError("price", "tiers must be tables with above (input tokens), in and out")
    if tiers:
        rates["tiers"] = [
            {"above": tier["above"], **_checked({name: rate for name, rate in tier.items() if name != "above"})}
            for tier in tiers
        ]
    _price(rates)  # its validators
    return rates


def _number(name: str, value: object) -> float:
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError(name)  # noqa: TRY004 - raised for the handler below
        return float(value)
    except ValueError:
        raise OptionError("price", f"{name} must be a number of USD per million tokens, not {value!r:.60}") from None


def _price(rates: Mapping[str, Any]) -> Price:
    try:
        return Price(
            **{_FIELDS[name]: value for name, value in rates.items() if name in _FIELDS},
            tiers={tier["above"]: _price(tier) for tier in rates.get("tiers", ())},
        )
    except ConfigurationError as error:
        raise OptionError("price", str(error)) from None


def _data_of(price: Price) -> dict[str, Any]:
    """Return the plain data of a price."""
    data: dict[str, Any] = {name: getattr(price, field) for name, field in _FIELDS.items()}
    if price.tiers:
        data["tiers"] = [{"above": above, **_data_of(tier)} for above, tier in price.tiers]
    return data


def set_prices(prices: Mapping[str, Mapping[str, Any]], strategies: Mapping[str, LLMCallStrategy[Any]]) -> None:
    """Set the prices of a run's strategies, under rule 1. Blocks for up to a second if one is to be read from the list.

    Args:
        prices: Prices of `prices_in`.
        strategies: Strategies without a ladder, by the names of the models as the run was given them.

    Raises:
        ConfigurationError: A price is of a model that the run does not have, or the list does not have it.
    """
    for name in prices:
        if name != EVERY_MODEL and not any(name in {given, step.model} for given, step in strategies.items()):
            raise OptionError("price", f"no model of this run is {name!r}; it has {_listed(strategies)}")
    for given, strategy in strategies.items():
        data = prices.get(given) or prices.get(strategy.model or "") or prices.get(EVERY_MODEL)
        if data is None:
            continue
        try:
            strategy.price = listed_price(data["as"]) if "as" in data else _price(data)
        except AttributeError:
            raise OptionError("price", f"{given} has a price of its own, which cannot be replaced") from None
        except OptionError:
            raise
        except ConfigurationError as error:
            raise OptionError("price", str(error)) from None


def _listed(names: Iterable[str]) -> str:
    return " and ".join(names)
