"""Figures of a run: amounts by the second, the longest gap, and fairness."""

from __future__ import annotations

import math
from array import array
from itertools import pairwise


class Tally:
    """Amounts by the second."""

    def __init__(self):
        self._bins = array("d")

    def add(self, at, amount):
        """Count an amount at a time."""
        second = int(at)
        bins = self._bins
        if second >= len(bins):
            bins.extend([0.0] * (second - len(bins) + 60))
        bins[second] += amount

    def between(self, start, end):
        """Return the sum from one whole second to another."""
        return sum(self._bins[math.ceil(start) : math.ceil(end)])


def worst_gap(times, start, end):
    """Return the longest time without an event between two times."""
    inside = [at for at in times if start <= at <= end]
    return max(after - before for before, after in pairwise([start, *inside, end]))


def jain(shares):
    """Return Jain's index of fairness: 1 for equal shares."""
    return sum(shares) ** 2 / (len(shares) * sum(share * share for share in shares))
