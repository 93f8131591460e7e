"""Names of model settings: for each provider, the arguments of its strategy that carry them.

| setting | OpenAI | compatible server | Anthropic | Gemini |
|---|---|---|---|---|
| temperature | temperature | temperature | temperature, 0 to 1 | temperature |
| max_tokens | max_completion_tokens | max_tokens | max_tokens | max_output_tokens |
| reasoning_effort | reasoning_effort | reasoning_effort | thinking, output_config.effort | thinking_config |
| seed | seed | seed | - | seed |

Rules owned here:

1. A setting that a provider does not have, or a word that it does not know, is refused and not left out: the user would pay for
   answers that were not asked for.
2. Up to Opus 4.1, Sonnet 4.5 and Haiku 4.5, Anthropic's models think within a budget of tokens; later ones have an effort. Up to 2.5,
   Gemini has a budget; later models have a level. The budgets are those that Google documents for OpenAI's words.
3. The bound on the tokens of an answer includes what the model thinks, as all three providers count it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .._core.exceptions import ConfigurationError
from .._core.model_settings import ModelSettings, merged, snake_case
from .._core.validators import Number, OneOf

_BUDGETS = {"minimal": 1_024, "low": 1_024, "medium": 8_192, "high": 24_576}
"""Tokens of thought: https://ai.google.dev/gemini-api/docs/openai#thinking."""
_LEAST_BUDGET = 1_024  # tokens: Anthropic refuses less
_THINKS_IN_TOKENS = re.compile(
    r".*claude-(?:3|(?:opus|sonnet)-4(?:-[01]\b|-20\d{6}|\Z)|sonnet-4-5|haiku-4)", re.IGNORECASE
)
"""Anthropic's models of rule 2."""
_HAS_NO_ADAPTIVE_THINKING = re.compile(r".*claude-opus-4-5", re.IGNORECASE)
_HAS_LEVELS = re.compile(r".*gemini-(?:[3-9]|[1-9]\d|flash-latest|pro-latest)", re.IGNORECASE)
"""Gemini's models of rule 2."""
_NAMES = {
    "max_completion_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "thinking": "reasoning_effort",
    "effort": "reasoning_effort",
    "thinking_budget": "reasoning_effort",
    "thinking_level": "reasoning_effort",
}


def openai_arguments(settings: ModelSettings, arguments: Mapping[str, Any], *, is_own_service: bool) -> dict[str, Any]:
    """Return the arguments of `OpenAIStrategy` with settings.

    Args:
        settings: The settings.
        arguments: The other arguments.
        is_own_service: Whether OpenAI itself is called. It refuses `max_tokens` for its reasoning models, and compatible servers
            may ignore `max_completion_tokens`.

    Raises:
        ConfigurationError: A setting is also in the options.
    """
    given = settings.given
    if is_own_service and "max_tokens" in given:
        given["max_completion_tokens"] = given.pop("max_tokens")
    options = _options(arguments)
    if "max_tokens" in given and "max_completion_tokens" in options:
        raise ConfigurationError("max_completion_tokens is given twice: as max_tokens and in options")
    return {**arguments, "options": merged(given, options, names=_NAMES)}


def anthropic_arguments(settings: ModelSettings, arguments: Mapping[str, Any], model: str) -> dict[str, Any]:
    """Return the arguments of `AnthropicStrategy` with settings.

    Args:
        settings: The settings.
        arguments: The other arguments.
        model: Name of the model.

    Raises:
        ConfigurationError: Anthropic does not have a setting, or two contradict each other.
    """
    given, effort = settings.given, settings.reasoning_effort
    if "seed" in given:
        raise ConfigurationError(f"{model}: Anthropic's models have no seed; leave it out")
    if settings.temperature is not None:
        Number(at_least=0, at_most=1).check(f"{model}: temperature", settings.temperature)
    if effort is not None and effort != "none" and settings.temperature not in {None, 1}:
        raise ConfigurationError(
            f"{model}: a model that reasons has no temperature; leave out temperature or reasoning_effort"
        )
    given.pop("reasoning_effort", None)
    if effort is not None:
        given |= _anthropic_thinking(effort, settings.max_tokens, model)
    return {**arguments, "options": merged(given, _options(arguments), names=_NAMES)}


def _anthropic_thinking(effort: str, max_tokens: int | None, model: str) -> dict[str, Any]:
    if not _THINKS_IN_TOKENS.match(model):
        _check_effort(effort, ("none", "low", "medium", "high", "xhigh", "max"), model)
        if effort == "none":
            return {"thinking": {"type": "disabled"}}
        thinking = {} if _HAS_NO_ADAPTIVE_THINKING.match(model) else {"thinking": {"type": "adaptive"}}
        return {**thinking, "output_config": {"effort": effort}}
    _check_effort(effort, ("none", "low", "medium", "high"), model)
    if effort == "none":
        return {"thinking": {"type": "disabled"}}
    budget = _BUDGETS[effort]
    if max_tokens is None:  # the strategy adds the budget to its own bound
        return {"thinking": {"type": "enabled", "budget_tokens": budget}}
    if max_tokens <= _LEAST_BUDGET:
        raise ConfigurationError(
            f"{model}: max_tokens must be above {_LEAST_BUDGET:,} with reasoning_effort {effort}, as thoughts count too; not {max_tokens:,}"
        )
    return {"thinking": {"type": "enabled", "budget_tokens": max(_LEAST_BUDGET, min(budget, max_tokens // 2))}}


def gemini_arguments(settings: ModelSettings, arguments: Mapping[str, Any], model: str) -> dict[str, Any]:
    """Return the arguments of `GeminiStrategy` with settings, and with options as fields of its config.

    Args:
        settings: The settings.
        arguments: The other arguments, of which `options` becomes a part of `config`.
        model: Name of the model.

    Raises:
        ConfigurationError: Gemini does not know the word of an effort, or a setting is also in the options.
    """
    given = settings.given
    if "max_tokens" in given:
        given["max_output_tokens"] = given.pop("max_tokens")
    effort = given.pop("reasoning_effort", None)
    if effort is not None:
        given["thinking_config"] = _gemini_thinking(effort, model)
    options = {snake_case(str(name)): value for name, value in _options(arguments).items()}
    rest = {name: value for name, value in arguments.items() if name != "options"}
    config = rest.get("config")
    if config is not None and not isinstance(config, Mapping):
        config = config.model_dump(exclude_none=True)
    return {**rest, "config": merged(merged(given, options, names=_NAMES), config or {})}


def _gemini_thinking(effort: str, model: str) -> dict[str, Any]:
    if _HAS_LEVELS.match(model):
        _check_effort(effort, ("minimal", "low", "medium", "high", "xhigh"), model)
        return {"thinking_level": effort.upper()}
    _check_effort(effort, ("none", *_BUDGETS), model)
    if effort == "none" and "pro" in model:
        raise ConfigurationError(
            f"{model}: always reasons, so that reasoning_effort cannot be none; the least is minimal"
        )
    return {"thinking_budget": 0 if effort == "none" else _BUDGETS[effort]}


def _check_effort(effort: str, words: tuple[str, ...], model: str) -> None:
    OneOf(words).check(f"{model}: reasoning_effort", effort)


def _options(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    options = arguments.get("options") or {}
    if not isinstance(options, Mapping):
        raise ConfigurationError(f"options must be a mapping, not {type(options).__name__}")
    return options
