"""How many examples a property is tried on, where the number of the profile is too many or too few."""

from __future__ import annotations

from hypothesis import settings

NORMAL = 50
"""Examples of a property in the profile `normal`."""


def examples(number: int, at_most: int | None = None) -> int:
    """Return how many examples the chosen profile tries of a property that `normal` tries on a number of them, at least 2.

    Args:
        number: Examples in the profile `normal`.
        at_most: Bound for `thorough`, where the examples are the same each time and the law is about measured shares.
    """
    scaled = max(2, round(number * settings.default.max_examples / NORMAL))
    return scaled if at_most is None else min(scaled, at_most)
