"""Values of strategies: read so that a property of a user's strategy may raise anything."""

from __future__ import annotations

from typing import Any

from ..._core.accounting import Price
from ..._core.connections import Connections
from ..._core.provider_answers.classify import describe
from ...abc import Ladder, LLMCallStrategy
from ..loop.foreign import logger


def model_of(strategy: LLMCallStrategy[Any]) -> str | None:
    """Return the name of a strategy's model; None if it has none or it cannot be read."""
    try:
        model = strategy.model
    except Exception:  # noqa: BLE001 - a foreign property may raise anything
        return None
    return model if isinstance(model, str) else None


def price_of(strategy: LLMCallStrategy[Any]) -> Price | None:
    """Return a strategy's price; None if it has none or it cannot be read."""
    try:
        price = strategy.price
    except Exception:  # noqa: BLE001 - as above
        return None
    return price if isinstance(price, Price) else None


def output_bound_of(strategy: LLMCallStrategy[Any]) -> int | None:
    """Return a strategy's upper bound on the tokens of an answer; None if it has none or it cannot be read."""
    try:
        bound = strategy.max_output_tokens
    except Exception:  # noqa: BLE001 - as above
        return None
    return bound if type(bound) is int and bound > 0 else None


def connections_of(strategy: LLMCallStrategy[Any]) -> Connections | None:
    """Return the connections of a strategy's client; None if they are not limited or cannot be read."""
    try:
        connections = strategy.connections
    except Exception:  # noqa: BLE001 - as above
        return None
    return connections if isinstance(connections, Connections) else None


def ladder_of(strategy: LLMCallStrategy[Any]) -> Ladder | None:
    """Return the ladder of a strategy; None if it has none or it cannot be read."""
    try:
        ladder = strategy.ladder
    except Exception as error:  # noqa: BLE001 - as above
        logger.warning("%s.ladder failed: %s", type(strategy).__qualname__, describe(error))
        return None
    return ladder if isinstance(ladder, Ladder) else None
