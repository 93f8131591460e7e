"""Schedule: when to look at a native job again, and when its open rows are better answered online.

Times are wall-clock times in seconds since 1970: they outlive the process.
"""

from __future__ import annotations

from typing import Final

FIRST_POLL: Final = 1.0  # seconds: a small job, or one that was refused as a whole, ends at once
LONGEST_POLL: Final = 60.0  # seconds: at most 1,440 looks at a job that takes its whole day
_POLL_SHARE: Final = 0.1  # of a job's age: its end is noticed at most a tenth later than it was there

LONGEST_RETRY: Final = 60.0  # seconds between two tries of a call that fails
LONGEST_HOLD: Final = 600.0  # seconds between two tries to create a job that the provider has no room for yet

CANCELLING: Final = 600.0  # seconds that a cancelled job may take to end: OpenAI says up to 10 minutes
_SAFETY: Final = 1.5  # times the expected time of the rescue: its pace is an estimate
_LEAST_SHARE: Final = 0.05  # of the window: for a rescue of few rows, as their last call may need several tries
_LARGEST_SHARE: Final = 0.5  # of the window: otherwise a short one would leave the half-price jobs no time at all
UNKNOWN_RATE: Final = 5.0  # calls a second: what a new account of each provider serves at least


def poll_wait(age: float) -> float:
    """Return the seconds to wait before the next look at a job that was created `age` seconds ago."""
    return min(LONGEST_POLL, max(FIRST_POLL, age * _POLL_SHARE))


def retry_wait(failures: int, longest: float = LONGEST_RETRY, asked: float | None = None) -> float:
    """Return the seconds to wait after so many failures in a row (1 or more).

    Args:
        failures: Number of failures.
        longest: Upper bound, also of what the provider asked for.
        asked: Seconds that the provider asked to wait, if it did.
    """
    wait = min(longest, 2.0 ** min(failures - 1, 30))
    return wait if asked is None or not asked > wait else min(longest, asked)


def rescue_at(deadline: float, began: float, rows: int, rate: float | None) -> float:
    """Return when the jobs are to be cancelled, so that their open rows can be answered online before the deadline.

    It is at least half of the window after its beginning, and the later the fewer rows are open.

    Args:
        deadline: When all rows are to be answered.
        began: When the run began.
        rows: Rows that have no answer.
        rate: Calls a second that the provider serves online; None: unknown.
    """
    window = max(0.0, deadline - began)
    calls = rows / rate if rate is not None and rate > 0 else rows / UNKNOWN_RATE
    needed = min(CANCELLING, window * _LEAST_SHARE) + calls * _SAFETY
    return deadline - min(max(needed, window * _LEAST_SHARE), window * _LARGEST_SHARE)
