"""What the demo draws: how the workers find the provider's pace, and why they change."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import attrs
from anyio import current_time
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Column, Table
from rich.text import Text

from .._core.events import ProcessingEvent
from ..abc import BaseObserver
from .gauge import Reading
from .progress import bar

_LEVELS = "▁▂▃▄▅▆▇█"
_WIDTH = 48  # columns of the curve
_REASONS = 5  # lines


@attrs.frozen
class Change:
    """The workers went from one number to another, for one reason."""

    seconds: float
    """After the batch began."""
    old: int
    new: int
    reason: str


class Reasons(BaseObserver):
    """Remembers why the workers changed; steps for the same reason are one change."""

    def __init__(self) -> None:
        self.latest: deque[Change] = deque(maxlen=_REASONS)
        self._began = 0.0

    async def on_event(self, event: ProcessingEvent, data: dict[str, Any]) -> None:
        """Hear of one event."""
        if event is ProcessingEvent.BATCH_STARTED:
            self._began = current_time()
        elif event is ProcessingEvent.PACE_CHANGED:
            self._add(Change(current_time() - self._began, data["old"], data["new"], data["reason"]))

    def _add(self, change: Change) -> None:
        last = self.latest[-1] if self.latest else None
        if last is not None and last.reason == change.reason:
            self.latest[-1] = attrs.evolve(last, new=change.new)
        else:
            self.latest.append(change)


class DemoPanel:
    """Draws one reading after the other, and the curve of those before.

    Args:
        provider: what is called.
        reasons: is told of the events of the same batch.
    """

    def __init__(self, provider: str, reasons: Reasons) -> None:
        self._provider = provider
        self._reasons = reasons
        self._workers: list[int] = []

    def __call__(self, reading: Reading) -> RenderableType:
        """Return the picture."""
        self._workers.append(reading.workers)
        figures = Table.grid(padding=(0, 2))
        figures.add_row("workers", f"{reading.workers:,}", Text(sparkline(self._workers, _WIDTH), style="green"))
        figures.add_row("in flight", f"{reading.in_flight:,}")
        figures.add_row("served", f"{reading.rate:,.1f}/s")
        figures.add_row("refusals", f"{reading.refusals:,}")
        reasons = Table.grid(
            Column(justify="right"), Column(), Column(no_wrap=True, overflow="ellipsis"), padding=(0, 2)
        )
        for change in self._reasons.latest:
            reasons.add_row(f"{change.seconds:.1f} s", f"{change.old} → {change.new}", Text(change.reason))
        return Panel(
            Group(bar(reading), "", figures, "", reasons),
            title="a batch finds its pace",
            subtitle=Text(self._provider),
            height=_REASONS + 9,
        )


def sparkline(values: Sequence[int], width: int) -> str:
    """Return a curve of at most `width` characters; each is the mean of as many values as it stands for."""
    columns = min(width, len(values))
    top = max(values, default=0) or 1
    edges = [column * len(values) // columns for column in range(columns + 1)] if columns else [0]
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    return "".join(_LEVELS[min(len(_LEVELS) - 1, int(mean / top * len(_LEVELS)))] for mean in means)
