"""Netflix's concurrency-limits, its AIMDLimit: re-implemented after the Java code, because it has no package for Python.

A call that is dropped, or takes longer than the timeout, costs a tenth of the limit; one that is served while at least half
of the limit is in flight adds one. Refused items give up their place and back off as a user would program it.
"""

from __future__ import annotations

import math
from typing import Any

import attrs

from ..world import Client, Drive, Gauge
from .admission import driven_by
from .calls import Ending, Item
from .fixed import backoff

_START = 20
_RATIO = 0.9


@attrs.frozen
class Bounds:
    """The options of its builder."""

    least: int = 20
    most: int = 200
    timeout: float = 5.0


class AIMDLimit:
    """The limit, and the admission below it."""

    def __init__(self, client: Client, bounds: Bounds) -> None:
        self._bounds = bounds
        self._limit = _START
        self._in_flight = 0
        self._chance = client.chance

    def admit(self, now: float) -> float | _Pass:
        """Admit while fewer than the limit are in flight."""
        if self._in_flight >= self._limit:
            return math.inf
        self._in_flight += 1
        return _Pass(now)

    def settle(self, admitted: _Pass, now: float, ending: Ending, hint: float | None) -> None:
        """Adjust the limit."""
        in_flight, bounds = self._in_flight, self._bounds
        self._in_flight -= 1
        if ending is not Ending.SERVED or now - admitted.start > bounds.timeout:
            self._limit = int(self._limit * _RATIO)
        elif in_flight * 2 >= self._limit:
            self._limit += 1
        self._limit = min(bounds.most, max(bounds.least, self._limit))

    def keeps(self, ending: Ending, item: Item) -> float | None:
        """Give up the pass."""
        return None

    def returns(self, ending: Ending, item: Item, hint: float | None) -> float:
        """Back off."""
        return backoff(self._chance, item.tries, hint)

    def gauge(self) -> Gauge:
        """Return the limit."""
        return Gauge(self._limit, math.inf)


@attrs.frozen
class _Pass:
    start: float


def drive(**bounds: Any) -> Drive:
    """Return it as a contender; `bounds` are fields of `Bounds`."""
    return driven_by(lambda client: AIMDLimit(client, Bounds(**bounds)))
