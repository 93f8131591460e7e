"""Ledger: every accepted item that has no result yet.

Rules owned here:

1. An item is open from its acceptance until its result is handed to the outlet, which happens exactly once.
2. At the end of a batch the open items are settled: with their result if it is decided, otherwise with a given fault.
3. An item whose id was accepted before is rejected. Only hashes of ids are kept, about 100 bytes per item.
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
    """The destination of results."""

    def has_room(self) -> bool:
        """Whether more calls may start; results of calls in flight are accepted in any case."""
        ...

    def put(self, result: WorkItemResult[Any]) -> None:
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
    """The open items of one batch."""

    def __init__(self, outlet: Outlet, tally: Tally) -> None:
        self._outlet = outlet
        self._tally = tally
        self._open: dict[int, Job] = {}
        self._ids: set[int] = set()

    def __len__(self) -> int:
        return len(self._open)

    def accept(self, item: LLMWorkItem[Any], *, known_unique: bool = False) -> Job:
        """Open an item, and return its job.

        Args:
            item: Work item.
            known_unique: Whether its id is known to differ from all others, so that it need not be remembered.

        Raises:
            DuplicateItemError: Its id was accepted before.
            InvalidWorkItemError: It is not an `LLMWorkItem`.
        """
        checked_item(item)
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
        """Close an item and hand its result over."""
        self._outlet.put(self._close(job))

    def withhold(self, job: Job) -> None:
        """Close an item without handing its result over."""
        self._close(job)

    def _close(self, job: Job) -> WorkItemResult[Any]:
        if self._open.pop(job.index, None) is None or job.result is None:
            raise AssertionError(f"item {job.item.item_id!r} was settled twice, or without a result")
        self._tally.count(job.result, recalled=job.recalled)
        return job.result

    def settle_open(self, fault: Fault) -> list[Job]:
        """Return the jobs of all open items, each with a result: `fault` where none is decided."""
        jobs = list(self._open.values())
        for job in jobs:
            if job.result is None:
                job.result = job.make_result(None, fault)
        return jobs
