"""Which strategy a model's name means.

    model("gemini:gemini-2.5-flash")                     the provider and the model
    model("gpt-5-mini")                                  the model alone, where its name tells whose it is
    model("openai:llama3.1:8b@http://127.0.0.1:8000/v1") a compatible server
    model("sim:rate=50,latency=0.5")                     a simulated one

Rules owned here:

1. What stands before the first colon is the provider. A provider is imported when it is first named.
2. Those known here come first; then the entry points of the group `paceline.models`, by which a package registers its own: the
   name is the provider's, the value a callable that takes the rest of the text and the options, and returns a strategy.
3. Whatever is wrong is one sentence: what was given, what is known, and the nearest spelling.
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
"""Of the entry points of other packages."""

_KNOWN = {  # where each is found
    "anthropic": "paceline.llm_strategies.anthropic:AnthropicStrategy",
    "gemini": "paceline.llm_strategies.gemini:GeminiStrategy",
    "openai": "paceline.llm_strategies.openai:OpenAIStrategy",
    "sim": "paceline.testing:parse_model",
}
_CACHED = {"gemini": "paceline.llm_strategies.gemini:GeminiCachedStrategy"}
"""Those that can share what all prompts have in common in a cache of the service."""
_BARE = {  # whose a model is by its own name
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
        text: `provider:model`, or the name of a model that tells whose it is; `@http://...` behind it is another server.
        cached: whether what comes before every prompt is shared in a context cache, as by `GeminiCachedStrategy`.
        options: arguments of the provider's strategy.

    Raises:
        ConfigurationError: there is no such provider, no model is named, the options are wrong, or it has no such cache.
        MissingExtraError: the provider's package is not installed.
        MissingKeyError: there is no key for it.
    """
    given: object = text
    if not isinstance(given, str) or not given.strip():
        raise ConfigurationError(f"a model must be named, such as {_EXAMPLES[0]}; not {text!r}")
    provider, name = _split(text.strip())
    if cached and provider not in _CACHED:
        raise ConfigurationError(
            f"{text.strip()!r}: there is a context cache to share for models of {' and '.join(_CACHED)} alone; "
            "others cache by themselves what prompts begin with, or not at all"
        )
    if provider not in _KNOWN:
        return _made_by_plugin(provider, name, options)
    server = _SERVER.fullmatch(name)
    if server is not None:
        if "base_url" in options:
            raise ConfigurationError(f"the server is given twice: in {text!r}, and as base_url {options['base_url']!r}")
        name, options = _named(provider, server[1]), {**options, "base_url": server[2]}
    module, _, attribute = (_CACHED if cached else _KNOWN)[provider].partition(":")
    factory: Callable[..., LLMCallStrategy[Any]] = getattr(import_module(module), attribute)
    _must_take(factory, options, provider)
    return factory(text.strip() if provider == "sim" else name, **options)


def provider_of(text: str) -> str:
    """Return the provider of a model.

    Raises:
        ConfigurationError: there is none.
    """
    return _split(text.strip())[0]


def _split(text: str) -> tuple[str, str]:
    """Return the provider, and what is asked of it."""
    provider, colon, rest = (part.strip() for part in text.partition(":"))
    if colon and (provider in _KNOWN or provider in _plugins()):
        return provider, _named(provider, rest)
    for known, bare in _BARE.items():
        if bare.match(text):
            return known, text
    providers = sorted({*_KNOWN, *_plugins()})
    near = get_close_matches(provider.lower(), providers if colon else (*providers, *_EXAMPLES), n=1)
    meant = f" (did you mean {near[0]}?)" if near else ""
    raise ConfigurationError(
        f"unknown model {text!r}{meant}; known are {', '.join(f'{name}:...' for name in providers)}, "
        f"and models by names such as {', '.join(_EXAMPLES)}"
    )


def _named(provider: str, name: str) -> str:
    if not name.strip():
        raise ConfigurationError(f"the model's name is empty: {provider}: must be followed by it")
    return name.strip()


def _plugins() -> dict[str, list[metadata.EntryPoint]]:
    """Return the entry points of other packages, by their names."""
    found: dict[str, list[metadata.EntryPoint]] = {}
    for point in metadata.entry_points(group=GROUP):
        if point not in found.setdefault(point.name, []):
            found[point.name].append(point)
    return found


def _made_by_plugin(provider: str, name: str, options: dict[str, Any]) -> LLMCallStrategy[Any]:
    points = _plugins()[provider]
    where = " and ".join(f"{point.value} of {point.dist.name if point.dist else '?'}" for point in points)
    plugin = f"the plug-in for {provider}: ({where})"
    if len(points) > 1:
        raise ConfigurationError(f"{plugin} is there more than once; uninstall all but one")
    try:
        factory = points[0].load()
    except Exception as error:
        raise ConfigurationError(f"{plugin} cannot be loaded: {redact(describe(error))}") from error
    _must_take(factory, options, provider)
    try:
        strategy = factory(name, **options)
    except PacelineError:
        raise
    except Exception as error:
        raise ConfigurationError(f"{plugin} failed: {redact(describe(error))}") from error
    if not isinstance(strategy, LLMCallStrategy):
        raise ConfigurationError(f"{plugin} made no LLMCallStrategy, but {type(strategy).__qualname__}")
    return strategy


def _must_take(factory: Callable[..., object], options: dict[str, Any], provider: str) -> None:
    """Raise for an option that the factory has no parameter for."""
    try:
        _, *parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):  # it does not say what it takes
        return
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return
    known = sorted(parameter.name for parameter in parameters)
    for name in options.keys() - set(known):
        near = get_close_matches(name, known, n=1)
        meant = f" (did you mean {near[0]}?)" if near else ""
        raise ConfigurationError(f"{provider} has no option {name!r}{meant}; it has {', '.join(known) or 'none'}")
