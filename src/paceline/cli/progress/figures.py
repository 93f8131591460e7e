"""Why the pace has changed, in the order in which it did.

1. Changes of one handle for one reason, with nothing between them but other handles' changes, are one change.
2. Only the latest are remembered: what is shown at once.

The figures of a run in words.
"""

from __future__ import annotations

import math
from typing import Any

import attrs
from anyio import current_time

from ..._core.durations import format_elapsed, format_wait
from ..._core.events import ProcessingEvent
from ...abc import BaseObserver
from ...runs.progress import RunProgress

SHOWN_STEPS = 5
"""Changes that are remembered."""


@attrs.frozen
class PaceStep:
    """A handle of the pace went from one value to another, for one reason."""

    seconds: float
    """After the batch began."""
    handle: str
    old: float
    new: float
    reason: str

    @property
    def time(self) -> str:
        """When, in words."""
        return format_elapsed(self.seconds)

    @property
    def what(self) -> str:
        """What changed, in words: 20 → 34 workers, no limit → 29.1 calls/s, gate closed for 3 s."""
        match self.handle:
            case "workers":
                return f"{self.old:,.0f} → {self.new:,.0f} workers"
            case "calls a second" | "tokens a second":
                old, new = (per_time(rate, self.handle.split()[0]) for rate in (self.old, self.new))
                number, _, unit = old.partition(" ")
                return f"{number if new.endswith(f' {unit}') else old} → {new}"
            case "gate":
                return f"gate closed for {format_wait(self.new)}" if self.new > 0 else "gate open again"
            case other:
                return f"{other}: {self.old:,.4g} → {self.new:,.4g}"


class PaceSteps(BaseObserver):
    """Remembers why the pace has changed."""

    def __init__(self) -> None:
        self.latest: list[PaceStep] = []
        self._untold: dict[str, PaceStep] = {}
        self._began = 0.0

    async def on_event(self, event: ProcessingEvent, data: dict[str, Any]) -> None:
        """Hear of one event."""
        if event is ProcessingEvent.BATCH_STARTED:
            self._began = current_time()
        elif event is ProcessingEvent.PACE_CHANGED:
            seconds = current_time() - self._began
            self._add(PaceStep(seconds, data["handle"], data["old"], data["new"], data["reason"]))

    def take(self) -> list[PaceStep]:
        """Return the latest change of each handle, of those since it was asked last, in order of time."""
        taken = sorted(self._untold.values(), key=lambda change: change.seconds)
        self._untold.clear()
        return taken

    def _add(self, change: PaceStep) -> None:
        self._untold[change.handle] = change
        for index in reversed(range(len(self.latest))):
            last = self.latest[index]
            if last.handle == change.handle:
                if last.reason == change.reason:
                    self.latest[index] = self._untold[change.handle] = attrs.evolve(last, new=change.new)
                    return
                break
        self.latest = [*self.latest[1 - SHOWN_STEPS :], change]


_MANY = 100  # from here on decimals say nothing


def per_time(number: float, unit: str) -> str:
    """Return a rate as people say it: 29.1 calls/s, 1,667 tokens/s, and of less than one a second 12.5 calls/min."""
    if number == math.inf:
        return "no limit"
    if number < 1:
        return f"{60 * number:.3g} {unit}/min"
    return f"{number:,.1f} {unit}/s" if number < _MANY else f"{number:,.0f} {unit}/s"


def pace_of(reading: RunProgress) -> str:
    """Return the pace in words."""
    enforced = [
        per_time(pace, unit)
        for pace, unit in ((reading.pace, "calls"), (reading.token_pace, "tokens"))
        if pace < math.inf
    ]
    return ", ".join(enforced) or ("not limited" if reading.refusals else "no limit met yet")


def gate_of(reading: RunProgress) -> str:
    """Return in words whether calls may start, and if not, when."""
    return f"closed; opens in {format_wait(reading.wait)}" if reading.wait else "open"
