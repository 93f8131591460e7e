"""What may be asked of a run, and the one record of it.

Rules owned here:

1. The same record comes from the command line, from a file (see `settings`) and from a journal (see `plain`), and its values are
   checked wherever they come from: each field by itself, then those that have to do with each other.
2. It never holds a key: a model's address that could have one in it is refused.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import attrs
from cyclopts import Group, Parameter

from .._core.config import ProcessorConfig
from .._core.exceptions import ConfigurationError
from .._core.fault import PASSING, FaultKind
from ..files import InputKind
from ..files.types import STREAM
from .option_values import at_least_1, no_credentials, no_empty_model, seconds_above_0, to_models, to_retried, to_whole

PATH = "path"
"""In a field's metadata: its value is a path, or - for a standard stream."""
ONCE = "once"
"""In a field's metadata: it is said of one start, and is no part of the plain data."""

if TYPE_CHECKING:
    FilePath: TypeAlias = str
else:
    FilePath = str | Path  # cyclopts makes a text of it, and a shell completes the names of files


class Durability(enum.StrEnum):
    """When a result counts as saved."""

    NORMAL = "normal"
    """It survives the end of the process."""
    FULL = "full"
    """It survives the end of the machine's power."""


_GROUPS = {"model": 1, "input": 2, "output": 3, "journal": 4, "run": 5}


def in_group(name: str, /, **about: Any) -> Parameter:
    """Return what is said of an option that help shows with others."""
    return Parameter(group=Group(f"The {name}", sort_key=_GROUPS[name]), **about)


FLAG: Mapping[str, Any] = {"negative": "", "show_default": False}
RETRY: Mapping[str, Any] = {
    "metavar": "KINDS",
    "converter": to_retried,
    "n_tokens": 1,
    "negative": "",
    "show_default": False,
    "show_choices": False,
}


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class RunOptions:
    """What `run` was asked."""

    source: Annotated[str, Parameter(parse=False)] = attrs.field(default=STREAM, metadata={PATH: True})
    """Where the prompts are; - is stdin."""

    model: Annotated[str | None, in_group("model", metavar="NAME", alias="-m")] = attrs.field(
        default=None, validator=no_credentials
    )
    """gemini-2.5-flash, gpt-5-mini, claude-haiku-4-5, openai:NAME@http://HOST/v1, or sim[:rate=50,...]."""
    escalate: Annotated[
        tuple[str, ...],
        in_group("model", metavar="A,B,C", converter=to_models, n_tokens=1, negative="", show_default=False),
    ] = attrs.field(default=(), validator=[no_empty_model, no_credentials])
    """Models A,B,C in place of --model, cheapest first: bad answers move up."""
    system: Annotated[FilePath | None, in_group("model", metavar="FILE")] = attrs.field(
        default=None, metadata={PATH: True}
    )
    """File with what the model is told before every prompt."""
    cache: Annotated[bool, in_group("model", **FLAG)] = False
    """Share what --system says in a context cache (Gemini only)."""
    schema: Annotated[FilePath | None, in_group("model", metavar="FILE")] = attrs.field(
        default=None, metadata={PATH: True}
    )
    """JSON schema that answers must fit; else it is asked again."""

    format: Annotated[InputKind | None, in_group("input", metavar="KIND", show_choices=False)] = None
    """Where its name does not say: jsonl, openai, gemini, anthropic, csv, parquet or text."""
    prompt: Annotated[str | None, in_group("input", metavar="TEMPLATE")] = None
    """Made of columns, such as "Summarise {text}"."""
    limit: Annotated[int | None, in_group("input", metavar="N", converter=to_whole, n_tokens=1)] = attrs.field(
        default=None, validator=at_least_1
    )
    """Only the first so many prompts."""
    sample: Annotated[int | None, in_group("input", metavar="N", converter=to_whole, n_tokens=1)] = attrs.field(
        default=None, validator=at_least_1
    )
    """Only so many, by chance, but the same each time."""
    strict: Annotated[bool, in_group("input", **FLAG)] = False
    """Stop if a line cannot be taken; else pass over it."""
    dedupe: Annotated[bool, in_group("input", negative="--no-dedupe")] = True
    """One call for the same prompts."""

    output: Annotated[FilePath, in_group("output", metavar="FILE", alias="-o")] = attrs.field(metadata={PATH: True})
    """Where the rows go, a JSON object a line; - for stdout."""
    form: Annotated[
        Literal["own", "openai", "gemini", "anthropic"], in_group("output", metavar="FORM", show_choices=False)
    ] = "own"
    """Of rows: own, openai, gemini, anthropic."""
    overwrite: Annotated[bool, in_group("output", **FLAG)] = attrs.field(default=False, metadata={ONCE: True})
    """Replace what the output holds."""

    journal: Annotated[FilePath | None, in_group("journal", metavar="FILE", show_default=False)] = attrs.field(
        default=None, metadata={PATH: True}
    )
    """Its file. [default: OUTPUT.journal]"""
    no_journal: Annotated[bool, in_group("journal", **FLAG)] = False
    """Keep none: then the run cannot be resumed."""
    retry: Annotated[
        frozenset[FaultKind],
        in_group("journal", **RETRY),
    ] = PASSING
    """Of what failed before: passing, failed, none, or kinds as timeout,bug. [default: passing]"""
    durability: Annotated[Durability, in_group("journal", metavar="LEVEL", show_choices=False)] = Durability.NORMAL
    """full survives power cuts too."""
    allow_changes: Annotated[bool, in_group("journal", **FLAG)] = attrs.field(default=False, metadata={ONCE: True})
    """Go on though input, model or settings have changed."""

    max_workers: Annotated[int, in_group("run", metavar="N", converter=to_whole, n_tokens=1)] = attrs.field(
        default=1_000, validator=at_least_1
    )
    """Calls in flight: a ceiling, no setting."""
    timeout: Annotated[float, in_group("run", metavar="SECONDS")] = attrs.field(
        default=120.0, validator=seconds_above_0
    )
    """Seconds for one call."""
    deadline: Annotated[float | None, in_group("run", metavar="SECONDS")] = attrs.field(
        default=None, validator=seconds_above_0, metadata={ONCE: True}
    )
    """Seconds for the batch; what is left then is pending."""
    dry_run: Annotated[bool, in_group("run", **FLAG)] = attrs.field(default=False, metadata={ONCE: True})
    """Check all and tell the plan; call and write nothing."""
    json: Annotated[bool, in_group("run", **FLAG)] = attrs.field(default=False, metadata={ONCE: True})
    """The summary, or the plan, as one JSON object."""
    quiet: Annotated[bool, in_group("run", alias="-q", **FLAG)] = attrs.field(default=False, metadata={ONCE: True})
    """No progress, only the summary."""
    verbose: Annotated[bool, in_group("run", alias="-v", **FLAG)] = attrs.field(default=False, metadata={ONCE: True})
    """The whole log, with tracebacks."""
    config: Annotated[FilePath | None, in_group("run", metavar="FILE")] = attrs.field(
        default=None, metadata={PATH: True, ONCE: True}
    )
    """TOML file with any of these; those given here win."""

    def check(self) -> None:
        """Check what has to do with each other.

        Raises:
            ConfigurationError: two options cannot stand together, or one needs another.
        """
        if self.model is None and not self.escalate:
            raise ConfigurationError("a model must be named: --model NAME, or --escalate A,B,C")
        if self.model is not None and self.escalate:
            raise ConfigurationError("--model and --escalate: give one of them; the first of --escalate is asked first")
        if self.cache and self.system is None:
            raise ConfigurationError("--cache: needs --system FILE, which is what is cached")
        if self.journal is not None and self.no_journal:
            raise ConfigurationError("--journal and --no-journal: give one of them")
        if self.journal is not None and self.journal in (self.source, self.output, STREAM):
            raise ConfigurationError(f"--journal: must be a file of its own, not {self.journal}")

    @property
    def models(self) -> tuple[str, ...]:
        """The models, cheapest first."""
        return self.escalate or (() if self.model is None else (self.model,))

    @property
    def processor(self) -> ProcessorConfig:
        """The settings of the processor."""
        return ProcessorConfig(
            max_workers=self.max_workers,
            timeout_per_item=self.timeout,
            deadline=math.inf if self.deadline is None else self.deadline,
        )

    @property
    def journal_file(self) -> str | None:
        """Where the journal is; None: there is none."""
        if self.no_journal or self.journal is not None:
            return None if self.no_journal else self.journal
        if self.output == STREAM or (Path(self.output).exists() and not Path(self.output).is_file()):
            return None  # a pipe or a device is gone on with by nobody
        return f"{self.output}.journal"
