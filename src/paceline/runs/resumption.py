"""Resumption: `resume`, which starts a journal's run again and makes the calls that are missing.

1. No option is required, as the journal has them all. Options that are given win, and are stored in the journal from then on.
2. A journal's word is data: files and servers that it names are used if a run of this user on this machine recorded them, if they are given
   again, or if the user says so.
3. Which failed items are run again is not taken from the journal: paying for them once is no reason to pay on every resumption.
"""

from __future__ import annotations

from os import PathLike
from typing import Any, Unpack

import attrs
from anyio import to_thread

from .._core.exceptions import ConfigurationError
from ..journal.reader import JournalReader
from .file_run import run, run_async
from .journal_facts import has_own_options, journal_at, recorded_options
from .options import ResumeOptions, RunOptions, format_by_name
from .run_report import RunReport
from .runner import RunHooks


def resume(journal: str | PathLike[str], options: ResumeOptions | None = None, **hooks: Unpack[RunHooks]) -> RunReport:
    """Run what is missing in a journal, from code that is not async: see `run`.

    Args:
        journal: Path of the journal, or of the output that it belongs to.
        options: What is to differ from the run before; None: nothing.
        hooks: Callbacks and control, see `RunHooks`.

    Raises:
        ConfigurationError: The run cannot start, or no run has stored its options in the journal. Nothing was called.
        JournalError: The journal cannot be used. Nothing was called.
    """
    return run(resumed_options(journal, options), **hooks)


async def resume_async(
    journal: str | PathLike[str], options: ResumeOptions | None = None, **hooks: Unpack[RunHooks]
) -> RunReport:
    """Run what is missing in a journal, within a trio or asyncio application: see `run_async`.

    Args:
        journal: Path of the journal, or of the output that it belongs to.
        options: What is to differ from the run before; None: nothing.
        hooks: Callbacks and control, see `RunHooks`.

    Raises:
        ConfigurationError: The run cannot start, or no run has stored its options in the journal. Nothing was called.
        JournalError: The journal cannot be used. Nothing was called.
    """
    return await run_async(await to_thread.run_sync(resumed_options, journal, options), **hooks)


def resumed_options(journal: str | PathLike[str], options: ResumeOptions | None = None) -> RunOptions:
    """Return the options of the run that `resume` would start: `plan` takes them too.

    Args:
        journal: Path of the journal, or of the output that it belongs to.
        options: What is to differ from the run before; None: nothing.

    Raises:
        ConfigurationError: No run has stored its options in the journal, or the options contradict each other.
        JournalError: The journal cannot be read.
    """
    path = journal_at(journal)
    options = options or ResumeOptions()
    with JournalReader(path) as reader:
        is_own = has_own_options(reader)
        try:
            before = recorded_options(reader)
        except ConfigurationError as error:
            raise ConfigurationError(f"{path}: the options stored by its run cannot be read: {error}") from None
    if before is None:
        raise ConfigurationError(
            f"{path}: no options are stored: it was not started by paceline run, or that ended early; start it again as before"
        )
    if not is_own and not options.trust_journal:
        _require_nothing_of_others(before, path, options)
    return with_changes(before, path, options)


def _require_nothing_of_others(before: RunOptions, path: str, options: ResumeOptions) -> None:
    """Raise if a run would use files or servers that only a journal from elsewhere names."""
    named = {
        "it sends": None if options.input is not None else before.input,
        "to the model": None if options.model is not None or options.escalate else ", ".join(before.models) or None,
        "with the instruction in": before.system,
        "with the schema in": before.schema,
        "with the options": ", ".join(sorted(before.option.keys() - options.option.keys())) or None,
        "and writes": None if options.output is not None else before.output,
    }
    words = [f"{verb} {value}" for verb, value in named.items() if value is not None]
    if words:
        raise ConfigurationError(
            f"{path}: no run of yours on this machine has recorded what this journal asks for: {', '.join(words)}; if that is right, "
            "add --yes (trust_journal=True), else name other files and models"
        )


def with_changes(before: RunOptions, journal: str, options: ResumeOptions) -> RunOptions:
    """Return the options of a run with those of a resumed run applied.

    Args:
        before: Options of the run before.
        journal: Path of the journal.
        options: What is to differ.

    Raises:
        ConfigurationError: They contradict each other.
    """
    given = attrs.asdict(options, recurse=False)
    changes: dict[str, Any] = {name: value for name, value in given.items() if value not in (None, ())}
    changes.pop("trust_journal", None)
    changes["option"] = {**before.option, **options.option}
    changes["price"] = {**before.price, **options.price}
    changes["max_cost"] = {**before.max_cost, **options.max_cost}
    is_by_name = before.output_format is format_by_name(before.output)
    if options.output is not None and options.output_format is None and is_by_name:  # the new name decides, too
        changes["output_format"] = format_by_name(options.output)
    if options.model is not None or options.escalate:
        changes = {"model": None, "escalate": ()} | changes
    return attrs.evolve(before, **changes | {"journal": journal, "no_journal": False})
