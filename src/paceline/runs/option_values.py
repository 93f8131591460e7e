"""Option values: parses and checks the value of a single option.

A message names the option, what it must be and the value, unless the value may contain a password.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import attrs

from .._core.exceptions import ConfigurationError
from .._core.fault import TRANSIENT_KINDS, FaultKind

_CONTINUED = re.compile(r"\s*\w+=")  # a part that belongs to the model before it: sim:rate=50,latency=1
_SECRET_PARTS = re.compile(r"://[^/?#\s]*@|[?&][^=&#]*(?:key|token|secret|password|sig)[^=&#]*=", re.IGNORECASE)


PATH = "path"
"""Key of a field's metadata: the value is a path, or - for a standard stream."""


class OptionError(ConfigurationError):
    """An option has an invalid value."""

    def __init__(self, name: str, rule: str) -> None:
        super().__init__(f"--{name.replace('_', '-')}: {rule}")
        self.rule = rule
        """What the option must be and what it is, without its name."""


FAILED = frozenset(FaultKind)
"""Kinds of faults in the group `failed`: all of them."""
KIND_GROUPS: Mapping[str, frozenset[FaultKind]] = {"transient": TRANSIENT_KINDS, "failed": FAILED, "none": frozenset()}
"""Groups of kinds, by name."""


def kinds_in(given: str | Sequence[str], option: str) -> frozenset[FaultKind]:
    """Parse kinds of faults: groups and kinds, separated by commas or in a list; together they are the union.

    Args:
        given: Value of the option. In a string, `transient` is the group; in a list, as a journal stores it, the kind alone.
        option: Name of the option, for the message.

    Raises:
        OptionError: A word is neither a group nor a kind, or `none` is not the only word.
    """
    text = given if isinstance(given, str) else ",".join(given)
    words = [word.strip().lower() for word in text.split(",")]
    if "passing" in words:
        raise OptionError(option, "passing is now called transient")
    if "none" in words and len(words) > 1:
        raise OptionError(option, f"none cannot be combined with other kinds; not {text!r}")
    kinds: set[FaultKind] = set()
    for word in words:
        if word in KIND_GROUPS and (isinstance(given, str) or word != FaultKind.TRANSIENT):
            kinds |= KIND_GROUPS[word]
        elif word in set(FaultKind):
            kinds.add(FaultKind(word))
        else:
            expected = f"{', '.join(KIND_GROUPS)}, or some of {', '.join(FaultKind)}"
            raise OptionError(option, f"must be {expected}; not {text!r}")
    return frozenset(kinds)


def models_in(text: str) -> tuple[str, ...]:
    """Parse names of models separated by commas; a comma before an option of `sim` (`rate=50,latency=1`) does not separate."""
    models: list[str] = []
    for piece in text.split(","):
        if models and _CONTINUED.match(piece):
            models[-1] += f",{piece}"
        else:
            models.append(piece)
    return tuple(model.strip() for model in models)


Validator: TypeAlias = "Callable[[object, attrs.Attribute[Any], Any], None]"


def _must(test: Callable[[Any], bool], rule: str) -> Validator:
    def check(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        if value is not None and not test(value):
            raise OptionError(attribute.name, f"must be {rule}, not {value}")

    return check


at_least_1: Validator = _must(lambda value: value >= 1, "1 or more")
seconds_above_0: Validator = _must(lambda value: 0 < value < math.inf, "a number of seconds above 0")


def no_credentials(_: object, attribute: attrs.Attribute[Any], value: str | Sequence[str] | None) -> None:
    """Refuse a model whose address may contain a credential (attrs validator)."""
    for model in [value] if isinstance(value, str) else value or ():
        if _SECRET_PARTS.search(model):
            raise OptionError(
                attribute.name,
                "the server's address must not contain a user, a password or a key, as it appears in logs and results; "
                "set the key in the provider's variable, such as OPENAI_API_KEY",
            )


def no_empty_model(_: object, attribute: attrs.Attribute[Any], value: Sequence[str]) -> None:
    """Refuse a list with an empty name (attrs validator)."""
    if not all(value):
        raise OptionError(attribute.name, "must be models separated by commas, cheapest first; one of them is empty")
