"""Options: the arguments of each verb, with their help.

Rules owned here:

1. A record holds the arguments of one verb as the command line or the file of `--config` gave them. `record_of` makes the options of
   `paceline.runs` from them, whose checks apply.
2. An argument that was not given is None where the default is not constant: then it is the library's, or the journal's.
3. A help text is one sentence with the unit. The words of a choice are listed in it, as the values are in the library's types.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, TypeVar

import attrs
from cyclopts import Group, Parameter, Token

from .._core.exceptions import ConfigurationError
from .._core.fault import TRANSIENT_KINDS, FaultKind
from .._core.model_settings import ReasoningEffort as Effort
from ..runs.option_values import FAILED, PATH, OptionError, kinds_in, models_in

if TYPE_CHECKING:
    FilePath: TypeAlias = str
else:
    FilePath = str | Path  # cyclopts makes a string of it, and a shell completes names of files

InputFormat: TypeAlias = Literal["jsonl", "json", "openai", "gemini", "anthropic", "csv", "parquet", "text"]
RowFormat: TypeAlias = Literal["own", "openai", "gemini", "anthropic"]
FileFormat: TypeAlias = Literal["own", "openai", "gemini", "anthropic", "csv", "parquet"]
Durability: TypeAlias = Literal["normal", "full"]
Options = TypeVar("Options", bound=attrs.AttrsInstance)

FORMER_OPTIONS: Mapping[str, str] = {"--form": "--output-format", "--format": "--input-format"}
"""Options by their former names, and the names that they have now."""
SIMILAR_OPTIONS: Mapping[str, Sequence[str]] = {"--format": ("--as", "--output-format")}
"""Options that no command has, and those that may be meant: the first that the command has."""


class UsageError(ConfigurationError):
    """The command line is invalid."""


def record_of(record: type[Options], arguments: attrs.AttrsInstance, **more: Any) -> Options:
    """Return the options of `paceline.runs` that the arguments of a verb stand for.

    Args:
        record: Class of the options.
        arguments: Arguments of the verb; those that are None, and those that are not options of `record`, are left out.
        more: Further options.

    Raises:
        UsageError: They are out of their bounds, or contradict each other.
    """
    known = {field.name for field in attrs.fields(record)}
    given = attrs.asdict(arguments, recurse=False)
    values = {name: value for name, value in given.items() if name in known and value is not None}
    try:
        return record(**values | more)
    except ConfigurationError as error:
        raise UsageError(str(error)) from None


def to_kinds(_: Any, tokens: Sequence[Token]) -> frozenset[FaultKind]:
    """Parse the kinds of faults given to --retry or --kinds."""
    return kinds_in(",".join(token.value for token in tokens), _name_of(tokens))


def to_models(_: Any, tokens: Sequence[Token]) -> tuple[str, ...]:
    """Parse the models given to --escalate."""
    return models_in(",".join(token.value for token in tokens))


def to_options(_: Any, tokens: Sequence[Token]) -> tuple[str, ...]:
    """Return the texts given to --option or --price, which `RunOptions` parses; those of a config file come first."""
    return tuple(token.value for token in tokens)


def to_whole(_: Any, tokens: Sequence[Token]) -> int:
    """Parse a whole number; cyclopts itself would round a fraction.

    Raises:
        OptionError: The value is not a whole number.
    """
    try:
        return int(tokens[-1].value)
    except ValueError:
        raise OptionError(_name_of(tokens), f"must be a whole number, not {tokens[-1].value!r}") from None


def whole_number(least: int) -> Parameter:
    """Return the parameter of an option that is a whole number, `least` or more."""

    def check(_: Any, value: int | None) -> None:
        if value is not None and value < least:
            raise ValueError(f"must be {least} or more")

    return Parameter(validator=check, **_WHOLE)


def _name_of(tokens: Sequence[Token]) -> str:
    return (tokens[-1].keyword or "").lstrip("-")


_GROUPS = {"Model": 1, "Input": 2, "Output": 3, "Journal": 4, "Run": 5}


def _in_group(name: str, /, **about: Any) -> Parameter:
    """Return the parameter of an option that help shows in a group."""
    return Parameter(group=Group(name, sort_key=_GROUPS[name]), **about)


_FLAG: Mapping[str, Any] = {"negative": "", "show_default": False}
_IS_PATH: Mapping[str, Any] = {PATH: True}
_WHOLE: Mapping[str, Any] = {"metavar": "N", "converter": to_whole, "n_tokens": 1}
_FILE: Mapping[str, Any] = {"metavar": "FILE", "show_default": False}
_FORMAT: Mapping[str, Any] = {"metavar": "KIND", "show_choices": False}
_MODELS: Mapping[str, Any] = {"metavar": "A,B,C", "converter": to_models, "n_tokens": 1, **_FLAG}
_OPTIONS: Mapping[str, Any] = {
    "metavar": "KEY=VALUE",
    "converter": to_options,
    "n_tokens": 1,
    "accepts_keys": False,
    "consume_multiple": False,
    **_FLAG,
}
_KINDS: Mapping[str, Any] = {"metavar": "KINDS", "converter": to_kinds, "n_tokens": 1, "show_choices": False, **_FLAG}


# Arguments of `run` and `resume` alike, except for their help.
_Temperature: TypeAlias = Annotated[float | None, _in_group("Model", metavar="NUMBER", show_default=False)]
_Integer: TypeAlias = Annotated[int | None, _in_group("Model", show_default=False, **_WHOLE)]
_Effort: TypeAlias = Annotated[
    Effort | None, _in_group("Model", metavar="LEVEL", show_choices=False, show_default=False)
]
_Models: TypeAlias = Annotated[tuple[str, ...], _in_group("Model", **_MODELS)]
_ModelOptions: TypeAlias = Annotated[tuple[str, ...], _in_group("Model", **_OPTIONS)]
_Prices: TypeAlias = Annotated[tuple[str, ...], _in_group("Model", **_OPTIONS | {"metavar": "in=USD,out=USD"})]
_MaxCost: TypeAlias = Annotated[tuple[str, ...], _in_group("Run", **_OPTIONS | {"metavar": "USD"})]
_MaxTokens: TypeAlias = Annotated[int | None, _in_group("Run", show_default=False, **_WHOLE)]
_Output: TypeAlias = Annotated[FilePath | None, _in_group("Output", alias="-o", **_FILE)]
_FileFormat: TypeAlias = Annotated[FileFormat | None, _in_group("Output", show_default=False, **_FORMAT)]


@Parameter(name="*")
@attrs.frozen(kw_only=True, slots=False)
class _CallingArguments:
    """Arguments of the verbs that make calls."""

    deadline: Annotated[float | None, _in_group("Run", metavar="SECONDS", show_default=False)] = None
    """Maximum seconds for the run; the rest stays pending."""
    quiet: Annotated[bool, _in_group("Run", alias="-q", **_FLAG)] = False
    """Show the summary only, no progress."""
    verbose: Annotated[bool, _in_group("Run", alias="-v", **_FLAG)] = False
    """Show the complete log, with tracebacks."""
    otel: Annotated[bool, _in_group("Run", **_FLAG)] = False
    """Send spans and metrics to OTEL_EXPORTER_OTLP_ENDPOINT."""


@Parameter(name="*")
@attrs.frozen(kw_only=True, slots=False)
class _NewRunArguments:
    """Arguments of the verbs that start without a journal: how models are called, and for how much."""

    escalate: _Models = ()
    """Models, cheapest first; a prompt with a bad answer goes to the next."""
    system: Annotated[FilePath | None, _in_group("Model", **_FILE)] = attrs.field(default=None, metadata=_IS_PATH)
    """File with the system instruction, in UTF-8."""
    schema: Annotated[FilePath | None, _in_group("Model", **_FILE)] = attrs.field(default=None, metadata=_IS_PATH)
    """Validate answers against a JSON schema; retry mismatches."""
    temperature: _Temperature = None
    """Temperature from 0 to 2: how much answers differ."""
    max_tokens: _Integer = None
    """Upper bound on the tokens of an answer, reasoning included."""
    reasoning_effort: _Effort = None
    """Reasoning before the answer: none, minimal, low, medium, high, xhigh or max."""
    option: _ModelOptions = ()
    """Set anything else that the provider takes, such as top_p=0.9; may be repeated."""
    price: _Prices = ()
    """Price in USD per million tokens: in=0.25,out=2.00[,cached=..,written=..], as=openai/gpt-5, or MODEL:in=..,out=.. for one of several. [default: a list]"""

    max_workers: Annotated[int, _in_group("Run", **_WHOLE)] = 1_000
    """Upper bound on concurrent calls; rarely needed."""
    timeout: Annotated[float, _in_group("Run", metavar="SECONDS")] = 120.0
    """Maximum seconds per call."""
    keep_going: Annotated[bool, _in_group("Run", **_FLAG)] = False
    """Go on although the first calls all fail alike."""
    max_cost: _MaxCost = ()
    """Maximum cost in USD, earlier runs of the journal included, such as 5.00; MODEL:2.00 for one model; the rest stays pending."""
    max_total_tokens: _MaxTokens = None
    """Maximum tokens of all calls, input and output together; the rest stays pending."""


@Parameter(name="*")
@attrs.frozen(kw_only=True, slots=False)
class _StartArguments(_CallingArguments):
    """Arguments of the verbs that start a run."""

    overwrite: Annotated[bool, _in_group("Output", **_FLAG)] = False
    """Replace an output that has other content."""
    retry: Annotated[frozenset[FaultKind], _in_group("Journal", **_KINDS)] = TRANSIENT_KINDS
    """Failed items to run again: transient, failed (all), none, or kinds such as timeout,bug. [default: transient]"""
    allow_changes: Annotated[bool, _in_group("Journal", **_FLAG)] = False
    """Continue although input, model or settings have changed."""
    json: Annotated[bool, _in_group("Run", **_FLAG)] = False
    """Print the summary, the plan or the estimate as one JSON object."""
    config: Annotated[FilePath | None, _in_group("Run", **_FILE)] = attrs.field(default=None, metadata=_IS_PATH)
    """Read options from a TOML file."""


@Parameter(name="*")
@attrs.frozen(kw_only=True, slots=False)
class _DryRunArgument:
    """Argument of the verbs that start a run, and can print its plan instead."""

    dry_run: Annotated[bool, _in_group("Run", **_FLAG)] = False
    """Check everything and print the plan; make no call."""


def _as_shown(_: type, fields: list[attrs.Attribute[Any]]) -> list[attrs.Attribute[Any]]:
    """Order the arguments of a verb as its help shows them: the model, how it is called, the verb's own, what verbs that start share."""
    calls = {field.name for field in attrs.fields(_NewRunArguments)}
    starts = {field.name for field in attrs.fields(_StartArguments)}
    return sorted(fields, key=lambda field: (field.name != "model", field.name not in calls, field.name in starts))


@Parameter(name="*")
@attrs.frozen(kw_only=True, field_transformer=_as_shown, slots=False)
class FileRunArguments(_NewRunArguments, _StartArguments):
    """Arguments of `run` and `estimate`, without the input, which is positional."""

    model: Annotated[str | None, _in_group("Model", metavar="NAME", alias="-m")] = None
    """Model: gemini-2.5-flash, gpt-5-mini, claude-haiku-4-5, openai:NAME@http://HOST/v1, or sim[:rate=50,...]. [default: that of a batch file's lines]"""
    cache: Annotated[bool, _in_group("Model", **_FLAG)] = False
    """Share the system instruction in a cache (Gemini only)."""

    seed: _Integer = None
    """Seed for answers that can be repeated, if the provider has one."""

    input_format: Annotated[InputFormat | None, _in_group("Input", **_FORMAT)] = None
    """Format: jsonl, json, openai, gemini, anthropic, csv, parquet or text. [default: by name and content]"""
    encoding: Annotated[str | None, _in_group("Input", metavar="NAME", show_default=False)] = None
    """Encoding of a text file: utf-16, cp1252. [default: utf-8]"""
    prompt: Annotated[str | None, _in_group("Input", metavar="TEMPLATE")] = None
    """Template with columns or JSON fields: "Summarise {text}"."""
    prompt_file: Annotated[FilePath | None, _in_group("Input", **_FILE)] = attrs.field(default=None, metadata=_IS_PATH)
    """File with the template, in UTF-8, in place of --prompt."""
    id_column: Annotated[str | None, _in_group("Input", metavar="NAME", show_default=False)] = None
    """Column or JSON field with the ids; '' numbers the rows. [default: id]"""
    skip_empty: Annotated[bool, _in_group("Input", **_FLAG)] = False
    """Skip rows in which a column of the prompt is empty."""
    limit: Annotated[int | None, _in_group("Input", **_WHOLE)] = None
    """Run only the first N prompts."""
    sample: Annotated[int | None, _in_group("Input", **_WHOLE)] = None
    """Run a random sample of N prompts (fixed seed)."""
    shard: Annotated[str | None, _in_group("Input", metavar="I/N", show_default=False)] = None
    """Run part I of N, counted from 0, with output and journal of its own; auto or auto/N in an array job takes I from its variables."""
    strict: Annotated[bool, _in_group("Input", **_FLAG)] = False
    """Abort on an invalid line instead of skipping it."""
    dedupe: Annotated[bool | None, _in_group("Input", negative="--no-dedupe", show_default=False)] = None
    """Send identical prompts only once. [default: yes, but not for batch files or a temperature above 0]"""

    output: _Output = attrs.field(default=None, metadata=_IS_PATH)
    """File for results: .jsonl, .csv or .parquet; - for stdout. [default: INPUT.results.jsonl]"""
    output_format: _FileFormat = None
    """Format: own (JSON lines), openai, gemini, anthropic, csv, parquet. [default: by name, else own]"""
    raw_csv: Annotated[bool, _in_group("Output", **_FLAG)] = False
    """Keep texts such as =1+1 unescaped in CSV."""

    journal: Annotated[FilePath | None, _in_group("Journal", **_FILE)] = attrs.field(default=None, metadata=_IS_PATH)
    """Path of the journal. [default: OUTPUT.journal]"""
    no_journal: Annotated[bool, _in_group("Journal", **_FLAG)] = False
    """Run without a journal; the run cannot be resumed."""
    durability: Annotated[Durability, _in_group("Journal", metavar="LEVEL", show_choices=False)] = "normal"
    """Use full to survive power failures."""


@Parameter(name="*")
@attrs.frozen(kw_only=True, field_transformer=_as_shown)
class RunArguments(FileRunArguments, _DryRunArgument):
    """Arguments of `run`."""

    native: Annotated[bool, _in_group("Run", **_FLAG)] = False
    """Send all prompts through the provider's batch API: half the price, within a day."""
    by: Annotated[str | None, _in_group("Run", metavar="TIME", show_default=False)] = None
    """Use the batch API, and call online what it has not answered in time for this: 06:00, or 2027-01-31T06:00."""
    within: Annotated[str | None, _in_group("Run", metavar="SPAN", show_default=False)] = None
    """The same with a time from now, such as 6h or 90m."""


@Parameter(name="*")
@attrs.frozen(kw_only=True, field_transformer=_as_shown)
class EstimateArguments(FileRunArguments):
    """Arguments of `estimate`: those of the run, and the pilot."""

    pilot: Annotated[int | None, _in_group("Run", **_WHOLE)] = None
    """Make N real calls first, 20 are enough; the run finds them in its journal and does not pay for them again."""


@Parameter(name="*")
@attrs.frozen(kw_only=True, field_transformer=_as_shown)
class ResumeArguments(_StartArguments, _DryRunArgument):
    """Arguments of `resume`; None: as in the journal."""

    model: Annotated[str | None, _in_group("Model", metavar="NAME", alias="-m", show_default=False)] = None
    """Model for the remaining items; needs --allow-changes."""
    escalate: _Models = ()
    """Models for the remaining items, cheapest first; needs --allow-changes."""

    temperature: _Temperature = None
    """Temperature from now on; needs --allow-changes."""
    max_tokens: _Integer = None
    """Token bound from now on; needs --allow-changes."""
    reasoning_effort: _Effort = None
    """Reasoning from now on; needs --allow-changes."""
    seed: _Integer = None
    """Seed from now on; needs --allow-changes."""
    option: _ModelOptions = ()
    """Option from now on; needs --allow-changes."""
    price: _Prices = ()
    """Price from now on: in=USD,out=USD per million tokens; may be repeated."""

    input: Annotated[FilePath | None, _in_group("Input", **_FILE)] = attrs.field(default=None, metadata=_IS_PATH)
    """Where the input is now, if it was moved or came from stdin."""

    output: _Output = attrs.field(default=None, metadata=_IS_PATH)
    """Write all results to another file; - for stdout."""
    output_format: _FileFormat = None
    """Format: own (JSON lines), openai, gemini, anthropic, csv, parquet."""

    trust_journal: Annotated[bool, _in_group("Journal", alias="--yes", **_FLAG)] = False
    """Use the files and servers of a journal that came from elsewhere."""

    max_workers: Annotated[int | None, _in_group("Run", show_default=False, **_WHOLE)] = None
    """Upper bound on concurrent calls; rarely needed."""
    timeout: Annotated[float | None, _in_group("Run", metavar="SECONDS", show_default=False)] = None
    """Maximum seconds per call."""
    keep_going: Annotated[bool | None, _in_group("Run", **_FLAG)] = None
    """Go on although the first calls all fail alike."""
    max_cost: _MaxCost = ()
    """Maximum cost in USD from now on, earlier runs included; MODEL:2.00 for one model."""
    max_total_tokens: _MaxTokens = None
    """Maximum tokens from now on, earlier runs included."""


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class MergeArguments:
    """Arguments of `merge`."""

    output: Annotated[FilePath, Parameter(metavar="FILE", alias="-o")]
    """File for the results; - for stdout."""
    file_format: Annotated[
        Literal["jsonl", "csv", "parquet"] | None, Parameter(name="--as", metavar="TYPE", show_choices=False)
    ] = None
    """Type of the file: jsonl, csv or parquet. [default: by name, else jsonl]"""
    output_format: Annotated[RowFormat, Parameter(**_FORMAT)] = "own"
    """Format of JSONL: own, openai, gemini, anthropic."""
    only: Annotated[Literal["succeeded", "failed", "all"], Parameter(metavar="WHICH", show_choices=False)] = "all"
    """Results to export: succeeded, failed or all."""
    raw_csv: Annotated[bool, Parameter(**_FLAG)] = False
    """Keep texts such as =1+1 unescaped in CSV."""
    overwrite: Annotated[bool, Parameter(**_FLAG)] = False
    """Replace an output that has content."""


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class ResultsArguments(MergeArguments):
    """Arguments of `results`."""

    in_order: Annotated[bool, Parameter(**_FLAG)] = False
    """Order rows as in the input, not by completion."""


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class FailedArguments:
    """Arguments of `failed`."""

    output: Annotated[FilePath, Parameter(metavar="FILE", alias="-o")]
    """File for the prompts; - for stdout."""
    kinds: Annotated[frozenset[FaultKind], Parameter(**_KINDS)] = FAILED
    """Faults to export: failed (all), transient, none, or kinds such as timeout,bug. [default: failed]"""
    pending: Annotated[bool, Parameter(**_FLAG)] = False
    """Export prompts without a result too."""
    input: Annotated[FilePath | None, Parameter(**_FILE)] = attrs.field(default=None, metadata=_IS_PATH)
    """Where the input is now, if it was moved or came from stdin."""
    overwrite: Annotated[bool, Parameter(**_FLAG)] = False
    """Replace an output that has content."""


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class PageArguments:
    """Arguments of the verbs that write a page."""

    output: Annotated[FilePath | None, Parameter(metavar="FILE", alias="-o", show_default=False)] = None
    """File for the page, such as report.html; - for stdout."""
    json: Annotated[bool, Parameter(**_FLAG)] = False
    """Print the figures as one JSON object."""
    overwrite: Annotated[bool, Parameter(**_FLAG)] = False
    """Replace a file that has content."""


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class ReportArguments(PageArguments):
    """Arguments of `report`."""

    with_text: Annotated[bool, Parameter(**_FLAG)] = False
    """Include the beginnings of outputs and of rejected answers."""


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class SuiteReportArguments(PageArguments):
    """Arguments of `suite report`."""

    no_text: Annotated[bool, Parameter(**_FLAG)] = False
    """Leave out prompts and answers."""


@Parameter(name="*")
@attrs.frozen(kw_only=True, field_transformer=_as_shown)
class SuiteArguments(_NewRunArguments, _CallingArguments):
    """Arguments of `suite run`."""

    model: Annotated[str | None, _in_group("Model", metavar="NAME", alias="-m")] = None
    """Model: gemini-2.5-flash, gpt-5-mini, claude-haiku-4-5, openai:NAME@http://HOST/v1, or sim[:rate=50,...]."""
    seed: _Integer = None
    """Seed of the first sample; each further sample has the next one."""

    samples: Annotated[int, _in_group("Run", **_WHOLE)] = 1
    """Samples of each item, each a call of its own; with more than one, pass@k is reported."""
    limit: Annotated[int | None, _in_group("Input", **_WHOLE)] = None
    """Run only the first N items."""
    output: Annotated[FilePath | None, _in_group("Output", alias="-o", metavar="FOLDER", show_default=False)] = (
        attrs.field(default=None, metadata=_IS_PATH)
    )
    """Folder for result, transcript and journal. [default: SUITE.MODEL]"""
    json: Annotated[bool, _in_group("Run", **_FLAG)] = False
    """Print the result as one JSON object."""
