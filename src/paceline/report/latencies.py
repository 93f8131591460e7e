"""Latencies: how long calls took, in memory that does not grow with their number.

They are counted on a logarithmic scale, so that percentiles are accurate to 1 %.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

from ..journal.aggregates import JournalAggregates
from .figures import Latency

_STEP: Final = math.log(1.02)  # of the scale of latencies: the middle of a step is within 1 % of all that is in it
_SHORTEST: Final = 1e-3  # seconds
_FIRST_STEP: Final = math.ceil(math.log(_SHORTEST) / _STEP)
_BARS: Final = 32


class Latencies:
    """A distribution of seconds in bounded memory."""

    def __init__(self) -> None:
        self._steps: dict[int, int] = {}
        self._most = 0.0

    def add(self, seconds: float) -> None:
        """Count a call."""
        step = math.ceil(math.log(seconds) / _STEP) if seconds > _SHORTEST else _FIRST_STEP
        steps = self._steps
        steps[step] = steps.get(step, 0) + 1
        self._most = max(self._most, seconds)

    def merge(self, other: Latencies) -> None:
        """Count the calls of another distribution too."""
        for step, calls in other._steps.items():
            self._steps[step] = self._steps.get(step, 0) + calls
        self._most = max(self._most, other._most)

    def latency(self) -> Latency | None:
        """Return the percentiles and the bars; None if no call was counted."""
        calls = sum(self._steps.values())
        if not calls:
            return None
        return Latency(
            calls=calls,
            p50=self._percentile(0.5, calls),
            p90=self._percentile(0.9, calls),
            p99=self._percentile(0.99, calls),
            most=self._most,
            bars=tuple(self._bars()),
        )

    def _percentile(self, share: float, calls: int) -> float:
        rank, seen = math.ceil(share * calls), 0
        for step in sorted(self._steps):
            seen += self._steps[step]
            if seen >= rank:
                return min(self._most, math.exp((step - 0.5) * _STEP))
        return self._most

    def _bars(self) -> Iterator[tuple[float, float, int]]:
        first, last = min(self._steps), max(self._steps)
        each = max(1, math.ceil((last - first + 1) / _BARS))
        for start in range(first, last + 1, each):
            calls = sum(self._steps.get(step, 0) for step in range(start, start + each))
            yield math.exp((start - 1) * _STEP), math.exp((start + each - 1) * _STEP), calls


def latencies(reader: JournalAggregates, models: Sequence[str]) -> tuple[Latency | None, dict[str, Latency | None]]:
    """Return how long all calls took, and those of some models by model."""
    of_model = {model: Latencies() for model in models}
    rest = Latencies()
    add = {model: one.add for model, one in of_model.items()}
    for model, seconds in reader.latencies():
        add.get(model, rest.add)(seconds)
    for one in of_model.values():
        rest.merge(one)
    return rest.latency(), {model: one.latency() for model, one in of_model.items()}
