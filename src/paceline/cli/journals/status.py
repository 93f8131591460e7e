"""The command `status`: how far a batch is, by its journal, at any time.

Nothing is written and no lock is taken: it may be asked while the batch runs, and after it was killed.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from ..._core.account import ModelUse
from ..._core.exceptions import ConfigurationError
from ...journal.reader import Counts, JournalReader, PaceEntry, RunRecord
from ..answering import answer, answer_json
from ..asking.options import RunOptions
from ..asking.plain import from_data
from ..codes import OK
from ..rows.emitter import Written, noted
from ..running.begin import OPTIONS, Noted, noted_input
from ..running.ended import Kept
from .finding import journal_at
from .status_text import as_data, told

SHOWN = 5
"""Changes of the pace."""


@attrs.frozen(kw_only=True)
class Status:
    """What a journal says of its batch."""

    journal: str
    now: float
    """Seconds since the epoch."""
    writer: int | None
    """The process that writes it."""
    counts: Counts
    noted: Noted | None
    """The input; None: it was begun by a program, not by the command line."""
    options: RunOptions | None
    identities: Sequence[Mapping[str, Any]]
    models: Sequence[tuple[ModelUse, float | None]]
    runs: Sequence[RunRecord]
    written: Written | None
    """The output."""
    pace: Sequence[PaceEntry]
    """The latest changes."""

    @property
    def next(self) -> str | None:
        """The command that goes on; None: there is nothing that it would do, or it is not for the command line."""
        if self.writer is not None or self.options is None:
            return None
        return Kept(path=self.journal, counts=self.counts).next


def status(journal: str, *, as_json: bool, pace: int) -> int:
    """Tell how far a batch is; return the exit code.

    Args:
        journal: its path, or the output's.
        as_json: for machines.
        pace: how many of the latest changes are told.

    Raises:
        JournalError: it is none, or cannot be read.
    """
    with JournalReader(journal_at(journal)) as reader:
        found = status_of(reader, pace=pace, now=time.time())
    if as_json:
        answer_json(as_data(found))
    else:
        answer(told(found))
    return OK


def status_of(reader: JournalReader, *, pace: int, now: float) -> Status:
    """Return what a journal says."""
    return Status(
        journal=reader.path,
        now=now,
        writer=reader.writer(),
        counts=reader.counts(),
        noted=noted_input(reader),
        options=_options(reader),
        identities=reader.identities(),
        models=reader.models(),
        runs=reader.runs(),
        written=noted(reader),
        pace=reader.pace()[-pace:] if pace else (),
    )


def _options(reader: JournalReader) -> RunOptions | None:
    data = reader.fact(OPTIONS)
    try:
        return from_data(data) if isinstance(data, dict) else None
    except ConfigurationError:
        return None
