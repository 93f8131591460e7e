"""Options that a provider refuses together: found before the first call, which every item would pay for with an error.

Rules owned here:

1. Only what a provider documents, or always answers with the same error, is refused here; its page is named beside each rule.
2. A compatible server may have other rules. What only the provider's own models refuse is checked for these alone.
3. An option that makes the model call a tool in every reply leaves no answer to read, whoever serves it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .._core.exceptions import ConfigurationError

_LEAST_BUDGET = 1_024  # tokens of thought: Anthropic refuses less
_THINKING = ("enabled", "adaptive")
_LEAST_TOP_P = 0.95  # with thinking
_REASONS_ONLY = re.compile(r"(?:o[134](?:-|\Z)|gpt-5(?:-mini|-nano)?(?:-20\d\d-\d\d-\d\d)?\Z)")
"""OpenAI's models that cannot leave out reasoning; later ones can, by the effort `none`."""
_DEFAULTS = {"temperature": 1, "top_p": 1, "presence_penalty": 0, "frequency_penalty": 0, "logprobs": False}
"""The only values that OpenAI's reasoning models accept, https://platform.openai.com/docs/guides/latest-model."""
_NO_TOOLS_WITH_JSON = re.compile(r"(?:.*/)?gemini-(?:1|2)\b")


def check_anthropic(options: Mapping[str, Any], model: str, *, is_own_service: bool) -> None:
    """Refuse options that Anthropic does not accept together.

    Args:
        options: Arguments of the request, as the user gave them.
        model: Name of the model.
        is_own_service: Whether the provider itself is called, and no compatible server.

    Raises:
        ConfigurationError: An option is not accepted; the message names it, and what it contradicts.
    """
    given = _flat(options)
    forces = _mapping(given.get("tool_choice")).get("type") in ("any", "tool")
    if forces:
        raise _tool_is_forced()
    if not thinks(options) or not (is_own_service or "claude" in model.lower()):
        return
    # https://docs.claude.com/en/docs/build-with-claude/extended-thinking
    if given.get("temperature") not in (None, 1) or given.get("top_k") is not None:
        name = "top_k" if given.get("top_k") is not None else "temperature"
        raise ConfigurationError(f"options: {model} accepts no {name} while it thinks; remove {name} or thinking")
    top_p = given.get("top_p")
    if isinstance(top_p, int | float) and top_p < _LEAST_TOP_P:
        raise ConfigurationError(
            f"options: {model} accepts top_p from {_LEAST_TOP_P} to 1 while it thinks, not {top_p}"
        )
    budget, most = thinking_budget(options), given.get("max_tokens")
    if budget is None:
        return
    if budget < _LEAST_BUDGET:
        raise ConfigurationError(f"options: thinking.budget_tokens must be {_LEAST_BUDGET:,} or more, not {budget:,}")
    interleaved = "interleaved-thinking" in str(_mapping(given.get("extra_headers")))  # its budget may be larger
    if isinstance(most, int) and budget >= most and not interleaved:
        raise ConfigurationError(
            f"options: max_tokens ({most:,}) must be above thinking.budget_tokens ({budget:,}), as thoughts count too"
        )


def thinks(options: Mapping[str, Any]) -> bool:
    """Whether options turn on the thinking of Anthropic's models."""
    return _mapping(_flat(options).get("thinking")).get("type") in _THINKING


def thinking_budget(options: Mapping[str, Any]) -> int | None:
    """Return the tokens that Anthropic's models may think; None if the options have no budget."""
    thinking = _mapping(_flat(options).get("thinking"))
    budget = thinking.get("budget_tokens")
    return budget if thinking.get("type") == "enabled" and type(budget) is int else None


def check_openai(options: Mapping[str, Any], model: str, *, is_own_service: bool) -> None:
    """Refuse options that OpenAI does not accept together, or with a model; arguments and error as for `check_anthropic`."""
    given = _flat(options)
    choice = given.get("tool_choice")
    if choice == "required" or _mapping(choice).get("type") == "function" or _mapping(given.get("function_call")):
        raise _tool_is_forced()
    if not is_own_service or not _REASONS_ONLY.match(model):
        return
    for name, default in _DEFAULTS.items():
        if given.get(name) not in (None, default):
            raise ConfigurationError(f"options: {model} reasons, and accepts no {name}; remove it")
    if given.get("max_tokens") is not None:
        raise ConfigurationError(f"options: {model} reasons, and accepts no max_tokens; use max_completion_tokens")


def check_gemini(config: Any, model: str, *, is_typed: bool) -> None:
    """Refuse a config that Gemini does not accept.

    Args:
        config: The `GenerateContentConfig`.
        model: Name of the model.
        is_typed: Whether the answers have an output type.

    Raises:
        ConfigurationError: Two settings contradict each other; the message names both.
    """
    if (
        is_typed and config.tools and _NO_TOOLS_WITH_JSON.match(model)
    ):  # https://github.com/googleapis/python-genai/issues/867
        raise ConfigurationError(
            f"config.tools: {model} accepts no tools together with output_type; use a model from Gemini 3 on, or text answers"
        )
    thinking = config.thinking_config
    if thinking is not None and thinking.thinking_budget is not None and thinking.thinking_level is not None:
        raise ConfigurationError("config.thinking_config: give either thinking_budget or thinking_level, not both")


def _tool_is_forced() -> ConfigurationError:
    return ConfigurationError(
        "options: tool_choice makes the model call a tool in every reply, which is not an answer; remove it, or send requests"
    )


def _flat(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a request with those in its extra body."""
    return {**options, **_mapping(options.get("extra_body"))}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
