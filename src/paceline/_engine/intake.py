"""How work comes in: pulled from its source as it is needed, and held until its strategy is prepared.

Rules owned here:

1. No more is read ahead than the lanes have use for. Where one lane is full, reading goes on for the sake of another,
   within a fixed bound.
2. A source that raises ends the intake, not the batch: what was read is finished.
3. A source that knows its length is accepted whole: each of its items has a result, also when the batch is stopped or
   cancelled. Of one that does not (it may be endless), what was read has.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Sequence, Sized
from typing import Any, TypeAlias

from anyio import lowlevel

from .._core import retry
from .._core.exceptions import DuplicateItemError, InvalidWorkItemError
from ..abc import LLMCallStrategy
from ..work import LLMWorkItem
from .batch import Batch, pending
from .guard import guarded
from .job import Job

_BREATH = 64  # items read between two checkpoints

Item: TypeAlias = LLMWorkItem[Any]
Source: TypeAlias = Iterable[Item] | AsyncIterable[Item]


class Intake:
    """A source of work, and how far it has been read.

    Args:
        source: yields work items.
        make: makes a work item of each thing that `source` yields, given its index; None: they are work items.
        bounded: whether to read only as much ahead as is of use; False for what is in memory anyway.

    Raises:
        InvalidWorkItemError: the source is a sequence, and something in it cannot be run.
    """

    def __init__(
        self,
        source: Iterable[Any] | AsyncIterable[Any],
        *,
        make: Callable[[int, Any], Item] | None = None,
        bounded: bool = True,
    ) -> None:
        if not isinstance(source, (Iterable, AsyncIterable)):
            raise InvalidWorkItemError(f"a source of work must be iterable, not {type(source).__name__}")
        if isinstance(source, Sequence):
            _check(source, make)
        self.length = len(source) if isinstance(source, Sized) and isinstance(source, Iterable) else None
        self._make = make
        self._bounded = bounded
        self._read = 0
        self._pull_async = None if isinstance(source, Iterable) else aiter(source).__anext__
        self._iterator = iter(source) if isinstance(source, Iterable) else iter(())

    async def feed(self, batch: Batch) -> None:
        """Read the source into the batch until its end."""
        unbroken = 0
        try:
            while self.length is not None or not batch.is_shut:
                if self._bounded and not batch.is_shut and not batch.wants_more():
                    batch.grow()
                    unbroken = 0
                    await batch.thirst()
                elif not (await self._take_async(batch) if self._pull_async else self._take(batch)):
                    break
                elif (unbroken := unbroken + 1) % _BREATH == 0:
                    batch.grow()
                    await lowlevel.checkpoint()
        finally:
            batch.fed()
            batch.grow()

    def rest(self, batch: Batch) -> None:
        """Accept what is left of a source that is accepted whole, after the batch's tasks have ended."""
        if self.length is not None:
            while self._take(batch):
                pass

    def _take(self, batch: Batch) -> bool:
        try:
            thing = next(self._iterator)
        except StopIteration:
            return False
        except Exception as error:  # noqa: BLE001 - rule 2
            batch.source_error = error
            return False
        return self._accept(batch, thing)

    async def _take_async(self, batch: Batch) -> bool:
        if self._pull_async is None:
            return False
        thing, error = await guarded(self._pull_async)
        if error is not None:
            batch.source_error = None if isinstance(error, StopAsyncIteration) else error
            return False
        return self._accept(batch, thing)

    def _accept(self, batch: Batch, thing: Any) -> bool:
        try:
            item = thing if self._make is None else self._make(self._read, thing)
            job = batch.ledger.accept(item, known_unique=self._make is not None)
        except InvalidWorkItemError as refusal:
            batch.source_error = refusal
            return False
        self._read += 1
        arrive(batch, job)
        return True


def _check(source: Sequence[Any], make: Callable[[int, Any], Item] | None) -> None:
    """Refuse a sequence of which something cannot be run, before anything is."""
    ids: set[str] = set()
    for index, thing in enumerate(source):
        if make is not None:
            make(index, thing)
        else:
            check_item(thing, ids)
            ids.add(thing.item_id)


def check_item(item: object, ids: set[str]) -> None:
    """Refuse what is no work item, or has one of these ids."""
    if not isinstance(item, LLMWorkItem):
        raise InvalidWorkItemError(f"a batch takes LLMWorkItem, not {type(item).__name__}")
    if item.item_id in ids:
        raise DuplicateItemError(item.item_id)


def arrive(batch: Batch, job: Job) -> None:
    """Send an accepted job to its lane, or to wait for its strategy to be prepared."""
    strategy = job.item.strategy
    if batch.lifecycle.is_ready(strategy):
        batch.enqueue(job)
    elif (fault := batch.unprepared.get(id(strategy))) is not None:
        batch.dismiss(job, fault)
    elif (parked := batch.parked.get(id(strategy))) is not None:
        parked.append(job)
    elif batch.stopped is not None:
        batch.dismiss(job, batch.stopped)
    else:
        batch.parked[id(strategy)] = [job]
        batch.start_soon(_prepare, batch, strategy)


async def _prepare(batch: Batch, strategy: LLMCallStrategy[Any]) -> None:
    failure = await batch.lifecycle.prepare(strategy)
    jobs = batch.parked.pop(id(strategy))
    if failure is None:
        for job in jobs:
            batch.enqueue(job)
        batch.grow()
        return
    fault, effect = failure
    batch.unprepared[id(strategy)] = fault
    if isinstance(effect, retry.StopBatch):
        batch.stop(pending(f"the batch was stopped: {fault}"))
    for job in jobs:
        batch.dismiss(job, fault)
