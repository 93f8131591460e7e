"""The command `resume`: what a journal was begun with, again, with what is missing.

1. No option need be given: the journal has them all. Those that are given come first, and are what the journal has from then on.
2. Which failed items are run again is asked anew each time: that they were once is no reason to pay for them whenever it is resumed.
"""

from __future__ import annotations

import sys

import attrs

from ..._core.exceptions import ConfigurationError
from ...files.types import STREAM
from ...journal.reader import JournalReader
from ...runs.item_registry import OPTIONS
from ...runs.journal_path import journal_at
from ...runs.options import RunOptions
from ...runs.options_data import from_data
from ..options import ResumeArguments
from . import run as _run

_OPTIONS = frozenset(field.name for field in attrs.fields(RunOptions))


def resume(journal: str, given: ResumeArguments) -> int:
    """Run what a journal was begun with again; return the exit code of the run.

    Raises:
        ConfigurationError: it cannot be run; nothing was called.
        JournalError: the journal cannot be used; nothing was called.
    """
    path = journal_at(journal)
    return _run.run(resumed(_begun_with(path), path, given), given)


def resumed(before: RunOptions, path: str, given: ResumeArguments) -> RunOptions:
    """Return the options of a run that goes on with a journal.

    Args:
        before: those that it was begun with.
        path: of the journal.
        given: those that are to differ.

    Raises:
        ConfigurationError: they cannot stand together.
    """
    changes = {
        name: value
        for name, value in attrs.asdict(given, recurse=False).items()
        if value not in (None, ()) and name in _OPTIONS
    }
    if given.model is not None or given.escalate:
        changes = {"model": None, "escalate": ()} | changes
    options = attrs.evolve(before, **changes | {"journal": path, "no_journal": False})
    if options.input == STREAM and (sys.stdin is None or sys.stdin.isatty()):
        raise ConfigurationError(f"{path}: its input was stdin: pipe it in again, or say --input FILE")
    return options


def _begun_with(path: str) -> RunOptions:
    with JournalReader(path) as reader:
        data = reader.fact(OPTIONS)
    if not isinstance(data, dict):
        raise ConfigurationError(
            f"{path}: was not begun by paceline run, or that ended before it had begun: run again what began it"
        )
    try:
        return from_data(data)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: what it was begun with cannot be read: {error}") from None
