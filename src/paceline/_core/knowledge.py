"""Whether what is given as knowledge of a quota can be that: it may come from a file, which anybody may have written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import attrs

from .exceptions import ConfigurationError
from .pace import PaceKnowledge

_MOST_WORKERS = 10**6


def checked(knowledge: object) -> dict[str, PaceKnowledge]:
    """Return a copy of a mapping from quotas to what is known of them.

    Raises:
        ConfigurationError: it is none, or a value is out of its bounds; the message has the field, the value, the bound.
    """
    if not isinstance(knowledge, Mapping):
        raise ConfigurationError(f"knowledge must map quotas to PaceKnowledge, not {type(knowledge).__name__}")
    for quota, known in knowledge.items():
        if not isinstance(quota, str):
            raise ConfigurationError(f"knowledge must map quotas to PaceKnowledge; {quota!r} is no quota's name")
        if not isinstance(known, PaceKnowledge):
            raise ConfigurationError(f"knowledge[{quota!r}] must be a PaceKnowledge, not {type(known).__name__}")
        _check(quota, known)
    return dict(knowledge)


def _check(quota: str, known: PaceKnowledge) -> None:
    for field in attrs.fields(PaceKnowledge):
        value = getattr(known, field.name)
        bound = _broken_bound(field.name, value)
        if bound is not None:
            raise ConfigurationError(f"knowledge[{quota!r}].{field.name} must be {bound}, not {value!r}")


def _broken_bound(field: str, value: Any) -> str | None:
    """Return what the value should be and is not."""
    if field == "limit":
        fits = type(value) is int and 1 <= value <= _MOST_WORKERS
        return None if fits else f"a whole number from 1 to {_MOST_WORKERS:,}"
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
        return "a number"
    if field in {"rate", "token_rate"}:
        return None if value > 0 else "a number above 0"
    return None if 0 <= value < math.inf else "a finite number, 0 or more"
