"""File run: `run`, from an input file to an output file.

Rules owned here:

1. Everything that can be known to be wrong is found before the first call: the options, the model, the input, the output.
2. With a journal nothing is lost, however the run ends: an item has a row in the output once its result is committed, and an item
   that was not reached is in the journal without a result, for the next run.
   A table (CSV, Parquet) is written when the run ends.
3. Without a journal each valid prompt has one row in the output, written as soon as it has a result; if the run is stopped, prompts that
   were not reached have a row with the fault `pending`.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, Unpack

import attrs
from anyio import CancelScope, to_thread

from .._codec import encode_row
from .._core.budget import Budget
from .._core.exceptions import ConfigurationError, JournalError
from .._core.fault import FaultKind
from .._core.fault_groups import FaultGroup
from .._core.quantity import quantity, verb
from .._core.results import BatchResult, WorkItemResult, unnamed_faults
from .._core.retry import RetryPolicy
from ..abc import Journal, LLMCallStrategy, LLMWorkItem
from ..files.output import Output, open_output
from ..files.output_formats import OutputFormat, encode
from ..files.types import STREAM
from ..journal import SqliteJournal
from ..journal.figures import Counts
from ..journal.reader import JournalReader, has_place
from ..journal.writer import JournalWriter
from ..llm_strategies.prices import native_price
from ..processor import ParallelBatchProcessor
from ..prompts import run_blocking
from .file_limit import DescriptorsError, workers_within
from .item_registry import RegisteredItems, register_items, render_sharing
from .journal_facts import LatestRun, record_latest_run
from .journal_output import ROWS_AT_ONCE, JournalOutput, open_journal_output
from .model_of_input import with_model
from .native_run import NativeRun, grace_of_environment
from .native_source import NativeSource, with_native_items
from .options import RunOptions
from .progress import ProgressMeter
from .run_report import JournalSummary, RunReport
from .runner import Callbacks, Note, RunHooks, RunItems, Save, run_batch, work_items
from .setup import budget_of_run, check_files, fields_of, open_checked_input, servers_of, strategy_of
from .table_output import TableOutput

T = TypeVar("T")


def run(options: RunOptions, **hooks: Unpack[RunHooks]) -> RunReport:
    """Answer every prompt of a file, from code that is not async: on trio.

        report = run(RunOptions(input="prompts.jsonl", model="gpt-5-mini"))

    Nothing is printed, and no signal handler is installed. KeyboardInterrupt cancels the calls in flight; results so far are saved, and
    a run with a journal can be resumed. In a thread that already runs an event loop, as a notebook's does, it runs in a thread of its own.

    Args:
        options: Input, model, output, journal and limits.
        hooks: Callbacks and control, see `RunHooks`.

    Raises:
        ConfigurationError: The run cannot start: an option, a model, the input or the output is wrong. Nothing was called.
        JournalError: The journal cannot be used, or was started with other items. Nothing was called.
    """
    callbacks = Callbacks(**hooks)
    with _prepared(with_model(options), callbacks) as batch:
        return batch.finish(run_blocking(partial(batch.execute, callbacks)))


async def run_async(options: RunOptions, **hooks: Unpack[RunHooks]) -> RunReport:
    """Answer every prompt of a file, within a trio or asyncio application.

    What blocks (checking the input, the journal, writing rows) is done in worker threads. Cancelling it cancels the calls in flight; results
    so far are saved, and a run with a journal can be resumed. To end it with a report, use the `control`.

    Args:
        options: Input, model, output, journal and limits.
        hooks: Callbacks and control, see `RunHooks`.

    Raises:
        ConfigurationError: The run cannot start: an option, a model, the input or the output is wrong. Nothing was called.
        JournalError: The journal cannot be used, or was started with other items. Nothing was called.
    """
    callbacks = Callbacks(**hooks)
    options = await to_thread.run_sync(with_model, options)
    async with _in_threads(_prepared(options, callbacks)) as batch:
        report = await batch.execute(callbacks)
        return await to_thread.run_sync(batch.finish, report)


@attrs.frozen(kw_only=True)
class _PreparedRun:
    """A run that has passed all checks; its files are open."""

    options: RunOptions
    budget: Budget | None
    items: Iterable[LLMWorkItem[Any]]
    total: int
    done_before: int = 0
    save: Save
    note: Note | None = None
    new_journal: Callable[[], Journal | None] = lambda: None
    """Makes the journal, in the event loop that uses it."""
    native: NativeRun | None = None
    """What a run through a batch API needs; None: all prompts are called online."""
    finish: Callable[[RunReport], RunReport]
    """Writes what is left to be written, and completes the report. Blocks."""

    async def execute(self, callbacks: Callbacks) -> RunReport:
        """Make the calls."""
        config = self.options.processor
        config.budget = self.budget
        wanted = max(1, min(config.max_workers, self.total - self.done_before))
        workers = workers_within(wanted, models=len(self.options.models), on_message=callbacks.on_message)
        if workers < wanted:
            config.max_workers = workers
        processor = ParallelBatchProcessor[Any](config, observers=callbacks.observers, journal=self.new_journal())
        config.subscribe(partial(_keep_within_files, processor, len(self.options.models), callbacks.on_message))
        meter = ProgressMeter(self.total, done_before=self.done_before)
        run = partial(run_batch, processor=processor, save=self.save, note=self.note, callbacks=callbacks)
        if self.native is None:
            return await run(self.items, meter)
        if self.native.deadline is None:  # no second call is made, as that would be online
            config.retry = RetryPolicy(max_attempts=1, max_invalid=1, max_truncated=1)

        async def run_items(source: NativeSource) -> RunReport:
            report = await run(source, meter)
            if jobs := source.jobs_at_provider:
                callbacks.on_message(
                    f"{quantity(len(jobs), 'batch job')} {verb(len(jobs), 'goes on', 'go on')} at {source.title}: {', '.join(jobs)}; "
                    f"paceline resume {self.options.journal_file} collects what they answer"
                )
            return report

        return await with_native_items(self.native, run_items)


def _keep_within_files(processor: ParallelBatchProcessor[Any], models: int, on_message: Callable[[str], None]) -> None:
    """Lower a bound on calls in flight that was raised during the run, if there are not as many file descriptors."""
    config, in_flight = processor.config, processor.statistics().in_flight
    if (more := config.max_workers - in_flight) > 0:
        try:
            allowed = in_flight + workers_within(more, models=models, on_message=on_message)
        except DescriptorsError:
            allowed = max(1, in_flight)
        if allowed < config.max_workers:  # noqa: PLR1730 - each assignment calls this function again
            config.max_workers = allowed


@contextmanager
def _prepared(options: RunOptions, callbacks: Callbacks) -> Iterator[_PreparedRun]:
    """Check all of a run, and open its files. Blocks."""
    check_files(options)
    strategy, journal = strategy_of(options), options.journal_file
    if options.is_native:
        strategy.native_batch()  # raises if it is missing, before anything is written
    budget = budget_of_run(options, strategy)
    announced = _after(servers_of(strategy), callbacks.on_message)
    if journal is None:
        with _without_journal(options, strategy, budget, announced) as prepared:
            yield prepared
        return
    if options.output != STREAM and Path(options.output).resolve() == Path(journal).resolve():
        raise ConfigurationError(f"{journal}: is both the journal and the output; give one of them another name")
    with _with_journal(options, strategy, budget, journal, announced) as prepared:
        yield prepared


def _after(first: Iterable[str], on_message: Callable[[str], None]) -> Callable[..., None]:
    """Return a callback for messages that passes some on before the first; called with none, it passes on only these."""
    before = iter(first)

    def passed_on(*messages: str) -> None:
        for message in (*before, *messages):
            on_message(message)

    return passed_on


@contextmanager
def _with_journal(
    options: RunOptions,
    strategy: LLMCallStrategy[Any],
    budget: Budget | None,
    path: str,
    on_message: Callable[..., None],
) -> Iterator[_PreparedRun]:
    is_new = not Path(path).exists()
    try:
        with (
            JournalWriter(path, durability=options.durability) as store,
            register_items(store, options, strategy, on_message) as registered,
            JournalReader(path) as reader,
            _open_output(options, registered.identity, store, reader, on_message) as output,
        ):
            on_message()
            counts, wanted = reader.counts(), reader.places(unsettled=True)
            items = work_items(registered.prompts(partial(has_place, wanted)), strategy)
            number = store.items.strategy_number(strategy.identity)
            shared = reader.shared(number) if registered.dedupe else 0
            if shared:
                on_message(render_sharing(shared, counts.pending))
            yield _PreparedRun(
                options=options,
                budget=budget,
                items=registered.remembered(items, store.items, number),
                total=counts.total,
                done_before=counts.settled,
                save=output.catch_up,
                note=partial(_note_faults, store),
                native=_native_run(options, strategy, budget, store, registered, on_message)
                if options.is_native
                else None,
                new_journal=partial(_journal_on, store, counts, dedupe=registered.dedupe),
                finish=partial(_finish_journal, options, registered.bad_count, output, store, reader),
            )
    except ConfigurationError:  # nothing was called
        if is_new:
            Path(path).unlink(missing_ok=True)
        raise


def _journal_on(store: JournalWriter, counts: Counts, *, dedupe: bool | None) -> SqliteJournal:
    """Return the journal of a run whose batch has only the items that are left."""
    journal = SqliteJournal.on(store, dedupe=dedupe)
    journal.extent = counts.total, counts.settled
    return journal


def _native_run(  # noqa: PLR0913, PLR0917 - what a run has open
    options: RunOptions,
    strategy: LLMCallStrategy[Any],
    budget: Budget | None,
    store: JournalWriter,
    registered: RegisteredItems,
    on_message: Callable[[str], None],
) -> NativeRun:
    return NativeRun(
        batch=strategy.native_batch(),
        strategy=strategy,
        store=store,
        prompts=registered.prompts,
        dedupe=registered.dedupe,
        price=native_price(strategy),
        budget=budget,
        deadline=options.by,
        on_message=on_message,
        grace=grace_of_environment(),
    )


def _note_faults(store: JournalWriter, faults: Sequence[FaultGroup]) -> None:
    with suppress(JournalError):  # it is for people, and no result depends on it
        record_latest_run(store, LatestRun(run=store.run, faults=tuple(faults)))


@contextmanager
def _open_output(
    options: RunOptions,
    source: os.stat_result,
    store: JournalWriter,
    reader: JournalReader,
    on_message: Callable[[str], None],
) -> Iterator[JournalOutput | TableOutput]:
    """Open the output of a run with a journal.

    Raises:
        OutputError: The output cannot be written, is the input, or has other content that may not be replaced.
    """
    if not options.output_format.is_table:
        with open_journal_output(options, source, store, reader, on_message=on_message) as output:
            yield output
        return
    yield TableOutput(
        reader,
        store,
        options.output,
        options.output_format,
        fields=fields_of(options),
        keep={"the input": source, "the journal": reader.path},
        overwrite=options.overwrite,
        raw_csv=options.raw_csv,
        on_message=on_message,
    )


def _finish_journal(  # noqa: PLR0913, PLR0917 - what a run has open at its end
    options: RunOptions,
    bad_lines: int,
    output: JournalOutput | TableOutput,
    store: JournalWriter,
    reader: JournalReader,
    report: RunReport,
) -> RunReport:
    stopped, kinds = report.batch.stopped, {group.kind for group in report.batch.systematic}
    with suppress(JournalError):  # as above
        message = None if stopped is None else stopped.message
        batch = report.batch
        faults = unnamed_faults(batch.faults, batch.messages, stopped) if batch.failures else ()
        latest = LatestRun(run=store.run, faults=faults, stopped=message, systematic=tuple(sorted(kinds)))
        record_latest_run(store, latest)
    if report.output_error is None:
        try:
            output.finish()
        except OSError as error:
            report = attrs.evolve(report, output_error=error)
    journal = JournalSummary(path=reader.path, counts=reader.counts())
    report = attrs.evolve(report, batch=_with_all_pending(report.batch, journal.counts.pending))
    return attrs.evolve(report, output=options.output, saved=output.saved, bad_lines=bad_lines, journal=journal)


def _with_all_pending(batch: BatchResult[Any], pending: int) -> BatchResult[Any]:
    """Return the figures of a run that count all items without a result as pending, also those that were not read."""
    failures = {kind: count for kind, count in batch.failures.items() if kind is not FaultKind.PENDING}
    return attrs.evolve(batch, failures=failures | ({FaultKind.PENDING: pending} if pending else {}))


@contextmanager
def _without_journal(
    options: RunOptions, strategy: LLMCallStrategy[Any], budget: Budget | None, on_message: Callable[..., None]
) -> Iterator[_PreparedRun]:
    with (
        open_checked_input(options, strategy) as source,
        open_output(options.output, keep={"the input": source.identity}, overwrite=options.overwrite) as output,
    ):
        on_message()
        for complaint in source.complaints():
            on_message(f"skipped: {complaint}")
        for note in source.notes:
            on_message(note)
        yield _PreparedRun(
            options=options,
            budget=budget,
            items=RunItems(source, strategy),
            total=len(source),
            save=partial(_write_rows, output, options.output_format),
            finish=partial(_finish_output, options, source.bad_count, output),
        )


def _finish_output(options: RunOptions, bad_lines: int, output: Output, report: RunReport) -> RunReport:
    if report.output_error is None:
        try:
            output.settle()
        except OSError as error:
            report = attrs.evolve(report, output_error=error)
    return attrs.evolve(report, output=options.output, saved=output.saved, bad_lines=bad_lines)


def _write_rows(output: Output, output_format: OutputFormat, results: Sequence[WorkItemResult[Any]]) -> None:
    row = encode_row if output_format is OutputFormat.OWN else partial(encode, output_format)
    for start in range(0, len(results), ROWS_AT_ONCE):
        output.write(b"".join(map(row, results[start : start + ROWS_AT_ONCE])))


@asynccontextmanager
async def _in_threads(manager: AbstractContextManager[T]) -> AsyncIterator[T]:
    """Enter and leave a context manager in worker threads; it is always left, also when cancelled."""
    value = await to_thread.run_sync(manager.__enter__)
    is_handled: bool | None = False
    try:
        yield value
    except BaseException as error:
        with CancelScope(shield=True):
            is_handled = await to_thread.run_sync(manager.__exit__, type(error), error, error.__traceback__)
        if not is_handled:
            raise
    else:
        with CancelScope(shield=True):
            await to_thread.run_sync(manager.__exit__, None, None, None)
