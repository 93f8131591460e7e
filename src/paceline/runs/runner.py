"""Runner: runs the items of a batch, saves their results as they come, and can be stopped.

Rules owned here:

1. Results are saved in a worker thread, all that are ready at once: neither a slow disk nor a full pipe delays the calls in flight.
2. A stop starts no more calls and lets those in flight finish; a cancel cancels them.
3. Each item has a result however the batch ends, and all results are saved, the pending ones included.
4. When results cannot be saved, a batch without a journal is cancelled: further answers would be paid for and lost. With a
   journal the calls in flight finish, and no more are started.
5. Nothing is printed here. Messages and progress go to callbacks, which are called in the task of the run: they must not block.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeAlias, TypedDict

import attrs
from anyio import (
    CancelScope,
    create_task_group,
    current_time,
    sleep,
    to_thread,
)

from .._core.fault_groups import FaultGroup
from .._core.results import SourceError, UnsavedError, WorkItemResult
from .._engine.results.delivery import ResultStream
from ..abc import BaseObserver, LLMCallStrategy, LLMWorkItem
from ..files import InputRecord
from ..processor import ParallelBatchProcessor
from .control import RunControl
from .progress import ProgressMeter, RunProgress
from .run_report import RunReport

Note: TypeAlias = Callable[[Sequence[FaultGroup]], None]
"""Records the faults of a run's calls. Called in a worker thread, one call at a time."""

Save: TypeAlias = Callable[[Sequence[WorkItemResult[Any]]], None]
"""Saves results. Called in a worker thread, one call at a time; raises OSError if it cannot."""


_NOTE_PERIOD = 2.0  # seconds between two records of the faults, so that `status` shows them during the run


class RunHooks(TypedDict, total=False):
    """Optional arguments of `run`, `resume` and their async forms."""

    on_progress: Callable[[RunProgress], None]
    """Called every `progress_period` seconds, when the run is stopped, and once at its end."""
    progress_period: float
    """Seconds between two snapshots; inf: only the first, those of a stop, and the last. Default: 1."""
    on_message: Callable[[str], None]
    """Called with a sentence for people, such as on a skipped line; also in a worker thread, before the first call."""
    observers: Sequence[BaseObserver]
    """Receive the events of the batch."""
    control: RunControl
    """Stops the run."""


@attrs.frozen(kw_only=True)
class Callbacks:
    """The hooks of a run, with their defaults."""

    on_progress: Callable[[RunProgress], None] = lambda _: None
    progress_period: float = 1.0
    on_message: Callable[[str], None] = lambda _: None
    observers: Sequence[BaseObserver] = ()
    control: RunControl = attrs.field(factory=RunControl)


class Records(Protocol):
    """Input records whose number is known."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[InputRecord]: ...


@attrs.frozen
class RunItems:
    """The work items of input records. Their number is known, so that each has a result however the batch ends."""

    records: Records
    strategy: LLMCallStrategy[Any]

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[LLMWorkItem[Any]]:
        return work_items(self.records, self.strategy)


def work_items(records: Iterable[InputRecord], strategy: LLMCallStrategy[Any]) -> Iterator[LLMWorkItem[Any]]:
    """Yield the work items of input records, each made when its record is read."""
    for record in records:
        yield LLMWorkItem(record.id, strategy, record.prompt, record.context)


async def run_batch(  # noqa: PLR0913 - what a run needs
    items: Iterable[LLMWorkItem[Any]] | AsyncIterable[LLMWorkItem[Any]],
    meter: ProgressMeter,
    *,
    processor: ParallelBatchProcessor[Any],
    save: Save,
    note: Note | None = None,
    callbacks: Callbacks,
) -> RunReport:
    """Run items; return how the batch ended.

    Cancelling it cancels the calls in flight; the results so far are saved first.

    Args:
        items: Work items with unique ids. If their number is known, each has a result however the batch ends.
        meter: Makes the progress.
        processor: Not open yet. Whether it has a journal decides rule 4.
        save: Saves the results.
        note: Records faults during the run; None: they are not recorded.
        callbacks: Receive progress, and stop the batch.
    """
    batch = _Batch(processor, save, meter, callbacks)
    failure: Exception | None = None
    with callbacks.control.attached() as requested:
        async with create_task_group() as nursery:
            nursery.start_soon(batch.obey, requested)
            nursery.start_soon(batch.report_progress)
            if note is not None:
                nursery.start_soon(batch.note_faults, note)
            try:
                async with processor:
                    await batch.run(items)
            except Exception as error:  # noqa: BLE001 - it is raised as it is, not in the group of the nursery
                failure = error
            nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    batch.report(is_finished=True)
    return RunReport(
        batch=processor.batch,
        retries=batch.retries,
        is_stopped=callbacks.control.is_stopped,
        output_error=batch.output_error,
        journal_error=batch.journal_error,
        source_error=batch.source_error,
    )


class _Batch:
    def __init__(
        self, processor: ParallelBatchProcessor[Any], save: Save, meter: ProgressMeter, callbacks: Callbacks
    ) -> None:
        self.output_error: OSError | None = None
        self.journal_error: UnsavedError | None = None
        self.source_error: SourceError | None = None
        self.retries: int = 0
        """Calls that were repeated because the one before failed."""
        self._processor = processor
        self._save = save
        self._meter = meter
        self._callbacks = callbacks
        self._control = callbacks.control
        self._was_paused = False
        self._scope = CancelScope()
        self._unsaved: list[WorkItemResult[Any]] = []

    async def obey(self, requested: Callable[[], Awaitable[None]]) -> None:
        """Carry out what the control requests, until it cancels."""
        while not self._control.is_cancelled:
            await requested()
            self._heed_control()
            self.report()
        self._scope.cancel()

    def report(self, *, is_finished: bool = False) -> None:
        """Hand the present figures to the caller."""
        statistics, stopping = self._processor.statistics(), self._control.is_stopped
        self._callbacks.on_progress(
            self._meter.read(
                current_time(), statistics, is_stopping=stopping, is_finished=is_finished, wall_time=time.time()
            )
        )

    async def report_progress(self) -> None:
        """Hand over the figures periodically."""
        while True:
            self.report()
            await sleep(self._callbacks.progress_period)

    async def note_faults(self, note: Note) -> None:
        """Record the faults of calls, whenever they have changed."""
        noted: Sequence[FaultGroup] = ()
        while True:
            await sleep(_NOTE_PERIOD)
            faults = self._processor.statistics().faults
            if faults != noted:
                await to_thread.run_sync(note, faults)
                noted = faults

    async def run(self, items: Iterable[LLMWorkItem[Any]] | AsyncIterable[LLMWorkItem[Any]]) -> None:
        """Run the items, and save their results."""
        results: ResultStream[Any] | None = None
        try:
            with self._scope:
                async with self._processor.stream(items, unique=True) as results:
                    self._heed_control()
                    await self._save_all(results)
        except SourceError as error:
            self.source_error = error
        except UnsavedError as error:
            self.journal_error = error
        finally:
            with CancelScope(shield=True):
                self._unsaved += results.undelivered if results is not None else ()
                await self._save_ready()

    async def _save_all(self, results: ResultStream[Any]) -> None:
        async for result in results:
            self._unsaved += (result, *results.take_ready())
            await self._save_ready()
            self._drain_if_stopped()

    def _heed_control(self) -> None:
        if self._control.is_paused is not self._was_paused:
            self._was_paused = self._control.is_paused
            (self._processor.pause if self._was_paused else self._processor.resume)()
        self._drain_if_stopped()

    def _drain_if_stopped(self) -> None:
        if self._control.is_stopped:
            self._processor.drain(self._control.reason)  # the request may have come before there was a batch to drain

    async def _save_ready(self) -> None:
        if self._unsaved and self.output_error is None:
            await to_thread.run_sync(self._save_in_thread)
        if self.output_error is None:
            return
        if self._processor.has_journal:
            self._processor.drain(f"the output cannot be written: {self.output_error.strerror or self.output_error}")
        else:
            self._scope.cancel()

    def _save_in_thread(self) -> None:
        self.retries += sum(max(0, len(result.attempts) - 1) for result in self._unsaved)
        try:
            self._save(self._unsaved)
        except OSError as error:
            self.output_error = error
        self._unsaved = []
