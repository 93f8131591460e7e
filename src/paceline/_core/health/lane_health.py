"""Lane health: what the ends of a lane's calls say about now, beside its pace.

Rules owned here:

1. Patience is counted from the first refusal since a call was served.
2. Calls that fail for passing reasons say that a provider is down once they are of several items: fewer may be bad themselves.
3. What is wrong is forgotten once a call is served, or the lane is tried again; what was learned about its quota is kept elsewhere.
"""

from __future__ import annotations

import math

import attrs

from . import fault_warnings, systematic_failure
from .long_hints import NO_LONG_HINTS, LongHints

_ENOUGH_FAILED = 3  # items: fewer may be bad themselves


@attrs.define(eq=False)
class LaneHealth:
    """What the latest calls of a lane said. Times are seconds of one clock."""

    has_trouble: bool = False
    """Whether something was refused or has failed since a call was served."""
    refused_since: float = math.inf
    """The time since which calls are refused and none is served; inf: none was refused."""
    failing_since: float = math.inf
    """When the first of the calls ended that failed for a passing reason since one was served; inf: none failed."""
    is_suspended: bool = False
    """Whether no more calls start until those in flight have ended: all of them may fail alike."""
    _failed: frozenset[int] = frozenset()
    """Some items, by identity, whose calls failed for a passing reason since one was served."""
    _long_hints: LongHints = NO_LONG_HINTS
    _warnings: fault_warnings.FaultWarnings = fault_warnings.NO_WARNINGS
    _calls: systematic_failure.State = systematic_failure.NEW

    # ------------------------------------------------------------------------------------------ refusals

    @property
    def is_starving(self) -> bool:
        """Whether calls have been refused without one being served."""
        return self.refused_since < math.inf

    def starved(self, now: float) -> float:
        """Return for how many seconds calls have been refused without one being served."""
        return max(0.0, now - self.refused_since)

    def refuse_since(self, since: float) -> None:
        """Set the time since which calls are refused; inf: earlier refusals say nothing about now."""
        self.refused_since = since
        self.has_trouble = self.has_trouble or since < math.inf

    def forgive(self, seconds: float, now: float) -> None:
        """Take so many seconds, which have passed by `now`, out of the time since which calls are refused: none could be served."""
        self.refused_since = min(now, self.refused_since + seconds) if self.is_starving else self.refused_since

    def record_refusal(self, now: float) -> None:
        """Record that the provider refused a call."""
        self.refuse_since(min(self.refused_since, now))

    def believes_long_hint(self, now: float, asked: float | None, patience: float) -> bool:
        """Record the seconds that a refusal asked to wait; return whether refusals agree that they are more than anyone waits."""
        self.has_trouble = True
        self._long_hints = self._long_hints.after(now, asked, patience)
        return self._long_hints.are_believed

    # ------------------------------------------------------------------------------------------ faults

    def record_passing_fault(self, item: int, now: float) -> None:
        """Record that a call of an item, given by its identity, failed for a passing reason."""
        self.has_trouble = True
        self.failing_since = min(self.failing_since, now)
        if len(self._failed) < _ENOUGH_FAILED:
            self._failed |= {item}

    @property
    def many_have_failed(self) -> bool:
        """Whether so many items failed that it is not for their own sake."""
        return len(self._failed) >= _ENOUGH_FAILED

    # ------------------------------------------------------------------------------------------ all calls

    def record_served(self) -> None:
        """Record that the provider served a call: patience starts from the beginning."""
        self.has_trouble = False
        self.refused_since = self.failing_since = math.inf
        self._failed = frozenset()
        self._long_hints = NO_LONG_HINTS

    def record_end(
        self, event: systematic_failure.Ended, *, patience: float, keep_going: bool
    ) -> systematic_failure.Evidence | None:
        """Record how a call ended; return the evidence if all calls so far failed alike, so that no more are made."""
        if self._calls is systematic_failure.SERVED:
            return None
        self._calls = systematic_failure.step(self._calls, event, patience=patience, keep_going=keep_going)
        self.is_suspended = isinstance(self._calls, systematic_failure.Suspended)
        return self._calls.evidence if isinstance(self._calls, systematic_failure.Failing) else None

    @property
    def is_good(self) -> bool:
        """Whether a call was served before, and the latest calls did not fail: the end of one that was served says nothing new."""
        return self._calls is systematic_failure.SERVED and not self._warnings.in_a_row and self._warnings.has_served

    def is_worth_a_warning(self, event: systematic_failure.Ended) -> bool:
        """Record how a call ended; return whether the log should have a warning about it."""
        self._warnings, is_worth_it = fault_warnings.step(self._warnings, event)
        return is_worth_it
