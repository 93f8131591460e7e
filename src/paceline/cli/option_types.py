"""Option types: how the words of an option are read, bounded and shown in help, for all verbs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cyclopts import Group, Parameter, Token

from .._core.fault import FaultKind
from ..runs.option_values import PATH, OptionError, kinds_in, models_in


def to_kinds(_: Any, tokens: Sequence[Token]) -> frozenset[FaultKind]:
    """Parse the kinds of faults given to --retry or --kinds."""
    return kinds_in(",".join(token.value for token in tokens), _name_of(tokens))


def to_models(_: Any, tokens: Sequence[Token]) -> tuple[str, ...]:
    """Parse the models given to --escalate."""
    return models_in(",".join(token.value for token in tokens))


def to_options(_: Any, tokens: Sequence[Token]) -> tuple[str, ...]:
    """Return the texts given to --option or --price, which `RunOptions` parses; those of a config file come first."""
    return tuple(token.value for token in tokens)


def to_whole(_: Any, tokens: Sequence[Token]) -> int:
    """Parse a whole number; cyclopts itself would round a fraction.

    Raises:
        OptionError: The value is not a whole number.
    """
    try:
        return int(tokens[-1].value)
    except ValueError:
        raise OptionError(_name_of(tokens), f"must be a whole number, not {tokens[-1].value!r}") from None


def whole_number(least: int) -> Parameter:
    """Return the parameter of an option that is a whole number, `least` or more."""

    def check(_: Any, value: int | None) -> None:
        if value is not None and value < least:
            raise ValueError(f"must be {least} or more")

    return Parameter(validator=check, **WHOLE)


def _name_of(tokens: Sequence[Token]) -> str:
    return (tokens[-1].keyword or "").lstrip("-")


_GROUPS = {"Model": 1, "Input": 2, "Output": 3, "Journal": 4, "Run": 5}


def in_group(name: str, /, **about: Any) -> Parameter:
    """Return the parameter of an option that help shows in a group."""
    return Parameter(group=Group(name, sort_key=_GROUPS[name]), **about)


# What parameters of one kind have in common.
FLAG: Mapping[str, Any] = {"negative": "", "show_default": False}
IS_PATH: Mapping[str, Any] = {PATH: True}
WHOLE: Mapping[str, Any] = {"metavar": "N", "converter": to_whole, "n_tokens": 1}
FILE: Mapping[str, Any] = {"metavar": "FILE", "show_default": False}
FORMAT: Mapping[str, Any] = {"metavar": "KIND", "show_choices": False}
MODELS: Mapping[str, Any] = {"metavar": "A,B,C", "converter": to_models, "n_tokens": 1, **FLAG}
OPTIONS: Mapping[str, Any] = {
    "metavar": "KEY=VALUE",
    "converter": to_options,
    "n_tokens": 1,
    "accepts_keys": False,
    "consume_multiple": False,
    **FLAG,
}
KINDS: Mapping[str, Any] = {"metavar": "KINDS", "converter": to_kinds, "n_tokens": 1, "show_choices": False, **FLAG}
