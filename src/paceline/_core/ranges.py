"""Ranges: an estimate with its bounds, and the cost of a running batch at its end.

Rules owned here:

1. What is spent is known; only what is left is estimated, at the mean cost of the items done so far.
2. The range is a few standard errors of that mean, and of the items that are left, as a factor to both sides: costs are skewed to the right. The
   spread between items follows from that between snapshots: no call is recorded by itself.
3. Few snapshots do not pretend to be precise: two more are assumed, whose items cost their mean, give or take as much.
4. A quote, made before the batch, holds while its range is the narrower one.
"""

from __future__ import annotations

import math

import attrs

_ASSUMED = 2  # snapshots, see rule 3
_ERRORS = 2.6  # standard errors to each side: of few items with heavy tails the dearest are mostly missing, and 2 are not enough
_MOST = 5.0  # of the factor's logarithm: 150 times; what is less certain is not known


@attrs.frozen
class Range:
    """An estimate with its range."""

    low: float
    """Lower bound."""
    likely: float
    """The estimate itself, in the range."""
    high: float
    """Upper bound."""

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.likely + other.likely, self.high + other.high)

    def plus(self, known: float) -> Range:
        """Return the range with a known amount added."""
        return Range(self.low + known, self.likely + known, self.high + known)

    def times(self, factor: float) -> Range:
        """Return the range times a factor, 0 or more."""
        return Range(self.low * factor, self.likely * factor, self.high * factor)


class RunningCost:
    """What a running batch will have cost at its end, corrected by each snapshot of it.

    Args:
        quote: Cost of the run in USD, as it was estimated before; None: it was not.
    """

    __slots__ = ("_cost", "_done", "_quote", "_snapshots", "_squares")

    def __init__(self, quote: Range | None = None) -> None:
        self._quote = quote
        self._done = self._snapshots = 0
        self._cost = self._squares = 0.0

    def record(self, done: int, cost: float) -> None:
        """Record a snapshot.

        Args:
            done: Items that the run has settled so far; it never falls.
            cost: USD of its calls so far.
        """
        more = done - self._done
        if more > 0:
            self._squares += (cost - self._cost) ** 2 / more
            self._snapshots += 1
            self._done, self._cost = done, cost

    def at_end(self, cost: float, left: int) -> Range | None:
        """Return the cost of the run at its end, in USD; None: no item is settled, and there was no quote.

        Args:
            cost: USD of its calls so far.
            left: Items that it has still to settle.
        """
        if not left:
            return Range(cost, cost, cost)
        if not self._done:
            return None if self._quote is None else _at_least(cost, self._quote)
        mean = self._cost / self._done
        if not mean:
            return Range(cost, cost, cost)
        between = max(0.0, self._squares - mean * self._cost)
        variance = (_ASSUMED + between / (mean * mean)) / (_ASSUMED + self._snapshots - 1)
        factor = math.exp(min(_MOST, _ERRORS * math.sqrt(variance * (1 / self._done + 1 / left))))
        found = Range(mean * left / factor, mean * left, mean * left * factor).plus(cost)
        if self._quote is not None and self._quote.high - self._quote.low < found.high - found.low:
            return _at_least(cost, self._quote)
        return found


def _at_least(least: float, found: Range) -> Range:
    return Range(max(least, found.low), max(least, found.likely), max(least, found.high))
