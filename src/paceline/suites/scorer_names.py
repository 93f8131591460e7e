"""Names of scorers: what a suite's file calls them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from .._core.exceptions import ConfigurationError
from .plugins import SCORERS, load, registered
from .scorers import begins, choice, exact, includes, json_fields, matches, normalised, numeric
from .suite import Scorer

_PLAIN: dict[str, Scorer] = {
    "exact": exact,
    "normalised": normalised,
    "numeric": numeric,
    "choice": choice,
    "includes": includes,
    "begins": begins,
}
"""Scorers without settings, by name."""
_MADE: dict[str, Callable[..., Scorer]] = {"matches": matches, "json_fields": json_fields}
"""Functions that make a scorer from settings, by name."""


def find_scorer(name: str, **settings: Any) -> Scorer:
    """Return the scorer that a suite's file names.

    Raises:
        ConfigurationError: It does not exist, or its settings are wrong.
    """
    if name in _PLAIN and not settings:
        return _PLAIN[name]
    make = _MADE.get(name) or (None if name in _PLAIN else load(SCORERS, name))
    if make is None and name not in _PLAIN:
        known = [
            *_PLAIN,
            *_MADE,
            "unit_tests",
            "graded",
            *(point.name for point in registered(SCORERS)),
        ]
        raise ConfigurationError(f"there is no scorer {name!r}; known are {', '.join(known)}")
    if make is None:
        raise ConfigurationError(f"the scorer {name} has no settings; leave out {', '.join(settings)}")
    try:
        made = make(**settings) if settings or name in _MADE else make
    except TypeError as error:
        raise ConfigurationError(f"the scorer {name}: {error}") from None
    return cast("Scorer", made)
