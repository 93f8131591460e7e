"""Comparison: what two results of one suite, on the same items, say about the difference of their models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

import attrs

from .._core.exceptions import ConfigurationError
from .._core.quantity import quantity
from .results import SuiteResult, labels_of, read_result, read_scores
from .statistics import Interval, items_needed, mcnemar, paired_difference

_TINY = 0.001  # p-values below are all the same to a reader
_EVEN = 0.05  # p-value from which on a difference is not shown; the usual one


@attrs.frozen(kw_only=True)
class Comparison:
    """Two results of one suite."""

    first: SuiteResult
    """The one that is compared."""
    second: SuiteResult
    """The one that it is compared with."""
    first_name: str
    """What the first is called: its model, or its folder if both have the same model."""
    second_name: str
    """What the second is called."""
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

    @property
    def short(self) -> str:
        """The difference and its p-value, in a few characters."""
        p = "p < 0.001" if self.p_value < _TINY else f"p = {self.p_value:.2g}"
        return f"{self.difference * 100:+.1f} points, {p}"

    def __str__(self) -> str:
        """Return what it means, in one or two sentences."""
        if self.is_shown:
            names, ends = (self.first_name, self.second_name), (self.interval.low, self.interval.high)
            if self.difference < 0:
                names, ends = names[::-1], (-ends[1], -ends[0])
            return (
                f"{names[0]} is better than {names[1]} by {abs(self.difference) * 100:.1f} points "
                f"({_points(ends)}; p = {self.p_value:.2g})."
            )
        found = f"{self.difference * 100:+.1f} points, {_points((self.interval.low, self.interval.high))}"
        text = (
            f"On {quantity(self.items, 'item')}, {self.first_name} and {self.second_name} do not show a difference "
            f"({found}; p = {self.p_value:.2g})."
        )
        return (
            text
            if self.needed is None
            else f"{text} About {quantity(self.needed, 'item')} would show a difference of this size."
        )


def _points(ends: tuple[float, float]) -> str:
    return f"{ends[0] * 100:+.1f} to {ends[1] * 100:+.1f}"


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
    names = labels_of((one, other), (first, second))
    return comparison((one, other), (read_scores(first), read_scores(second)), (names[0], names[1]))


def comparison(
    results: tuple[SuiteResult, SuiteResult],
    scored: tuple[Mapping[str, Sequence[float]], Mapping[str, Sequence[float]]],
    names: tuple[str, str],
) -> Comparison:
    """Compare two results by the scores of their items.

    Args:
        results: The results, of one suite.
        scored: The scores of each, by the item's id.
        names: What they are called.

    Raises:
        ConfigurationError: They have no item in common.
    """
    (first, second), (scores, others) = results, scored
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
        first_name=names[0],
        second_name=names[1],
        items=len(common),
        difference=fmean(differences),
        interval=paired_difference(differences),
        only_first=only_first,
        only_second=only_second,
        p_value=mcnemar(only_first, only_second),
        needed=items_needed(only_first, only_second, len(common)),
    )
