"""Steps: the latest changes of the pace of a batch.

Rules owned here:

1. Consecutive changes of one handle for one reason are one step, whatever other handles do in between.
2. Only the latest steps are kept: as many as are shown.
"""

from __future__ import annotations

from typing import Any

import attrs
from anyio import current_time

from .._core.durations import format_elapsed, format_wait
from .._core.events import ProcessingEvent
from .._core.quantity import quantity
from ..abc import BaseObserver
from .words import format_rate

SHOWN_STEPS = 5
"""Steps that are kept."""


@attrs.frozen
class PaceStep:
    """A change of the pace: one handle, from one value to another, for one reason."""

    seconds: float
    """Time since the start of the batch."""
    handle: str
    """What changed: "workers", "calls a second", "tokens a second" or "gate"."""
    old: float
    """Value before, in the unit of `handle`; inf: no limit."""
    new: float
    """Value after."""
    reason: str

    @property
    def time(self) -> str:
        """The time in words."""
        return format_elapsed(self.seconds)

    @property
    def change(self) -> str:
        """The change in words: 20 → 34 workers, no limit → 29.1 calls/s, breaker open for 3 s."""
        match self.handle:
            case "workers":
                return f"{self.old:,.0f} → {quantity(round(self.new), 'worker')}"
            case "calls a second" | "tokens a second":
                old, new = (format_rate(rate, self.handle.split()[0]) for rate in (self.old, self.new))
                number, _, unit = old.partition(" ")
                return f"{number if new.endswith(f' {unit}') else old} → {new}"
            case "gate":
                return f"breaker open for {format_wait(self.new)}" if self.new > 0 else "breaker closed"
            case other:
                return f"{other}: {self.old:,.4g} → {self.new:,.4g}"


class PaceSteps(BaseObserver):
    """Observer that keeps the latest steps of the pace."""

    def __init__(self) -> None:
        self.latest: list[PaceStep] = []
        """The latest steps, oldest first."""
        self._unread: dict[str, PaceStep] = {}
        self._started = 0.0

    async def on_event(self, event: ProcessingEvent, data: dict[str, Any]) -> None:
        """Record a change of the pace."""
        if event is ProcessingEvent.BATCH_STARTED:
            self._started = current_time()
        elif event is ProcessingEvent.PACE_CHANGED:
            seconds = current_time() - self._started
            self.add(PaceStep(seconds, data["handle"], data["old"], data["new"], data["reason"]))

    def take_unread(self) -> list[PaceStep]:
        """Return the latest step of each handle that changed since the last call, oldest first."""
        steps = sorted(self._unread.values(), key=lambda step: step.seconds)
        self._unread.clear()
        return steps

    def add(self, step: PaceStep) -> None:
        """Record a step; it must not be earlier than the last."""
        self._unread[step.handle] = step
        for index in reversed(range(len(self.latest))):
            last = self.latest[index]
            if last.handle == step.handle:
                if last.reason == step.reason:
                    self.latest[index] = self._unread[step.handle] = attrs.evolve(last, new=step.new)
                    return
                break
        self.latest = [*self.latest[1 - SHOWN_STEPS :], step]
