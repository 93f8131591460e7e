"""Command-line options: what each verb accepts, with its help.

Rules owned here:

1. A record here holds the arguments of one verb as the command line or a file of `--config` gave them. `record_of` makes the record of
   options of `paceline.runs` out of it, whose checks apply.
2. An option without a value is None here, so that the default is the library's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, TypeVar

import attrs
from cyclopts import Group, Parameter, Token

from .._core.config import Durability
from .._core.fault import PASSING, FaultKind
from ..files import InputKind
from ..runs.option_values import FAILED, OptionError, kinds_in, models_in
from ..runs.options import PATH

if TYPE_CHECKING:
    FilePath: TypeAlias = str
else:
    FilePath = str | Path  # cyclopts makes a string of it, and a shell completes the names of files

RowFormat: TypeAlias = Literal["own", "openai", "gemini", "anthropic"]
Options = TypeVar("Options", bound=attrs.AttrsInstance)


def record_of(record: type[Options], arguments: attrs.AttrsInstance, **more: Any) -> Options:
    """Return the options of `paceline.runs` that the arguments of a verb stand for.

    Args:
        record: The class of the options.
        arguments: The arguments; those that are None, and those that the options do not have, are left out.
        more: Further options.

    Raises:
        ConfigurationError: They are out of their bounds, or contradict each other.
    """
    known = {field.name for field in attrs.fields(record)}
    given = attrs.asdict(arguments, recurse=False)
    values = {name: value for name, value in given.items() if name in known and value is not None}
    return record(**values | more)


def to_kinds(_: Any, tokens: Sequence[Token]) -> frozenset[FaultKind]:
    """Parse the kinds of faults given to --retry or --kinds."""
    return kinds_in(",".join(token.value for token in tokens), _name_of(tokens))


def to_models(_: Any, tokens: Sequence[Token]) -> tuple[str, ...]:
    """Parse the models given to --escalate."""
    return models_in(",".join(token.value for token in tokens))


def to_whole(_: Any, tokens: Sequence[Token]) -> int:
    """Parse a whole number; cyclopts itself would round a fraction.

    Raises:
        OptionError: The value is not a whole number.
    """
    try:
        return int(tokens[-1].value)
    except ValueError:
        raise OptionError(_name_of(tokens), f"must be a whole number, not {tokens[-1].value!r}") from None


def _name_of(tokens: Sequence[Token]) -> str:
    return (tokens[-1].keyword or "").lstrip("-")


_GROUPS = {"model": 1, "input": 2, "output": 3, "journal": 4, "run": 5}


def in_group(name: str, /, **about: Any) -> Parameter:
    """Return the parameter of an option that help shows in a group."""
    return Parameter(group=Group(f"The {name}", sort_key=_GROUPS[name]), **about)


FLAG: Mapping[str, Any] = {"negative": "", "show_default": False}
_FLAG = Parameter(**FLAG)
_GIVEN: Mapping[str, Any] = {"show_default": False}
_KINDS: Mapping[str, Any] = {
    "metavar": "KINDS",
    "converter": to_kinds,
    "n_tokens": 1,
    "negative": "",
    "show_default": False,
    "show_choices": False,
}


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class RunArguments:
    """Arguments of `run`, without the input, which is positional."""

    model: Annotated[str | None, in_group("model", metavar="NAME", alias="-m")] = None
    """gemini-2.5-flash, gpt-5-mini, claude-haiku-4-5, openai:NAME@http://HOST/v1, or sim[:rate=50,...]."""
    escalate: Annotated[
        tuple[str, ...],
        in_group("model", metavar="A,B,C", converter=to_models, n_tokens=1, negative="", show_default=False),
    ] = ()
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

    input_format: Annotated[InputKind | None, in_group("input", metavar="KIND", show_choices=False)] = None
    """Where its name does not say: jsonl, openai, gemini, anthropic, csv, parquet or text."""
    prompt: Annotated[str | None, in_group("input", metavar="TEMPLATE")] = None
    """Made of columns, such as "Summarise {text}"."""
    limit: Annotated[int | None, in_group("input", metavar="N", converter=to_whole, n_tokens=1)] = None
    """Only the first so many prompts."""
    sample: Annotated[int | None, in_group("input", metavar="N", converter=to_whole, n_tokens=1)] = None
    """Only so many, by chance, but the same each time."""
    strict: Annotated[bool, in_group("input", **FLAG)] = False
    """Stop if a line cannot be taken; else pass over it."""
    dedupe: Annotated[bool, in_group("input", negative="--no-dedupe")] = True
    """One call for the same prompts."""

    output: Annotated[FilePath | None, in_group("output", metavar="FILE", alias="-o", show_default=False)] = (
        attrs.field(default=None, metadata={PATH: True})
    )
    """Where the rows go, a JSON object a line; - for stdout. [default: INPUT.results.jsonl]"""
    output_format: Annotated[RowFormat, in_group("output", metavar="FORM", show_choices=False)] = "own"
    """Of rows: own, openai, gemini, anthropic."""
    overwrite: Annotated[bool, in_group("output", **FLAG)] = False
    """Replace what the output holds."""

    journal: Annotated[FilePath | None, in_group("journal", metavar="FILE", show_default=False)] = attrs.field(
        default=None, metadata={PATH: True}
    )
    """Its file. [default: OUTPUT.journal]"""
    no_journal: Annotated[bool, in_group("journal", **FLAG)] = False
    """Keep none: then the run cannot be resumed."""
    retry: Annotated[frozenset[FaultKind], in_group("journal", **_KINDS)] = PASSING
    """Of what failed before: transient, failed, none, or kinds as timeout,bug. [default: transient]"""
    durability: Annotated[Durability, in_group("journal", metavar="LEVEL", show_choices=False)] = "normal"
    """full survives power cuts too."""
    allow_changes: Annotated[bool, in_group("journal", **FLAG)] = False
    """Go on though input, model or settings have changed."""

    max_workers: Annotated[int, in_group("run", metavar="N", converter=to_whole, n_tokens=1)] = 1_000
    """Calls in flight: a ceiling, no setting."""
    timeout: Annotated[float, in_group("run", metavar="SECONDS")] = 120.0
    """Seconds for one call."""
    deadline: Annotated[float | None, in_group("run", metavar="SECONDS")] = None
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


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class ResumeArguments:
    """Arguments of `resume`; None: as in the journal."""

    model: Annotated[str | None, in_group("model", metavar="NAME", alias="-m", **_GIVEN)] = None
    """Another one for what is missing; needs --allow-changes."""
    escalate: Annotated[
        tuple[str, ...],
        in_group("model", metavar="A,B,C", converter=to_models, n_tokens=1, negative="", **_GIVEN),
    ] = ()
    """Others, cheapest first; needs --allow-changes."""

    input: Annotated[FilePath | None, in_group("input", metavar="FILE", **_GIVEN)] = attrs.field(
        default=None, metadata={PATH: True}
    )
    """Where the input is now, if it is elsewhere."""

    output: Annotated[FilePath | None, in_group("output", metavar="FILE", alias="-o", **_GIVEN)] = attrs.field(
        default=None, metadata={PATH: True}
    )
    """Another one, with all rows; - for stdout."""
    output_format: Annotated[RowFormat | None, in_group("output", metavar="FORM", show_choices=False, **_GIVEN)] = None
    """Of rows: own, openai, gemini, anthropic."""
    overwrite: Annotated[bool, in_group("output", **FLAG)] = False
    """Replace what another output holds."""

    retry: Annotated[frozenset[FaultKind], in_group("journal", **_KINDS)] = PASSING
    """Of what failed before: transient, failed, none, or kinds as timeout,bug. [default: transient]"""
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


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class ResultsArguments:
    """Arguments of `results`."""

    output: Annotated[FilePath, Parameter(metavar="FILE", alias="-o")]
    """Where the rows go; - for stdout."""
    file_format: Annotated[
        Literal["jsonl", "csv", "parquet"] | None, Parameter(name="--as", metavar="KIND", show_choices=False)
    ] = None
    """jsonl, csv or parquet. [default: by the file's name, else jsonl]"""
    output_format: Annotated[RowFormat, Parameter(metavar="FORM", show_choices=False)] = "own"
    """Of rows of JSONL: own, openai, gemini, anthropic."""
    in_order: Annotated[bool, _FLAG] = False
    """In the order of the input, not in that of the answers."""
    only: Annotated[Literal["succeeded", "failed", "all"], Parameter(metavar="WHICH", show_choices=False)] = "all"
    """succeeded, failed or all."""
    overwrite: Annotated[bool, _FLAG] = False
    """Replace what the output holds."""


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class FailedArguments:
    """Arguments of `failed`."""

    output: Annotated[FilePath, Parameter(metavar="FILE", alias="-o")]
    """Where the lines go; - for stdout."""
    kinds: Annotated[frozenset[FaultKind], Parameter(**_KINDS)] = FAILED
    """failed, transient, none, or kinds as timeout,bug. [default: failed]"""
    pending: Annotated[bool, _FLAG] = False
    """Those too that have no result yet."""
    input: Annotated[FilePath | None, Parameter(metavar="FILE", show_default=False)] = attrs.field(
        default=None, metadata={PATH: True}
    )
    """Where the input is now, if it is elsewhere."""
    overwrite: Annotated[bool, _FLAG] = False
    """Replace what the output holds."""
