"""Why the pace has changed, in the order in which it did.

1. Changes of one handle for one reason, with nothing between them but other handles' changes, are one change.
2. Only the latest are remembered: what is shown at once.
"""

from __future__ import annotations

from typing import Any

import attrs
from anyio import current_time

from ..._core.events import ProcessingEvent
from ...abc import BaseObserver
from .gauge import elapsed, per_time, wait_of

SHOWN = 5
"""Changes that are remembered."""


@attrs.frozen
class Change:
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
        return elapsed(self.seconds)

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
                return f"gate closed for {wait_of(self.new)}" if self.new > 0 else "gate open again"
            case other:
                return f"{other}: {self.old:,.4g} → {self.new:,.4g}"


class Reasons(BaseObserver):
    """Remembers why the pace has changed."""

    def __init__(self) -> None:
        self.latest: list[Change] = []
        self._untold: dict[str, Change] = {}
        self._began = 0.0

    async def on_event(self, event: ProcessingEvent, data: dict[str, Any]) -> None:
        """Hear of one event."""
        if event is ProcessingEvent.BATCH_STARTED:
            self._began = current_time()
        elif event is ProcessingEvent.PACE_CHANGED:
            seconds = current_time() - self._began
            self._add(Change(seconds, data["handle"], data["old"], data["new"], data["reason"]))

    def take(self) -> list[Change]:
        """Return the latest change of each handle, of those since it was asked last, in order of time."""
        taken = sorted(self._untold.values(), key=lambda change: change.seconds)
        self._untold.clear()
        return taken

    def _add(self, change: Change) -> None:
        self._untold[change.handle] = change
        for index in reversed(range(len(self.latest))):
            last = self.latest[index]
            if last.handle == change.handle:
                if last.reason == change.reason:
                    self.latest[index] = self._untold[change.handle] = attrs.evolve(last, new=change.new)
                    return
                break
        self.latest = [*self.latest[1 - SHOWN :], change]
