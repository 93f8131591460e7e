"""What a setting of the simulation must be, as validators that say so in a sentence.

1. A message names the setting, its bound and the value that was given.
2. Numbers are finite, and a truth value is no number.
"""

from __future__ import annotations

import math
from typing import Any

import attrs

from .exceptions import ConfigurationError


def is_seconds(_: object, attribute: attrs.Attribute[float], value: object) -> None:
    """Refuse a field's value that is no number of seconds above 0; infinity is one.

    Raises:
        ConfigurationError: names the field and the value.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise ConfigurationError(f"{attribute.name} must be a number of seconds above 0, not {value!r}")


def is_at_least_one(_: object, attribute: attrs.Attribute[int], value: object) -> None:
    """Refuse a field's value that is no whole number, 1 or more.

    Raises:
        ConfigurationError: names the field and the value.
    """
    if type(value) is not int or value < 1:
        raise ConfigurationError(f"{attribute.name} must be a whole number, 1 or more, not {value!r}")


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no float holds
        return False


@attrs.frozen(kw_only=True)
class Number:
    """A finite number within bounds. Usable as an attrs validator."""

    above: float | None = None
    at_least: float | None = None
    at_most: float | None = None

    def __call__(self, _: object, attribute: attrs.Attribute[Any], value: object) -> None:
        """Check a field, as attrs asks."""
        self.check(attribute.name, value)

    def __str__(self) -> str:
        return f"a number{self._bounds()}"

    def check(self, name: str, value: object) -> None:
        """Raise ConfigurationError unless `value` is such a number."""
        if not self._accepts(value):
            raise ConfigurationError(f"{name} must be {self}, not {value!r}")

    def _accepts(self, value: object) -> bool:
        return (
            isinstance(value, (int, float))
            and not isinstance(value, bool)
            and _is_finite(value)
            and (self.above is None or value > self.above)
            and (self.at_least is None or value >= self.at_least)
            and (self.at_most is None or value <= self.at_most)
        )

    def _bounds(self) -> str:
        if self.above is not None:
            return f" above {self.above:g}"
        if self.at_most is not None:
            return f" from {self.at_least or 0:g} to {self.at_most:g}"
        return "" if self.at_least is None else f", {self.at_least:g} or more"


@attrs.frozen(kw_only=True)
class WholeNumber(Number):
    """A whole number within bounds."""

    def __str__(self) -> str:
        return f"a whole number{self._bounds()}"

    def _accepts(self, value: object) -> bool:
        return isinstance(value, int) and super()._accepts(value)


@attrs.frozen
class OneOf:
    """One of a few words."""

    words: tuple[str, ...]

    def __call__(self, _: object, attribute: attrs.Attribute[Any], value: object) -> None:
        """Check a field, as attrs asks."""
        self.check(attribute.name, value)

    def check(self, name: str, value: object) -> None:
        """Raise ConfigurationError unless `value` is one of the words."""
        if not isinstance(value, str) or value not in self.words:
            raise ConfigurationError(f"{name} must be one of {', '.join(self.words)}, not {value!r}")
