"""What outlives a batch: the hooks, the prepared strategies, and what the lanes' controllers have learned."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from anyio import create_task_group, current_time

from .._core import events
from .._core.classify import describe
from .._core.config import ProcessorConfig
from .._core.exceptions import MisuseError, SourceError
from .._core.fault import DRAINED, pending
from .._core.outcome import BatchResult, WorkItemResult
from .._core.pace import AIMD
from ..abc import BaseObserver, Middleware, RateLimitObserver
from .batch import Batch
from .hooks import Hooks
from .intake import Intake
from .ledger import Outlet
from .lifecycle import Lifecycle
from .nursery import run
from .outlets import Collector, Handover, ResultStream
from .tally import ProcessorStatistics, Tally

T = TypeVar("T")


class Engine(Generic[T]):
    """Runs one batch at a time; the arguments are those of `ParallelBatchProcessor`."""

    def __init__(
        self,
        config: ProcessorConfig | None = None,
        middlewares: Sequence[Middleware] = (),
        observers: Sequence[BaseObserver] = (),
        pace: Callable[[], RateLimitObserver] = AIMD,
    ) -> None:
        self.config = config if config is not None else ProcessorConfig()
        self.last: BatchResult[T] = BatchResult()
        """The latest batch that has ended, whatever ended it."""
        self.running: Batch | None = None
        self._draw = random.Random().random  # noqa: S311 - jitter, not cryptography
        self._hooks = Hooks(self.config, middlewares, observers)
        self._lifecycle = Lifecycle(self.config, self._hooks, self._draw)
        self._new_pace = pace
        self._paces: dict[str, RateLimitObserver] = {}
        self._past = Tally()
        self._source_error: BaseException | None = None

    async def __aenter__(self) -> Engine[T]:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._lifecycle.cleanup()

    async def collect(self, intake: Intake) -> BatchResult[T]:
        """Run a batch and return it with all its results.

        Raises:
            SourceError: the source raised; the batch is in it.
        """
        self._check_idle()
        collector: Collector[T] = Collector()
        await self._run(intake, collector, collector.results)
        if (failure := self._source_failure()) is not None:
            raise failure
        return self.last

    @asynccontextmanager
    async def stream(self, intake: Intake) -> AsyncIterator[ResultStream[T]]:
        """Run a batch beside the block, and hand its results over one by one."""
        self._check_idle()
        handover: Handover[T] = Handover()
        failure: Exception | None = None
        async with create_task_group() as nursery:
            nursery.start_soon(self._run_beside, intake, handover)
            try:
                yield ResultStream(handover)
            except Exception as error:  # noqa: BLE001 - the block's own: it leaves as it is, not in the nursery's group
                failure = error
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure

    def drain(self, reason: str = DRAINED) -> None:
        """Start no more calls; those in flight finish, and the rest of the items are pending, for `reason`."""
        if self.running is not None:
            self.running.stop(pending(reason))

    async def _run_beside(self, intake: Intake, handover: Handover[T]) -> None:
        try:
            await self._run(intake, handover, ())
        finally:
            handover.end(self.last, self._source_failure())

    async def _run(self, intake: Intake, outlet: Outlet, results: Sequence[WorkItemResult[T]]) -> None:
        self._source_error = None
        batch = self.running = Batch(
            config=self.config,
            hooks=self._hooks,
            lifecycle=self._lifecycle,
            pace_of=self._pace_of,
            draw=self._draw,
            outlet=outlet,
        )
        if isinstance(outlet, Handover):
            outlet.batch = batch
        try:
            await run(batch, intake)
        finally:
            self.running = None
            self._past.add(batch.tally)
            self._source_error = batch.source_error
            self.last = _result_of(batch, results)
        if self._hooks.listening:
            await self._hooks.tell(
                events.BatchCompleted(
                    total_items=self.last.total_items,
                    succeeded=self.last.succeeded,
                    failed=self.last.failed,
                    seconds=self.last.seconds,
                )
            )

    def _check_idle(self) -> None:
        if self.running is not None:
            raise MisuseError("a batch is running already; run another one after it, or in another processor")

    def _pace_of(self, quota: str) -> RateLimitObserver:
        pace = self._paces.get(quota)
        if pace is None:
            pace = self._paces[quota] = self._new_pace()
        return pace

    def _source_failure(self) -> SourceError | None:
        error = self._source_error
        if error is None:
            return None
        failure = SourceError(
            f"the source of work raised after {self.last.total_items} items: {describe(error)}", self.last
        )
        failure.__cause__ = error
        return failure

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
            rate_limit_count=sums.refusals,
            usage=sums.usage,
            hook_failures=self._hooks.failures,
            waiting=queued + (len(batch.ledger) - len(batch.calls) if batch is not None else 0),
            in_flight=len(batch.calls) if batch is not None else 0,
            workers=batch.workers if batch is not None else 0,
            workers_range=batch.tally.workers_range if batch is not None else self.last.workers,
            lanes={quota: pace.statistics() for quota, pace in self._paces.items()},
        )


def _result_of(batch: Batch, results: Sequence[WorkItemResult[T]]) -> BatchResult[T]:
    tally = batch.tally
    return BatchResult(
        results=tuple(results),
        succeeded=tally.succeeded,
        failures=dict(tally.failures),
        usage=tally.usage,
        seconds=current_time() - batch.began,
        refusals=tally.refusals,
        workers=tally.workers_range,
        stopped=batch.stopped,
    )
