"""Prompts as work items.

How the command line carries out a batch: results are kept as they come, and the user can stop it.

1. Results are kept in a thread of their own, all that are ready at once: neither a slow disk nor a full pipe holds up the
   calls in flight.
2. The first SIGINT or SIGTERM starts no more calls and lets those in flight finish. The second cancels them. After it the
   signals do again what the system has them do.
3. Whatever ends the batch, each of its items has a result, and all of these are kept: the pending ones too.
4. Where results cannot be kept, the batch is cancelled: what it still got would be paid for and lost. With a journal nothing
   is lost, so that the calls in flight may finish: no more are started.

A batch is carried out on trio, with what the user sees meanwhile.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Protocol, TypeAlias

import anyio
import attrs
from anyio import (
    TASK_STATUS_IGNORED,
    CancelScope,
    create_task_group,
    current_time,
    open_signal_receiver,
    sleep,
    to_thread,
)
from anyio.abc import TaskStatus

from .._core.config import ProcessorConfig
from .._core.results import BatchResult, SourceError, UnsavedError, WorkItemResult
from .._engine.outlets import ResultStream
from ..abc import Journal, LLMCallStrategy, LLMWorkItem
from ..cli.console import print_message
from ..cli.progress.display import Display, Lines, PacePanel, Progress, is_live
from ..cli.progress.figures import FigureMeter, Figures, PaceSteps
from ..cli.progress.logs import shown_logs
from ..files import InputRecord
from ..files.types import STREAM
from ..processor import ParallelBatchProcessor
from .file_limit import workers_within
from .options import RunOptions


class RunRecords(Protocol):
    """What is to be answered, where it is known how much it is."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[InputRecord]: ...


@attrs.frozen
class RunItems:
    """The items of prompts, for a strategy. They have a length, so that each has a result whatever happens."""

    prompts: RunRecords
    strategy: LLMCallStrategy[Any]

    def __len__(self) -> int:
        return len(self.prompts)

    def __iter__(self) -> Iterator[LLMWorkItem[Any]]:
        return items_of(self.prompts, self.strategy)


def items_of(prompts: Iterable[InputRecord], strategy: LLMCallStrategy[Any]) -> Iterator[LLMWorkItem[Any]]:
    """Yield the items of prompts; each is made when it is read."""
    for prompt in prompts:
        yield LLMWorkItem(prompt.id, strategy, prompt.prompt, prompt.context)


_INTERRUPTED = "the run was interrupted"
_SIGNALS = (signal.SIGINT, signal.SIGTERM)

Keep: TypeAlias = Callable[[Sequence[WorkItemResult[Any]]], None]
"""Keeps results; called in a worker thread, never twice at a time. Raises OSError where it cannot."""


@attrs.frozen(kw_only=True)
class Ending:
    """How a batch ended."""

    batch: BatchResult[Any]
    signal: int | None
    """The first signal that came, if any."""
    failure: OSError | None
    """Why results could not be kept."""
    unsaved: UnsavedError | None
    """Why the journal could not keep results, and which."""
    source_error: SourceError | None
    """Why there was less work than there should have been."""


async def run_batch(
    items: Iterable[LLMWorkItem[Any]],
    gauge: FigureMeter,
    *,
    processor: ParallelBatchProcessor[Any],
    keep: Keep,
    progress: Progress,
) -> Ending:
    """Have items answered; return how it ended.

    Args:
        items: with ids that are known to be unique. Of those that have a length, each has a result whatever happens.
        gauge: reads the figures.
        processor: is opened and closed here. If it has a journal, rule 4 is the gentle one.
        keep: takes the results.
        progress: is shown the figures, and told what the user must know.
    """
    run = _Run(processor, keep, progress, gauge)
    failure: Exception | None = None
    async with create_task_group() as nursery:
        await nursery.start(run.listen)
        nursery.start_soon(run.show)
        try:
            async with processor:
                await run.carry_out(items)
        except Exception as error:  # noqa: BLE001 - it leaves as it is, not in the nursery's group
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    progress.end(run.reading())
    return Ending(
        batch=processor.batch,
        signal=run.signal,
        failure=run.failure,
        unsaved=run.unsaved,
        source_error=run.source_error,
    )


class _Run:
    def __init__(
        self, processor: ParallelBatchProcessor[Any], keep: Keep, progress: Progress, gauge: FigureMeter
    ) -> None:
        self.signal: int | None = None
        self.failure: OSError | None = None
        self.unsaved: UnsavedError | None = None
        self.source_error: SourceError | None = None
        self._processor = processor
        self._keep = keep
        self._progress = progress
        self._gauge = gauge
        self._scope = CancelScope()
        self._held: list[WorkItemResult[Any]] = []

    async def listen(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Wait for signals."""
        with open_signal_receiver(*_SIGNALS) as signals:
            task_status.started()
            async for number in signals:
                if self.signal is not None:
                    break
                self.signal = number
                self._processor.drain(_INTERRUPTED)
                in_flight = self._processor.statistics().in_flight
                self._progress.say(f"finishes the calls in flight ({in_flight:,}); interrupt again to cancel them")
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        self._scope.cancel()

    def reading(self) -> Figures:
        """Return the figures of now."""
        return self._gauge.read(current_time(), self._processor.statistics())

    async def show(self) -> None:
        """Show the figures, again and again."""
        while True:
            self._progress.show(self.reading())
            await sleep(self._progress.period)

    async def carry_out(self, items: Iterable[LLMWorkItem[Any]]) -> None:
        """Run the batch, and keep its results."""
        results: ResultStream[Any] | None = None
        try:
            with self._scope:
                async with self._processor.stream(items, unique=True) as results:
                    await self._keep_all(results)
        except SourceError as error:
            self.source_error = error
        except UnsavedError as error:
            self.unsaved = error
        finally:
            with CancelScope(shield=True):
                self._held += results.undelivered if results is not None else ()
                await self._keep_held()

    async def _keep_all(self, results: ResultStream[Any]) -> None:
        async for result in results:
            self._held.append(result)
            for _ in results.undelivered:
                self._held.append(await anext(results))
            await self._keep_held()
            if self.signal is not None:
                self._processor.drain(_INTERRUPTED)  # the signal may have come before there was a batch to drain

    async def _keep_held(self) -> None:
        if self._held and self.failure is None:
            await to_thread.run_sync(self._keep_held_here)
        if self.failure is None:
            return
        if self._processor.has_journal:
            self._processor.drain(f"the output cannot be written: {self.failure.strerror or self.failure}")
        else:
            self._scope.cancel()

    def _keep_held_here(self) -> None:
        try:
            self._keep(self._held)
        except OSError as error:
            self.failure = error
        self._held = []


_PERIOD = 10.0  # seconds between two lines of progress


def carry_out(  # noqa: PLR0913 - all that a run is made of
    options: RunOptions,
    items: Iterable[LLMWorkItem[Any]],
    *,
    total: int,
    keep: Keep,
    before: int = 0,
    journal: Journal | None = None,
    quiet: bool = False,
    verbose: bool = False,
) -> Ending:
    """Have items answered; return how it ended.

    Args:
        options: of the run.
        items: to be answered, with unique ids.
        total: of the batch, those that were done before among them.
        keep: takes the results.
        before: items that were done before.
        journal: keeps the results first.
        quiet: whether no progress is shown.
        verbose: whether all of the log is shown.
    """
    config = _affordable(options, total - before)
    reasons = PaceSteps()
    processor = ParallelBatchProcessor[Any](config, observers=() if quiet else [reasons], journal=journal)
    with _progress(options, reasons, quiet=quiet) as progress, shown_logs(progress.say, verbose=verbose):
        gauge = FigureMeter(total, config.max_workers, before)
        return anyio.run(
            partial(run_batch, items, gauge, processor=processor, keep=keep, progress=progress), backend="trio"
        )


def _affordable(options: RunOptions, items: int) -> ProcessorConfig:
    """Return the settings of the processor, with no more workers than there are file descriptors for."""
    wanted = max(1, min(options.max_workers, items))
    workers = workers_within(wanted, models=len(options.models), say=print_message)
    config = options.processor
    if workers < wanted:
        config.max_workers = workers
    return config


def _progress(options: RunOptions, reasons: PaceSteps, *, quiet: bool) -> Progress:
    if quiet:
        return Progress()
    return Display(PacePanel(reasons)) if is_live(stdout_is_used=options.output == STREAM) else Lines(_PERIOD, reasons)
