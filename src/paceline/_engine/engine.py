"""What outlives a batch: the hooks, the prepared strategies, and what the lanes' controllers have learned."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Generic, TypeAlias, TypeVar

import attrs
from anyio import CancelScope, NoEventLoopError, create_task_group, current_time

from .._core import events
from .._core.classify import describe
from .._core.config import ProcessorConfig
from .._core.exceptions import MisuseError, PacelineError
from .._core.fault import DRAINED, Fault, FaultKind, closed_lanes_fault, pending
from .._core.pace import PaceController, PaceKnowledge
from .._core.pace.warm_start import checked
from .._core.results import BatchResult, SourceError, WorkItemResult
from ..abc import BaseObserver, Journal, Middleware, RateController
from .batch import Batch
from .hooks import Hooks
from .intake import Intake
from .job import Learned
from .keeper import JournalKeeper
from .ledger import Outlet
from .lifecycle import Lifecycle
from .nursery import run
from .outlets import Collector, Handover, ResultStream
from .tally import ProcessorStatistics, Tally

T = TypeVar("T")

NewPace: TypeAlias = Callable[[PaceKnowledge | None], RateController]
"""Makes the controller of a quota, from what is known of it."""
NOTHING_KNOWN: Mapping[str, PaceKnowledge] = MappingProxyType({})


class Engine(Generic[T]):
    """Runs one batch at a time; the arguments are those of `ParallelBatchProcessor`."""

    def __init__(  # noqa: PLR0913 - what a processor may be given
        self,
        config: ProcessorConfig | None = None,
        *,
        middlewares: Sequence[Middleware] = (),
        observers: Sequence[BaseObserver] = (),
        pace: NewPace = PaceController,
        knowledge: Mapping[str, PaceKnowledge] = NOTHING_KNOWN,
        journal: Journal | None = None,
    ) -> None:
        self.config = config if config is not None else ProcessorConfig()
        self.last: BatchResult[T] = BatchResult()
        """The latest batch that has ended, whatever ended it."""
        self.running: Batch | None = None
        self._draw = random.Random().random  # noqa: S311 - jitter, not cryptography
        self._hooks = Hooks(self.config, middlewares, observers)
        self._lifecycle = Lifecycle(self.config, self._hooks, self._draw)
        self._new_pace = pace
        self._knowledge = checked(knowledge)
        self._learned: dict[str, Learned] = {}
        self._journal = journal
        self._journal_is_open = False
        self._latest = 0.0  # the time at which the latest batch ended
        self._past = Tally()

    async def __aenter__(self) -> Engine[T]:
        if self._journal is not None:
            known = await self._journal.open(share=not self._hooks.rewriting)
            self._knowledge = {**checked(known), **self._knowledge}
            self._journal_is_open = True
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self._lifecycle.cleanup()
        finally:
            if self._journal is not None and self._journal_is_open:
                self._journal_is_open = False
                with CancelScope(shield=True):  # as long as the disk takes
                    await self._journal.close()

    @property
    def has_journal(self) -> bool:
        """Whether results are committed to a journal."""
        return self._journal is not None

    async def collect(self, intake: Intake) -> BatchResult[T]:
        """Run a batch and return it with all its results.

        Raises:
            MisuseError: a batch is running.
            SourceError: the source raised; the batch is in it.
        """
        collector: Collector[T] = Collector()
        batch = self._open(collector)
        result = await self._run(batch, intake, collector.results)
        if (failure := _failure(batch, result)) is not None:
            raise failure
        return result

    @asynccontextmanager
    async def stream(self, intake: Intake) -> AsyncIterator[ResultStream[T]]:
        """Run a batch beside the block, and hand its results over one by one; raises as `collect`."""
        handover: Handover[T] = Handover()
        batch = handover.batch = self._open(handover)
        failure: BaseException | None = None
        async with create_task_group() as nursery:
            nursery.start_soon(self._run_beside, batch, intake, handover)
            try:
                yield ResultStream(handover)
            except (Exception, GeneratorExit, KeyboardInterrupt, SystemExit) as error:  # noqa: BLE001 - see below
                failure = error  # the block's own: it leaves as it is, not in the nursery's group
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure

    def drain(self, reason: str = DRAINED) -> None:
        """Start no more calls; those in flight finish, and the rest of the items are pending, for `reason`."""
        if self.running is not None:
            self.running.stop(pending(reason))

    def check_idle(self) -> None:
        """Raise MisuseError if a batch is running."""
        if self.running is not None:
            raise MisuseError("a batch is running already; run another one after it, or in another processor")

    def _open(self, outlet: Outlet) -> Batch:
        self.check_idle()
        self.running = Batch(
            config=self.config,
            hooks=self._hooks,
            lifecycle=self._lifecycle,
            learned_of=self._learned_of,
            draw=self._draw,
            outlet=outlet,
        )
        if self._journal is not None:
            self.running.keeper = JournalKeeper(self.running, self._journal, self.knowledge)
        return self.running

    async def _run_beside(self, batch: Batch, intake: Intake, handover: Handover[T]) -> None:
        result: BatchResult[T] | None = None
        try:
            result = await self._run(batch, intake, ())
        finally:
            if result is None:
                result = _result_of(batch, ())
            handover.end(result, _failure(batch, result))

    async def _run(self, batch: Batch, intake: Intake, results: Sequence[WorkItemResult[T]]) -> BatchResult[T]:
        try:
            await run(batch, intake)
        except BaseException:
            if batch.keeper is not None:
                batch.keeper.tell_unsaved()
            raise
        finally:
            self.running = None
            self._latest = current_time()
            self._past.add(batch.tally)
            result = self.last = _result_of(batch, results)
        if self._hooks.listening:
            async with create_task_group() as nursery:  # a child, so that the host waits as only a nursery can
                nursery.start_soon(
                    self._hooks.tell,
                    events.BatchCompleted(
                        total_items=result.total_items,
                        succeeded=result.succeeded,
                        failed=result.failed,
                        seconds=result.seconds,
                    ),
                )
        return result

    def _learned_of(self, quota: str) -> Learned:
        learned = self._learned.get(quota)
        if learned is None:
            learned = self._learned[quota] = Learned(self._new_pace(self._recall(quota)))
        return learned

    def _recall(self, quota: str) -> PaceKnowledge | None:
        """Return what was given as known of a quota, its time as one of the event loop's clock."""
        known = self._knowledge.get(quota)
        if known is None:
            return None
        age = max(0.0, time.time() - known.learned)
        return attrs.evolve(known, learned=current_time() - age)

    def knowledge(self) -> dict[str, PaceKnowledge]:
        """Return what is known of each quota; what was given of those that were not met is as it was."""
        known = dict(self._knowledge)
        now, wall_time = self._now(), time.time()
        for quota, learned in self._learned.items():
            new = learned.pace.knowledge(now)
            if new is not None:
                known[quota] = attrs.evolve(new, learned=wall_time)
        return known

    def _now(self) -> float:
        try:
            return current_time()
        except NoEventLoopError:  # asked after the event loop has ended
            return self._latest

    def statistics(self, queued: int = 0) -> ProcessorStatistics:
        """Return a snapshot; `queued` items wait for a batch."""
        batch, sums = self.running, Tally()
        sums.add(self._past)
        if batch is not None:
            sums.add(batch.tally)
        return ProcessorStatistics(
            total_items=sums.accepted,
            succeeded=sums.succeeded,
            failed=sums.failed,
            failures=dict(sums.failures),
            recalled=sums.recalled,
            rate_limit_count=sums.refusals,
            usage=sums.usage,
            hook_failures=self._hooks.failures,
            waiting=queued + (len(batch.ledger) - len(batch.calls) if batch is not None else 0),
            in_flight=len(batch.calls) if batch is not None else 0,
            workers=batch.workers if batch is not None else 0,
            workers_range=batch.tally.workers_range if batch is not None else self.last.workers,
            lanes={quota: learned.pace.statistics() for quota, learned in self._learned.items()},
        )


def _result_of(batch: Batch, results: Sequence[WorkItemResult[T]]) -> BatchResult[T]:
    tally = batch.tally
    return BatchResult(
        results=tuple(results),
        succeeded=tally.succeeded,
        failures=dict(tally.failures),
        usage=tally.usage,
        models=tally.account.models,
        top_alone=tally.account.top_alone,
        seconds=current_time() - batch.began,
        refusals=tally.refusals,
        workers=tally.workers_range,
        recalled=tally.recalled,
        stopped=_why_cut_short(batch),
    )


def _why_cut_short(batch: Batch) -> Fault | None:
    """Return why not all of a batch's work was done: it was stopped, or quotas were spent."""
    reasons = (lane.closed for lane in batch.lanes.values())
    spent = [reason for reason in reasons if reason is not None and reason.kind is FaultKind.PENDING]
    return batch.stopped or closed_lanes_fault(spent)


def _failure(batch: Batch, result: BatchResult[T]) -> PacelineError | None:
    """Return what is to be raised in the end: the journal's failure, or else that of the source."""
    kept = batch.keeper.error(result) if batch.keeper is not None else None
    return kept or _source_failure(batch, result)


def _source_failure(batch: Batch, result: BatchResult[T]) -> SourceError | None:
    error = batch.source_error
    if error is None:
        return None
    failure = SourceError(f"the source of work raised after {result.total_items} items: {describe(error)}", result)
    failure.__cause__ = error
    return failure
