"""Which strategy a model's name on the command line means."""

from __future__ import annotations

from typing import Any

from .._core.exceptions import ConfigurationError
from ..abc import LLMCallStrategy
from ..testing import parse_model

_GEMINI = ("gemini-", "gemma-")


def strategy_of(model: str) -> LLMCallStrategy[Any]:
    """Return the strategy that calls a model.

    Raises:
        ConfigurationError: there is no such model, or its options are wrong; the message names those that are known.
        MissingExtraError: its client is not installed.
        MissingKeyError: there is no key for it.
    """
    if model == "sim" or model.startswith("sim:"):
        return parse_model(model)
    if model.startswith(_GEMINI):
        from ..llm_strategies.gemini import GeminiStrategy  # noqa: PLC0415 - it is an extra, and slow to import

        return GeminiStrategy(model)
    raise ConfigurationError(
        f"unknown model {model!r}; known are gemini-2.5-flash and Gemini's other models by their names, "
        "and sim or sim:rate=50,latency=0.5,... for a simulated one"
    )
