"""Delivery: the items that have no result yet, and where results go: to a list, or to a consumer that iterates over them.

Rules owned here:

1. An item is open from its acceptance until its result is handed to the outlet, which happens exactly once.
2. At the end of a batch the open items are settled: with their result if it is decided, otherwise with a given fault.
3. An item whose id was accepted lately is rejected: memory does not grow with the number of items.
4. A consumer that falls behind stops new calls, not those in flight: at most `_MAX_READY` results, and one more for each call in
   flight, wait for it. Calls start again when it has consumed half of them, so that workers do not start and stop for each result.

Results are handed over in a deque with one event for all that are ready: a channel would wake the consumer for each.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from anyio import Event
from anyio.lowlevel import checkpoint

from ..._core.exceptions import DuplicateItemError, InvalidWorkItemError
from ..._core.fault import DRAINED
from ..._core.recent_ids import RecentIds
from ..._core.results import BatchResult, WorkItemResult
from ...abc import LLMWorkItem
from ..lanes.job import Job
from ..lanes.statistics import Tally
from ..lanes.submitter import Submitter
from ..tracing import BatchTrace

T = TypeVar("T")

_MAX_READY = 256  # results: enough work for a consumer that wakes, and little memory for one that stalls


# -------------------------------------------------------------------------------------------------- open items


class Outlet(Protocol):
    """The destination of results."""

    @property
    def has_room(self) -> bool:
        """Whether more calls may start; results of calls in flight are accepted in any case."""
        ...

    def put(self, result: WorkItemResult[Any], /) -> None:
        """Accept a result."""
        ...


def checked_item(item: object) -> LLMWorkItem[Any]:
    """Return `item`.

    Raises:
        InvalidWorkItemError: It is not an `LLMWorkItem`.
    """
    if not isinstance(item, LLMWorkItem):
        raise InvalidWorkItemError(
            f"a batch accepts LLMWorkItem, not {type(item).__name__}; for plain prompts use process_prompts or open_stream"
        )
    return item


class Ledger:
    """The open items of one submitter."""

    def __init__(self, outlet: Outlet, tally: Tally) -> None:
        self._outlet = outlet
        self._tally = tally
        self._open: dict[int, Job] = {}
        self._ids = RecentIds()
        self._trace: BatchTrace | None = None

    def trace_with(self, trace: BatchTrace) -> None:
        """Report each item that is accepted from now on."""
        self._trace = trace

    def __len__(self) -> int:
        return len(self._open)

    def accept(self, submitter: Submitter[Job], item: LLMWorkItem[Any], *, known_unique: bool = False) -> Job:
        """Open an item, and return its job.

        Args:
            submitter: Whose item it is.
            item: Work item.
            known_unique: Whether its id is known to differ from all others, so that it need not be remembered.

        Raises:
            DuplicateItemError: Its id was accepted lately.
            InvalidWorkItemError: It is not an `LLMWorkItem`.
        """
        if type(item) is not LLMWorkItem:
            checked_item(item)
        if not known_unique and not self._ids.add(item.item_id):
            raise DuplicateItemError(item.item_id)
        job = Job(submitter, item, self._tally.accept())
        if self._trace is not None:
            job.trace_with(self._trace.accept(item))
        self._open[job.index] = job
        return job

    def deliver(self, job: Job) -> bool:
        """Close an item and hand its result over; return whether no item is open any more."""
        result = job.result
        if self._open.pop(job.index, None) is None or result is None:
            raise AssertionError(f"item {job.item.item_id!r} was settled twice, or without a result")
        self._tally.count(result, recalled=job.recalled)
        if job.trace is not None:
            job.trace.settle(result)
        self._outlet.put(result)
        return not self._open

    def withhold(self, job: Job) -> None:
        """Close an item without handing its result over."""
        if self._open.pop(job.index, None) is None or job.result is None:
            raise AssertionError(f"item {job.item.item_id!r} was settled twice, or without a result")
        self._tally.count(job.result, recalled=job.recalled)
        if job.trace is not None:
            job.trace.settle(job.result)

    def jobs(self) -> list[Job]:
        """Return the jobs of all open items."""
        return list(self._open.values())


# -------------------------------------------------------------------------------------------------- outlets


class Collector(Generic[T]):
    """Collects every result."""

    has_room: bool = True

    def __init__(self) -> None:
        self.results: list[WorkItemResult[T]] = []
        self.put = self.results.append


class Handover(Generic[T]):
    """Holds results until the consumer takes them.

    Args:
        on_room: Function called when the consumer has caught up.
    """

    def __init__(self, on_room: Callable[[], None]) -> None:
        self.ready: deque[WorkItemResult[T]] = deque()
        self._on_room = on_room
        self._result: BatchResult[T] | None = None
        self._failure: BaseException | None = None
        self._changed = Event()
        self.has_room: bool = True
        """Whether the consumer keeps up."""

    @property
    def result(self) -> BatchResult[T] | None:
        """The batch's figures; None until it has ended."""
        return self._result

    @property
    def failure(self) -> BaseException | None:
        """The exception to raise after the last result."""
        return self._failure

    def put(self, result: WorkItemResult[T]) -> None:
        """Hold a result."""
        self.ready.append(result)
        self.has_room = self.has_room and len(self.ready) < _MAX_READY
        self._changed.set()

    def finish(self, result: BatchResult[T], failure: BaseException | None) -> None:
        """Record the end of the batch: no more results come."""
        self._result, self._failure = result, failure
        self._changed.set()

    async def take(self) -> WorkItemResult[T] | None:
        """Wait for the next result and return it; None: there are no more."""
        await checkpoint()
        while not self.ready:
            if self._result is not None:
                return None
            if self._changed.is_set():
                self._changed = Event()
            await self._changed.wait()
        result = self.ready.popleft()
        self._report_room()
        return result

    def take_ready(self) -> list[WorkItemResult[T]]:
        """Return all results that are held, without waiting."""
        results = list(self.ready)
        self.ready.clear()
        self._report_room()
        return results

    def _report_room(self) -> None:
        """Report that there is room again, once half of the results were taken."""
        if not self.has_room and len(self.ready) <= _MAX_READY // 2:
            self.has_room = True
            self._on_room()


class ResultStream(Generic[T]):
    """The results of a running batch, in the order of completion: `async for result in stream`.

    Iteration ends when every item has had its result. Then it raises `SourceError` if the source of work raised, or
    `UnsavedError`, which has the results, if some could not be committed to the journal. Cancelling the wait for a result loses
    none. Several tasks may iterate over one stream; each result goes to one of them.
    """

    def __init__(self, handover: Handover[T], drain: Callable[[str], None]) -> None:
        self._handover = handover
        self._drain = drain

    @property
    def undelivered(self) -> tuple[WorkItemResult[T], ...]:
        """Results that were not consumed yet; after leaving the block early, those of all other items, pending ones included."""
        return tuple(self._handover.ready)

    def take_ready(self) -> list[WorkItemResult[T]]:
        """Return the results that wait to be consumed, without waiting for more: for a consumer that writes many at once.

        async for result in results:
            write([result] + results.take_ready())
        """
        return self._handover.take_ready()

    @property
    def batch(self) -> BatchResult[T]:
        """The batch's figures, once it has ended; empty before. Its `results` are empty: they went through the stream."""
        return self._handover.result or BatchResult()

    def drain(self, reason: str = DRAINED) -> None:
        """Start no more calls: calls in flight finish, the other items come through the stream as pending. From any thread.

        Args:
            reason: Message of the pending items' faults, and of the batch's `stopped`.
        """
        self._drain(reason)

    def __aiter__(self) -> ResultStream[T]:
        return self

    async def __anext__(self) -> WorkItemResult[T]:
        result = await self._handover.take()
        if result is None:
            raise self._handover.failure or StopAsyncIteration
        return result
