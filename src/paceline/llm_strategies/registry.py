"""Model registry: makes the strategy for a model string. To add a provider, add it to `_PROVIDERS`, or as an entry point.

    model("gemini:gemini-2.5-flash")                     provider and model
    model("gpt-5-mini")                                  model alone, where its name implies the provider
    model("openai:llama3.1:8b@http://127.0.0.1:8000/v1") compatible server
    model("sim:rate=50,latency=0.5")                     simulated provider

Rules owned here:

1. The text before the first colon is the provider. A provider's module is imported when it is first named.
2. The providers listed here come first, then the entry points of the group `paceline.models`, through which a package registers
   its own: the name is the provider, the value a callable that takes the rest of the text and the options and returns a strategy.
3. An error message is one sentence: what was given, what is known, and the nearest spelling.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from difflib import get_close_matches
from importlib import import_module, metadata
from typing import Any

from .._core.classify import describe
from .._core.exceptions import ConfigurationError, PacelineError
from .._core.fault import redact
from ..abc import LLMCallStrategy

GROUP = "paceline.models"
"""Entry point group in which other packages register providers."""

_PROVIDERS = {  # the strategy of each, as module:class
    "anthropic": "paceline.llm_strategies.anthropic:AnthropicStrategy",
    "gemini": "paceline.llm_strategies.gemini:GeminiStrategy",
    "openai": "paceline.llm_strategies.openai:OpenAIStrategy",
    "sim": "paceline.testing:parse_model",
}
_CACHED = {"gemini": "paceline.llm_strategies.gemini:GeminiCachedStrategy"}
"""Strategies that share the common part of all prompts in a context cache of the service."""
_MODEL_NAMES = {  # beginnings of model names that imply a provider
    "anthropic": re.compile(r"claude-"),
    "gemini": re.compile(r"gemini-|gemma-"),
    "openai": re.compile(r"gpt-|chatgpt-|o\d"),
    "sim": re.compile(r"sim\Z"),
}
_EXAMPLES = ("gemini-2.5-flash", "gpt-5-mini", "claude-haiku-4-5")
_SERVER = re.compile(r"(.*)@(https?://.*)", re.DOTALL)


def model(text: str, *, cached: bool = False, **options: Any) -> LLMCallStrategy[Any]:
    """Return the strategy that calls a model.

        strategy = paceline.model("gpt-5-mini", system_instruction="Be brief.", output_type=Person)

    Args:
        text: `provider:model`, or a model name that implies its provider; append `@http://...` for a compatible server.
        cached: Whether the context before every prompt is shared in a context cache, as `GeminiCachedStrategy` does.
        options: Arguments of the provider's strategy.

    Raises:
        ConfigurationError: The provider is unknown, no model is named, the options are wrong, or the provider has no context cache.
        MissingExtraError: The provider's package is not installed.
        MissingKeyError: No API key was found.
    """
    given: object = text
    if not isinstance(given, str) or not given.strip():
        raise ConfigurationError(f"a model must be named, such as {_EXAMPLES[0]}; not {text!r}")
    provider, name = _split(text.strip())
    if cached and provider not in _CACHED:
        raise ConfigurationError(
            f"{text.strip()!r}: only models of {' and '.join(_CACHED)} have a context cache to share; "
            "other providers cache the beginning of prompts automatically, or not at all"
        )
    if provider not in _PROVIDERS:
        return _make_by_plugin(provider, name, options)
    server = _SERVER.fullmatch(name)
    if server is not None:
        if "base_url" in options:
            raise ConfigurationError(f"the server is given twice: in {text!r}, and as base_url {options['base_url']!r}")
        name, options = _require_name(provider, server[1]), {**options, "base_url": server[2]}
    module, _, attribute = (_CACHED if cached else _PROVIDERS)[provider].partition(":")
    factory: Callable[..., LLMCallStrategy[Any]] = getattr(import_module(module), attribute)
    _check_options(factory, options, provider)
    return factory(text.strip() if provider == "sim" else name, **options)


def provider_of(text: str) -> str:
    """Return the provider of a model.

    Raises:
        ConfigurationError: The provider is unknown.
    """
    return _split(text.strip())[0]


def _split(text: str) -> tuple[str, str]:
    """Return the provider and the rest of the text: the model or the settings."""
    provider, colon, rest = (part.strip() for part in text.partition(":"))
    if colon and (provider in _PROVIDERS or provider in _plugins()):
        return provider, _require_name(provider, rest)
    for known, pattern in _MODEL_NAMES.items():
        if pattern.match(text):
            return known, text
    providers = sorted({*_PROVIDERS, *_plugins()})
    near = get_close_matches(provider.lower(), providers if colon else (*providers, *_EXAMPLES), n=1)
    suggestion = f" (did you mean {near[0]}?)" if near else ""
    raise ConfigurationError(
        f"unknown model {text!r}{suggestion}; known are {', '.join(f'{name}:...' for name in providers)}, "
        f"and models by names such as {', '.join(_EXAMPLES)}"
    )


def _require_name(provider: str, name: str) -> str:
    if not name.strip():
        raise ConfigurationError(f"the model's name is missing; write it after {provider}:")
    return name.strip()


def _plugins() -> dict[str, list[metadata.EntryPoint]]:
    """Return the entry points of other packages by name."""
    found: dict[str, list[metadata.EntryPoint]] = {}
    for point in metadata.entry_points(group=GROUP):
        if point not in found.setdefault(point.name, []):
            found[point.name].append(point)
    return found


def _make_by_plugin(provider: str, name: str, options: dict[str, Any]) -> LLMCallStrategy[Any]:
    points = _plugins()[provider]
    where = " and ".join(f"{point.value} of {point.dist.name if point.dist else '?'}" for point in points)
    plugin = f"the plug-in for {provider}: ({where})"
    if len(points) > 1:
        raise ConfigurationError(f"{plugin} is installed more than once; uninstall all but one")
    try:
        factory = points[0].load()
    except Exception as error:
        raise ConfigurationError(f"{plugin} cannot be loaded: {redact(describe(error))}") from error
    _check_options(factory, options, provider)
    try:
        strategy = factory(name, **options)
    except PacelineError:
        raise
    except Exception as error:
        raise ConfigurationError(f"{plugin} failed: {redact(describe(error))}") from error
    if not isinstance(strategy, LLMCallStrategy):
        raise ConfigurationError(f"{plugin} must return an LLMCallStrategy, not {type(strategy).__qualname__}")
    return strategy


def _check_options(factory: Callable[..., object], options: dict[str, Any], provider: str) -> None:
    """Raise for an option that is not a parameter of the factory."""
    try:
        _, *parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):  # it has no readable signature
        return
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return
    known = sorted(parameter.name for parameter in parameters)
    for name in options.keys() - set(known):
        near = get_close_matches(name, known, n=1)
        suggestion = f" (did you mean {near[0]}?)" if near else ""
        raise ConfigurationError(f"{provider} has no option {name!r}{suggestion}; it has {', '.join(known) or 'none'}")
