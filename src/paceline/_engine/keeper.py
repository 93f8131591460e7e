"""How a batch uses a journal: results are committed before they are handed over, and kept ones are not paid for again.

Rules owned here:

1. Nobody waits for a commit but the result: workers go on. What was settled during one commit is committed together by the
   next, which comes a few milliseconds later at the earliest, so that many results a second share their commits and a single
   one does not wait.
2. Where the journal is slower than the calls, at most `_UNCOMMITTED` results wait for it, and no more calls start.
3. When the journal fails, no more calls start. Those in flight finish; then all that waits is tried once more. What still
   cannot be committed is not shown, but comes to the caller as an `UnsavedError`.
4. Items with the same key share one call: the first is the leader, and what it comes to is the result of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import attrs
from anyio import CancelScope, Event, current_time, sleep_until

from .._core.classify import describe
from .._core.events import ItemRecalled
from .._core.exceptions import JournalChangedError, JournalError
from .._core.fault import Fault, pending
from .._core.pace import PaceKnowledge
from .._core.results import BatchResult, UnsavedError, WorkItemResult, is_pending
from .._core.usage import NO_USAGE
from ..abc import Journal
from .batch import Batch
from .guard import logger
from .intake import arrive
from .job import Job

_UNCOMMITTED = 1_024  # results
_PERIOD = 0.004  # seconds between the beginnings of two commits
_NOTES = 10.0  # seconds between two notes of the pace


class JournalKeeper:
    """Commits the results of one batch."""

    def __init__(self, batch: Batch, journal: Journal, knowledge: Callable[[], Mapping[str, PaceKnowledge]]) -> None:
        self.failure: JournalError | None = None
        """Why the journal could not be read or written."""
        self._batch = batch
        self._journal = journal
        self._knowledge = knowledge
        self._waiting: list[Job] = []
        self._unsaved: list[WorkItemResult[Any]] = []
        self._bell = Event()
        self._sharing: dict[Hashable, list[Job]] = {}
        """Jobs with the same key; the first is the leader."""
        self._keys: dict[int, Hashable] = {}
        """Of leaders, by their index."""
        self._followers = 0
        self._next_note = batch.began + _NOTES

    # -------------------------------------------------------------------------------------------- items

    async def admit(self, jobs: Sequence[Job]) -> None:
        """Hand over what is kept already, and let the others be called, or wait for those that are."""
        # They are accepted, and must not be left behind if whoever brought them is cancelled.
        with CancelScope(shield=True):
            keys, kept = await self._recalled(jobs)
            for job, key, result in zip(jobs, keys, kept, strict=True):
                if job.result is not None:  # the batch has ended meanwhile
                    continue
                if result is not None:
                    self._recall(job, result)
                    self._hand_over(job)
                elif self._leads(job, key):
                    arrive(self._batch, job)

    async def _recalled(self, jobs: Sequence[Job]) -> tuple[Sequence[Hashable], Sequence[WorkItemResult[Any] | None]]:
        """Ask the journal for the keys of jobs, and for what is kept of them."""
        items = [job.item for job in jobs]
        try:
            kept = _checked(await self._journal.recall(items), len(items))
            keys = [self._journal.key_of(item) for item in items]
            frozenset(keys)  # one that cannot be hashed is found here
            return keys, kept
        except Exception as error:  # noqa: BLE001 - a foreign journal may raise anything
            self._fail(error)
            return [None] * len(jobs), [None] * len(jobs)

    def _leads(self, job: Job, key: Hashable) -> bool:
        """Whether a job needs a call of its own; else it waits for that of another."""
        if key is None:
            return True
        sharing = self._sharing.setdefault(key, [])
        sharing.append(job)
        if len(sharing) > 1:
            self._followers += 1
            self._bell.set()
            return False
        self._keys[job.index] = key
        return True

    def _recall(self, job: Job, result: WorkItemResult[Any]) -> None:
        """Give a job the result that is known without a call of its own."""
        job.recalled = not is_pending(result)
        job.result = attrs.evolve(result, item_id=job.item.item_id, index=job.index, context=job.item.context)
        if self._batch.hooks.listening:
            fault = result.error
            told = ItemRecalled(item_id=job.item.item_id, kind=None if fault is None else fault.kind)
            self._batch.start_soon(self._batch.hooks.tell, told)

    # -------------------------------------------------------------------------------------------- results

    def deliver(self, job: Job) -> None:
        """Hand a job's result over, at once if there is nothing to commit of it."""
        if job.result is None or (is_pending(job.result) and not job.attempts):
            self._hand_over(job)
        else:
            self._waiting.append(job)
            self._bell.set()

    def _hand_over(self, job: Job) -> None:
        """Hand a job's result over, and settle those that share it."""
        followers = self._followers_of(job)
        self._batch.hand_over(job)
        for other in followers:
            if job.result is not None:
                self._recall(other, attrs.evolve(job.result, usage=NO_USAGE, attempts=(), refusals=0))
                self.deliver(other)
        self._bell.set()

    def _withhold(self, job: Job) -> None:
        """Hand a job's result over to nobody but whoever hears of the failure; those that would share it are pending."""
        followers = self._followers_of(job)
        self._unsaved.append(_result_of(job))
        self._batch.withhold(job)
        for other in followers:
            other.result = other.settled(None, self._stopped)
            self._hand_over(other)

    def _followers_of(self, job: Job) -> list[Job]:
        """Let a job lead no more; return those that have followed it and have no result yet."""
        followers = self._sharing.pop(self._keys.pop(job.index, None), [job])[1:]
        self._followers -= len(followers)
        return [other for other in followers if other.result is None]

    def wake(self) -> None:
        """Let it see that the batch is closed."""
        self._bell.set()

    def has_room(self) -> bool:
        """Whether results are committed as fast as they come."""
        return len(self._waiting) < _UNCOMMITTED

    async def work(self) -> None:
        """Commit what is settled, until the batch is closed."""
        while not self._batch.is_closed:
            earliest = current_time() + _PERIOD
            if self.failure is None and self._waiting:
                await self._commit()
                await self._note_if_due()
                await sleep_until(earliest)
            elif self._waiting and len(self._waiting) + self._followers == len(self._batch.ledger):
                await self._commit_last()
            else:
                self._bell = Event()
                await self._bell.wait()

    async def finish(self, fault: Fault) -> None:
        """Commit what is left once the batch's tasks have ended, whatever ended them; what is not decided is settled with `fault`."""
        try:
            with CancelScope(shield=True):  # as long as the disk takes: a thread cannot be cancelled
                for job in self._batch.settle_rest(fault):
                    if job not in self._waiting:
                        self.deliver(job)
                while self._waiting:
                    await self._commit_last()
                await self._note()
        except BaseException:  # asyncio's own cancellation passes every shield
            self._withhold_all(JournalError("the last commit was cut short"))
            raise

    async def _commit(self) -> bool:
        """Commit what waits, and hand it over; return whether the journal has taken it."""
        group = self._waiting[:_UNCOMMITTED]
        with CancelScope(shield=True):  # what is committed is handed over
            try:
                await self._journal.commit([_result_of(job) for job in group], self._batch.tally.account.prices)
            except Exception as error:  # noqa: BLE001 - a foreign journal may raise anything
                self._fail(error)
                return False
        was_full = not self.has_room()
        del self._waiting[: len(group)]
        for job in group:
            self._hand_over(job)
        if was_full:
            self._batch.alarm.ring()
        return True

    async def _commit_last(self) -> None:
        """Try once more; what cannot be committed now is handed over to nobody."""
        if not await self._commit():
            self._withhold_all()
        self._batch.alarm.ring()

    def _withhold_all(self, reason: JournalError | None = None) -> None:
        self.failure = self.failure or reason
        left, self._waiting = self._waiting, []
        for job in left:
            self._withhold(job)

    def _fail(self, error: Exception) -> None:
        if self.failure is None:
            if not isinstance(error, JournalError):
                logger.error("the journal failed", exc_info=error)
                error = JournalError(f"the journal failed: {describe(error)}")
            self.failure = error
        self._batch.stop(self._stopped)

    @property
    def _stopped(self) -> Fault:
        return pending(f"the batch was stopped: {self.failure}")

    def error(self, batch: BatchResult[Any]) -> JournalError | None:
        """Return what is to be raised in the end; None: the journal has it all."""
        if self.failure is None or (isinstance(self.failure, JournalChangedError) and not self._unsaved):
            return self.failure
        return UnsavedError(str(self.failure), batch, self._unsaved)

    def tell_unsaved(self) -> None:
        """Say which results are not kept, where nothing can be raised: something else is on its way already."""
        if self._unsaved:
            logger.error("%s", UnsavedError(str(self.failure), BatchResult(), self._unsaved))

    # -------------------------------------------------------------------------------------------- the pace

    async def _note_if_due(self) -> None:
        if current_time() >= self._next_note:
            self._next_note = current_time() + _NOTES
            await self._note()

    async def _note(self) -> None:
        began = self._batch.began
        changes = [
            (lane.quota, attrs.evolve(change, time=change.time - began))
            for lane in self._batch.lanes.values()
            for change in lane.entries()
        ]
        try:
            await self._journal.note(changes, self._knowledge())
        except Exception as error:  # noqa: BLE001 - no result depends on it
            logger.warning("the pace could not be noted: %s", describe(error))


def _checked(kept: Sequence[Any], number: int) -> Sequence[WorkItemResult[Any] | None]:
    if len(kept) != number or not all(isinstance(result, WorkItemResult | None) for result in kept):
        raise TypeError(f"recall must return a WorkItemResult or None for each of {number} items")
    return kept


def _result_of(job: Job) -> WorkItemResult[Any]:
    if job.result is None:
        raise AssertionError(f"item {job.item.item_id!r} has no result to commit")
    return job.result
