"""Long hints: when refusals agree that a lane reopens only after a time that no batch waits for.

One long hint is not believed, as providers have sent wrong ones. Several in a row that name the same time, with no call served
between, are: then the batch need not use up its patience, and its items say when to resume.
"""

from __future__ import annotations

import math

import attrs

from ..quota import positive_number

_ENOUGH = 5  # refusals in a row
_SAME = 0.1  # of the wait, and at least the seconds below: hints that differ by more do not agree
_SAME_SECONDS = 90.0


@attrs.frozen
class LongHints:
    """The long hints of a lane since it served a call."""

    count: int = 0
    """Refusals in a row whose hints agree."""
    reopens_at: float = math.inf
    """When the lane reopens, as the latest of them says, in seconds."""

    def after(self, now: float, asked: float | None, patience: float) -> LongHints:
        """Return the hints after another refusal.

        Args:
            now: Current time, in seconds.
            asked: Seconds that the provider asked to wait; None if it did not.
            patience: Seconds that the batch would wait for the lane anyway: a hint that is not longer is not long.
        """
        wait = positive_number(asked)
        if wait is None or wait <= patience:
            return NO_LONG_HINTS
        reopens_at = now + wait
        agrees = abs(reopens_at - self.reopens_at) <= max(_SAME_SECONDS, _SAME * wait)
        return LongHints(self.count + 1 if agrees else 1, reopens_at)

    @property
    def are_believed(self) -> bool:
        """Whether enough hints agree."""
        return self.count >= _ENOUGH


NO_LONG_HINTS = LongHints()
