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
from cyclopts import Parameter

from .._core.exceptions import ConfigurationError
from .._core.fault import TRANSIENT_KINDS, FaultKind
from .._core.model_settings import ReasoningEffort as Effort
from ..runs.option_values import FAILED
from .option_types import FILE, FLAG, FORMAT, IS_PATH, KINDS, MODELS, OPTIONS, WHOLE, in_group

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


# Arguments of `run` and `resume` alike, except for their help.
_Temperature: TypeAlias = Annotated[float | None, in_group("Model", metavar="NUMBER", show_default=False)]
_Integer: TypeAlias = Annotated[int | None, in_group("Model", show_default=False, **WHOLE)]
_Effort: TypeAlias = Annotated[
    Effort | None, in_group("Model", metavar="LEVEL", show_choices=False, show_default=False)
]
_Models: TypeAlias = Annotated[tuple[str, ...], in_group("Model", **MODELS)]
_ModelOptions: TypeAlias = Annotated[tuple[str, ...], in_group("Model", **OPTIONS)]
_Prices: TypeAlias = Annotated[tuple[str, ...], in_group("Model", **{**OPTIONS, "metavar": "in=USD,out=USD"})]
_MaxCost: TypeAlias = Annotated[tuple[str, ...], in_group("Run", **{**OPTIONS, "metavar": "USD"})]
_MaxTokens: TypeAlias = Annotated[int | None, in_group("Run", show_default=False, **WHOLE)]
_Output: TypeAlias = Annotated[FilePath | None, in_group("Output", alias="-o", **FILE)]
_FileFormat: TypeAlias = Annotated[FileFormat | None, in_group("Output", show_default=False, **FORMAT)]


@Parameter(name="*")
@attrs.frozen(kw_only=True, slots=False)
class _CallingArguments:
    """Arguments of the verbs that make calls."""

    deadline: Annotated[float | None, in_group("Run", metavar="SECONDS", show_default=False)] = None
    """Maximum seconds for the run; the rest stays pending."""
    quiet: Annotated[bool, in_group("Run", alias="-q", **FLAG)] = False
    """Show the summary only, no progress."""
    verbose: Annotated[bool, in_group("Run", alias="-v", **FLAG)] = False
    """Show the complete log, with tracebacks."""
    otel: Annotated[bool, in_group("Run", **FLAG)] = False
    """Send spans and metrics to OTEL_EXPORTER_OTLP_ENDPOINT."""


@Parameter(name="*")
@attrs.frozen(kw_only=True, slots=False)
class _NewRunArguments:
    """Arguments of the verbs that start without a journal: how models are called, and for how much."""

    escalate: _Models = ()
    """Models, cheapest first; a prompt with a bad answer goes to the next."""
    system: Annotated[FilePath | None, in_group("Model", **FILE)] = attrs.field(default=None, metadata=IS_PATH)
    """File with the system instruction, in UTF-8."""
    schema: Annotated[FilePath | None, in_group("Model", **FILE)] = attrs.field(default=None, metadata=IS_PATH)
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

    max_workers: Annotated[int, in_group("Run", **WHOLE)] = 1_000
    """Upper bound on concurrent calls; rarely needed."""
    timeout: Annotated[float, in_group("Run", metavar="SECONDS")] = 120.0
    """Maximum seconds per call."""
    keep_going: Annotated[bool, in_group("Run", **FLAG)] = False
    """Go on although the first calls all fail alike."""
    max_cost: _MaxCost = ()
    """Maximum cost in USD, earlier runs of the journal included, such as 5.00; MODEL:2.00 for one model; the rest stays pending."""
    max_total_tokens: _MaxTokens = None
    """Maximum tokens of all calls, input and output together; the rest stays pending."""


@Parameter(name="*")
@attrs.frozen(kw_only=True, slots=False)
class _StartArguments(_CallingArguments):
    """Arguments of the verbs that start a run."""

    overwrite: Annotated[bool, in_group("Output", **FLAG)] = False
    """Replace an output that has other content."""
    retry: Annotated[frozenset[FaultKind], in_group("Journal", **KINDS)] = TRANSIENT_KINDS
    """Failed items to run again: transient, failed (all), none, or kinds such as timeout,bug. [default: transient]"""
    allow_changes: Annotated[bool, in_group("Journal", **FLAG)] = False
    """Continue although input, model or settings have changed."""
    json: Annotated[bool, in_group("Run", **FLAG)] = False
    """Print the summary, the plan or the estimate as one JSON object."""
    config: Annotated[FilePath | None, in_group("Run", **FILE)] = attrs.field(default=None, metadata=IS_PATH)
    """Read options from a TOML file."""


@Parameter(name="*")
@attrs.frozen(kw_only=True, slots=False)
class _DryRunArgument:
    """Argument of the verbs that start a run, and can print its plan instead."""

    dry_run: Annotated[bool, in_group("Run", **FLAG)] = False
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

    model: Annotated[str | None, in_group("Model", metavar="NAME", alias="-m")] = None
    """Model: gemini-2.5-flash, gpt-5-mini, claude-haiku-4-5, openai:NAME@http://HOST/v1, or sim[:rate=50,...]. [default: that of a batch file's lines]"""
    cache: Annotated[bool, in_group("Model", **FLAG)] = False
    """Share the system instruction in a cache (Gemini only)."""

    seed: _Integer = None
    """Seed for answers that can be repeated, if the provider has one."""

    input_format: Annotated[InputFormat | None, in_group("Input", **FORMAT)] = None
    """Format: jsonl, json, openai, gemini, anthropic, csv, parquet or text. [default: by name and content]"""
    encoding: Annotated[str | None, in_group("Input", metavar="NAME", show_default=False)] = None
    """Encoding of a text file: utf-16, cp1252. [default: utf-8]"""
    prompt: Annotated[str | None, in_group("Input", metavar="TEMPLATE")] = None
    """Template with columns or JSON fields: "Summarise {text}"."""
    prompt_file: Annotated[FilePath | None, in_group("Input", **FILE)] = attrs.field(default=None, metadata=IS_PATH)
    """File with the template, in UTF-8, in place of --prompt."""
    id_column: Annotated[str | None, in_group("Input", metavar="NAME", show_default=False)] = None
    """Column or JSON field with the ids; '' numbers the rows. [default: id]"""
    skip_empty: Annotated[bool, in_group("Input", **FLAG)] = False
    """Skip rows in which a column of the prompt is empty."""
    limit: Annotated[int | None, in_group("Input", **WHOLE)] = None
    """Run only the first N prompts."""
    sample: Annotated[int | None, in_group("Input", **WHOLE)] = None
    """Run a random sample of N prompts (fixed seed)."""
    shard: Annotated[str | None, in_group("Input", metavar="I/N", show_default=False)] = None
    """Run part I of N, counted from 0, with output and journal of its own; auto or auto/N in an array job takes I from its variables."""
    strict: Annotated[bool, in_group("Input", **FLAG)] = False
    """Abort on an invalid line instead of skipping it."""
    dedupe: Annotated[bool | None, in_group("Input", negative="--no-dedupe", show_default=False)] = None
    """Send identical prompts only once. [default: yes, but not for batch files or a temperature above 0]"""

    output: _Output = attrs.field(default=None, metadata=IS_PATH)
    """File for results: .jsonl, .csv or .parquet; - for stdout. [default: INPUT.results.jsonl]"""
    output_format: _FileFormat = None
    """Format: own (JSON lines), openai, gemini, anthropic, csv, parquet. [default: by name, else own]"""
    raw_csv: Annotated[bool, in_group("Output", **FLAG)] = False
    """Keep texts such as =1+1 unescaped in CSV."""

    journal: Annotated[FilePath | None, in_group("Journal", **FILE)] = attrs.field(default=None, metadata=IS_PATH)
    """Path of the journal. [default: OUTPUT.journal]"""
    no_journal: Annotated[bool, in_group("Journal", **FLAG)] = False
    """Run without a journal; the run cannot be resumed."""
    durability: Annotated[Durability, in_group("Journal", metavar="LEVEL", show_choices=False)] = "normal"
    """Use full to survive power failures."""


@Parameter(name="*")
@attrs.frozen(kw_only=True, field_transformer=_as_shown)
class RunArguments(FileRunArguments, _DryRunArgument):
    """Arguments of `run`."""

    native: Annotated[bool, in_group("Run", **FLAG)] = False
    """Send all prompts through the provider's batch API: half the price, within a day."""
    by: Annotated[str | None, in_group("Run", metavar="TIME", show_default=False)] = None
    """Use the batch API, and call online what it has not answered in time for this: 06:00, or 2027-01-31T06:00."""
    within: Annotated[str | None, in_group("Run", metavar="SPAN", show_default=False)] = None
    """The same with a time from now, such as 6h or 90m."""


@Parameter(name="*")
@attrs.frozen(kw_only=True, field_transformer=_as_shown)
class EstimateArguments(FileRunArguments):
    """Arguments of `estimate`: those of the run, and the pilot."""

    pilot: Annotated[int | None, in_group("Run", **WHOLE)] = None
    """Make N real calls first, 20 are enough; the run finds them in its journal and does not pay for them again."""


@Parameter(name="*")
@attrs.frozen(kw_only=True, field_transformer=_as_shown)
class ResumeArguments(_StartArguments, _DryRunArgument):
    """Arguments of `resume`; None: as in the journal."""

    model: Annotated[str | None, in_group("Model", metavar="NAME", alias="-m", show_default=False)] = None
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

    input: Annotated[FilePath | None, in_group("Input", **FILE)] = attrs.field(default=None, metadata=IS_PATH)
    """Where the input is now, if it was moved or came from stdin."""

    output: _Output = attrs.field(default=None, metadata=IS_PATH)
    """Write all results to another file; - for stdout."""
    output_format: _FileFormat = None
    """Format: own (JSON lines), openai, gemini, anthropic, csv, parquet."""

    trust_journal: Annotated[bool, in_group("Journal", alias="--yes", **FLAG)] = False
    """Use the files and servers of a journal that came from elsewhere."""

    max_workers: Annotated[int | None, in_group("Run", show_default=False, **WHOLE)] = None
    """Upper bound on concurrent calls; rarely needed."""
    timeout: Annotated[float | None, in_group("Run", metavar="SECONDS", show_default=False)] = None
    """Maximum seconds per call."""
    keep_going: Annotated[bool | None, in_group("Run", **FLAG)] = None
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
    output_format: Annotated[RowFormat, Parameter(**FORMAT)] = "own"
    """Format of JSONL: own, openai, gemini, anthropic."""
    only: Annotated[Literal["succeeded", "failed", "all"], Parameter(metavar="WHICH", show_choices=False)] = "all"
    """Results to export: succeeded, failed or all."""
    raw_csv: Annotated[bool, Parameter(**FLAG)] = False
    """Keep texts such as =1+1 unescaped in CSV."""
    overwrite: Annotated[bool, Parameter(**FLAG)] = False
    """Replace an output that has content."""


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class ResultsArguments(MergeArguments):
    """Arguments of `results`."""

    in_order: Annotated[bool, Parameter(**FLAG)] = False
    """Order rows as in the input, not by completion."""


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class FailedArguments:
    """Arguments of `failed`."""

    output: Annotated[FilePath, Parameter(metavar="FILE", alias="-o")]
    """File for the prompts; - for stdout."""
    kinds: Annotated[frozenset[FaultKind], Parameter(**KINDS)] = FAILED
    """Faults to export: failed (all), transient, none, or kinds such as timeout,bug. [default: failed]"""
    pending: Annotated[bool, Parameter(**FLAG)] = False
    """Export prompts without a result too."""
    input: Annotated[FilePath | None, Parameter(**FILE)] = attrs.field(default=None, metadata=IS_PATH)
    """Where the input is now, if it was moved or came from stdin."""
    overwrite: Annotated[bool, Parameter(**FLAG)] = False
    """Replace an output that has content."""


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class PageArguments:
    """Arguments of the verbs that write a page."""

    output: Annotated[FilePath | None, Parameter(metavar="FILE", alias="-o", show_default=False)] = None
    """File for the page, such as report.html; - for stdout."""
    json: Annotated[bool, Parameter(**FLAG)] = False
    """Print the figures as one JSON object."""
    overwrite: Annotated[bool, Parameter(**FLAG)] = False
    """Replace a file that has content."""


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class ReportArguments(PageArguments):
    """Arguments of `report`."""

    with_text: Annotated[bool, Parameter(**FLAG)] = False
    """Include the beginnings of outputs and of rejected answers."""


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class SuiteReportArguments(PageArguments):
    """Arguments of `suite report`."""

    no_text: Annotated[bool, Parameter(**FLAG)] = False
    """Leave out prompts and answers."""


@Parameter(name="*")
@attrs.frozen(kw_only=True, field_transformer=_as_shown)
class SuiteArguments(_NewRunArguments, _CallingArguments):
    """Arguments of `suite run`."""

    model: Annotated[str | None, in_group("Model", metavar="NAME", alias="-m")] = None
    """Model: gemini-2.5-flash, gpt-5-mini, claude-haiku-4-5, openai:NAME@http://HOST/v1, or sim[:rate=50,...]."""
    seed: _Integer = None
    """Seed of the first sample; each further sample has the next one."""

    samples: Annotated[int, in_group("Run", **WHOLE)] = 1
    """Samples of each item, each a call of its own; with more than one, pass@k is reported."""
    limit: Annotated[int | None, in_group("Input", **WHOLE)] = None
    """Run only the first N items."""
    output: Annotated[FilePath | None, in_group("Output", alias="-o", metavar="FOLDER", show_default=False)] = (
        attrs.field(default=None, metadata=IS_PATH)
    )
    """Folder for result, transcript and journal. [default: SUITE.MODEL]"""
    json: Annotated[bool, in_group("Run", **FLAG)] = False
    """Print the result as one JSON object."""
