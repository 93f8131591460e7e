"""Engine: what outlives a batch: the hooks, the prepared strategies, the journal, and what was learned about quotas."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any, Generic, TypeAlias, TypeVar

import attrs
from anyio import CancelScope, NoEventLoopError, create_task_group, current_time

from .._core import events
from .._core.config import ProcessorConfig
from .._core.exceptions import MisuseError, PacelineError
from .._core.exhausted_lane import exhausted_lanes_fault
from .._core.fault import DRAINED, Fault, FaultKind, pending_fault
from .._core.pace import PaceKnowledge
from .._core.pace.warm_start import checked
from .._core.provider_answers.classify import describe
from .._core.quantity import quantity
from .._core.results import BatchResult, SourceError, WorkItemResult
from ..abc import Journal, RateController
from .batch import Batch
from .guard import logger
from .hooks import Hooks
from .intake import Intake
from .job import LearnedQuota
from .keeper import JournalKeeper
from .ledger import Outlet
from .lifecycle import Lifecycle
from .nursery import run
from .outlets import Collector, Handover, ResultStream
from .tally import ProcessorStatistics, Tally

T = TypeVar("T")

NewPace: TypeAlias = Callable[[PaceKnowledge | None], RateController]
"""Creates the rate controller of a quota key, from what is known of the quota or None."""
NO_KNOWLEDGE: Mapping[str, PaceKnowledge] = MappingProxyType({})


class Engine(Generic[T]):
    """Runs one batch at a time. Its arguments come from `ParallelBatchProcessor`, which documents them.

    Raises:
        ConfigurationError: A number in `knowledge` is out of its bounds.
    """

    def __init__(
        self,
        config: ProcessorConfig,
        hooks: Hooks,
        pace: NewPace,
        knowledge: Mapping[str, PaceKnowledge],
        journal: Journal | None,
    ) -> None:
        self.config = config
        self.last: BatchResult[T] = BatchResult()
        """The latest batch that has ended, also if it was cancelled or failed."""
        self.running: Batch | None = None
        self._draw = random.Random().random  # noqa: S311 - jitter, not cryptography
        self._hooks = hooks
        self._lifecycle = Lifecycle(config, hooks, self._draw)
        self._new_pace = pace
        self._knowledge = checked(knowledge)
        self._learned: dict[str, LearnedQuota] = {}
        self._journal = journal
        self._journal_is_open = False
        self._last_end = 0.0  # seconds of the event loop's clock: when the latest batch ended
        self._past = Tally()  # sums over the batches that have ended

    async def __aenter__(self) -> Engine[T]:
        if self._journal is not None:
            stored = await self._journal.open(share=not self._hooks.rewrite_items)
            self._knowledge = {**checked(stored), **self._knowledge}
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
        """Run a batch, and return it with all its results.

        Raises:
            MisuseError: A batch is running.
            SourceError: The source raised; the error has the batch.
            JournalError: The journal failed; an UnsavedError has the batch and the results that are not stored.
        """
        collector: Collector[T] = Collector()
        batch = self._open(collector)
        result = await self._run(batch, intake, collector.results)
        if (failure := _failure(batch, result)) is not None:
            raise failure
        return result

    @asynccontextmanager
    async def stream(self, intake: Intake) -> AsyncIterator[ResultStream[T]]:
        """Run a batch in a task beside the block; the block iterates over its results.

        At its end the iteration raises the exceptions that `collect` raises.
        """
        handover: Handover[T] = Handover()
        batch = handover.batch = self._open(handover)
        failure: BaseException | None = None
        async with create_task_group() as nursery:
            nursery.start_soon(self._run_for_stream, batch, intake, handover)
            try:
                yield ResultStream(handover)
            except (Exception, GeneratorExit, KeyboardInterrupt, SystemExit) as error:  # noqa: BLE001 - see below
                failure = error  # the block's own exception: raised as it is, not in the nursery's group
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure

    def drain(self, reason: str = DRAINED) -> None:
        """Start no more calls: calls in flight finish, the other items become pending, for `reason`."""
        if self.running is not None:
            self.running.stop(pending_fault(reason))

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

    async def _run_for_stream(self, batch: Batch, intake: Intake, handover: Handover[T]) -> None:
        result: BatchResult[T] | None = None
        try:
            result = await self._run(batch, intake, ())
        finally:
            if result is None:
                result = _result_of(batch, ())
            handover.finish(result, _failure(batch, result))

    async def _run(self, batch: Batch, intake: Intake, results: Sequence[WorkItemResult[T]]) -> BatchResult[T]:
        try:
            await run(batch, intake)
        except BaseException:
            if batch.keeper is not None:
                batch.keeper.log_unsaved()
            raise
        finally:
            self.running = None
            self._last_end = current_time()
            self._past.add(batch.tally)
            result = self.last = _result_of(batch, results)
            _log_end(result)
        if self._hooks.has_observers:
            async with create_task_group() as nursery:  # a child task: only a nursery lets asyncio's own timeouts pass
                nursery.start_soon(
                    self._hooks.notify,
                    events.BatchCompleted(
                        total_items=result.total_items,
                        succeeded=result.succeeded,
                        failed=result.failed,
                        pending=result.pending,
                        seconds=result.seconds,
                    ),
                )
        return result

    def _learned_of(self, quota: str) -> LearnedQuota:
        learned = self._learned.get(quota)
        if learned is None:
            learned = self._learned[quota] = LearnedQuota(self._new_pace(self._known_of(quota)))
        return learned

    def _known_of(self, quota: str) -> PaceKnowledge | None:
        """Return what is known of a quota that is not used yet, its time converted to the event loop's clock."""
        known = self._knowledge.get(quota)
        if known is None:
            return None
        age = max(0.0, time.time() - known.learned)
        return attrs.evolve(known, learned=current_time() - age)

    def knowledge(self) -> dict[str, PaceKnowledge]:
        """Return what is known of each quota; that of quotas not used here is unchanged."""
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
        except NoEventLoopError:  # called after the event loop has ended
            return self._last_end

    def statistics(self, queued: int = 0) -> ProcessorStatistics:
        """Return a snapshot; `queued` is the number of items that wait for a batch."""
        batch, sums = self.running, Tally()
        sums.add(self._past)
        if batch is not None:
            sums.add(batch.tally)
        return ProcessorStatistics(
            total_items=sums.accepted,
            succeeded=sums.succeeded,
            failed=sums.failed,
            failures=dict(sums.failures),
            pending=sums.failures[FaultKind.PENDING],
            faults=sums.call_faults.most_frequent(),
            cut_off=sums.cut_off,
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
        seconds=current_time() - batch.started_at,
        refusals=tally.refusals,
        workers=tally.workers_range,
        most_in_flight=tally.max_workers,
        recalled=tally.recalled,
        messages=tally.item_faults.representative(),
        faults=tally.call_faults.most_frequent(),
        cut_off=tally.cut_off,
        systematic=tuple(tally.systematic),
        stopped=_stop_reason(batch),
    )


def _log_end(result: BatchResult[Any]) -> None:
    failed, seconds = result.failed - result.pending, result.seconds
    logger.info(
        "batch ended after %.1f s: %d succeeded, %d failed, %d pending",
        seconds,
        result.succeeded,
        failed,
        result.pending,
    )
    for group in result.messages:
        logger.info("failed: %s", group)


def _stop_reason(batch: Batch) -> Fault | None:
    """Return why a batch left work undone: it was stopped, or quotas were exhausted; None: it did not."""
    reasons = (lane.exhausted for lane in batch.lanes.values())
    exhausted = [reason for reason in reasons if reason is not None and reason.kind is FaultKind.PENDING]
    return batch.stopped or exhausted_lanes_fault(exhausted)


def _failure(batch: Batch, result: BatchResult[T]) -> PacelineError | None:
    """Return the exception to raise at the end: the journal's failure, or else that of the source; None: there is neither."""
    journal_failure = batch.keeper.error(result) if batch.keeper is not None else None
    return journal_failure or _source_failure(batch, result)


def _source_failure(batch: Batch, result: BatchResult[T]) -> SourceError | None:
    error = batch.source_error
    if error is None:
        return None
    failure = SourceError(
        f"the source of work raised after {quantity(result.total_items, 'item')}: {describe(error)}", result
    )
    failure.__cause__ = error
    return failure
