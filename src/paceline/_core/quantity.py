"""Quantities as text: a number with its noun, in the singular or the plural, and the verb that goes with it."""

from __future__ import annotations


def quantity(number: int, noun: str) -> str:
    """Return a number with its noun: `1 row`, `2 rows`, `1,200 rows`.

    Args:
        number: How many there are.
        noun: The noun in the singular; its plural has an s.
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def verb(number: int, singular: str = "is", plural: str = "are") -> str:
    """Return the form of a verb that goes with a number of things."""
    return singular if number == 1 else plural


def all_of(number: int, noun: str) -> str:
    """Return all things as the subject of a sentence: `the only row`, `all 2 rows`."""
    return f"the only {noun}" if number == 1 else f"all {quantity(number, noun)}"
