"""A run on a journal: nothing is lost, whatever ends it, and a next run goes on where this one was.

1. An item has a row in the output once its result is in the journal. What was not reached has none: it is in the journal, as an
   item without a result.
2. The output may be in any state when the run begins, and cannot be written any more when it is under way: the journal has it
   all, and the output is made from it (see `emitter`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from ..._core.exceptions import ConfigurationError
from ...abc import LLMCallStrategy
from ...journal import SqliteJournal
from ...journal.reader import JournalReader, has
from ...journal.store import Store
from ..asking.options import STREAM, RunOptions
from ..rows.emitter import Emitter, last_in, noted, put_aside
from ..rows.forms import Form
from ..rows.writing import Output, open_output
from ..telling import tell
from .begin import Begun, begun
from .carrying import carry_out
from .conduct import Ending
from .ended import Ended, Kept
from .items import items_of


def run_on_journal(options: RunOptions, strategy: LLMCallStrategy[Any], path: str) -> Ended:
    """Run a batch on a journal.

    Raises:
        ConfigurationError: it cannot be run; nothing was called.
        JournalError: the journal cannot be written, or was begun with something else; nothing was called.
    """
    if options.output != STREAM and Path(options.output).resolve() == Path(path).resolve():
        raise ConfigurationError(f"{path}: is the journal and the output; name another file for one of them")
    is_new = not Path(path).exists()
    try:
        return _run(options, strategy, path)
    except ConfigurationError:  # nothing was called
        if is_new:
            Path(path).unlink(missing_ok=True)
        raise


def _run(options: RunOptions, strategy: LLMCallStrategy[Any], path: str) -> Ended:
    with (
        Store(path, durability=options.durability.value) as store,
        begun(store, options, strategy, tell) as begin,
        JournalReader(path) as reader,
        _emitter(options, begin, store, reader) as (emitter, output),
    ):
        counts, wanted = reader.counts(), reader.places(unsettled=True)
        journal = SqliteJournal.on(store, dedupe=options.dedupe)
        items = items_of(begin.prompts(partial(has, wanted)), strategy)
        ending = carry_out(
            options, items, total=counts.total, before=counts.settled, keep=emitter.catch_up, journal=journal
        )
        ending = _written(ending, emitter)
        kept = Kept(path=path, counts=reader.counts())
        return Ended(ending=ending, saved=output.saved, bad_count=begin.bad_count, kept=kept)


def _written(ending: Ending, emitter: Emitter) -> Ending:
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
    options: RunOptions, begin: Begun, store: Store, reader: JournalReader
) -> Iterator[tuple[Emitter, Output]]:
    """Open the output, where an earlier run has left it."""
    path, form = options.output, Form(options.form)
    behind, last = (None, 0) if path == STREAM else _found(path, str(form), store, say=tell)
    with open_output(path, source=begin.identity, overwrite=options.overwrite, behind=behind) as output:
        emitter = Emitter(reader, store, output, form=form, last=last)
        emitter.note()  # from here on what it holds is known to be ours
        yield emitter, output


def _found(path: str, form: str, store: Store, *, say: Callable[[str], None]) -> tuple[int | None, int]:
    """Return the bytes of an output that stay, and the number of the latest result in them; None, if it is to be begun."""
    written = noted(store)
    last = last_in(path, form, written)
    if written is None or written.path != str(Path(path).resolve()):
        return None, 0
    if last is None:
        if os.path.getsize(path):  # noqa: PTH202 - a text
            say(f"{path}: is not as it was written; it is kept as {put_aside(path)}, and written anew")
        return None, 0
    return (written.size, last) if last else (None, 0)
