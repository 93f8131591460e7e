"""Who is owed a result: every accepted item, until exactly one has been delivered.

Rules owned here:

1. A job is open from its acceptance until its result is handed to the outlet, which happens once.
2. In the end what is left is settled: a result that was decided already as it is, anything else as the given fault.
3. Two items of one batch with the same id are refused. Of the ids seen only their hashes are kept (about 100 bytes an item).
"""

from __future__ import annotations

from typing import Any, Protocol

from .._core.exceptions import DuplicateItemError, InvalidWorkItemError
from .._core.fault import Fault
from .._core.results import WorkItemResult
from ..abc import LLMWorkItem
from .job import Job
from .tally import Tally


class Outlet(Protocol):
    """Where results go."""

    def has_room(self) -> bool:
        """Whether more calls may be started; results of those in flight are taken in any case."""
        ...

    def put(self, result: WorkItemResult[Any]) -> None:
        """Take a result."""
        ...


class Ledger:
    """The items of one batch that have no result yet."""

    def __init__(self, outlet: Outlet, tally: Tally) -> None:
        self._outlet = outlet
        self._tally = tally
        self._open: dict[int, Job] = {}
        self._ids: set[int] = set()

    def __len__(self) -> int:
        return len(self._open)

    def accept(self, item: LLMWorkItem[Any], *, known_unique: bool = False) -> Job:
        """Open an item; `known_unique`: its id need not be remembered.

        Raises:
            InvalidWorkItemError: it is no work item, or its id was seen before.
        """
        if not isinstance(item, LLMWorkItem):
            raise InvalidWorkItemError(f"a batch takes LLMWorkItem, not {type(item).__name__}")
        if not known_unique:
            key = hash(item.item_id)
            if key in self._ids:
                raise DuplicateItemError(item.item_id)
            self._ids.add(key)
        job = Job.of(item, self._tally.accepted)
        self._tally.accepted += 1
        self._open[job.index] = job
        return job

    def deliver(self, job: Job) -> None:
        """Hand the job's result over."""
        self._outlet.put(self._take(job))

    def withhold(self, job: Job) -> None:
        """Count the job as settled, and hand its result over to nobody."""
        self._take(job)

    def _take(self, job: Job) -> WorkItemResult[Any]:
        if self._open.pop(job.index, None) is None or job.result is None:
            raise AssertionError(f"item {job.item.item_id!r} was settled twice, or without a result")
        self._tally.count(job.result, recalled=job.recalled)
        return job.result

    def settle(self, fault: Fault) -> list[Job]:
        """Return every job that is open, each with a result: what is not decided is settled with `fault`."""
        left = list(self._open.values())
        for job in left:
            if job.result is None:
                job.result = job.settled(None, fault)
        return left
