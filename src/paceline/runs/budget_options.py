"""Budget options: the caps on cost and tokens that a run is given, and the budget that they make.

5.00            USD for all calls of the journal, those of earlier runs and failed ones included
gpt-5:2.00      USD for the calls of one model of the run
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .._core.budget import Budget
from ..abc import LLMCallStrategy
from ..llm_strategies.prices import known_price
from .option_values import OptionError
from .price_options import EVERY_MODEL, how_to_price

ALL_CALLS = EVERY_MODEL
"""Stands for the name of a model where a cap is on all calls."""

_FORM = "must be an amount in USD above 0, such as 5.00, or MODEL:2.00"


def max_costs_in(given: object) -> dict[str, float]:
    """Parse caps in USD: a number, a text, a table by model, or a list of them; a later one wins.

    Raises:
        OptionError: One cannot be read.
    """
    if isinstance(given, Mapping):
        return {str(name): _usd(value) for name, value in given.items()}
    if isinstance(given, str):
        model, colon, usd = given.rpartition(":")
        return {model.strip() if colon else ALL_CALLS: _usd(usd)}
    if isinstance(given, Sequence):
        found: dict[str, float] = {}
        for one in given:
            found |= max_costs_in(one)
        return found
    return {} if given is None else {ALL_CALLS: _usd(given)}


def _usd(value: object) -> float:
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError(value)  # noqa: TRY004 - raised for the handler below
        usd = float(str(value).strip().removeprefix("$"))
    except ValueError:
        raise OptionError("max_cost", f"{_FORM}; not {value!r:.60}") from None
    if not 0 < usd < float("inf"):
        raise OptionError("max_cost", f"{_FORM}; not {value!r:.60}")
    return usd


def budget_of(
    max_cost: Mapping[str, float], max_tokens: int | None, strategies: Mapping[str, LLMCallStrategy[Any]]
) -> Budget | None:
    """Return the budget of a run; None if it has no cap. Blocks for up to a second to look prices up, if there is a cap in USD.

    Args:
        max_cost: Caps of `max_costs_in`.
        max_tokens: Cap on the tokens of all calls; None: no cap.
        strategies: Strategies without a ladder, by the names of the models as the run was given them.

    Raises:
        OptionError: A cap is on a model that the run does not have, or the price of a model is not known.
    """
    if not max_cost and max_tokens is None:
        return None
    names = {given: step.model or step.quota for given, step in strategies.items()}
    models: dict[str, Budget] = {}
    for name, usd in max_cost.items():
        if name != ALL_CALLS:
            model = names.get(name, name)
            if model not in names.values():
                raise OptionError("max_cost", f"no model of this run is {name!r}; it has {' and '.join(names)}")
            models[model] = Budget(usd=usd)
    budget = Budget(usd=max_cost.get(ALL_CALLS), tokens=max_tokens, models=models)
    for strategy in strategies.values():
        model = strategy.model or strategy.quota
        if budget.needs_price_of(model) and known_price(strategy) is None:
            raise OptionError(
                "max_cost", f"needs the price of each model, and none is known of {model}; {how_to_price()}"
            )
    return budget
