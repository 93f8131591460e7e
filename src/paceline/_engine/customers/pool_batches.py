"""Batches of a pool: those that run, each in a task of its own, and the sums over all of them.

Rules owned here:

1. Nothing that happens in a batch ends its task with an exception: it raises in the task that started the batch.
2. A batch counts among those that run until it has its result; from then on its counts are in the sums of the past.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import attrs
from anyio import CancelScope, current_time
from anyio.lowlevel import checkpoint

from ..._core import events
from ..._core.fault import pending_fault
from ..._core.pace import PaceStatistics
from ..._core.results import BatchResult, WorkItemResult
from ..lanes.learned import LearnedQuota, LearnedQuotas
from ..lanes.statistics import ProcessorStatistics, Tally
from ..results.delivery import Handover, ResultStream
from .batch import Batch
from .batch_end import failure_of, log_end, result_of

if TYPE_CHECKING:
    from types import TracebackType

    from ..calls.services import Services


class PoolBatches:
    """The batches of one pool.

    Args:
        services: What the pool lends.
        start_task: Starts a task in the pool's nursery.
    """

    def __init__(self, services: Services, start_task: Callable[..., None]) -> None:
        self.running: list[Batch] = []
        """Those that run, in the order of their starts."""
        self._services = services
        self._start_task = start_task
        self._last: BatchResult[Any] = BatchResult()
        self._last_end = 0.0
        self._past = Tally()

    @property
    def last(self) -> BatchResult[Any]:
        """The latest batch that has ended, also if it was cancelled or failed."""
        return self._last

    @property
    def last_end(self) -> float:
        """When it had ended, in seconds of the event loop's clock; 0: none has."""
        return self._last_end

    # ------------------------------------------------------------------------------------------ running

    def start(
        self, batch: Batch, results: Sequence[WorkItemResult[Any]], handover: Handover[Any] | None = None
    ) -> None:
        """Run a batch in a task of its own, with the context variables of whoever started it.

        Args:
            batch: The batch.
            results: Where its results are collected, if they are.
            handover: Where they are handed over, if they are.
        """
        self.running.append(batch)
        batch.context.run(self._start_task, self._run, batch, results, handover)
        if batch.progress is not None:
            batch.context.run(self._start_task, batch.progress.run, batch.ended)

    async def _run(self, batch: Batch, results: Sequence[WorkItemResult[Any]], handover: Handover[Any] | None) -> None:
        try:
            await batch.run_to_end()
        finally:
            self.running.remove(batch)
            self._last_end = current_time()
            self._past.add(batch.tally)
            result = self._last = result_of(batch, results)
            batch.finish(result, failure_of(batch, result))
            if batch.progress is not None:
                batch.progress.finish()
            if handover is not None:
                handover.finish(result, batch.failure)
            if batch.crash is not None and batch.commits is not None:
                batch.commits.log_unsaved()
            log_end(result)
            self._services.hooks.publish(
                events.BatchCompleted(
                    total_items=result.total_items,
                    succeeded=result.succeeded,
                    failed=result.failed,
                    pending=result.pending,
                    seconds=result.seconds,
                )
            )

    async def wait_for(self, batch: Batch) -> None:
        """Wait until a batch has ended; a cancellation of the wait cancels it."""
        try:
            await batch.ended.wait()
        except BaseException:
            await self.abandon(batch)
            raise

    @staticmethod
    async def abandon(batch: Batch) -> None:
        """Cancel a batch, and wait until it has ended."""
        batch.cancel()
        with CancelScope(shield=True):
            await batch.ended.wait()
        if batch.commits is not None:
            batch.commits.log_unsaved()

    async def wait_for_all(self) -> None:
        """Wait until those have ended that run now."""
        for batch in tuple(self.running):
            await batch.ended.wait()

    def cancel(self) -> None:
        """Cancel those that run."""
        for batch in self.running:
            batch.cancel()

    def drain(self, reason: str) -> None:
        """Start no more calls in those that run."""
        for batch in self.running:
            batch.stop(pending_fault(reason))

    # ------------------------------------------------------------------------------------------ figures

    def add_past(self, tally: Tally) -> None:
        """Add the counts of calls that belong to no batch, and have ended."""
        self._past.add(tally)

    def statistics(
        self, learned: LearnedQuotas, *, queued: int, now: float, of: Batch | None = None
    ) -> ProcessorStatistics:
        """Return a snapshot of the pool, or of one of its batches.

        Args:
            learned: What it knows of quotas.
            queued: Number of items that wait for a batch.
            now: Current time, in seconds.
            of: The batch whose items and calls are counted; None: all. Lanes and the budget are those of the pool in any case.
        """
        scheduler, hooks = self._services.scheduler, self._services.hooks
        sums = Tally()
        if of is not None:
            sums.add(of.tally)
        else:
            sums.add(self._past)
            for submitter in scheduler.submitters:
                sums.add(submitter.tally)
        in_flight = scheduler.in_flight if of is None else of.in_flight
        spending = scheduler.spending
        spent, max_cost, max_tokens = spending.state.total, None, None
        if spending.budget is not None:
            max_cost, max_tokens = spending.budget.usd, spending.budget.tokens
        running = [batch.tally.workers_range for batch in self.running]
        return ProcessorStatistics(
            total_items=sums.accepted,
            succeeded=sums.succeeded,
            failed=sums.failed,
            failures=dict(sums.failures),
            pending=sums.pending,
            faults=sums.call_faults.most_frequent(),
            cut_off=sums.cut_off,
            recalled=sums.recalled,
            retries=sums.retries,
            messages=sums.item_faults.most_frequent(),
            cost=sums.cost,
            spent=None if max_cost is None else spent.usd,
            max_cost=max_cost,
            spent_tokens=None if max_tokens is None else spent.tokens,
            max_tokens=max_tokens,
            max_workers=self._services.config.max_workers,
            is_paused=scheduler.is_paused,
            rate_limit_count=sums.refusals,
            usage=sums.usage,
            hook_failures=hooks.failures,
            dropped_events=hooks.dropped_events,
            waiting=queued + sum(each.waiting for each in (scheduler.submitters if of is None else (of,))),
            in_flight=in_flight,
            workers=in_flight,
            workers_range=running[-1] if running else self._last.workers,
            lanes={quota: self._lane_statistics(quota, each, now) for quota, each in learned},
        )

    def _lane_statistics(self, quota: str, learned: LearnedQuota, now: float) -> PaceStatistics:
        figures, lane = learned.pace.statistics(), self._services.scheduler.lanes.get(quota)
        opens_at = figures.gate if lane is None or lane.exhausted is None else max(figures.gate, lane.reopens_at)
        return attrs.evolve(figures, opens_in=max(0.0, opens_at - now))


class StreamedBatch:
    """The context manager of a batch whose results are iterated over.

    Args:
        batch: The batch.
        handover: Where its results are handed over.
        start: Starts it.
        drain: Drains it, for this reason.
    """

    def __init__(
        self, batch: Batch, handover: Handover[Any], start: Callable[[], None], drain: Callable[[str], None]
    ) -> None:
        self._batch, self._handover = batch, handover
        self._start, self._drain = start, drain

    @property
    def batch(self) -> Batch:
        """The batch that it runs."""
        return self._batch

    async def __aenter__(self) -> ResultStream[Any]:
        await checkpoint()
        await self._batch.check()
        self._start()
        return ResultStream(self._handover, self._drain)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await PoolBatches.abandon(self._batch)
        await checkpoint()
        if error is None and self._batch.crash is not None:
            raise self._batch.crash
