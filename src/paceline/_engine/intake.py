"""How work comes in: pulled from its source as it is needed, and held until its strategy is prepared.

Rules owned here:

1. No more is read ahead than the lanes have use for. Where one lane is full, reading goes on for the sake of another
   that has room, and where no lane may start anything, for the sake of one that is not known yet; within a fixed bound.
2. A source that raises ends the intake, not the batch: what was read is finished.
3. A source that knows its length is accepted whole: each of its items has a result, also when the batch is stopped or
   cancelled. Of one that does not (it may be endless), what was read has.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable, Sequence, Sized
from typing import Any, TypeAlias

from anyio import CancelScope, lowlevel

from .._core import retry
from .._core.exceptions import DuplicateItemError, InvalidWorkItemError
from .._core.fault import pending
from ..abc import LLMCallStrategy, LLMWorkItem
from .batch import Batch
from .guard import guarded
from .job import Job
from .lifecycle import Parked

_SIP = 16  # items read between two looks whether more is wanted
_GULP = 64  # items that the journal is asked for at once: a multiple of the above
_BREATH = 512  # items read between two checkpoints

Item: TypeAlias = LLMWorkItem[Any]
Source: TypeAlias = Iterable[Item] | AsyncIterable[Item]


class Intake:
    """A source of work, and how far it has been read.

    Args:
        source: yields work items.
        make: makes a work item of each thing that `source` yields, given its index; None: they are work items.
        bounded: whether to read only as much ahead as is of use; False for what is in memory anyway.
        unique: whether it is known that no id comes twice, so that they need not be remembered.

    Raises:
        InvalidWorkItemError: the source is a sequence, and something in it cannot be run.
    """

    def __init__(
        self,
        source: Iterable[Any] | AsyncIterable[Any],
        *,
        make: Callable[[int, Any], Item] | None = None,
        bounded: bool = True,
        unique: bool = False,
    ) -> None:
        if not isinstance(source, (Iterable, AsyncIterable)):
            raise InvalidWorkItemError(f"a source of work must be iterable, not {type(source).__name__}")
        if isinstance(source, Sequence):
            _check(source, make)
        self.length = len(source) if isinstance(source, Sized) and isinstance(source, Iterable) else None
        self._make = make
        self._bounded = bounded
        self._unique = unique or make is not None
        self._read = 0
        self._ended = False
        self._iterator = iter(source) if isinstance(source, Iterable) else iter(())
        following = None if isinstance(source, Iterable) else aiter(source)
        self._pull_async = following.__anext__ if following is not None else None
        self._close = following.aclose if isinstance(following, AsyncGenerator) else None

    async def feed(self, batch: Batch) -> None:
        """Read the source into the batch until its end, or until that is of no use any more."""
        try:
            with CancelScope() as scope:
                batch.reader = scope if self.length is None else None
                await self._feed(batch)
        except BaseException:
            batch.halt()
            raise
        finally:
            batch.reader = None
            batch.fed()
            batch.grow()
            if self._close is not None:
                with CancelScope(shield=True):  # bounded: every hook is
                    await batch.hooks.harmless(self._close)

    async def _feed(self, batch: Batch) -> None:
        unbroken = 0
        batch.one_strategy = self._make is not None
        while self._is_whole or not batch.is_shut:
            if self._bounded and unbroken % _SIP == 0 and not batch.ahead.is_wanted():
                batch.grow()
                unbroken = 0
                await batch.ahead.wait()
                continue
            jobs = await self._sip(batch)
            if batch.keeper is not None and jobs:
                await batch.keeper.admit(jobs)
            else:
                for job in jobs:
                    arrive(batch, job)
            if self._ended or batch.source_error is not None:
                return
            if self._pull_async or batch.workers == 0:
                batch.grow()  # the next item may be long in coming
            unbroken += len(jobs)
            if unbroken % _BREATH == 0:
                batch.grow()
                await lowlevel.checkpoint()

    async def _sip(self, batch: Batch) -> list[Job]:
        """Accept the next item; with a journal, which is asked for many at once, the next few."""
        if self._pull_async is not None:
            job = await self._take_async(batch, self._pull_async)
            return [] if job is None else [job]
        jobs: list[Job] = []
        most = 1 if batch.keeper is None else _GULP
        while len(jobs) < most and (self._is_whole or not batch.is_shut) and (job := self._take(batch)) is not None:
            jobs.append(job)
        return jobs

    def rest(self, batch: Batch) -> None:
        """Accept what is left of a source that is accepted whole, after the batch's tasks have ended."""
        while self._is_whole and batch.source_error is None and (job := self._take(batch)) is not None:
            arrive(batch, job)

    @property
    def _is_whole(self) -> bool:
        """Whether what comes next must have a result in any case; not so beyond the length that the source claimed."""
        return self.length is not None and self._read < self.length

    def _take(self, batch: Batch) -> Job | None:
        try:
            thing = next(self._iterator)
        except StopIteration:
            self._ended = True
            return None
        except Exception as error:  # noqa: BLE001 - rule 2
            batch.source_error = error
            return None
        return self._accept(batch, thing)

    async def _take_async(self, batch: Batch, pull: Callable[[], Awaitable[Any]]) -> Job | None:
        thing, error = await guarded(pull)
        if error is not None:
            self._ended = isinstance(error, StopAsyncIteration)
            batch.source_error = None if self._ended else error
            return None
        return self._accept(batch, thing)

    def _accept(self, batch: Batch, thing: Any) -> Job | None:
        try:
            item = thing if self._make is None else self._make(self._read, thing)
            job = batch.ledger.accept(item, known_unique=self._unique)
        except InvalidWorkItemError as refusal:
            batch.source_error = refusal
            return None
        self._read += 1
        return job


def _check(source: Sequence[Any], make: Callable[[int, Any], Item] | None) -> None:
    """Refuse a sequence of which something cannot be run, before anything is."""
    ids: set[str] = set()
    for index, thing in enumerate(source):
        if make is not None:
            if type(thing) is not str:  # of a string an item can always be made
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
    strategy = job.origin
    if batch.lifecycle.is_ready(strategy):
        batch.enqueue(job)
    elif (fault := batch.unprepared.get(id(strategy))) is not None:
        batch.dismiss(job, fault)
    elif (parked := batch.parked.get(id(strategy))) is not None:
        parked.jobs.append(job)
    elif batch.stopped is not None:
        batch.dismiss(job, batch.stopped)
    else:
        batch.parked[id(strategy)] = parked = Parked(CancelScope(), [job])
        batch.start_soon(_prepare, batch, strategy, parked)


async def admit_into(batch: Batch, job: Job) -> None:
    """Send a job to its lane that a running batch has accepted besides those of its source."""
    if batch.keeper is not None:
        await batch.keeper.admit([job])
    else:
        arrive(batch, job)
    batch.grow()


async def _prepare(batch: Batch, strategy: LLMCallStrategy[Any], parked: Parked) -> None:
    failure = None
    with parked.scope:
        failure = await batch.lifecycle.prepare(strategy)
    del batch.parked[id(strategy)]
    if failure is not None:
        fault, effect = failure
        batch.unprepared[id(strategy)] = fault
        if isinstance(effect, retry.StopBatch):
            batch.stop(pending(f"the batch was stopped: {fault}"))
    for job in parked.jobs:
        if failure is not None:
            batch.dismiss(job, failure[0])
        elif batch.stopped is not None:
            batch.dismiss(job, batch.stopped)
        else:
            batch.enqueue(job)
    batch.grow()
