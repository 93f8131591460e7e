"""Comparison: what two results of one suite, on the same items, say about the difference of their models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

import attrs

from .._core.exceptions import ConfigurationError
from .._core.quantity import quantity
from .results import SuiteResult, read_result, read_scores
from .statistics import Interval, items_needed, mcnemar, paired_difference

_EVEN = 0.05  # p-value from which on a difference is not shown; the usual one


@attrs.frozen(kw_only=True)
class Comparison:
    """Two results of one suite."""

    first: SuiteResult
    """The one that is compared."""
    second: SuiteResult
    """The one that it is compared with."""
    items: int
    """Items that both have a score of."""
    difference: float
    """Mean score of the first on these items, less that of the second: -1 to 1."""
    interval: Interval
    """Its interval, at 95 %, from a paired bootstrap over items."""
    only_first: int
    """Items that only the first has right; of several samples, on average more right than the second."""
    only_second: int
    """Items that only the second has right, likewise."""
    p_value: float
    """How likely a split at least as uneven is if both are equally good: McNemar's exact test."""
    needed: int | None
    """Items that would show this difference four times in five; None: they do not differ."""

    @property
    def is_shown(self) -> bool:
        """Whether the items show that one of them is better."""
        return self.p_value < _EVEN

    def __str__(self) -> str:
        """Return what it means, in one or two sentences."""
        points = f"{abs(self.difference) * 100:.1f} points"
        between = f"{self.interval.low * 100:+.1f} to {self.interval.high * 100:+.1f}"
        if self.is_shown:
            better, other = (self.first, self.second) if self.difference > 0 else (self.second, self.first)
            return f"{better.model} is better than {other.model} by {points} ({between}; p = {self.p_value:.2g})."
        text = f"On {quantity(self.items, 'item')}, {self.first.model} and {self.second.model} do not show a difference ({points}, {between}; p = {self.p_value:.2g})."
        return (
            text
            if self.needed is None
            else f"{text} About {quantity(self.needed, 'item')} would show a difference of this size."
        )


def compare(first: str | Path, second: str | Path) -> Comparison:
    """Compare the results in two folders.

    Raises:
        ConfigurationError: A result cannot be read, or they are of different suites, or have no item in common.
    """
    one, other = read_result(first), read_result(second)
    if one.suite != other.suite:
        raise ConfigurationError(
            f"{first} is of the suite {one.suite}, and {second} of {other.suite}; compare results of one suite"
        )
    return comparison(one, read_scores(first), other, read_scores(second))


def comparison(
    first: SuiteResult,
    scores: Mapping[str, Sequence[float]],
    second: SuiteResult,
    others: Mapping[str, Sequence[float]],
) -> Comparison:
    """Compare two results by the scores of their items.

    Raises:
        ConfigurationError: They have no item in common.
    """
    common = [item for item in scores if item in others]
    if not common:
        raise ConfigurationError(
            f"the two results of {first.suite} have no scored item in common; run both on the same items"
        )
    differences = [fmean(scores[item]) - fmean(others[item]) for item in common]
    only_first, only_second = sum(value > 0 for value in differences), sum(value < 0 for value in differences)
    return Comparison(
        first=first,
        second=second,
        items=len(common),
        difference=fmean(differences),
        interval=paired_difference(differences),
        only_first=only_first,
        only_second=only_second,
        p_value=mcnemar(only_first, only_second),
        needed=items_needed(only_first, only_second, len(common)),
    )
