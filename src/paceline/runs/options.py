"""Options: the frozen records of what a run and a resumed run are given.

Rules owned here:

1. A record holds values that were checked when it was made, each field by itself and then those that depend on each other. The same
   record is made from arguments of Python, from a command line and from a journal.
2. No record holds a credential: a model whose address could contain one is refused.
3. Messages name an option as the command line spells it: `max_workers` is `--max-workers`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

import attrs

from .._core.config import Durability, ProcessorConfig
from .._core.exceptions import ConfigurationError
from .._core.fault import TRANSIENT_KINDS, FaultKind
from .._core.model_settings import IS_EFFORT, IS_SEED, IS_TEMPERATURE, IS_TOKENS, SETTINGS
from .._core.shards import Shard, to_shard
from ..files.output_formats import OutputFormat
from ..files.types import STREAM, InputKind
from .budget_options import max_costs_in
from .option_values import (
    PATH,
    OptionError,
    at_least_1,
    known_encoding,
    no_credentials,
    no_empty_model,
    one_of,
    options_are_valid,
    options_in,
    seconds_above_0,
    setting,
    to_kinds,
    to_output_format,
    to_path,
    to_time,
)
from .price_options import prices_in

ONCE = "once"
"""Key of a field's metadata: the value applies to one start only and is not stored in the journal."""

DEFAULT_SUFFIX = ".results.jsonl"
"""What follows the path of the input in that of the default output."""


def _transient_kinds() -> frozenset[FaultKind]:
    return TRANSIENT_KINDS


def _models(value: Iterable[str]) -> tuple[str, ...]:
    return tuple(value)


def _input_format(value: str) -> InputKind:
    return InputKind(one_of(InputKind, value, "input_format"))


def _shard(value: str | Shard) -> str:
    try:
        return str(to_shard(value))
    except ConfigurationError as error:
        raise OptionError("shard", str(error).partition(": ")[2]) from None


def format_by_name(path: str) -> OutputFormat:
    """Return the format that the name of an output shows: a table's, or else paceline's own lines."""
    return _FORMATS_BY_SUFFIX.get(Path(path).suffix.lower(), OutputFormat.OWN)


_FORMATS_BY_SUFFIX = {".csv": OutputFormat.CSV, ".parquet": OutputFormat.PARQUET, ".pq": OutputFormat.PARQUET}


def _durability(value: Durability) -> Durability:
    return one_of(get_args(Durability), value, "durability")


def _default_output(options: RunOptions) -> str:
    if options.input == STREAM:
        raise OptionError("output", "is required when the input is stdin: give -o FILE, or -o - for stdout")
    return f"{options.input}{DEFAULT_SUFFIX}"


@attrs.frozen(kw_only=True)
class RunOptions:
    """A run: its input, model, output, journal and limits.

    Raises:
        ConfigurationError: A value is out of its bounds, or two options contradict each other.
    """

    input: str = attrs.field(converter=to_path, metadata={PATH: True})
    """Path of the prompts; `-` is stdin. Required."""

    model: str | None = attrs.field(default=None, validator=no_credentials)
    """Name of the model, such as `gemini-2.5-flash` or `openai:NAME@http://HOST/v1`. Either this or `escalate` is required, unless the
    lines of a batch file name their model."""
    escalate: tuple[str, ...] = attrs.field(default=(), converter=_models, validator=[no_empty_model, no_credentials])
    """Names of models, cheapest first, in place of `model`: an item whose answer is bad moves to the next. Default: none."""
    system: str | None = attrs.field(default=None, converter=attrs.converters.optional(to_path), metadata={PATH: True})
    """Path of a UTF-8 file with the system instruction. Default: no system instruction."""
    cache: bool = False
    """Whether the system instruction is shared in a context cache (Gemini only); needs `system`. Default: False."""
    schema: str | None = attrs.field(default=None, converter=attrs.converters.optional(to_path), metadata={PATH: True})
    """Path of a JSON schema that answers must match; on mismatch the model is called again with the errors. Default: no schema."""

    temperature: float | None = attrs.field(default=None, validator=setting(IS_TEMPERATURE))
    """How much answers to the same prompt differ, 0 to 2, for each model. Default: None, as the provider has it."""
    max_tokens: int | None = attrs.field(default=None, validator=setting(IS_TOKENS))
    """Upper bound on the tokens of an answer, reasoning included, 1 or more. Default: None, as the provider has it."""
    reasoning_effort: str | None = attrs.field(default=None, validator=setting(IS_EFFORT))
    """How much the models reason: `none`, `minimal`, `low`, `medium`, `high`, `xhigh` or `max`. Default: None, as the provider has it."""
    seed: int | None = attrs.field(default=None, validator=setting(IS_SEED))
    """Seed of the models, 0 or more: the same seed and prompt give similar answers. Default: None, no seed."""
    option: Mapping[str, Any] = attrs.field(factory=dict, converter=options_in, validator=options_are_valid)
    """Anything else that a request of the models takes, by the provider's names, as plain data. Default: nothing."""
    price: Mapping[str, Mapping[str, Any]] = attrs.field(factory=dict, converter=prices_in)
    """Prices of the models, which win over the list of the `prices` extra: a `paceline.Price` of all, a text as by `--price`, or both by the
    name of the model, `{"my-model": Price(0.25, 2)}`. Default: the list's."""

    input_format: InputKind | None = attrs.field(default=None, converter=attrs.converters.optional(_input_format))
    """Format of the input. Default: None, determined from the file's name and content."""
    encoding: str | None = attrs.field(default=None, validator=known_encoding)
    """Encoding of a text file, such as `cp1252` or `utf-16`. Default: None, UTF-8."""
    prompt: str | None = None
    """Template of the prompt, with names of columns or JSON fields in braces: `Summarise {text}`. Default: the field `prompt`."""
    id_column: str | None = None
    """Column or JSON field with the ids; an empty string numbers the records. Default: None, `id` in any case."""
    skip_empty: bool = False
    """Whether records are left out in which a field of the prompt is empty or null. Default: False."""
    limit: int | None = attrs.field(default=None, validator=at_least_1)
    """Number of prompts to read from the start of the input, 1 or more. Default: None, all of them."""
    sample: int | None = attrs.field(default=None, validator=at_least_1)
    """Number of prompts to draw at random, 1 or more; the same ones on every run. Default: None, all of them."""
    strict: bool = False
    """Whether an invalid line stops the run before the first call; otherwise it is skipped. Default: False."""
    dedupe: bool | None = None
    """Whether equal prompts share one call; it needs a journal. Default: None, they do, except at a temperature above 0 and where the input
    has requests in a provider's form: there they are separate samples."""

    shard: str | None = attrs.field(default=None, converter=attrs.converters.optional(_shard))
    """Part of the input's rows that this run answers, `0/8` to `7/8` for eight of them, or a `Shard`: row `r`, counted from 0 without blank
    lines, belongs to shard `r % 8`. Output and journal have it in their names: `results.jsonl` is `results-00000-of-00008.jsonl`.
    Default: None, all rows."""

    output: str = attrs.field(
        default=attrs.Factory(_default_output, takes_self=True),
        converter=to_path,
        metadata={PATH: True},
    )
    """Path of the result rows; `-` is stdout. Default: the input's path plus `.results.jsonl`; required when the input is stdin."""
    output_format: OutputFormat = attrs.field(
        default=attrs.Factory(lambda options: format_by_name(options.output), takes_self=True),
        converter=to_output_format,
    )
    """Format of the output: lines in paceline's `own` format or that of a provider's batch API, or a table (`csv`, `parquet`), which is
    written when the run ends. Default: by the suffix of `output`, otherwise `own`."""
    raw_csv: bool = False
    """Whether texts in CSV that a spreadsheet would take for formulas stay as they are; otherwise an apostrophe is put before them. Default: False."""
    overwrite: bool = attrs.field(default=False, metadata={ONCE: True})
    """Whether an output with other content is replaced; otherwise it is refused. Default: False."""

    journal: str | None = attrs.field(default=None, converter=attrs.converters.optional(to_path), metadata={PATH: True})
    """Path of the journal. Default: the output's path plus `.journal`; no journal if the output is not a regular file."""
    no_journal: bool = False
    """Whether to run without a journal; such a run cannot be resumed. Default: False."""
    retry: frozenset[FaultKind] = attrs.field(factory=_transient_kinds, converter=to_kinds)
    """Kinds of faults whose items, failed in an earlier run, are run again; a string is read as by `--retry`. Default: the transient ones."""
    durability: Durability = attrs.field(default="normal", converter=_durability)
    """What a committed result survives: `normal`, the end of the process; `full`, a power failure too. Default: `normal`."""
    allow_changes: bool = attrs.field(default=False, metadata={ONCE: True})
    """Whether input, model and settings may differ from those in the journal; otherwise the run is refused. Default: False."""

    native: bool = False
    """Whether the prompts go through the provider's batch API, at half the price and within a day; without `by` nothing is called online.
    Needs a journal, and one model of OpenAI, Anthropic or Gemini. Default: False."""
    by: float | None = attrs.field(default=None, converter=attrs.converters.optional(to_time))
    """When all prompts are to be answered: what the batch API has not answered in time is called online. A time of day such as `06:00`, a
    date and time, a `datetime`, or seconds since 1970; implies `native`. Default: None, no deadline."""

    max_workers: int = attrs.field(default=1_000, validator=at_least_1)
    """Upper bound of the calls in flight, 1 or more; the pace is found below it. Default: 1000."""
    timeout: float = attrs.field(default=120.0, validator=seconds_above_0)
    """Seconds that one call may take, above 0. Default: 120."""
    deadline: float | None = attrs.field(default=None, validator=seconds_above_0, metadata={ONCE: True})
    """Seconds that this run may take, above 0; items not finished by then stay pending. Default: None, no bound."""
    keep_going: bool = False
    """Whether the run goes on although its first calls all fail alike; otherwise the rest stays pending. Default: False."""
    max_cost: Mapping[str, float] = attrs.field(factory=dict, converter=max_costs_in)
    """Most that all calls of the journal may cost, in USD, earlier runs and failed calls included: a number, a text as by `--max-cost`, or
    numbers by the name of the model. At the cap the run ends, and the rest stays pending. Default: no cap."""
    max_total_tokens: int | None = attrs.field(default=None, validator=at_least_1)
    """Most tokens of all calls of the journal, input and output together, 1 or more. Default: None, no cap."""

    def __attrs_post_init__(self) -> None:
        self._name_files_by_shard()
        if self.model is not None and self.escalate:
            raise ConfigurationError(
                "--model and --escalate: give one of them; the first of --escalate is called first"
            )
        if self.cache and self.system is None:
            raise ConfigurationError("--cache: needs --system FILE, which is what is cached")
        if self.output_format.is_table and (self.no_journal or self.output == STREAM):
            reason = "--no-journal" if self.no_journal else "-o -"
            raise ConfigurationError(
                f"{reason}: a table ({self.output_format}) is written from the journal to a file when the run ends; "
                "for rows without a journal name an output such as results.jsonl"
            )
        if self.is_native:
            self._check_native()
        if self.journal is not None and self.no_journal:
            raise ConfigurationError("--journal and --no-journal: give one of them")
        if self.dedupe and self.no_journal:
            raise ConfigurationError(
                "--dedupe: needs a journal, so that the answers can be shared; leave out --no-journal"
            )
        if self.journal is not None and self.journal in (self.input, self.output, STREAM):
            raise ConfigurationError(f"--journal: must be a file of its own, not {self.journal}")

    def _check_native(self) -> None:
        option = "--native" if self.by is None else "--by"
        if self.journal_file is None:
            raise ConfigurationError(f"{option}: needs a journal, by which its jobs are found again")
        if self.escalate or self.cache:
            given = "--escalate" if self.escalate else "--cache"
            raise ConfigurationError(
                f"{option} and {given}: a batch job has one model, and no context cache: leave one out"
            )
        if self.input == STREAM:
            raise ConfigurationError(f"{option}: needs an input file, as its rows are read again: not -")

    def _name_files_by_shard(self) -> None:
        for name in ("output", "journal"):
            path = getattr(self, name)
            if self.shard is not None and path not in {None, STREAM}:
                object.__setattr__(self, name, to_shard(self.shard).path_of(path))

    @property
    def models(self) -> tuple[str, ...]:
        """The models' names, cheapest first."""
        return self.escalate or (() if self.model is None else (self.model,))

    @property
    def is_native(self) -> bool:
        """Whether the prompts go through the provider's batch API."""
        return self.native or self.by is not None

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the models that are given, by the names of `paceline.model`'s arguments."""
        given = {name: getattr(self, name) for name in SETTINGS if getattr(self, name) is not None}
        return given | ({"options": dict(self.option)} if self.option else {})

    @property
    def processor(self) -> ProcessorConfig:
        """The settings of the processor."""
        return ProcessorConfig(
            max_workers=self.max_workers,
            timeout_per_item=self.timeout,
            deadline=math.inf if self.deadline is None else self.deadline,
            keep_going=self.keep_going,
        )

    @property
    def journal_file(self) -> str | None:
        """Path of the journal; None if the run has no journal."""
        if self.no_journal or self.journal is not None:
            return None if self.no_journal else self.journal
        if self.output == STREAM or (Path(self.output).exists() and not Path(self.output).is_file()):
            return None  # the rows of a pipe or a device cannot be read back
        return f"{self.output}.journal"


@attrs.frozen(kw_only=True)
class ResumeOptions:
    """What a resumed run does otherwise than the run that started its journal; None: the same.

    Raises:
        ConfigurationError: A value is out of its bounds.
    """

    model: str | None = attrs.field(default=None, validator=no_credentials)
    """Name of another model, in place of `model` or `escalate`, for items without a result; needs `allow_changes`."""
    escalate: tuple[str, ...] = attrs.field(default=(), converter=_models, validator=[no_empty_model, no_credentials])
    """Names of other models, cheapest first, in place of `model` or `escalate`; needs `allow_changes`. Default: none."""
    temperature: float | None = attrs.field(default=None, validator=setting(IS_TEMPERATURE))
    """Temperature for items without a result, 0 to 2; needs `allow_changes`, as do the next four."""
    max_tokens: int | None = attrs.field(default=None, validator=setting(IS_TOKENS))
    """Upper bound on the tokens of an answer, 1 or more."""
    reasoning_effort: str | None = attrs.field(default=None, validator=setting(IS_EFFORT))
    """How much the models reason."""
    seed: int | None = attrs.field(default=None, validator=setting(IS_SEED))
    """Seed of the models, 0 or more."""
    option: Mapping[str, Any] = attrs.field(factory=dict, converter=options_in, validator=options_are_valid)
    """Options of the models' requests, added to those of the run before; an option of the same name is replaced."""
    price: Mapping[str, Mapping[str, Any]] = attrs.field(factory=dict, converter=prices_in)
    """Prices from now on, added to those of the run before; one of the same model is replaced."""
    input: str | None = attrs.field(default=None, converter=attrs.converters.optional(to_path), metadata={PATH: True})
    """Path of the input, if it was moved."""
    output: str | None = attrs.field(default=None, converter=attrs.converters.optional(to_path), metadata={PATH: True})
    """Path of another output, which receives all rows; `-` is stdout."""
    output_format: OutputFormat | None = attrs.field(
        default=None, converter=attrs.converters.optional(to_output_format)
    )
    """Format of the rows."""
    overwrite: bool = False
    """Whether an output with other content is replaced; otherwise it is refused. Default: False."""
    retry: frozenset[FaultKind] = attrs.field(factory=_transient_kinds, converter=to_kinds)
    """Kinds of faults whose failed items are run again; a string is read as by `--retry`. Not taken from the journal. Default: the
    transient ones."""
    allow_changes: bool = False
    """Whether input, model and settings may differ from those in the journal; otherwise the run is refused. Default: False."""
    trust_journal: bool = False
    """Whether files and servers that the journal names are used although nothing proves that a run of yours on this machine recorded them.
    Default: False, such a journal is refused, unless these options name them again."""
    max_workers: int | None = attrs.field(default=None, validator=at_least_1)
    """Upper bound of the calls in flight, 1 or more."""
    timeout: float | None = attrs.field(default=None, validator=seconds_above_0)
    """Seconds that one call may take, above 0."""
    max_cost: Mapping[str, float] = attrs.field(factory=dict, converter=max_costs_in)
    """Caps in USD from now on, added to those of the run before; one of the same model is replaced."""
    max_total_tokens: int | None = attrs.field(default=None, validator=at_least_1)
    """Most tokens of all calls of the journal, 1 or more."""
    deadline: float | None = attrs.field(default=None, validator=seconds_above_0)
    """Seconds that this run may take, above 0. Default: None, no bound."""
    keep_going: bool | None = None
    """Whether the run goes on although its first calls all fail alike."""
