"""A run on a journal: nothing is lost, whatever ends it, and a next run goes on where this one was.

1. An item has a row in the output once its result is in the journal. What was not reached has none: it is in the journal, as an
   item without a result.
2. The output may be in any state when the run begins, and cannot be written any more when it is under way: the journal has it
   all, and the output is made from it (see `emitter`).

The command `run`: a batch from a file to a file.

1. All that can be known to be wrong is found before the first call: the options, the model, the input, the output.
2. With a journal, which there is unless rows go to stdout, nothing is lost: see `journalled`. Without one every prompt of the
   input has one row in the output, also when the batch was interrupted, written as soon as it is there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from ..._codec import encode_row
from ..._core.exceptions import ConfigurationError
from ..._core.results import WorkItemResult
from ...abc import LLMCallStrategy
from ...files.lines import is_terminal
from ...files.output import Output, open_output
from ...files.output_formats import OutputFormat, encode
from ...files.types import STREAM
from ...journal import SqliteJournal
from ...journal.reader import JournalReader, has_place
from ...journal.writer import JournalWriter
from ...runs.item_registry import RegisteredItems, register_items
from ...runs.journal_output import JournalOutput, last_in, recorded_output, set_aside
from ...runs.options import RunOptions
from ...runs.plan import make_plan
from ...runs.report import JournalSummary, RunReport
from ...runs.runner import Ending, RunItems, carry_out, items_of
from ...runs.setup import open_checked_input, strategy_of
from ..console import OK, USAGE, answer, answer_json, print_message
from ..options import ResumeArguments, RunArguments
from ..plan_text import plan_data, render_plan
from ..report_text import report


def run_on_journal(
    options: RunOptions, strategy: LLMCallStrategy[Any], path: str, arguments: RunArguments | ResumeArguments
) -> RunReport:
    """Run a batch on a journal.

    Raises:
        ConfigurationError: it cannot be run; nothing was called.
        JournalError: the journal cannot be written, or was begun with something else; nothing was called.
    """
    if options.output != STREAM and Path(options.output).resolve() == Path(path).resolve():
        raise ConfigurationError(f"{path}: is the journal and the output; name another file for one of them")
    is_new = not Path(path).exists()
    try:
        return _run(options, strategy, path, arguments)
    except ConfigurationError:  # nothing was called
        if is_new:
            Path(path).unlink(missing_ok=True)
        raise


def _run(
    options: RunOptions, strategy: LLMCallStrategy[Any], path: str, arguments: RunArguments | ResumeArguments
) -> RunReport:
    with (
        JournalWriter(path, durability=options.durability) as store,
        register_items(store, options, strategy, print_message) as begin,
        JournalReader(path) as reader,
        _emitter(options, begin, store, reader) as (emitter, output),
    ):
        counts, wanted = reader.counts(), reader.places(unsettled=True)
        journal = SqliteJournal.on(store, dedupe=options.dedupe)
        items = items_of(begin.prompts(partial(has_place, wanted)), strategy)
        ending = carry_out(
            options,
            items,
            total=counts.total,
            before=counts.settled,
            keep=emitter.catch_up,
            journal=journal,
            quiet=arguments.quiet,
            verbose=arguments.verbose,
        )
        ending = _written(ending, emitter)
        kept = JournalSummary(path=path, counts=reader.counts())
        return RunReport(ending=ending, saved=output.saved, bad_count=begin.bad_count, kept=kept)


def _written(ending: Ending, emitter: JournalOutput) -> Ending:
    """Write what the end of the batch has left to be written."""
    if ending.failure is not None:
        return ending
    try:
        emitter.catch_up()
        emitter.note()
    except OSError as error:
        return attrs.evolve(ending, failure=error)
    return ending


@contextmanager
def _emitter(
    options: RunOptions, begin: RegisteredItems, store: JournalWriter, reader: JournalReader
) -> Iterator[tuple[JournalOutput, Output]]:
    """Open the output, where an earlier run has left it."""
    path, form = options.output, options.output_format
    behind, last = (None, 0) if path == STREAM else _found(path, str(form), store, say=print_message)
    with open_output(path, keep={"the input": begin.identity}, overwrite=options.overwrite, resume_at=behind) as output:
        emitter = JournalOutput(reader, store, output, form=form, last=last)
        emitter.note()  # from here on what it holds is known to be ours
        yield emitter, output


def _found(path: str, form: str, store: JournalWriter, *, say: Callable[[str], None]) -> tuple[int | None, int]:
    """Return the bytes of an output that stay, and the number of the latest result in them; None, if it is to be begun."""
    written = recorded_output(store)
    last = last_in(path, form, written)
    if written is None or written.path != str(Path(path).resolve()):
        return None, 0
    if last is None:
        if os.path.getsize(path):  # noqa: PTH202 - a text
            say(f"{path}: is not as it was written; it is kept as {set_aside(path)}, and written anew")
        return None, 0
    return (written.size, last) if last else (None, 0)


_AT_ONCE = 256  # rows that are written with one call


def run(options: RunOptions, arguments: RunArguments | ResumeArguments) -> int:
    """Run a batch; return the exit code.

    Raises:
        ConfigurationError: it cannot be run; nothing was called.
        JournalError: the journal cannot be used; nothing was called.
    """
    if is_terminal(options.input):
        print_message("reads from the terminal; end with Ctrl-D")
    if arguments.dry_run:
        return _tell_plan(options, as_json=arguments.json)
    strategy = strategy_of(options)
    path = options.journal_file
    ended = (
        _run_once(options, strategy, arguments) if path is None else run_on_journal(options, strategy, path, arguments)
    )
    return report(ended, options, as_json=arguments.json)


def _run_once(
    options: RunOptions, strategy: LLMCallStrategy[Any], arguments: RunArguments | ResumeArguments
) -> RunReport:
    """Run a batch that cannot be gone on with."""
    with (
        open_checked_input(options, strategy) as source,
        open_output(options.output, keep={"the input": source.identity}, overwrite=options.overwrite) as output,
    ):
        for complaint in source.complaints():
            print_message(f"passed over: {complaint}")
        keep = partial(_write, output, options.output_format)
        ending = carry_out(
            options,
            RunItems(source, strategy),
            total=len(source),
            keep=keep,
            quiet=arguments.quiet,
            verbose=arguments.verbose,
        )
        return RunReport(ending=_settled(ending, output), saved=output.saved, bad_count=source.bad_count)


def _tell_plan(options: RunOptions, *, as_json: bool) -> int:
    plan = make_plan(options)
    if as_json:
        answer_json(plan_data(plan))
    else:
        answer(render_plan(plan))
    return USAGE if plan.is_refused else OK


def _write(output: Output, form: OutputFormat, results: Sequence[WorkItemResult[Any]]) -> None:
    row = encode_row if form is OutputFormat.OWN else partial(encode, form)
    for start in range(0, len(results), _AT_ONCE):
        output.write(b"".join(map(row, results[start : start + _AT_ONCE])))


def _settled(ending: Ending, output: Output) -> Ending:
    if ending.failure is None:
        try:
            output.settle()
        except OSError as error:
            return attrs.evolve(ending, failure=error)
    return ending
