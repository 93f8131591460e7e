"""Panel: the picture of a batch on a terminal: its figures, their curves over time, its faults, and the latest steps of its pace.

Rules owned here:

1. A line fits the terminal, and a text that does not goes on in the next one. If a terminal has too few lines, the oldest steps are left out.
2. A curve has a bounded number of steps, however long the run; the calls served and the pace have one scale, if both are calls.
3. A picture is made of plain lines, without rich's tables: it is drawn four times a second, and must not take the time of calls.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.panel import Panel
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from .._core.progress import RunProgress
from . import words
from .steps import PaceSteps
from .words import Row, Tone

_LEVELS = "▁▂▃▄▅▆▇█"
_WIDEST = 48  # columns of a curve
_CURVES = ("workers", "rate", "pace")  # labels of the rows that have one
_VALUES = 30  # columns of a text beside a curve, so that curves stay in place
_SHORTEST_BAR, _LONGEST_BAR = 10, 60  # columns
_HEADROOM = 1.2  # top of the curves over the highest rate served: the pace may be far above it for a moment
_FRAME = 4  # lines and columns that a frame takes
_CURVE, _LEFT = Style(color="green"), Style(color="bright_black")
_STYLES = {tone: Style.parse(tone.value) for tone in Tone}


class Curve:
    """Values over time in a bounded number of steps: each step is the mean of equally many values.

    A value that is not finite leaves a gap.
    """

    def __init__(self, steps: int = 4 * _WIDEST) -> None:
        self.top: float = 0.0
        """Value of the highest level, and of everything above; 0: the highest value."""
        self._steps = steps
        self._means: list[float] = []
        self._pending: list[float] = []
        self._per_step = 1

    def add(self, value: float) -> None:
        """Add the next value."""
        self._pending.append(value)
        if len(self._pending) == self._per_step:
            self._means.append(_mean(self._pending))
            self._pending.clear()
        if len(self._means) == self._steps:
            self._means = [_mean(self._means[index : index + 2]) for index in range(0, self._steps, 2)]
            self._per_step *= 2

    def drawn(self, width: int) -> str:
        """Return the curve in at most `width` characters."""
        return sparkline(self._means, min(_WIDEST, width), self.top)


def sparkline(values: Sequence[float], width: int, top: float = 0.0) -> str:
    """Return a curve in block characters; each is the mean of equally many values.

    Args:
        values: Values over time; one that is not finite leaves a gap.
        width: Characters, at most.
        top: Value of the highest level, and of everything above; 0: the highest value.
    """
    columns = min(width, len(values))
    edges = [column * len(values) // columns for column in range(columns + 1)] if columns else [0]
    means = [_mean(values[a:b]) for a, b in pairwise(edges)]
    top = top or max((value for value in values if math.isfinite(value)), default=0.0) or 1.0
    return "".join(_level(mean / top) for mean in means)


def _level(share: float) -> str:
    return _LEVELS[min(len(_LEVELS) - 1, int(share * len(_LEVELS)))] if math.isfinite(share) else " "


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else math.nan


class PacePanel:
    """Panel of a batch: its figures, their curves over time, and the latest steps of the pace.

    Args:
        steps: Observer of the same batch; None: its steps are not known.
        max_workers: What the bound on calls in flight is called where the reader sets it.
    """

    def __init__(self, steps: PaceSteps | None = None, *, max_workers: str = "your max_workers") -> None:
        self._steps = PaceSteps() if steps is None else steps
        self._max_workers = max_workers
        self._curves: Mapping[str, Curve] = {name: Curve() for name in _CURVES}
        self._fastest = 0.0

    def __call__(self, progress: RunProgress, *, age: float = 0.0) -> RenderableType:
        """Return the panel, with the figures added to the curves.

        Args:
            progress: The figures.
            age: Seconds since they were taken.
        """
        self._record(progress)
        return _Picture(self, progress, list(words.rows(progress, max_workers=self._max_workers, age=age)))

    def _record(self, progress: RunProgress) -> None:
        workers, rate, pace = (self._curves[name] for name in _CURVES)
        workers.add(progress.in_flight)
        rate.add(progress.rate)
        pace.add(progress.pace if progress.pace < math.inf else progress.token_pace)
        self._fastest = max(self._fastest, progress.rate)
        if progress.pace < math.inf:  # both are calls per second: one scale
            rate.top = pace.top = _HEADROOM * self._fastest

    def drawn(self, label: str, width: int) -> str:
        """Return the curve beside the row with this label, of at most `width` characters; empty: the row has no curve."""
        curve = self._curves.get(label)
        return "" if curve is None or width <= 0 else curve.drawn(width)

    def steps(self, width: int, height: int) -> list[str]:
        """Return the latest steps of the pace as lines, the oldest first: as many as there is room for.

        Args:
            width: Columns.
            height: Lines.
        """
        shown: list[str] = []
        for step in reversed(self._steps.latest):
            lines = words.laid_out(f"{step.time:>{words.LABEL - 2}}", f"{step.change}: {step.reason}", width)
            if len(shown) + len(lines) > height:
                break
            shown = [*lines, *shown]
        return shown


class DemoPanel(PacePanel):
    """Panel of the demo: in a frame, with the rate that the provider allows.

    Args:
        provider: Name of the provider.
        steps: Observer of the same batch.
        allowed: Calls per second that the provider allows, by seconds since the start; None: unknown.
    """

    def __init__(self, provider: str, steps: PaceSteps, *, allowed: Callable[[float], float] | None = None) -> None:
        super().__init__(steps)
        self._provider = provider
        self._allowed = allowed
        if allowed is not None:
            self._curves = {**self._curves, "allowed": Curve()}

    def __call__(self, progress: RunProgress, *, age: float = 0.0) -> RenderableType:
        """Return the panel, with the figures added to the curves."""
        self._record(progress)
        shown = list(words.rows(progress, age=age))
        if self._allowed is not None:
            rate = self._allowed(progress.seconds)
            curve = self._curves["allowed"]
            curve.add(rate)
            curve.top = self._curves["rate"].top
            place = next(index for index, row in enumerate(shown) if row.label == "pace") + 1
            shown.insert(place, Row("allowed", words.format_rate(rate, "calls") if rate else "nothing"))
        picture = _Picture(self, progress, shown, frame=_FRAME)
        return Panel(picture, title="a batch finds its pace", subtitle=Text(self._provider))


class _Picture:
    """What a panel shows of one moment, laid out for a terminal when it is drawn."""

    def __init__(self, panel: PacePanel, progress: RunProgress, shown: Sequence[Row], *, frame: int = 0) -> None:
        self._panel, self._progress, self._rows, self._frame = panel, progress, shown, frame

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        yield from self._bar(width, is_ascii=options.ascii_only)
        height = 1
        for row in self._rows:
            curve = "" if options.ascii_only else self._panel.drawn(row.label, width - words.LABEL - _VALUES - 1)
            for index, line in enumerate(words.laid_out(row.label, row.text, width)):
                height += 1
                yield from _line(line, width, _STYLES[row.tone], curve if not index else "")
        room = (options.size.height or 0) - height - self._frame
        for line in self._panel.steps(width, room):
            yield from _line(line, width, _LEFT)

    def _bar(self, width: int, *, is_ascii: bool) -> RenderResult:
        """Yield one line: how far the batch is, and a bar if there is room for one."""
        text, progress = words.headline(self._progress), self._progress
        columns = min(_LONGEST_BAR, width - len(text) - 2)
        if progress.total is None or columns < _SHORTEST_BAR:
            yield from _line(text, width, Style.null())
            return
        full, empty = ("#", "-") if is_ascii else ("━", "━")
        done = columns * min(progress.done, progress.total) // max(1, progress.total)
        yield Segment(full * done, _CURVE)
        yield Segment(empty * (columns - done), _LEFT)
        yield from _line(f"  {text}", width, Style.null())


def _line(text: str, width: int, style: Style, curve: str = "") -> RenderResult:
    if not text.isascii() and cell_len(text) > width:
        yield Text(text, style=style)  # wide characters: it goes on in the next line
        return
    yield Segment(text, style)
    if curve and cell_len(text) <= words.LABEL + _VALUES:
        yield Segment(" " * (words.LABEL + _VALUES + 1 - cell_len(text)))
        yield Segment(curve, _CURVE)
    yield Segment.line()
