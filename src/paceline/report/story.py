"""Story: the decisions of the controllers in sentences, each with its time.

Rules owned here:

1. Steps of one climb are one line, whatever other limits do between them: a decision that lowers, stops or learns ends it.
2. Decisions that follow each other within seconds, for reasons that differ in their numbers only, are one line.
3. A line says first what was observed, then what followed from it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from typing import Final

import attrs

from .._core.durations import format_wait
from .._core.pace.history import CALLS, CLIMBS, GATE, TOKENS, WORKERS
from .._core.quantity import quantity
from ..journal.figures import PaceEntry

_UNITS: Final = {CALLS: "calls/s", TOKENS: "tokens/s"}
_SHORT: Final = 1.0  # seconds: a climb that is shorter has no duration in its line
_TOGETHER: Final = 10.0  # seconds between two decisions that are one line
_NUMBERS: Final = re.compile(r"\d[\d.,]*(?:e[+-]?\d+)?")
_DIGITS: Final = 1000  # values from here on have no decimals: they do not matter


@attrs.frozen
class StoryLine:
    """One decision, several that are alike, or one climb."""

    entry: PaceEntry
    """The first change."""
    end: float
    """When the last change was made, in seconds since the run's batch began."""
    count: int
    """How often it was observed."""
    changes: tuple[PaceEntry, ...]
    """What followed: one change for each handle, from its first value to its last."""

    @classmethod
    def of(cls, entry: PaceEntry) -> StoryLine:
        """Return the line of one change."""
        return cls(entry, entry.at, 1, (entry,))

    def joined(self, entry: PaceEntry) -> StoryLine:
        """Return the line with a further change."""
        changes = {change.handle: change for change in self.changes}
        known = changes.get(entry.handle)
        changes[entry.handle] = entry if known is None else attrs.evolve(known, new=entry.new, reason=entry.reason)
        is_new = entry.at != self.end or known is not None
        return StoryLine(self.entry, max(self.end, entry.at), self.count + is_new, tuple(changes.values()))

    @property
    def text(self) -> str:
        """The line without its time."""
        reason = self.changes[-1].reason if self.entry.handle == GATE else self.entry.reason
        lasted = self.end - self.entry.at
        within = f" within {format_wait(lasted)}" if self.count > 1 else ""
        if is_decision(self.entry):
            within = f" ({quantity(self.count, 'time')}{within})" if self.count > 1 else ""
            return f"{reason}{within}; {', '.join(map(_change, self.changes))}"
        return f"{reason}; {', '.join(map(_change, self.changes))}{within if lasted >= _SHORT else ''}"


def is_decision(entry: PaceEntry) -> bool:
    """Whether a change is not a step of a climb."""
    return entry.reason not in CLIMBS


def tell(entries: Iterable[PaceEntry]) -> Iterator[StoryLine]:
    """Yield the story of some changes, those of each lane and run one after the other, the oldest first."""
    climbs: dict[str, StoryLine] = {}
    line: StoryLine | None = None
    last: tuple[int, str] | None = None
    for entry in entries:
        if (entry.run, entry.quota) != last:
            yield from _ended(climbs, line)
            line, last = None, (entry.run, entry.quota)
        if not is_decision(entry):
            climb = climbs.get(entry.handle)
            climbs[entry.handle] = StoryLine.of(entry) if climb is None else climb.joined(entry)
        elif line is not None and not climbs and _is_alike(line, entry):
            line = line.joined(entry)
        else:
            yield from _ended(climbs, line)
            line = StoryLine.of(entry)
    yield from _ended(climbs, line)


def in_order_of_time(entries: Iterable[PaceEntry]) -> list[StoryLine]:
    """Return the story of some changes of all lanes in the order of time."""
    by_lane = sorted(entries, key=lambda entry: (entry.quota, entry.run))  # stable: the times of each stay in order
    return sorted(tell(by_lane), key=lambda line: (line.entry.run, line.entry.at))


def _is_alike(line: StoryLine, entry: PaceEntry) -> bool:
    return (
        entry.at - line.end <= _TOGETHER
        and (entry.handle == GATE) == (line.entry.handle == GATE)
        and _shape(entry.reason) == _shape(line.entry.reason)
    )


def _shape(reason: str) -> str:
    return _NUMBERS.sub("#", reason)


def _ended(climbs: dict[str, StoryLine], line: StoryLine | None) -> list[StoryLine]:
    """Return the lines that have ended, in the order of time."""
    lines = [*([] if line is None else [line]), *climbs.values()]
    climbs.clear()
    return sorted(lines, key=lambda one: one.entry.at)


def _change(entry: PaceEntry) -> str:
    """Return what followed from what was observed."""
    if entry.handle == GATE:
        return f"no call starts for {format_wait(entry.new)}" if entry.new else "calls start again"
    old, new = (_value(value, entry.handle) for value in (entry.old, entry.new))
    name = "workers" if entry.handle == WORKERS else "pace"
    unit = "" if entry.handle == WORKERS or entry.new is None else f" {_UNITS.get(entry.handle, entry.handle)}"
    return f"{name} {new}{unit}" if entry.old is None or old == new else f"{name} {old} -> {new}{unit}"


def _value(value: float | None, handle: str) -> str:
    if value is None:
        return "no limit"
    if handle == WORKERS or not math.isfinite(value) or abs(value) >= _DIGITS:
        return f"{value:,.0f}"
    return f"{value:.3g}"
