"""Outlets: where a batch's results go, to a list or to a consumer that iterates over them.

A consumer that falls behind stops new calls, not those in flight: at most `_MAX_READY` results, and one more for each call in
flight, wait for it. Calls start again when it has consumed half of them, so that workers do not start and stop for each result.
Results are handed over in a deque with one event for all that are ready: a channel would wake the consumer for each.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

from anyio import Event

from .._core.exceptions import PacelineError
from .._core.fault import DRAINED, pending_fault
from .._core.results import BatchResult, WorkItemResult
from .batch import Batch

T = TypeVar("T")

_MAX_READY = 256  # results: enough work for a consumer that wakes, and little memory for one that stalls


class Collector(Generic[T]):
    """Collects every result."""

    def __init__(self) -> None:
        self.results: list[WorkItemResult[T]] = []

    def has_room(self) -> bool:
        """Return True: it is never full."""
        return True

    def put(self, result: WorkItemResult[T]) -> None:
        """Append a result."""
        self.results.append(result)


class Handover(Generic[T]):
    """Holds results until the consumer takes them."""

    def __init__(self) -> None:
        self.ready: deque[WorkItemResult[T]] = deque()
        self.batch: Batch | None = None
        """The batch whose results these are, to wake when the consumer has caught up."""
        self.result: BatchResult[T] | None = None
        """The batch's figures; None until it has ended."""
        self.failure: PacelineError | None = None
        """The exception to raise after the last result."""
        self._changed = Event()
        self._is_behind = False

    def has_room(self) -> bool:
        """Whether the consumer keeps up."""
        return not self._is_behind

    def put(self, result: WorkItemResult[T]) -> None:
        """Hold a result."""
        self.ready.append(result)
        self._is_behind = self._is_behind or len(self.ready) >= _MAX_READY
        self._changed.set()

    def finish(self, result: BatchResult[T], failure: PacelineError | None) -> None:
        """Record the end of the batch: no more results come."""
        self.result, self.failure = result, failure
        self._changed.set()

    async def take(self) -> WorkItemResult[T] | None:
        """Wait for the next result and return it; None: there are no more."""
        while not self.ready:
            if self.result is not None:
                return None
            if self._changed.is_set():
                self._changed = Event()
            await self._changed.wait()
        result = self.ready.popleft()
        if self._is_behind and len(self.ready) <= _MAX_READY // 2 and self.batch is not None:
            self._is_behind = False
            self.batch.alarm.ring()
        return result


class ResultStream(Generic[T]):
    """The results of a running batch, in the order of completion: `async for result in stream`.

    Iteration ends when every item has had its result. Then it raises `SourceError` if the source of work raised, or
    `UnsavedError`, which has the results, if some could not be committed to the journal. Cancelling the wait for a result loses
    none. Several tasks may iterate over one stream; each result goes to one of them.
    """

    def __init__(self, handover: Handover[T]) -> None:
        self._handover = handover

    @property
    def undelivered(self) -> tuple[WorkItemResult[T], ...]:
        """Results that were not consumed yet; after leaving the block early, those of all other items, pending ones included."""
        return tuple(self._handover.ready)

    @property
    def batch(self) -> BatchResult[T]:
        """The batch's figures, once it has ended; empty before. Its `results` are empty: they went through the stream."""
        return self._handover.result or BatchResult()

    def drain(self, reason: str = DRAINED) -> None:
        """Start no more calls: calls in flight finish, the other items come through the stream as pending.

        Args:
            reason: Message of the pending items' faults, and of the batch's `stopped`.
        """
        if self._handover.batch is not None:
            self._handover.batch.stop(pending_fault(reason))

    def __aiter__(self) -> ResultStream[T]:
        return self

    async def __anext__(self) -> WorkItemResult[T]:
        result = await self._handover.take()
        if result is None:
            raise self._handover.failure or StopAsyncIteration
        return result
