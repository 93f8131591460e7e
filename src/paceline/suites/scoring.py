"""Scoring: has answers scored by a plain function in a thread of its own, which it may block, but not for ever.

Rules owned here:

1. A score that takes longer than `LONGEST` is given up: its thread is left to itself, as Python cannot end one, and what it returns later is
   discarded. A new thread scores the others.
2. What a scorer raises, `SystemExit` included, and a value that is not a score, is a defect of that one score.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any, Final, Generic, TypeVar

from anyio import to_thread

from .._core.exceptions import ConfigurationError
from .suite import Score

T = TypeVar("T")

LONGEST: Final = 60.0
"""Seconds that one score may take: answers are scored in microseconds, and a program in the sandbox has a limit of its own."""
_LOOK: Final = 0.5  # seconds between two looks at a score that takes long

Scored = tuple[Score | None, Exception | None]
"""A score, or why the answer has no score; both None: the answer is not to be scored."""


class ScoringThread(Generic[T]):
    """Scores answers one after the other.

    Args:
        score: Scores one. Like the others it is called in a thread.
        note: Takes a score.
        flush: Called when the answers that were handed over together are scored.
        longest: Seconds that one score may take.
    """

    def __init__(
        self,
        score: Callable[[T], Scored],
        note: Callable[[T, Scored], None],
        flush: Callable[[], None],
        longest: float = LONGEST,
    ) -> None:
        self._score, self._note, self._flush, self._longest = score, note, flush, longest
        self._turns: SimpleQueue[_Turn[T] | None] | None = None

    async def score_all(self, jobs: Iterable[T]) -> None:
        """Score some answers. Cancelling it discards those that are not scored yet.

        Raises:
            ConfigurationError: Nothing can be scored.
        """
        turn = _Turn(deque(jobs), self._score, self._note)
        try:
            await to_thread.run_sync(self._run, turn, abandon_on_cancel=True)
        finally:
            turn.leave()

    def close(self) -> None:
        """End the thread when it has nothing left to do."""
        if self._turns is not None:
            self._turns.put(None)
            self._turns = None

    def _run(self, turn: _Turn[T]) -> None:
        while not turn.is_complete:
            if self._turns is None:
                self._turns = SimpleQueue()
                thread = threading.Thread(
                    target=copy_context().run, args=(_work, self._turns), name="paceline scorer", daemon=True
                )
                thread.start()
            self._turns.put(turn)
            late = turn.wait(self._longest)
            if late is None:
                break
            self.close()  # it ends if it ever comes back
            self._note(late, (None, TimeoutError(f"the scorer took more than {self._longest:g} s")))
            turn = turn.rest()
        if turn.error is not None:
            raise turn.error
        self._flush()


class _Turn(Generic[T]):
    """Answers that are scored together."""

    def __init__(self, waiting: deque[T], score: Callable[[T], Scored], note: Callable[[T, Scored], None]) -> None:
        self._waiting, self._score, self._note = waiting, score, note
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._current: tuple[T, float] | None = None
        self._is_left = False
        self.error: Exception | None = None
        """Why nothing can be scored."""

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to be scored."""
        return not self._waiting

    def run(self) -> None:
        """Score what waits, in the thread."""
        try:
            while self._waiting:
                job = self._waiting.popleft()
                self._current = job, time.monotonic()
                scored = self._score(job)
                with self._lock:
                    if self._is_left:
                        return
                    self._note(job, scored)
                    self._current = None
        except Exception as error:  # noqa: BLE001 - raised where the turn is waited for
            self.error = error
        finally:
            self._over.set()

    def wait(self, longest: float) -> T | None:
        """Wait until all are scored; return the one that takes too long, which is given up."""
        while not self._over.wait(min(_LOOK, longest)):
            with self._lock:
                if self._current is not None and time.monotonic() - self._current[1] > longest:
                    self._is_left = True
                    return self._current[0]
        return None

    def rest(self) -> _Turn[T]:
        """Return a turn of those that wait behind the one that was given up."""
        return _Turn(self._waiting, self._score, self._note)

    def leave(self) -> None:
        """Discard what is not scored yet; whoever waits goes on."""
        with self._lock:
            self._is_left = True
        self._over.set()


def _work(turns: SimpleQueue[_Turn[Any] | None]) -> None:
    while (turn := turns.get()) is not None:
        turn.run()


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
