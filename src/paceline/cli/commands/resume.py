"""The command `resume`: what a journal was begun with, again, with what is missing.

1. No option need be given: the journal has them all. Those that are given come first, and are what the journal has from then on.
2. Which failed items are run again is asked anew each time: that they were once is no reason to pay for them whenever it is resumed.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import attrs
from cyclopts import Parameter

from ..._core.exceptions import ConfigurationError
from ..._core.fault import PASSING, FaultKind
from ...files.types import STREAM
from ...journal.reader import JournalReader
from ...runs.item_registry import OPTIONS
from ...runs.journal_path import journal_at
from ...runs.option_values import to_models, to_whole
from ...runs.options import FLAG, PATH, RETRY, FilePath, RunOptions, in_group
from ...runs.options_data import from_data
from . import run as _run

_GIVEN: Mapping[str, Any] = {"show_default": False}


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class ResumeOptions:
    """What `resume` was asked; None: as the journal has it."""

    model: Annotated[str | None, in_group("model", metavar="NAME", alias="-m", **_GIVEN)] = None
    """Another one for what is missing; needs --allow-changes."""
    escalate: Annotated[
        tuple[str, ...],
        in_group("model", metavar="A,B,C", converter=to_models, n_tokens=1, negative="", **_GIVEN),
    ] = ()
    """Others, cheapest first; needs --allow-changes."""

    source: Annotated[FilePath | None, in_group("input", name="--input", metavar="FILE", **_GIVEN)] = attrs.field(
        default=None, metadata={PATH: True}
    )
    """Where the input is now, if it is elsewhere."""

    output: Annotated[FilePath | None, in_group("output", metavar="FILE", alias="-o", **_GIVEN)] = attrs.field(
        default=None, metadata={PATH: True}
    )
    """Another one, with all rows; - for stdout."""
    form: Annotated[
        Literal["own", "openai", "gemini", "anthropic"] | None,
        in_group("output", metavar="FORM", show_choices=False, **_GIVEN),
    ] = None
    """Of rows: own, openai, gemini, anthropic."""
    overwrite: Annotated[bool, in_group("output", **FLAG)] = False
    """Replace what another output holds."""

    retry: Annotated[frozenset[FaultKind], in_group("journal", **RETRY)] = PASSING
    """Of what failed before: passing, failed, none, or kinds as timeout,bug. [default: passing]"""
    allow_changes: Annotated[bool, in_group("journal", **FLAG)] = False
    """Go on though input, model or settings have changed."""

    max_workers: Annotated[int | None, in_group("run", metavar="N", converter=to_whole, n_tokens=1, **_GIVEN)] = None
    """Calls in flight: a ceiling, no setting."""
    timeout: Annotated[float | None, in_group("run", metavar="SECONDS", **_GIVEN)] = None
    """Seconds for one call."""
    deadline: Annotated[float | None, in_group("run", metavar="SECONDS", **_GIVEN)] = None
    """Seconds for the batch; what is left then is pending."""
    dry_run: Annotated[bool, in_group("run", **FLAG)] = False
    """Check all and tell the plan; call and write nothing."""
    json: Annotated[bool, in_group("run", **FLAG)] = False
    """The summary, or the plan, as one JSON object."""
    quiet: Annotated[bool, in_group("run", alias="-q", **FLAG)] = False
    """No progress, only the summary."""
    verbose: Annotated[bool, in_group("run", alias="-v", **FLAG)] = False
    """The whole log, with tracebacks."""
    config: Annotated[FilePath | None, in_group("run", metavar="FILE")] = attrs.field(
        default=None, metadata={PATH: True}
    )
    """TOML file with any of these; those given here win."""


def resume(journal: str, given: ResumeOptions) -> int:
    """Run what a journal was begun with again; return the exit code of the run.

    Raises:
        ConfigurationError: it cannot be run; nothing was called.
        JournalError: the journal cannot be used; nothing was called.
    """
    path = journal_at(journal)
    return _run.run(resumed(_begun_with(path), path, given))


def resumed(before: RunOptions, path: str, given: ResumeOptions) -> RunOptions:
    """Return the options of a run that goes on with a journal.

    Args:
        before: those that it was begun with.
        path: of the journal.
        given: those that are to differ.

    Raises:
        ConfigurationError: they cannot stand together.
    """
    changes = {name: value for name, value in attrs.asdict(given, recurse=False).items() if value not in (None, ())}
    if given.model is not None or given.escalate:
        changes = {"model": None, "escalate": ()} | changes
    options = attrs.evolve(before, **changes | {"journal": path, "no_journal": False})
    options.check()
    if options.source == STREAM and (sys.stdin is None or sys.stdin.isatty()):
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
