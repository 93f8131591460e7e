"""SVG: plots over time and distributions, drawn as text that a browser can print and a screen reader can skip or read.

Rules owned here:

1. A plot is `role="img"` with a title and a description. What it shows stands in a table beside it (`page`).
2. Colours and sizes of text are classes; the page's style gives them for light and dark, for screens and for paper.
3. Every text is escaped by `escape`, also those in titles of marks.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from .._core.fault import redact
from .._core.printable import printable

_WIDTH, _HEIGHT = 480, 200  # units of the drawing
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 16, 26
_TICKS: Final = 4  # on the axis of values, about
_SMALLEST, _LARGEST = 1e-300, 1e300  # of an axis: beyond them steps underflow or overflow
_STEPS: Final = (1, 2, 2.5, 5, 10)
_LONGEST: Final = 2_000  # characters of a text from a journal that are read; what is shown is shorter


def escape(text: str, longest: int = 300) -> str:
    """Return a text from anywhere as HTML: escaped, without credentials and what could reorder or hide it, and not longer than given."""
    clean = printable(redact(text[: 2 * _LONGEST]), keep="\n\t")
    short = clean if len(clean) <= longest else f"{clean[: longest - 1]}…"
    return html.escape(short, quote=True)


@attrs.frozen
class Point:
    """A point of a plot, in the units of its axes."""

    x: float
    y: float


@attrs.frozen
class Axis:
    """An axis from 0 to a round number."""

    end: float
    """Where it ends."""
    ticks: tuple[float, ...]
    """Values that are labelled."""

    @classmethod
    def up_to(cls, largest: float) -> Axis:
        """Return an axis of values that `largest` is on."""
        if not _SMALLEST < largest < _LARGEST:
            largest = 1.0
        raw = largest / _TICKS
        unit = 10.0 ** math.floor(math.log10(raw))
        step = next(unit * factor for factor in _STEPS if unit * factor >= raw * (1 - 1e-9))
        count = max(1, math.ceil(largest / step - 1e-9))
        return cls(step * count, tuple(step * number for number in range(count + 1)))


class Plot:
    """One plot: bands and areas first, then lines, then marks.

    Args:
        end: Length of the axis of x, in its units.
        values: Axis of the values.
    """

    def __init__(self, end: float, values: Axis) -> None:
        self._end, self._values = end if end > 0 else 1.0, values
        self._parts: list[str] = []

    def area(self, points: Sequence[Point], name: str) -> None:
        """Draw an area below a line of class `name`."""
        if points:
            line = " ".join(self._xy(point) for point in points)
            first, last, base = self._x(points[0].x), self._x(points[-1].x), self._y(0)
            self._parts.append(f'<path class="area {name}" d="M{first} {base} L{line} L{last} {base} Z"/>')

    def line(self, points: Sequence[Point], name: str) -> None:
        """Draw a line of class `name`."""
        if points:
            self._parts.append(f'<polyline class="line {name}" points="{" ".join(map(self._xy, points))}"/>')

    def steps(self, points: Sequence[Point], name: str) -> None:
        """Draw a line that stays at each value until the next point."""
        corners: list[Point] = []
        for point in points:
            if corners:
                corners.append(Point(point.x, corners[-1].y))
            corners.append(point)
        self.line(corners, name)

    def bar(self, start: float, end: float, value: float, name: str, title: str = "") -> None:
        """Draw a bar of class `name` from 0 to a value."""
        left, right, top = self._x(start), self._x(end), self._y(value)
        width, height = max(0.6, right - left - 0.4), max(0.0, self._y(0) - top)
        tip = f"<title>{escape(title)}</title>" if title else ""
        if height > 0:
            self._parts.append(
                f'<rect class="bar {name}" x="{left}" y="{top}" width="{width:.1f}" height="{height:.1f}">{tip}</rect>'
            )

    def rule(self, x: float, label: str) -> None:
        """Draw a vertical line with a label at its top."""
        at = self._x(x)
        self._parts.append(f'<line class="rule" x1="{at}" x2="{at}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>')
        self._parts.append(f'<text x="{at + 3}" y="{_TOP + 9}">{escape(label, 20)}</text>')

    def mark(self, x: float, name: str, title: str) -> None:
        """Draw a small triangle of class `name` above the plot."""
        at = self._x(x)
        self._parts.append(
            f'<path class="mark {name}" d="M{at - 4:.1f} {_TOP - 9} h8 l-4 7 z"><title>{escape(title, 400)}</title></path>'
        )

    def svg(self, title: str, description: str, labels: Iterable[tuple[float, str]]) -> str:
        """Return the drawing.

        Args:
            title: What it shows, in a few words.
            description: What can be seen in it, in a sentence.
            labels: Labels of the axis of x, with their places.
        """
        lines, texts = [], []
        for tick in self._values.ticks:
            y = self._y(tick)
            lines.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>')
            texts.append(f'<text class="value" x="{_LEFT - 5}" y="{y + 4:.1f}">{number(tick)}</text>')
        for place, label in labels:
            x = self._x(place)
            edge = "start" if x < _LEFT + 20 else "end" if x > _WIDTH - _RIGHT - 20 else "middle"
            texts.append(f'<text class="{edge}" x="{x}" y="{_HEIGHT - 8}">{escape(label, 24)}</text>')
        parts = "".join([*lines, *self._parts, *texts])
        return (
            f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(f"{title}. {description}", 600)}">'
            f"<title>{escape(title)}</title><desc>{escape(description, 600)}</desc>{parts}</svg>"
        )

    def _x(self, x: float) -> float:
        share = min(1.0, max(0.0, x / self._end))
        return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)

    def _y(self, y: float) -> float:
        share = min(1.0, max(0.0, y / self._values.end))
        return round(_HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM), 1)

    def _xy(self, point: Point) -> str:
        return f"{self._x(point.x)},{self._y(point.y)}"


def strip(end: float, bands: Sequence[tuple[float, float, str, str]], title: str, description: str) -> str:
    """Return bands of time: what was the case from when to when.

    Args:
        end: Length of the axis of time.
        bands: Start, end, class, and title of each.
        title: What it shows, in a few words.
        description: What can be seen in it, in a sentence.
    """
    parts = []
    for start, stop, kind, words in bands:
        left, right = (round(min(1.0, max(0.0, at / (end or 1.0))) * _WIDTH, 2) for at in (start, stop))
        parts.append(
            f'<rect class="band {kind}" x="{left}" y="0" width="{max(0.5, right - left):.2f}" height="10">'
            f"<title>{escape(words)}</title></rect>"
        )
    return (
        f'<svg class="strip" viewBox="0 0 {_WIDTH} 10" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(f"{title}. {description}", 600)}">'
        f"<title>{escape(title)}</title><desc>{escape(description, 600)}</desc>{''.join(parts)}</svg>"
    )


def number(value: float) -> str:
    """Return a number in few characters: 0.05, 12, 1,500, 2.5k, 3M."""
    for size, suffix in ((1e15, ""), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            scale = {"T": 1e12, "G": 1e9, "M": 1e6, "k": 1e3}.get(suffix, 1.0)
            return f"{value:.1e}" if not suffix else f"{value / scale:.3g}{suffix}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three digits
