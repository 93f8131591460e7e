"""Plugins: suites and scorers that installed packages register by entry points."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from .._core.exceptions import ConfigurationError

SUITES, SCORERS = "paceline.suites", "paceline.scorers"
"""Groups of entry points: a suite is a `Suite`, or a function that returns one; a scorer is a `Scorer`, or with settings a function that makes one."""


def registered(group: str) -> list[EntryPoint]:
    """Return what installed packages have registered."""
    return list(entry_points(group=group))


def load(group: str, name: str) -> Any:
    """Return what is registered under a name; None if nothing is.

    Raises:
        ConfigurationError: It cannot be loaded.
    """
    point = next((point for point in registered(group) if point.name == name), None)
    if point is None:
        return None
    try:
        return point.load()
    except Exception as error:
        raise ConfigurationError(
            f"the entry point {name} of {group} cannot be loaded: {type(error).__name__}: {error}"
        ) from error
