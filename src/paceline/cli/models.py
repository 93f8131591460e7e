"""Which strategy a model's name on the command line means."""

from __future__ import annotations

from typing import Any

from ..abc import LLMCallStrategy
from ..llm_strategies.registry import model as named


def strategy_of(model: str) -> LLMCallStrategy[Any]:
    """Return the strategy that calls a model.

    Raises:
        ConfigurationError: there is no such model, or its options are wrong; the message names those that are known.
        MissingExtraError: its client is not installed.
        MissingKeyError: there is no key for it.
    """
    return named(model)
