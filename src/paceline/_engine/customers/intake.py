"""Intake: reads the source of a batch lazily, and decides how far ahead.

Rules owned here:

1. No more is read ahead than the lanes can use. If one lane is full, reading continues for another that has room; if no lane
   may start a call, it continues for a lane that is not known yet; both within a fixed bound.
2. A source that raises ends the intake, not the batch: the items read so far are finished.
3. A source with a length is accepted completely: each of its items has a result, even if the batch is stopped or cancelled.
   Of a source without one (it may be endless), the items that were read have a result.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable, Sequence, Sized
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from anyio import CancelScope, Event, lowlevel

from ..._core.exceptions import DuplicateItemError, InvalidWorkItemError
from ...abc import LLMWorkItem
from ..lanes.job import Job
from ..loop.foreign import guarded
from ..results.accepted_items import AcceptedItems, Commits
from ..results.delivery import checked_item

if TYPE_CHECKING:
    from ..calls.services import Services

_CHECK_EVERY = 16  # items read between two checks whether more is wanted
_RECALL_TOGETHER = (
    256  # items recalled from the journal at once, of a source that has given as many: a third less for each than 64
)
_CHECKPOINT_EVERY = 2_048  # items read between two checkpoints
_MAX_WAITING = 8_000  # items: the bound where one lane is full and reading on may find work for another
_LOW_WATER = 0.5  # share of the bounds below which a waiting reader is woken
_MAX_TO_SETTLE = 512  # items read only to be settled as pending, once none of them can be called

Item: TypeAlias = LLMWorkItem[Any]
Source: TypeAlias = Iterable[Item] | AsyncIterable[Item]


class Recalls(Commits, Protocol):
    """What the reader knows of a batch's commits."""

    async def recall_or_admit(self, jobs: Sequence[Job]) -> None:
        """Hand over stored results; admit the other jobs."""
        ...


class ReadItems(AcceptedItems):
    """Items that are read from a source: what the reader knows of its batch."""

    @property
    @abstractmethod
    def commits(self) -> Recalls | None:
        """Recalls stored results; None without a journal."""

    @property
    @abstractmethod
    def is_finished_calling(self) -> bool:
        """Whether no item can be called any more, including items that are not read yet."""

    @property
    @abstractmethod
    def is_busy(self) -> bool:
        """Whether a worker makes a call, or settles one."""

    @property
    @abstractmethod
    def is_halted(self) -> bool:
        """Whether no more calls start, because its tasks are being cancelled."""

    @abstractmethod
    def halt(self) -> None:
        """Start no more calls."""

    @abstractmethod
    def finish_source(self, error: BaseException | None) -> None:
        """Record that no more items come from the source, because it has ended or raised `error`."""


class Intake:
    """A source of work, and how far it has been read.

    Args:
        source: Work items, or values that `make_item` turns into work items.
        make_item: Function from a value's index and the value to a work item; None: the source yields work items.
        bounded: Whether to read only a bounded number of items ahead; False for a source that is in memory anyway.
        unique: Whether all ids are known to differ, so that they need not be remembered.

    Raises:
        InvalidWorkItemError: The source is not iterable.
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
        self.length = len(source) if isinstance(source, Sized) and isinstance(source, Iterable) else None
        """The number of items that the source declares; None: unknown."""
        self.has_one_strategy = make_item is not None
        """Whether all items have the same strategy, so that no other lane can be needed."""
        self._source = source
        self._make_item = make_item
        self._bounded = bounded
        self._unique = unique
        self._count = 0
        """Items read."""
        self._ended = False
        self._error: BaseException | None = None
        self._reading: CancelScope | None = None
        """The scope that reads a source which need not be read to its end."""
        self._wake_up = Event()
        """Set to wake the reader."""
        self.is_waiting = False
        """Whether the reader waits until reading on may be useful."""
        self._starts_left = 0.0
        """Calls that start before little can be left of what was read ahead."""
        self._batch: ReadItems | None = None
        self._iterator = iter(source) if isinstance(source, Iterable) else iter(())
        async_iterator = None if isinstance(source, Iterable) else aiter(source)
        self._anext = async_iterator.__anext__ if async_iterator is not None else None
        self._aclose = async_iterator.aclose if isinstance(async_iterator, AsyncGenerator) else None

    async def check(self) -> None:
        """Check the members of a sequence.

        Raises:
            InvalidWorkItemError: One of them cannot be run.
        """
        if isinstance(self._source, Sequence):
            await _check_sequence(self._source, self._make_item)

    # ------------------------------------------------------------------------------------------ reading

    async def feed(self, batch: ReadItems, services: Services) -> None:
        """Read the source into the batch until its end, or until no item can be called any more."""
        self._batch = batch
        try:
            with CancelScope() as scope:
                self._reading = scope if self.length is None else None
                await self._feed(batch, services)
        except BaseException:
            batch.halt()
            raise
        finally:
            self._reading = None
            batch.finish_source(self._error)
            services.scheduler.start_calls()
            if self._aclose is not None:
                with CancelScope(shield=True):  # bounded: every hook is
                    await services.hooks.call(self._aclose)

    async def _feed(self, batch: ReadItems, services: Services) -> None:
        since_wait = since_checkpoint = 0
        start_calls = services.scheduler.start_calls
        while self._must_accept or not batch.is_finished_calling:
            if self._bounded and since_wait % _CHECK_EVERY == 0 and not self._is_wanted(batch):
                start_calls()
                since_wait = 0
                await self._wait()
                continue
            jobs = await self._read_jobs(batch)
            if batch.commits is not None and jobs:
                await batch.commits.recall_or_admit(jobs)
            else:
                batch.admit_all(jobs)
            if self._ended or self._error is not None:
                return
            if self._anext or not batch.is_busy:
                start_calls()  # the next item may take long to come
            since_wait += len(jobs)
            since_checkpoint += len(jobs)
            if since_checkpoint >= _CHECKPOINT_EVERY:
                since_checkpoint = 0
                start_calls()
                await lowlevel.checkpoint()

    async def _read_jobs(self, batch: ReadItems) -> list[Job]:
        """Accept the next few items; of an async source, which may take long for each, the next one."""
        if self._anext is not None:
            job = await self._read_async(batch, self._anext)
            return [] if job is None else [job]
        jobs: list[Job] = []
        most = _CHECK_EVERY
        if batch.commits is not None:  # a slow source does not delay the first calls
            most = min(_RECALL_TOGETHER, max(most, self._count))
        if self.length is not None and batch.is_finished_calling:
            most = min(most, self.length - self._count)  # rule 3
        while len(jobs) < most and (job := self._read(batch)) is not None:
            jobs.append(job)
        return jobs

    def accept_rest(self, batch: ReadItems, most: int) -> bool:
        """Accept at most so many unread items of a source that is accepted completely; return whether there may be more.

        Called after the batch's tasks have ended.
        """
        for _ in range(most):
            if not self._must_accept or self._error is not None or self._read(batch) is None:
                return False
        return True

    @property
    def _must_accept(self) -> bool:
        """Whether the next item must have a result in any case (rule 3); not beyond the length that the source declared."""
        return self.length is not None and self._count < self.length

    def _read(self, batch: ReadItems) -> Job | None:
        try:
            value = next(self._iterator)
        except StopIteration:
            self._ended = True
            return None
        except Exception as error:  # noqa: BLE001 - rule 2
            self._error = error
            return None
        return self._accept(batch, value)

    async def _read_async(self, batch: ReadItems, pull: Callable[[], Awaitable[Any]]) -> Job | None:
        value, error = await guarded(pull)
        if error is not None:
            self._ended = isinstance(error, StopAsyncIteration)
            self._error = None if self._ended else error
            return None
        return self._accept(batch, value)

    def _accept(self, batch: ReadItems, value: Any) -> Job | None:
        try:
            item = value if self._make_item is None else self._make_item(self._count, value)
            is_unique = self._unique or isinstance(value, str)  # the id of a string is its position
            job = batch.ledger.accept(batch, item, known_unique=is_unique)
        except InvalidWorkItemError as error:
            self._error = error
            return None
        self._count += 1
        return job

    # ------------------------------------------------------------------------------------------ how far ahead

    def _is_wanted(self, batch: ReadItems, share: float = 1.0) -> bool:
        """Whether to read on: a lane has room or no worker is busy, and less than `share` of the bounds is read ahead.

        If no item can be called any more, items are read only to be settled, as fast as their results are consumed.
        """
        waiting = batch.waiting
        if batch.is_finished_calling:
            return waiting < _MAX_TO_SETTLE and batch.has_room
        has_room = batch.has_room
        if waiting >= share * _MAX_WAITING or not (batch.commits is None or has_room):
            return False
        return (has_room and not batch.is_busy) or any(lane.surplus(batch, share) < 0 for lane in batch.lanes.values())

    async def _wait(self) -> None:
        """Wait until reading on may be useful."""
        self._wake_up, self.is_waiting, self._starts_left = Event(), True, 0.0
        await self._wake_up.wait()

    def wake(self) -> None:
        """Wake the reader, to check whether to read on."""
        if self.is_waiting:
            self.is_waiting = False
            self._wake_up.set()

    def wake_if_low(self) -> None:
        """Wake the reader if it waits and little is left of what was read ahead. To be called for each call that starts."""
        self._starts_left -= 1
        if self._starts_left > 0 or self._batch is None or not self.is_waiting:
            return
        if self._is_wanted(self._batch, _LOW_WATER):
            self.wake()
        else:
            lanes, too_many = self._batch.lanes.values(), self._batch.waiting - _LOW_WATER * _MAX_WAITING
            if too_many > 0:  # the lanes are not asked: there may be thousands
                self._starts_left = too_many
            else:
                self._starts_left = min((lane.surplus(self._batch, _LOW_WATER) for lane in lanes), default=0.0)

    def stop_reading(self) -> None:
        """Read no more of a source that need not be read to its end."""
        if self._reading is not None:
            self._reading.cancel()


async def _check_sequence(source: Sequence[Any], make_item: Callable[[int, Any], Item] | None) -> None:
    """Raise InvalidWorkItemError if a member of a sequence cannot be run, before any is."""
    ids: set[str] = set()
    for index, value in enumerate(source):
        if make_item is not None:
            if type(value) is not str:  # every string makes a valid item
                make_item(index, value)
        else:
            check_item(value, ids)
            ids.add(value.item_id)
        if index % _CHECKPOINT_EVERY == _CHECKPOINT_EVERY - 1:
            await lowlevel.checkpoint()


def check_item(item: object, ids: set[str]) -> None:
    """Raise InvalidWorkItemError if `item` is not a work item, DuplicateItemError if its id is among `ids`."""
    item_id = checked_item(item).item_id
    if item_id in ids:
        raise DuplicateItemError(item_id)
