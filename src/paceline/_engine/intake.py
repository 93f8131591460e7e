"""Intake: reads the source lazily, accepts work items, and routes them to their lanes.

Rules owned here:

1. No more is read ahead than the lanes can use. If one lane is full, reading continues for another that has room; if no lane
   may start a call, it continues for a lane that is not known yet; both within a fixed bound.
2. A source that raises ends the intake, not the batch: the items read so far are finished.
3. A source with a length is accepted completely: each of its items has a result, even if the batch is stopped or cancelled.
   Of a source without one (it may be endless), the items that were read have a result.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable, Sequence, Sized
from typing import Any, TypeAlias

from anyio import CancelScope, lowlevel

from .._core import retry
from .._core.exceptions import DuplicateItemError, InvalidWorkItemError
from .._core.fault import pending_fault
from ..abc import LLMCallStrategy, LLMWorkItem
from .batch import Batch
from .guard import guarded
from .job import Job
from .ledger import checked_item
from .lifecycle import Preparation

_CHECK_EVERY = 16  # items read between two checks whether more is wanted
_RECALL_TOGETHER = 64  # items recalled from the journal at once: a multiple of the above
_CHECKPOINT_EVERY = 512  # items read between two checkpoints

Item: TypeAlias = LLMWorkItem[Any]
Source: TypeAlias = Iterable[Item] | AsyncIterable[Item]


class Intake:
    """A source of work, and how far it has been read.

    Args:
        source: Work items, or values that `make_item` turns into work items.
        make_item: Function from a value's index and the value to a work item; None: the source yields work items.
        bounded: Whether to read only a bounded number of items ahead; False for a source that is in memory anyway.
        unique: Whether all ids are known to differ, so that they need not be remembered.

    Raises:
        InvalidWorkItemError: The source is not iterable, or it is a sequence with an item that cannot be run.
    """

    def __init__(
        self,
        source: Iterable[Any] | AsyncIterable[Any],
        *,
        make_item: Callable[[int, Any], Item] | None = None,
        bounded: bool = True,
        unique: bool = False,
    ) -> None:
        if not isinstance(source, (Iterable, AsyncIterable)):
            raise InvalidWorkItemError(
                f"a source of work must be iterable, not {type(source).__name__}; pass a list, an iterator or an async iterable"
            )
        if isinstance(source, Sequence):
            _check_sequence(source, make_item)
        self.length = len(source) if isinstance(source, Sized) and isinstance(source, Iterable) else None
        """The number of items that the source declares; None: unknown."""
        self._make_item = make_item
        self._bounded = bounded
        self._unique = unique
        self._count = 0
        """Items read."""
        self._ended = False
        self._iterator = iter(source) if isinstance(source, Iterable) else iter(())
        async_iterator = None if isinstance(source, Iterable) else aiter(source)
        self._anext = async_iterator.__anext__ if async_iterator is not None else None
        self._aclose = async_iterator.aclose if isinstance(async_iterator, AsyncGenerator) else None

    async def feed(self, batch: Batch) -> None:
        """Read the source into the batch until its end, or until no item can be called any more."""
        try:
            with CancelScope() as scope:
                batch.reader = scope if self.length is None else None
                await self._feed(batch)
        except BaseException:
            batch.halt()
            raise
        finally:
            batch.reader = None
            batch.finish_source()
            batch.start_workers()
            if self._aclose is not None:
                with CancelScope(shield=True):  # bounded: every hook is
                    await batch.hooks.call(self._aclose)

    async def _feed(self, batch: Batch) -> None:
        since_wait = 0
        batch.one_strategy = self._make_item is not None
        while self._must_accept or not batch.is_finished_calling:
            if self._bounded and since_wait % _CHECK_EVERY == 0 and not batch.ahead.is_wanted():
                batch.start_workers()
                since_wait = 0
                await batch.ahead.wait()
                continue
            jobs = await self._read_jobs(batch)
            if batch.keeper is not None and jobs:
                await batch.keeper.recall_or_route(jobs)
            else:
                for job in jobs:
                    route(batch, job)
            if self._ended or batch.source_error is not None:
                return
            if self._anext or batch.workers == 0:
                batch.start_workers()  # the next item may take long to come
            since_wait += len(jobs)
            if since_wait % _CHECKPOINT_EVERY == 0:
                batch.start_workers()
                await lowlevel.checkpoint()

    async def _read_jobs(self, batch: Batch) -> list[Job]:
        """Accept the next item; with a journal, which recalls many at once, the next few."""
        if self._anext is not None:
            job = await self._read_async(batch, self._anext)
            return [] if job is None else [job]
        jobs: list[Job] = []
        most = 1 if batch.keeper is None else _RECALL_TOGETHER
        while (
            len(jobs) < most
            and (self._must_accept or not batch.is_finished_calling)
            and (job := self._read(batch)) is not None
        ):
            jobs.append(job)
        return jobs

    def accept_rest(self, batch: Batch) -> None:
        """Accept the unread items of a source that is accepted completely, after the batch's tasks have ended."""
        while self._must_accept and batch.source_error is None and (job := self._read(batch)) is not None:
            route(batch, job)

    @property
    def _must_accept(self) -> bool:
        """Whether the next item must have a result in any case (rule 3); not beyond the length that the source declared."""
        return self.length is not None and self._count < self.length

    def _read(self, batch: Batch) -> Job | None:
        try:
            value = next(self._iterator)
        except StopIteration:
            self._ended = True
            return None
        except Exception as error:  # noqa: BLE001 - rule 2
            batch.source_error = error
            return None
        return self._accept(batch, value)

    async def _read_async(self, batch: Batch, pull: Callable[[], Awaitable[Any]]) -> Job | None:
        value, error = await guarded(pull)
        if error is not None:
            self._ended = isinstance(error, StopAsyncIteration)
            batch.source_error = None if self._ended else error
            return None
        return self._accept(batch, value)

    def _accept(self, batch: Batch, value: Any) -> Job | None:
        try:
            item = value if self._make_item is None else self._make_item(self._count, value)
            is_unique = self._unique or isinstance(value, str)  # the id of a string is its position
            job = batch.ledger.accept(item, known_unique=is_unique)
        except InvalidWorkItemError as error:
            batch.source_error = error
            return None
        self._count += 1
        return job


def _check_sequence(source: Sequence[Any], make_item: Callable[[int, Any], Item] | None) -> None:
    """Raise InvalidWorkItemError if a member of a sequence cannot be run, before any is."""
    ids: set[str] = set()
    for index, value in enumerate(source):
        if make_item is not None:
            if type(value) is not str:  # every string makes a valid item
                make_item(index, value)
        else:
            check_item(value, ids)
            ids.add(value.item_id)


def check_item(item: object, ids: set[str]) -> None:
    """Raise InvalidWorkItemError if `item` is not a work item, DuplicateItemError if its id is among `ids`."""
    item_id = checked_item(item).item_id
    if item_id in ids:
        raise DuplicateItemError(item_id)


def route(batch: Batch, job: Job) -> None:
    """Send an accepted job to its lane, or let it wait until its strategy is prepared."""
    strategy = job.origin
    if batch.lifecycle.is_ready(strategy):
        batch.enqueue(job)
    elif (fault := batch.unprepared.get(id(strategy))) is not None:
        batch.dismiss(job, fault)
    elif (preparation := batch.preparations.get(id(strategy))) is not None:
        preparation.jobs.append(job)
    elif batch.stopped is not None:
        batch.dismiss(job, batch.stopped)
    else:
        batch.preparations[id(strategy)] = preparation = Preparation(CancelScope(), [job])
        batch.start_soon(_prepare, batch, strategy, preparation)


async def add_to_batch(batch: Batch, job: Job) -> None:
    """Recall or route a job that a running batch has accepted in addition to those of its source."""
    if batch.keeper is not None:
        await batch.keeper.recall_or_route([job])
    else:
        route(batch, job)
    batch.start_workers()


async def _prepare(batch: Batch, strategy: LLMCallStrategy[Any], preparation: Preparation) -> None:
    failure = None
    with preparation.scope:
        failure = await batch.lifecycle.prepare(strategy)
    del batch.preparations[id(strategy)]
    if failure is not None:
        fault, effect = failure
        batch.unprepared[id(strategy)] = fault
        if isinstance(effect, retry.StopBatch):
            batch.stop(pending_fault(f"the batch was stopped: {fault}"))
    for job in preparation.jobs:
        if failure is not None:
            batch.dismiss(job, failure[0])
        elif batch.stopped is not None:
            batch.dismiss(job, batch.stopped)
        else:
            batch.enqueue(job)
    batch.start_workers()
