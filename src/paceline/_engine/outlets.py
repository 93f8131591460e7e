"""Where a batch's results go: into a list, or to a consumer that takes them one by one.

A consumer that falls behind stops new calls, not those in flight: at most `_READY` results, and one more for each call in
flight, wait for it. It has caught up when it has taken half of them, so that workers do not stop and go for each. Results
are handed over in a deque, with one event for all that are ready: a channel would wake the consumer for each.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

from anyio import Event

from .._core.exceptions import PacelineError
from .._core.fault import DRAINED, pending
from .._core.results import BatchResult, WorkItemResult
from .batch import Batch

T = TypeVar("T")

_READY = 256  # results: a consumer that wakes finds work for a while, and a stalled one holds little memory


class Collector(Generic[T]):
    """Keeps every result."""

    def __init__(self) -> None:
        self.results: list[WorkItemResult[T]] = []

    def has_room(self) -> bool:
        """Always."""
        return True

    def put(self, result: WorkItemResult[T]) -> None:
        """Keep a result."""
        self.results.append(result)


class Handover(Generic[T]):
    """Holds results until the consumer takes them."""

    def __init__(self) -> None:
        self.ready: deque[WorkItemResult[T]] = deque()
        self.batch: Batch | None = None
        self.result: BatchResult[T] | None = None
        self.failure: PacelineError | None = None
        self._news = Event()
        self._behind = False

    def has_room(self) -> bool:
        """Whether the consumer keeps up."""
        return not self._behind

    def put(self, result: WorkItemResult[T]) -> None:
        """Hold a result."""
        self.ready.append(result)
        self._behind = self._behind or len(self.ready) >= _READY
        self._news.set()

    def end(self, result: BatchResult[T], failure: PacelineError | None) -> None:
        """Nothing more comes."""
        self.result, self.failure = result, failure
        self._news.set()

    async def take(self) -> WorkItemResult[T] | None:
        """Return the next result, once there is one; None: there are no more."""
        while not self.ready:
            if self.result is not None:
                return None
            if self._news.is_set():
                self._news = Event()
            await self._news.wait()
        result = self.ready.popleft()
        if self._behind and len(self.ready) <= _READY // 2 and self.batch is not None:
            self._behind = False
            self.batch.alarm.ring()
        return result


class ResultStream(Generic[T]):
    """The results of a running batch, in completion order: `async for result in stream`.

    Iteration ends when every item has had its result. If the source of work raised, it raises `SourceError` at that point; if
    there is a journal and results could not be committed, `UnsavedError`, which has them.
    Cancelling the wait for a result loses none.
    """

    def __init__(self, handover: Handover[T]) -> None:
        self._handover = handover

    @property
    def undelivered(self) -> tuple[WorkItemResult[T], ...]:
        """Results not taken yet: after leaving the block early, all that are left, the pending ones included."""
        return tuple(self._handover.ready)

    @property
    def batch(self) -> BatchResult[T]:
        """The batch's figures, once it has ended; its results went through the stream and are not in it."""
        return self._handover.result or BatchResult()

    def drain(self, reason: str = DRAINED) -> None:
        """Start no more calls; those in flight finish, and the rest of the items come through the stream as pending, for `reason`."""
        if self._handover.batch is not None:
            self._handover.batch.stop(pending(reason))

    def __aiter__(self) -> ResultStream[T]:
        return self

    async def __anext__(self) -> WorkItemResult[T]:
        result = await self._handover.take()
        if result is None:
            raise self._handover.failure or StopAsyncIteration
        return result
