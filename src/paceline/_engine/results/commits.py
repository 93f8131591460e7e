"""Commits: stores results in the journal before they are handed over, and recalls stored results instead of calling again.

Rules owned here:

1. Only the result waits for its commit: workers continue. Results settled during a commit are committed together by the next,
   which starts at least a few milliseconds after the last: many results per second share their commits, and a single one does
   not wait.
2. If the journal is slower than the calls, at most `_MAX_UNCOMMITTED` results wait for it, and no more calls start.
3. When the journal fails, no more calls start. Calls in flight finish; then all waiting results are tried once more. Results
   that still cannot be committed are not handed over, but raised to the caller in an `UnsavedError`.
4. Items with the same key share one call (`sharing`).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import attrs
from anyio import CancelScope, Event, Lock, current_time, sleep_until

from ..._core.events import ItemRecalled
from ..._core.exceptions import JournalChangedError, JournalError
from ..._core.fault import Fault, pending_fault
from ..._core.provider_answers.classify import describe
from ..._core.results import BatchResult, UnsavedError, WorkItemResult, is_pending, is_result
from ..._core.usage import NO_USAGE
from ..lanes.job import Job
from ..loop.foreign import logger
from ..loop.steps import in_steps
from .sharing import Ended, SharedCalls

if TYPE_CHECKING:
    from ..calls.services import Services
    from .accepted_items import AcceptedItems

_MAX_UNCOMMITTED = 1_024  # results
_COMMIT_PERIOD = 0.004  # seconds between the starts of two commits
_PACE_PERIOD = 10.0  # seconds between two records of the pace


class CommitQueue:
    """Commits and recalls the results of one submitter.

    Args:
        submitter: Whose results they are.
        services: What the pool lends; it has a journal.
    """

    def __init__(self, submitter: AcceptedItems, services: Services) -> None:
        if services.journal is None:
            raise AssertionError("commits need a journal")
        self._submitter = submitter
        self._services = services
        self._journal = services.journal
        self._failure: JournalError | None = None
        self._waiting: list[Job] = []
        """Settled jobs whose results are to be committed."""
        self._unsaved: list[WorkItemResult[Any]] = []
        """Results that could not be committed."""
        self._wake_up: Event | None = None
        """Set to wake `run`; None while it does not wait."""
        self._arrived: list[Job] = []
        """Jobs of single calls that are to be recalled."""
        self._reading = Lock()
        self._unread: dict[int, JournalError] = {}
        """Why they could not be, by the index of the jobs."""
        self._sharing = SharedCalls()
        self._next_pace_record = submitter.started_at + _PACE_PERIOD

    @property
    def failure(self) -> JournalError | None:
        """Why the journal could not be read or written; None: it has not failed."""
        return self._failure

    # -------------------------------------------------------------------------------------------- items

    async def recall_or_admit(self, jobs: Sequence[Job]) -> None:
        """Hand over stored results; admit the other jobs, or let them follow a leader."""
        # The jobs are accepted, and must not be left behind if the task that brought them is cancelled.
        with CancelScope(shield=True):
            try:
                keys, stored = await self._read_journal(jobs)
            except JournalError as error:
                self._fail(error)
                keys = stored = [None] * len(jobs)
            self._admit(jobs, keys, stored)

    async def recall_or_raise(self, job: Job) -> None:
        """Do the same with the job of a single call, whose failure concerns no other.

        The journal is read once for all jobs that came while it was read before.

        Raises:
            JournalError: The journal cannot be read, or has the item with another prompt.
        """
        self._arrived.append(job)
        async with self._reading:
            if job in self._arrived:  # otherwise the task of another one has read for it
                arrived, self._arrived = self._arrived, []
                try:
                    with CancelScope(shield=True):
                        await self._recall_together(arrived)
                except BaseException:  # asyncio's own cancellation passes every shield
                    self._arrived += [other for other in arrived if other is not job]
                    raise
        error = self._unread.pop(job.index, None)
        if error is not None:
            raise error

    async def _recall_together(self, jobs: Sequence[Job]) -> None:
        try:
            keys, stored = await self._read_journal(jobs)
        except JournalError as error:
            if len(jobs) == 1:
                self._unread[jobs[0].index] = error
            else:  # it may be about one of them
                for job in jobs:
                    await self._recall_together([job])
        else:
            self._admit(jobs, keys, stored)

    def _admit(
        self, jobs: Sequence[Job], keys: Sequence[Hashable], stored: Sequence[WorkItemResult[Any] | None]
    ) -> None:
        admitted: list[Job] = []
        for job, key, result in zip(jobs, keys, stored, strict=True):
            if job.result is not None:  # the batch has ended meanwhile
                continue
            if result is not None:
                self._set_recalled(job, result)
                self._hand_over(job)
            elif self._sharing.lead(job, key):
                admitted.append(job)
        self._submitter.admit_all(admitted)
        if len(self._sharing):
            self.wake()  # `run` may wait for nothing but followers

    async def _read_journal(
        self, jobs: Sequence[Job]
    ) -> tuple[Sequence[Hashable], Sequence[WorkItemResult[Any] | None]]:
        """Return the keys of jobs and their stored results.

        Raises:
            JournalError: The journal fails.
        """
        items = [job.item for job in jobs]
        try:
            stored = _checked(await self._journal.recall(items), len(items))
            keys = [self._journal.key_of(item) for item in items]
            frozenset(keys)  # raises if one is not hashable
        except Exception as error:
            raise _journal_error(error) from error
        return keys, stored

    def _set_recalled(self, job: Job, result: WorkItemResult[Any]) -> None:
        """Set the result of a job that needs no call of its own, and report it to the observers."""
        own = attrs.evolve(result, item_id=job.item.item_id, index=job.index, context=job.item.context)
        job.set_result(own, recalled=not is_pending(result))
        job.deliver()
        if self._services.hooks.has_observers:
            fault = result.error
            self._services.hooks.publish(
                ItemRecalled(item_id=job.item.item_id, kind=None if fault is None else fault.kind)
            )

    # -------------------------------------------------------------------------------------------- results

    def deliver(self, job: Job) -> None:
        """Let a job's result wait for its commit; hand it over at once if there is nothing to commit."""
        result = job.result
        if result is None or (result.error is not None and is_pending(result) and not job.attempts):
            self._hand_over(job)
        else:
            self._waiting.append(job)
        self.wake()

    def _hand_over(self, job: Job) -> None:
        """Hand a job's result over, and settle its followers with it."""
        ended = self._sharing.end(job)
        self._submitter.hand_over(job)
        if ended is None:
            return
        if not self._submitter.may_share_result(job):
            self._lead_on(ended)
            return
        for other in ended.followers:
            if other.result is None and job.result is not None:
                self._sharing.end(other)
                self._set_recalled(other, attrs.evolve(job.result, usage=NO_USAGE, attempts=(), refusals=0))
                self.deliver(other)

    def _withhold(self, job: Job) -> None:
        """Close a job whose result could not be committed: the result goes into the `UnsavedError`, its followers are pending."""
        ended = self._sharing.end(job)
        if job.result is not None:
            self._unsaved.append(job.result)
        self._submitter.withhold(job)
        for other in () if ended is None else ended.followers:
            if other.result is None:
                self._sharing.end(other)
                other.settle(None, self._stopped)
                self._hand_over(other)

    def _lead_on(self, ended: Ended) -> None:
        """Let the first follower of a lead that has ended be called, and the others follow it."""
        leader = self._sharing.succeed(ended)
        if leader is not None:
            self._submitter.admit(leader)
            self._services.scheduler.alarm.ring()
            self.wake()

    def follows(self, job: Job) -> bool:
        """Whether a job waits for the result of another."""
        return self._sharing.follows(job)

    def withdraw(self, job: Job) -> None:
        """Forget a job without a result; the first of its followers is called in its stead."""
        if self._sharing.follows(job):
            self._sharing.stop_following(job)
        elif (ended := self._sharing.end(job)) is not None:
            self._lead_on(ended)
        self.wake()

    def wake(self) -> None:
        """Wake `run`, to check whether there is something to commit, or the batch is closed."""
        if self._wake_up is not None:
            self._wake_up.set()
            self._wake_up = None

    @property
    def has_room(self) -> bool:
        """Whether results are committed as fast as they come."""
        return len(self._waiting) < _MAX_UNCOMMITTED

    async def run(self) -> None:
        """Commit settled results until the batch is closed."""
        while not self._submitter.is_closed:
            next_start = current_time() + _COMMIT_PERIOD
            if self._failure is None and self._waiting:
                await self._commit()
                await self._record_pace_if_due()
                await sleep_until(next_start)
            elif self._waiting and len(self._waiting) + len(self._sharing) == len(self._submitter.ledger):
                await self._commit_last()
            else:
                self._wake_up = Event()
                await self._wake_up.wait()

    async def finish(self, fault: Fault) -> None:
        """Commit what is left after the batch's tasks have ended; undecided items are settled with `fault`."""
        try:
            with CancelScope(shield=True):  # as long as the disk takes: a thread cannot be cancelled
                ledger, waiting = self._submitter.ledger, set(self._waiting)
                # all of them before the first is delivered: followers get their own
                await in_steps(ledger.jobs(), self._submitter.settle_at_end, fault)
                await in_steps([job for job in ledger.jobs() if job not in waiting], self.deliver)
                while self._waiting:
                    await self._commit_last()
                await self._record_pace()
        except BaseException:  # asyncio's own cancellation passes every shield
            self._withhold_all(JournalError("the last commit was cut short"))
            raise

    async def _commit(self) -> bool:
        """Commit waiting results and hand them over; return whether the journal stored them."""
        group = self._waiting[:_MAX_UNCOMMITTED]
        with CancelScope(shield=True):  # what is committed is handed over
            try:
                async with self._services.journal_lock:
                    results = [job.result for job in group if job.result is not None]
                    await self._journal.commit(results, self._submitter.tally.account.prices)
            except Exception as error:  # noqa: BLE001 - a foreign journal may raise anything
                self._fail(error)
                return False
        was_full = not self.has_room
        del self._waiting[: len(group)]
        for job in group:
            self._hand_over(job)
        self.wake()
        if was_full:
            self._services.scheduler.release(self._submitter)
        return True

    async def _commit_last(self) -> None:
        """Try to commit once more; withhold the results if it fails."""
        if not await self._commit():
            self._withhold_all()
        self._services.scheduler.release(self._submitter)

    def _withhold_all(self, reason: JournalError | None = None) -> None:
        self._failure = self._failure or reason
        left, self._waiting = self._waiting, []
        for job in left:
            self._withhold(job)

    def _fail(self, error: Exception) -> None:
        if self._failure is None:
            self._failure = _journal_error(error)
        self._submitter.stop(self._stopped)

    @property
    def _stopped(self) -> Fault:
        return pending_fault(f"{self._submitter.when_journal_fails}: {self._failure}")

    def error(self, batch: BatchResult[Any]) -> JournalError | None:
        """Return the exception to raise at the end of the batch; None: the journal has every result."""
        if self._failure is None or (isinstance(self._failure, JournalChangedError) and not self._unsaved):
            return self._failure
        return UnsavedError(str(self._failure), batch, self._unsaved)

    def log_unsaved(self) -> None:
        """Log which results are not stored; for a batch that ends with another exception, such as a cancellation."""
        if self._unsaved:
            logger.error("%s", UnsavedError(str(self._failure), BatchResult(), self._unsaved))

    # -------------------------------------------------------------------------------------------- the pace

    async def _record_pace_if_due(self) -> None:
        if current_time() >= self._next_pace_record:
            self._next_pace_record = current_time() + _PACE_PERIOD
            await self._record_pace()

    async def _record_pace(self) -> None:
        """Store the changes of the pace since the last record, and what was learned; a failure is logged."""
        started_at = self._submitter.started_at
        changes = [
            (lane.quota, attrs.evolve(change, time=change.time - started_at))
            for lane in self._submitter.lanes.values()
            for change in lane.unrecorded_changes()
        ]
        try:
            async with self._services.journal_lock:
                await self._journal.note(changes, self._services.knowledge())
        except Exception as error:  # noqa: BLE001 - no result depends on it
            logger.warning("the journal could not record the pace: %s", describe(error))


def _journal_error(error: Exception) -> JournalError:
    """Return what an exception of a journal is to its callers."""
    if isinstance(error, JournalError):
        return error
    logger.error("the journal failed", exc_info=error)
    return JournalError(f"the journal failed: {describe(error)}")


def _checked(results: Sequence[Any], count: int) -> Sequence[WorkItemResult[Any] | None]:
    if len(results) != count or not all(result is None or is_result(result) for result in results):
        raise TypeError(f"recall must return a WorkItemResult or None for each item, {count} in all")
    return results
