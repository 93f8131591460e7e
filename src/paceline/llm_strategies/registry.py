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
from typing import Any, TypeVar, overload

from .._core.exceptions import ConfigurationError, PacelineError
from .._core.fault import redact
from .._core.model_settings import (
    NO_SETTINGS,
    ModelSettings,
    ReasoningEffort,
    check_values,
    is_sampled,
    merged,
    shown,
)
from .._core.provider_answers.classify import describe
from .._core.server_url import shown_url, split_server
from ..abc import LLMCallStrategy
from .common import fingerprint
from .model_settings import anthropic_arguments, gemini_arguments, openai_arguments
from .output_types.output_type import OutputType

T = TypeVar("T")

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


@overload
def model(
    text: str,
    *,
    output_type: type[T],
    cached: bool = ...,
    temperature: float | None = ...,
    max_tokens: int | None = ...,
    reasoning_effort: ReasoningEffort | None = ...,
    seed: int | None = ...,
    **options: Any,
) -> LLMCallStrategy[T]: ...
@overload
def model(
    text: str,
    *,
    cached: bool = ...,
    temperature: float | None = ...,
    max_tokens: int | None = ...,
    reasoning_effort: ReasoningEffort | None = ...,
    seed: int | None = ...,
    **options: Any,
) -> LLMCallStrategy[Any]: ...
def model(  # noqa: PLR0913 - all but the name have defaults
    text: str,
    *,
    cached: bool = False,
    temperature: float | None = None,
    max_tokens: int | None = None,
    reasoning_effort: ReasoningEffort | None = None,
    seed: int | None = None,
    **options: Any,
) -> LLMCallStrategy[Any]:
    """Return the strategy that calls a model.

        strategy = paceline.model("gpt-5-mini", system_instruction="Be brief.", output_type=Person)
        strategy = paceline.model("gemini-2.5-flash", temperature=0, max_tokens=500, options={"top_k": 20})

    Args:
        text: `provider:model`, or a model name that implies its provider; append `@http://...` for a compatible server.
        cached: Whether the context before every prompt is shared in a context cache, as `GeminiCachedStrategy` does.
        temperature: 0 to 2: how much answers to the same prompt differ; None, as of the next three: the provider's default.
        max_tokens: Upper bound on the tokens of an answer, reasoning included; 1 or more.
        reasoning_effort: How much the model reasons: `none`, `minimal`, `low`, `medium`, `high`, `xhigh` or `max`, if it has that word.
        seed: 0 or more; Anthropic has none.
        options: Arguments of the provider's strategy. `options` is a mapping of anything else that the provider takes, by its own
            names.

    Raises:
        ConfigurationError: The provider is unknown, no model is named, the options are wrong, a setting is out of its range, or the provider
            does not have a setting or a context cache.
        MissingExtraError: The provider's package is not installed.
        MissingKeyError: No API key was found.
    """
    given: object = text
    if not isinstance(given, str) or not given.strip():
        raise ConfigurationError(f"a model must be named, such as {_EXAMPLES[0]}; not {text!r}")
    settings = ModelSettings(
        temperature=temperature, max_tokens=max_tokens, reasoning_effort=reasoning_effort, seed=seed
    )
    provider, name = _split(text.strip())
    if cached and provider not in _CACHED:
        raise ConfigurationError(
            f"{text.strip()!r}: only models of {' and '.join(_CACHED)} have a context cache to share; "
            "other providers cache the beginning of prompts automatically, or not at all"
        )
    if provider not in _PROVIDERS:
        return _make_by_plugin(provider, name, {**options, **settings.given})
    name, server = (name, None) if provider == "sim" and "://" not in name else split_server(name)
    if server is not None:
        if "base_url" in options:
            twice = (
                f"{shown_url(server)!r} after the model's name, and {shown_url(str(options['base_url']))!r} as base_url"
            )
            raise ConfigurationError(f"the server is given twice: {twice}")
        name, options = _require_name(provider, name), {**options, "base_url": server}
    module, _, attribute = (_CACHED if cached else _PROVIDERS)[provider].partition(":")
    factory: Callable[..., LLMCallStrategy[Any]] = getattr(import_module(module), attribute)
    if provider == "sim":
        options = _with_settings_of_sim(settings, options)
    elif settings != NO_SETTINGS or "options" in options:
        options = _with_settings(settings, options, provider, name, factory)
    _check_options(factory, options, provider)
    return factory(text.strip() if provider == "sim" else name, **options)


def _with_settings(
    settings: ModelSettings, options: dict[str, Any], provider: str, name: str, factory: Any
) -> dict[str, Any]:
    """Return the options of a strategy with settings under the provider's names."""
    match provider:
        case "gemini":
            return gemini_arguments(settings, options, name)
        case "anthropic":
            return anthropic_arguments(settings, options, name)
        case _:
            is_own_service = factory.is_own_service(options.get("base_url"), options.get("client"))
            return openai_arguments(settings, options, is_own_service=is_own_service)


def _with_settings_of_sim(settings: ModelSettings, options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a simulated model, whose answers do not depend on the settings but may be of a type."""
    rest = dict(options)
    if "options" in rest or settings != NO_SETTINGS:
        given = merged(settings.given, rest.pop("options", None) or {})
        check_values(given)
        rest |= {"settings": shown(given, fingerprint), "is_sampled": is_sampled(given)}
    if "output_type" in rest:
        rest["output_type"] = OutputType.of(rest["output_type"])
    return rest


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
    name, server = split_server(text) if "://" in text else (text, None)
    given = name if server is None else f"{name}@{shown_url(server)}"
    if server is not None and not near:
        raise ConfigurationError(f"{given!r} does not say which API it has; for OpenAI's form write openai:{given}")
    raise ConfigurationError(
        f"unknown model {given!r}{suggestion}; known are {', '.join(f'{name}:...' for name in providers)}, "
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
