"""How the rows of an output come out of the journal: each once, whatever happened in between.

Rules owned here:

1. An output is what the journal holds, in the order in which it was committed: a row is written only of a result that is
   there. What was written, up to which result, is noted in the journal, now and then.
2. An output that was written by an earlier run is gone on with behind what was noted; what is longer is cut off, a torn line
   with it. Where it is gone, it is written anew. Where it is not as it was noted, it is put aside first: it is somebody's.
3. Where rows have become wrong, as their items are run again, all are written anew. That is noted in the transaction that makes
   them wrong.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import attrs
from cattrs import structure
from cattrs.errors import BaseValidationError

from .._core.exceptions import JournalError
from ..files.output import Output
from ..files.output_formats import OutputFormat, encode
from ..journal.reader import JournalReader
from ..journal.records import StoredResult
from ..journal.writer import JournalWriter

_FACT = "output"
_AT_ONCE = 256  # rows that are written with one call
_NOTES = 1.0  # seconds between two notes of what was written

Encode = Callable[[StoredResult], bytes]


@attrs.frozen(kw_only=True)
class Written:
    """How much of a journal an output holds."""

    path: str
    """Absolute."""
    form: str
    """Of its rows."""
    last: int
    """The number of the latest result in it."""
    size: int
    """Bytes."""


def recorded_output(store: JournalWriter | JournalReader) -> Written | None:
    """Return what was noted of the latest output; None: nothing, or nothing that can be read."""
    try:
        return structure(store.fact(_FACT), Written)
    except (BaseValidationError, TypeError, ValueError, KeyError):
        return None


def last_in(path: str, form: str, before: Written | None) -> int | None:
    """Return the number of the latest result that an output holds which an earlier run has written, and cut off what follows it.

    Returns:
        0: it holds none; None: it is not as it was noted.
    """
    if before is None or before.path != str(Path(path).resolve()) or before.form != form:
        return None
    try:
        with Path(path).open("r+b") as file:
            size = file.seek(0, os.SEEK_END)
            if size < before.size:
                return None
            if before.size:
                file.seek(before.size - 1)
                if file.read(1) != b"\n":
                    return None
            file.truncate(before.size)
    except FileNotFoundError:
        return 0
    return before.last


def set_aside(path: str) -> str:
    """Give a file another name, which nobody has; return it."""
    number = 1
    while os.path.lexists(aside := f"{path}.{number}"):
        number += 1
    Path(path).rename(aside)
    return aside


class JournalOutput:
    """Writes the rows of results that the journal has.

    Args:
        reader: of the journal.
        store: where what was written is noted.
        output: where rows go.
        form: of the rows.
        last: the number of the latest result that is there already.
        clock: seconds.
    """

    def __init__(  # noqa: PLR0913 - all are needed
        self,
        reader: JournalReader,
        store: JournalWriter,
        output: Output,
        *,
        form: OutputFormat,
        last: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.last = last
        """The number of the latest result that was written."""
        self._reader = reader
        self._store = store
        self._output = output
        self._form = form
        self._row = encoder(form)
        self._clock = clock
        self._next_note = clock() + _NOTES

    def catch_up(self, _: Any = None) -> None:
        """Write the rows of all results that are new. Blocks.

        Raises:
            OSError: they were not all taken; those that were are not written again.
        """
        for some in _parts(self._reader.results(after=self.last)):
            before = self._output.saved
            try:
                self._output.write(b"".join(map(self._row, some)))
            finally:
                taken = self._output.saved - before  # it may take a part
                self.last = some[taken - 1].seq if taken else self.last
        if self._clock() >= self._next_note:
            self.note()

    def note(self) -> None:
        """Note in the journal what was written; where it takes no note, a next run writes the latest rows anew.

        Raises:
            OSError: the rows are not on the disk.
        """
        size = self._output.settled_size()
        if size is not None:
            path = str(Path(self._output.name).resolve())
            written = Written(path=path, form=str(self._form), last=self.last, size=size)
            with suppress(JournalError):
                self._store.set_fact(_FACT, attrs.asdict(written))
        self._next_note = self._clock() + _NOTES


def encoder(form: OutputFormat) -> Encode:
    """Return what makes rows of a form."""
    if form is OutputFormat.OWN:
        return lambda kept: kept.line
    return lambda kept: encode(form, kept.as_data())


def restart_output(store: JournalWriter) -> None:
    """Note that rows of the output have become wrong, so that the next run writes all of them anew."""
    written = recorded_output(store)
    if written is not None:
        store.set_fact(_FACT, attrs.asdict(attrs.evolve(written, last=0, size=0)))


def _parts(results: Iterable[StoredResult]) -> Iterable[list[StoredResult]]:
    iterator = iter(results)
    while some := list(islice(iterator, _AT_ONCE)):
        yield some
