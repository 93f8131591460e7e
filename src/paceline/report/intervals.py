"""Intervals: values with their confidence intervals, a row each, on one axis.

A row has its name above, so that long names of models fit, then a dot on a line from the lower to the upper end, and the value in words at its
right. The rules of `svg` apply.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from .charts import Chart
from .svg import escape

_WIDTH: Final = 480  # units of the drawing, as of the other plots
_LEFT, _RIGHT, _TOP, _BOTTOM = 10, 160, 6, 24
_ROW: Final = 36  # units from one row to the next
_NAME: Final = 60  # characters
_LEAST: Final = 0.005  # of a point: smaller ones are printed as 0
_STEPS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)  # between two ticks


@attrs.frozen(kw_only=True)
class Estimate:
    """A value and its interval, as a share of 1."""

    name: str
    """What it is of."""
    value: float
    """-1 to 1."""
    low: float
    """Lower end of the interval."""
    high: float
    """Upper end."""
    words: str
    """The value as people read it, and what stands beside it."""


def shares_chart(title: str, description: str, estimates: Sequence[Estimate]) -> Chart:
    """Return a chart of shares on an axis from 0 to 100 %."""
    return _chart(title, description, estimates, _Scale(0.0, 1.0, 0.25))


def differences_chart(title: str, description: str, estimates: Sequence[Estimate]) -> Chart:
    """Return a chart of differences, in points, on an axis with 0 in its middle."""
    largest = max([_STEPS[0], *(max(abs(one.low), abs(one.high)) for one in estimates)])
    step = next((step for step in _STEPS if 3 * step >= largest), _STEPS[-1])
    end = step * math.ceil(largest / step - 1e-9)
    return _chart(title, description, estimates, _Scale(-end, end, step))


@attrs.frozen
class _Scale:
    """The axis of the values."""

    start: float
    end: float
    step: float

    @property
    def is_signed(self) -> bool:
        return self.start < 0

    def x(self, value: float) -> float:
        share = (min(self.end, max(self.start, value)) - self.start) / (self.end - self.start)
        return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)

    def ticks(self) -> Iterator[tuple[float, str]]:
        """Yield the places of the ticks, and their labels."""
        for number in range(round((self.end - self.start) / self.step) + 1):
            value = self.start + number * self.step
            yield self.x(value), self.text(value, 0)

    def text(self, value: float, digits: int = 1) -> str:
        if self.is_signed:
            return f"{value * 100:+.{digits}f}" if abs(value) * 10**digits >= _LEAST else "0"
        return f"{value:.{digits}%}"


def _chart(title: str, description: str, estimates: Sequence[Estimate], scale: _Scale) -> Chart:
    height = _TOP + _ROW * len(estimates) + _BOTTOM
    parts = []
    for number, (at, label) in enumerate(scale.ticks()):
        name = "rule" if label == "0" else "grid"
        parts.append(f'<line class="{name}" x1="{at}" x2="{at}" y1="{_TOP}" y2="{height - _BOTTOM}"/>')
        parts.append(f'<text class="{"middle" if number else "start"}" x="{at}" y="{height - 8}">{label}</text>')
    for number, one in enumerate(estimates):
        y = _TOP + _ROW * number + 24
        low, at, high = scale.x(one.low), scale.x(one.value), scale.x(one.high)
        parts += [
            f'<text class="start name" x="{_LEFT}" y="{y - 10}">{escape(one.name, _NAME)}</text>',
            f'<line class="whisker" x1="{low}" x2="{max(high, low + 0.6)}" y1="{y}" y2="{y}"/>',
            f'<rect class="dot" x="{at - 4:.1f}" y="{y - 4}" width="8" height="8" rx="4"/>',
            f'<text class="start" x="{_WIDTH - _RIGHT + 14}" y="{y + 4}">{escape(one.words, 26)}</text>',
        ]
    svg = (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(f"{title}. {description}", 600)}">'
        f"<title>{escape(title)}</title><desc>{escape(description, 600)}</desc>{''.join(parts)}</svg>"
    )
    rows = tuple((one.name, one.words, scale.text(one.low), scale.text(one.high)) for one in estimates)
    return Chart(title, svg, (), ("result", "value", "lower end", "upper end"), rows)
