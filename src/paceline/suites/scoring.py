"""Scoring: has answers scored by a plain function in a worker thread, which it may block, but not for ever.

Rules owned here:

1. A score that takes longer than `LONGEST` is given up: its thread is left to itself, and what it returns later is discarded. Python cannot
   end a thread.
2. A thread returns after about `_TURN`, so that what is given up is one score, and not some that are slow together.
3. What a scorer raises, `SystemExit` included, and a value that is not a score, is a defect of that one score.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final, Generic, TypeVar

from anyio import CapacityLimiter, move_on_after, to_thread

from .._core.exceptions import ConfigurationError
from .suite import Score

T = TypeVar("T")

LONGEST: Final = 60.0
"""Seconds that one score may take: model answers are scored in microseconds, and a program in the sandbox has a limit of its own."""
_TURN: Final = 1.0  # seconds

Scored = tuple[Score | None, Exception | None]
"""A score, or why there is none; both None: the answer is not to be scored."""


async def score_all(
    jobs: Iterable[T], score: Callable[[T], Scored], note: Callable[[T, Scored], None], flush: Callable[[], None]
) -> None:
    """Score answers one after the other, in a worker thread. Cancelling it leaves the thread to itself.

    Args:
        jobs: What is to be scored.
        score: Scores one. Called in the thread.
        note: Takes a score. Called in the thread, except for a score that was given up.
        flush: Called in the thread at the end of its turn.
    """
    waiting = deque(jobs)
    limiter = CapacityLimiter(math.inf)  # threads that were given up must not keep others from starting
    while waiting:
        turn = _Turn(waiting, score, note)
        try:
            with move_on_after(LONGEST):
                await to_thread.run_sync(turn.run, flush, abandon_on_cancel=True, limiter=limiter)
        finally:
            left = turn.abandon()
        if left is not None:
            note(left, (None, TimeoutError(f"the scorer took more than {LONGEST:g} s")))


class _Turn(Generic[T]):
    """A thread's turn."""

    def __init__(self, waiting: deque[T], score: Callable[[T], Scored], note: Callable[[T, Scored], None]) -> None:
        self._waiting, self._score, self._note = waiting, score, note
        self._lock = threading.Lock()
        self._current: T | None = None
        self._is_over = False

    def run(self, flush: Callable[[], None]) -> None:
        """Score what waits until the turn is over."""
        until = time.monotonic() + _TURN
        while self._waiting:
            job = self._current = self._waiting.popleft()
            scored = self._score(job)
            with self._lock:
                if self._is_over:
                    return
                self._note(job, scored)
                self._current = None
            if time.monotonic() >= until:
                break
        flush()

    def abandon(self) -> T | None:
        """End the turn; return what is being scored."""
        with self._lock:
            self._is_over = True
            return self._current


def scored_by(scorer: Callable[..., Any], item: object, output: object) -> Scored:
    """Return the score that a plain function gives an answer.

    Raises:
        ConfigurationError: Nothing can be scored.
    """
    try:
        return as_score(scorer(item, output)), None
    except ConfigurationError:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a defect of one score ends no suite
        return None, error if isinstance(error, Exception) else RuntimeError("the scorer called sys.exit()")


def as_score(value: object) -> Score:
    """Return what a scorer has returned.

    Raises:
        TypeError: It is not a score.
    """
    if not isinstance(value, Score):
        raise TypeError(f"a scorer must return a Score, not {type(value).__name__}")
    return value
