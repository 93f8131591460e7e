"""Model settings: what every provider has under a name of its own (temperature, length, reasoning, seed), and checks of their values.

Rules owned here:

1. A setting has one name here, one type and one range. Each provider's names are the adapters' (`llm_strategies.model_settings`).
2. A value that no provider accepts is refused before the first call, also if it is given under a provider's own name.
3. Answers are samples if their temperature is above 0. If no temperature is given, the provider's default applies, and equal prompts
   are not known to be meant as samples.
4. Numbers and words of settings are shown in identities, so that a changed one can be named. Other values may be long or private: they
   are replaced by a fingerprint.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, get_args

import attrs

from .exceptions import ConfigurationError
from .validators import Number, OneOf, WholeNumber

ReasoningEffort: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
"""How much a model reasons before it answers. A provider has some of these words."""
REASONING_EFFORTS: tuple[str, ...] = get_args(ReasoningEffort)

IS_TEMPERATURE = Number(at_least=0, at_most=2)
IS_TOKENS = WholeNumber(at_least=1)
IS_SEED = WholeNumber(at_least=0)
IS_EFFORT = OneOf(REASONING_EFFORTS)

_PENALTY = Number(at_least=-2, at_most=2)
_SHARE = Number(at_least=0, at_most=1)
_NOT_NEGATIVE = WholeNumber(at_least=0)
_RANGES: Mapping[str, Number | OneOf] = {
    "temperature": IS_TEMPERATURE,
    "top_p": _SHARE,
    "min_p": _SHARE,
    "top_k": Number(at_least=-1),  # -1 means all, for vLLM
    "frequency_penalty": _PENALTY,
    "presence_penalty": _PENALTY,
    "repetition_penalty": Number(above=0),
    "max_tokens": IS_TOKENS,
    "max_completion_tokens": IS_TOKENS,
    "max_output_tokens": IS_TOKENS,
    "seed": WholeNumber(),
    "top_logprobs": WholeNumber(at_least=0, at_most=20),
    "n": WholeNumber(at_least=1, at_most=1),  # of several answers only the first would be read
    "candidate_count": WholeNumber(at_least=1, at_most=1),
    "reasoning_effort": IS_EFFORT,
    "effort": IS_EFFORT,
    "budget_tokens": IS_TOKENS,
    "thinking_budget": WholeNumber(at_least=-1),  # -1 leaves it to Gemini
    "verbosity": OneOf(("low", "medium", "high")),
}
_WORD = re.compile(r"[a-z][a-z_ -]{0,23}", re.ASCII | re.IGNORECASE)
_WORDS_OF = frozenset(
    {"reasoning_effort", "effort", "verbosity", "thinking_level", "type", "service_tier", "media_resolution"}
)
"""Settings whose values are words of the provider, and never private."""


@attrs.frozen(kw_only=True)
class ModelSettings:
    """Settings that most providers have, under the names of this package; None: the provider's default.

    Raises:
        ConfigurationError: A value is out of its range.
    """

    temperature: float | None = attrs.field(default=None, validator=attrs.validators.optional(IS_TEMPERATURE))
    """0 to 2: how much answers to the same prompt differ."""
    max_tokens: int | None = attrs.field(default=None, validator=attrs.validators.optional(IS_TOKENS))
    """Upper bound on the tokens of an answer, reasoning included; 1 or more."""
    reasoning_effort: ReasoningEffort | None = attrs.field(default=None, validator=attrs.validators.optional(IS_EFFORT))
    """How much the model reasons before it answers."""
    seed: int | None = attrs.field(default=None, validator=attrs.validators.optional(IS_SEED))
    """0 or more: the same seed and prompt give similar answers."""

    @property
    def given(self) -> dict[str, Any]:
        """The settings that are not None, by name."""
        return {name: value for name, value in attrs.asdict(self).items() if value is not None}


NO_SETTINGS: ModelSettings = ModelSettings()
SETTINGS: tuple[str, ...] = tuple(field.name for field in attrs.fields(ModelSettings))
"""Names of the settings."""


def check_values(options: Mapping[str, Any], path: str = "") -> None:
    """Check the options of a request that have a known range, at any depth.

    Args:
        options: Options by a provider's names, in snake or camel case.
        path: Where they are, for messages.

    Raises:
        ConfigurationError: A value is out of its range.
    """
    for name, value in options.items():
        if isinstance(value, Mapping):
            check_values(value, f"{path}{name}.")
        elif value is not None and (check := _RANGES.get(snake_case(str(name)))) is not None:
            check.check(f"{path}{name}", value)


def is_sampled(options: Mapping[str, Any]) -> bool:
    """Whether the options of a request have a temperature above 0, at any depth: some go into an extra body."""
    return any(
        is_sampled(value)
        if isinstance(value, Mapping)
        else name == "temperature" and isinstance(value, int | float) and value > 0
        for name, value in options.items()
    )


def shown(options: Mapping[str, Any], fingerprint: Callable[[Any], str | None]) -> dict[str, Any]:
    """Return options as an identity shows them, under rule 4.

    Args:
        options: Options of a request, as plain data.
        fingerprint: Returns a hash of a value.
    """
    return dict(_shown(options, fingerprint))


def _shown(options: Mapping[str, Any], fingerprint: Callable[[Any], str | None]) -> Iterator[tuple[str, Any]]:
    for name, value in sorted(options.items()):
        if isinstance(value, Mapping):
            yield name, shown(value, fingerprint)
        elif value is None or isinstance(value, bool | int):
            yield name, value
        elif isinstance(value, float):
            yield name, int(value) if value.is_integer() else value  # 1 and 1.0 are the same setting
        elif isinstance(value, str) and snake_case(name) in _WORDS_OF and _WORD.fullmatch(value):
            yield name, value
        else:
            yield name, fingerprint(value)


def merged(
    given: Mapping[str, Any], options: Mapping[str, Any], *, names: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any]:
    """Return two sets of options as one.

    Args:
        given: Options that follow from settings, by the provider's names.
        options: Options that the user gave by the provider's names.
        names: For a provider's name, the setting that it comes from, for the message.

    Raises:
        ConfigurationError: An option is in both.
    """
    made = dict(options)
    for name, value in given.items():
        if isinstance(value, Mapping) and isinstance(made.get(name), Mapping):
            made[name] = merged(value, made[name], names=names)
        elif name in made:
            raise ConfigurationError(f"{name} is given twice: as {names.get(name, name)} and in options")
        else:
            made[name] = value
    return made


def nested(name: str, value: Any) -> dict[str, Any]:
    """Return an option whose name has dots as options within options: `a.b` is `{"a": {"b": value}}`.

    Raises:
        ConfigurationError: A part of the name is empty.
    """
    first, dot, rest = name.partition(".")
    if not first.strip() or (dot and not rest):
        raise ConfigurationError(f"the name of an option must not be empty, as in {name!r}")
    return {first.strip(): nested(rest, value) if dot else value}


def snake_case(name: str) -> str:
    """Return a name in camel case as Gemini's API has it, in snake case as its package has it."""
    return re.sub(r"(?<=[a-z])[A-Z]", lambda match: f"_{match.group().lower()}", name)
