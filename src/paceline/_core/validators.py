"""Validators: attrs validators for the settings that users write, with one form of message.

Rules owned here:

1. A message names the setting, what it must be, and the value that was given: "rate must be a number above 0, not -1".
2. A boolean is not a number. A number is finite, except where infinity means "no limit".
"""

from __future__ import annotations

import math
from typing import Any

import attrs

from .exceptions import ConfigurationError


class _Validator:
    """The common form: `str()` of a validator completes the sentence "must be ...".

    Raises:
        ConfigurationError: The value is not accepted.
    """

    __slots__ = ()

    def __call__(self, _: object, attribute: attrs.Attribute[Any], value: object) -> None:
        """Check the value of a field; called by attrs."""
        self.check(attribute.name, value)

    def check(self, name: str, value: object) -> None:
        """Check the value of the setting `name`."""
        if not self.accepts(value):
            raise ConfigurationError(f"{name} must be {self}, not {value!r}")

    def accepts(self, value: object) -> bool:
        """Return whether a value is accepted."""
        raise NotImplementedError


@attrs.frozen(kw_only=True)
class Number(_Validator):
    """A number within bounds."""

    above: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    is_finite: bool = True
    """Whether infinity is rejected."""
    noun: str = "a number"

    def __str__(self) -> str:
        if self.above is not None:
            return f"{self.noun} above {self.above:g}"
        if self.at_most is not None and self.at_most == self.at_least:
            return f"{self.at_most:g}"
        if self.at_most is not None:
            return f"{self.noun} from {self.at_least or 0:g} to {self.at_most:g}"
        return self.noun if self.at_least is None else f"{self.noun}, {self.at_least:g} or more"

    def accepts(self, value: object) -> bool:
        """Return whether a value is a number within the bounds."""
        return (
            isinstance(value, (int, float))
            and not isinstance(value, bool)
            and (not self.is_finite or _is_finite(value))
            and (self.above is None or value > self.above)
            and (self.at_least is None or value >= self.at_least)
            and (self.at_most is None or value <= self.at_most)
        )


@attrs.frozen(kw_only=True)
class WholeNumber(Number):
    """A whole number within bounds."""

    noun: str = "a whole number"

    def accepts(self, value: object) -> bool:
        """Return whether a value is a whole number within the bounds."""
        return isinstance(value, int) and super().accepts(value)


@attrs.frozen
class OneOf(_Validator):
    """One of a few words."""

    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"one of {', '.join(self.words)}"

    def accepts(self, value: object) -> bool:
        """Return whether a value is one of the words."""
        return isinstance(value, str) and value in self.words


@attrs.frozen
class Instance(_Validator):
    """An instance of a class."""

    cls: type

    def __str__(self) -> str:
        return f"a {self.cls.__name__}"

    def accepts(self, value: object) -> bool:
        """Return whether a value is an instance of the class."""
        return isinstance(value, self.cls)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond the range of a float
        return False


is_seconds = Number(above=0, is_finite=False, noun="a number of seconds")
"""A duration; infinity means that there is no limit."""
is_at_least_one = WholeNumber(at_least=1, is_finite=False)
"""A count."""
is_price = Number(at_least=0, noun="USD per million tokens")
"""A price."""
