"""What an option's value may be, and what it means, wherever it is written.

A message names the option, what it must be, and the value; but never a value that may hold a password.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
from cyclopts import Token

from .._core.exceptions import ConfigurationError
from .._core.fault import PASSING, FaultKind

_CONTINUED = re.compile(r"\s*\w+=")  # a piece that belongs to the model before it: sim:rate=50,latency=1
_SECRET_PARTS = re.compile(r"://[^/?#\s]*@|[?&][^=&#]*(?:key|token|secret|password|sig)[^=&#]*=", re.IGNORECASE)


class OptionError(ConfigurationError):
    """An option has a value that it cannot have."""

    def __init__(self, name: str, rule: str) -> None:
        super().__init__(f"--{name.replace('_', '-')}: {rule}")
        self.rule = rule
        """What it must be, and what it is, without the option's name."""


FAILED = frozenset(FaultKind)
"""The kinds that `--retry failed` means."""
_NAMED: Mapping[str, frozenset[FaultKind]] = {"passing": PASSING, "failed": FAILED, "none": frozenset()}


def retried(text: str) -> frozenset[FaultKind]:
    """Return the kinds of failures that a value of --retry means.

    Raises:
        OptionError: it has a word that is none.
    """
    return kinds_in(text, "retry")


def kinds_in(text: str, option: str) -> frozenset[FaultKind]:
    """Return the kinds of failures that are named in the value of an option.

    Raises:
        OptionError: it has a word that is none.
    """
    words = [word.strip().lower() for word in text.split(",")]
    if len(words) == 1 and words[0] in _NAMED:
        return _NAMED[words[0]]
    for word in words:
        if word not in set(FaultKind):
            raise OptionError(option, f"must be {', '.join(_NAMED)}, or some of {', '.join(FaultKind)}; not {text!r}")
    return frozenset(map(FaultKind, words))


def models_in(text: str) -> tuple[str, ...]:
    """Return the models of a list with commas between them; those of the options of `sim` part nothing."""
    models: list[str] = []
    for piece in text.split(","):
        if models and _CONTINUED.match(piece):
            models[-1] += f",{piece}"
        else:
            models.append(piece)
    return tuple(model.strip() for model in models)


def _must(test: Callable[[Any], bool], rule: str) -> Callable[[object, attrs.Attribute[Any], Any], None]:
    def check(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        if value is not None and not test(value):
            raise OptionError(attribute.name, f"must be {rule}, not {value}")

    return check


at_least_1 = _must(lambda value: value >= 1, "1 or more")
seconds_above_0 = _must(lambda value: 0 < value < math.inf, "a number of seconds above 0")


def no_credentials(_: object, attribute: attrs.Attribute[Any], value: str | Sequence[str] | None) -> None:
    """Refuse a model whose address may have a key in it: a validator of attrs."""
    for model in [value] if isinstance(value, str) else value or ():
        if _SECRET_PARTS.search(model):
            raise OptionError(
                attribute.name,
                "the server's address must not hold a user, a password or a key, as it is told in logs and results; "
                "give the key by the provider's variable, such as OPENAI_API_KEY",
            )


def no_empty_model(_: object, attribute: attrs.Attribute[Any], value: Sequence[str]) -> None:
    """Refuse a list that has a gap: a validator of attrs."""
    if not all(value):
        raise OptionError(
            attribute.name, "must be models with commas between them, cheapest first; one of them is empty"
        )


def to_retried(_: Any, tokens: Sequence[Token]) -> frozenset[FaultKind]:
    """Return the kinds that were given to --retry."""
    return retried(",".join(token.value for token in tokens))


def to_models(_: Any, tokens: Sequence[Token]) -> tuple[str, ...]:
    """Return the models that were given."""
    return models_in(",".join(token.value for token in tokens))


def to_whole(_: Any, tokens: Sequence[Token]) -> int:
    """Return the whole number that was given: cyclopts would round what is none.

    Raises:
        OptionError: it is none.
    """
    token = tokens[-1]
    try:
        return int(token.value)
    except ValueError:
        raise OptionError((token.keyword or "").lstrip("-"), f"must be a whole number, not {token.value!r}") from None
