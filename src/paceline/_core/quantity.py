"""Quantities as text: a number with its noun, in the singular or the plural."""

from __future__ import annotations


def quantity(number: int, noun: str) -> str:
    """Return a number with its noun: `1 row`, `2 rows`, `1,200 rows`.

    Args:
        number: How many there are.
        noun: The noun in the singular; its plural has an s.
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
