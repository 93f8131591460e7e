"""Why the pace has changed, in the order in which it did.

1. Changes of one handle for one reason, with nothing between them but other handles' changes, are one change.
2. Only the latest are remembered: what is shown at once.

How a batch is getting on, in the figures that people look at. Pure: the time is an argument.

Rates are taken over the last five seconds, so that they follow what happens and do not flicker.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import attrs
from anyio import current_time

from ..._core.durations import format_elapsed, format_wait
from ..._core.events import ProcessingEvent
from ..._engine.tally import ProcessorStatistics
from ...abc import BaseObserver

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


_WINDOW = 5.0  # seconds
_PAIR = 2
_MANY = 100  # from here on decimals say nothing


@attrs.frozen(kw_only=True)
class Figures:
    """The figures of one moment."""

    seconds: float
    """Since the first reading."""
    total: int
    done: int
    """Items that have their result."""
    failed: int
    in_flight: int
    workers: int
    """How many calls may be in flight."""
    pace: float
    """Calls a second that may start; inf while no limit is known."""
    token_pace: float
    """Tokens a second that may be used; inf while no limit is known."""
    rate: float
    """Calls served a second, lately."""
    refusals: int
    wait: float
    """Seconds until the next call may start, while the provider has asked for a wait; else 0."""
    left: float | None
    """Seconds to the end, if it goes on like this; None: nothing to judge by."""


@attrs.frozen
class _Mark:
    time: float
    served: int
    done: int


class FigureMeter:
    """Reads the figures of a batch from a processor's snapshots.

    Args:
        total: items in the batch.
        most: workers at most, whatever the controllers allow.
        before: items of these that were done by earlier runs.
    """

    def __init__(self, total: int, most: int, before: int = 0) -> None:
        self.total = total
        self._before = before
        self._most = most
        self._began: float | None = None
        self._marks: deque[_Mark] = deque()

    def read(self, now: float, statistics: ProcessorStatistics) -> Figures:
        """Return the figures; `now` never goes back."""
        lanes = statistics.lanes.values()
        done = self._before + statistics.succeeded + statistics.failed
        mark = _Mark(now, sum(lane.served for lane in lanes), done)
        self._marks.append(mark)
        while len(self._marks) > _PAIR and now - self._marks[1].time >= _WINDOW:
            self._marks.popleft()  # the one before the window stays: there may be none in it
        if self._began is None:
            self._began = now
        first = self._marks[0]
        seconds = now - first.time
        settled_a_second = (done - first.done) / seconds if seconds > 0 else 0.0
        return Figures(
            seconds=now - self._began,
            total=self.total,
            done=done,
            failed=statistics.failed,
            in_flight=statistics.in_flight,
            workers=min(self._most, sum(lane.limit for lane in lanes)),
            pace=sum(lane.rate for lane in lanes) if lanes else math.inf,
            token_pace=sum(lane.token_rate for lane in lanes) if lanes else math.inf,
            rate=(mark.served - first.served) / seconds if seconds > 0 else 0.0,
            refusals=statistics.rate_limit_count,
            wait=max(0.0, min((lane.gate - now for lane in lanes), default=0.0)),
            left=(self.total - done) / settled_a_second if settled_a_second > 0 else None,
        )


def per_time(number: float, unit: str) -> str:
    """Return a rate as people say it: 29.1 calls/s, 1,667 tokens/s, and of less than one a second 12.5 calls/min."""
    if number == math.inf:
        return "no limit"
    if number < 1:
        return f"{60 * number:.3g} {unit}/min"
    return f"{number:,.1f} {unit}/s" if number < _MANY else f"{number:,.0f} {unit}/s"


def pace_of(reading: Figures) -> str:
    """Return the pace in words."""
    enforced = [
        per_time(pace, unit)
        for pace, unit in ((reading.pace, "calls"), (reading.token_pace, "tokens"))
        if pace < math.inf
    ]
    return ", ".join(enforced) or ("not limited" if reading.refusals else "no limit met yet")


def gate_of(reading: Figures) -> str:
    """Return in words whether calls may start, and if not, when."""
    return f"closed; opens in {format_wait(reading.wait)}" if reading.wait else "open"
