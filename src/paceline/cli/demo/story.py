"""What the demo's provider does, chapter by chapter, and what the batch made of it.

1. The batch is told nothing of this: refusals carry no hint.
2. What was found in a chapter is the pace at its end; where no rate was enforced, what was served then.
"""

from __future__ import annotations

import math
from bisect import bisect_right

import attrs

from ...testing import ConcurrencyCap, Service, SimulatedProvider, SimulatedStrategy, TokenBucket
from ..showing.gauge import Reading, per_time

_QUOTA = "a provider with a story"


@attrs.frozen
class Chapter:
    """What the provider allows for a time."""

    start: float
    """Seconds from the first call."""
    rate: float
    """Calls a second that it allows; 0: it refuses all."""

    @property
    def allowed(self) -> str:
        """What it allows, in words."""
        return per_time(self.rate, "calls") if self.rate else "nothing: an outage"

    @property
    def service(self) -> Service:
        """What the simulated provider is like."""
        limit = TokenBucket(self.rate, self.rate) if self.rate else ConcurrencyCap(0)
        return Service(limits=(limit,), latency=0.8, sigma=0.3)


STORY = (Chapter(0.0, 60.0), Chapter(9.0, 0.0), Chapter(11.0, 60.0), Chapter(14.0, 20.0), Chapter(19.0, 60.0))
ITEMS = 1_200
"""As many as the story takes half a minute for."""


def storyteller(seed: int) -> SimulatedStrategy:
    """Return a strategy whose provider has the story's chapters, and chance of this seed."""
    first, *others = STORY
    provider = SimulatedProvider(
        first.service, steps=[(chapter.start, chapter.service) for chapter in others], seed=seed
    )
    return SimulatedStrategy(provider, model="sim", quota=_QUOTA)


def chapter_at(seconds: float) -> Chapter:
    """Return the chapter of a time."""
    return STORY[_index_at(seconds)]


@attrs.define
class Chronicle:
    """The last figures of each chapter."""

    _last: dict[int, Reading] = attrs.field(factory=dict)

    def note(self, reading: Reading) -> None:
        """Take the figures of one moment, later than those before."""
        self._last[_index_at(reading.seconds)] = reading

    def told(self) -> list[str]:
        """Return a line for each chapter: what was allowed, what pace was found, how many calls were refused."""
        lines, before = [], 0
        for index, reading in sorted(self._last.items()):
            refused = reading.refusals - before
            before = reading.refusals
            lines.append(f"from {STORY[index].start:2.0f} s  {_found(STORY[index], reading)}; {refused:,} refused")
        return lines


def _found(chapter: Chapter, reading: Reading) -> str:
    pace = reading.pace if reading.pace < math.inf else reading.rate
    allowed = f"allowed {chapter.allowed}"
    return f"{allowed}, found {per_time(pace, 'calls')} ({pace / chapter.rate:.0%})" if chapter.rate else allowed


def _index_at(seconds: float) -> int:
    return bisect_right(STORY, max(0.0, seconds), key=lambda chapter: chapter.start) - 1
