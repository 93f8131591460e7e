"""What may be asked of a run, and the one record of it.

Rules owned here:

1. The same record comes from the command line, from a file (see `settings`) and from a journal (see `plain`), and its values are
   checked wherever they come from: each field by itself, then those that have to do with each other.
2. It never holds a key: a model's address that could have one in it is refused.
3. A message names the option, what it must be, and the value; but never a value that may hold a password.
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import attrs
from cyclopts import Group, Parameter, Token

from .._core.config import ProcessorConfig
from .._core.exceptions import ConfigurationError
from .._core.fault import PASSING, FaultKind
from .reading import Kind

STREAM = "-"
"""A path that stands for stdin or stdout."""
PATH = "path"
"""In a field's metadata: its value is a path, or - for a standard stream."""
ONCE = "once"
"""In a field's metadata: it is said of one start, and is no part of the plain data."""
_CONTINUED = re.compile(r"\s*\w+=")  # a piece that belongs to the model before it: sim:rate=50,latency=1
_SECRET_PARTS = re.compile(r"://[^/?#\s]*@|[?&][^=&#]*(?:key|token|secret|password|sig)[^=&#]*=", re.IGNORECASE)


if TYPE_CHECKING:
    FilePath: TypeAlias = str
else:
    FilePath = str | Path  # cyclopts makes a text of it, and a shell completes the names of files


class OptionError(ConfigurationError):
    """An option has a value that it cannot have."""

    def __init__(self, name: str, rule: str) -> None:
        super().__init__(f"--{name.replace('_', '-')}: {rule}")
        self.rule = rule
        """What it must be, and what it is, without the option's name."""


class Durability(enum.StrEnum):
    """When a result counts as saved."""

    NORMAL = "normal"
    """It survives the end of the process."""
    FULL = "full"
    """It survives the end of the machine's power."""


FAILED = frozenset(FaultKind)
"""The kinds that `--retry failed` means."""
_NAMED: Mapping[str, frozenset[FaultKind]] = {"passing": PASSING, "failed": FAILED, "none": frozenset()}


def retried(text: str) -> frozenset[FaultKind]:
    """Return the kinds of failures that a value of --retry means.

    Raises:
        OptionError: it has a word that is none.
    """
    return kinds_in(text, "retry")


def kinds_in(text: str, option: str) -> frozenset[FaultKind]:
    """Return the kinds of failures that are named in the value of an option.

    Raises:
        OptionError: it has a word that is none.
    """
    words = [word.strip().lower() for word in text.split(",")]
    if len(words) == 1 and words[0] in _NAMED:
        return _NAMED[words[0]]
    for word in words:
        if word not in set(FaultKind):
            raise OptionError(option, f"must be {', '.join(_NAMED)}, or some of {', '.join(FaultKind)}; not {text!r}")
    return frozenset(map(FaultKind, words))


def models_in(text: str) -> tuple[str, ...]:
    """Return the models of a list with commas between them; those of the options of `sim` part nothing."""
    models: list[str] = []
    for piece in text.split(","):
        if models and _CONTINUED.match(piece):
            models[-1] += f",{piece}"
        else:
            models.append(piece)
    return tuple(model.strip() for model in models)


def _must(test: Callable[[Any], bool], rule: str) -> Callable[[object, attrs.Attribute[Any], Any], None]:
    def check(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        if value is not None and not test(value):
            raise OptionError(attribute.name, f"must be {rule}, not {value}")

    return check


_at_least_1 = _must(lambda value: value >= 1, "1 or more")
_seconds = _must(lambda value: 0 < value < math.inf, "a number of seconds above 0")


def _no_credentials(_: object, attribute: attrs.Attribute[Any], value: str | Sequence[str] | None) -> None:
    for model in [value] if isinstance(value, str) else value or ():
        if _SECRET_PARTS.search(model):
            raise OptionError(
                attribute.name,
                "the server's address must not hold a user, a password or a key, as it is told in logs and results; "
                "give the key by the provider's variable, such as OPENAI_API_KEY",
            )


def _no_empty_model(_: object, attribute: attrs.Attribute[Any], value: Sequence[str]) -> None:
    if not all(value):
        raise OptionError(
            attribute.name, "must be models with commas between them, cheapest first; one of them is empty"
        )


def _to_kinds(_: Any, tokens: Sequence[Token]) -> frozenset[FaultKind]:
    return retried(",".join(token.value for token in tokens))


def to_models(_: Any, tokens: Sequence[Token]) -> tuple[str, ...]:
    """Return the models that were given."""
    return models_in(",".join(token.value for token in tokens))


def to_whole(_: Any, tokens: Sequence[Token]) -> int:
    """Return the whole number that was given: cyclopts would round what is none.

    Raises:
        OptionError: it is none.
    """
    token = tokens[-1]
    try:
        return int(token.value)
    except ValueError:
        raise OptionError((token.keyword or "").lstrip("-"), f"must be a whole number, not {token.value!r}") from None


_GROUPS = {"model": 1, "input": 2, "output": 3, "journal": 4, "run": 5}


def in_group(name: str, /, **about: Any) -> Parameter:
    """Return what is said of an option that help shows with others."""
    return Parameter(group=Group(f"The {name}", sort_key=_GROUPS[name]), **about)


FLAG: Mapping[str, Any] = {"negative": "", "show_default": False}
RETRY: Mapping[str, Any] = {
    "metavar": "KINDS",
    "converter": _to_kinds,
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
        default=None, validator=_no_credentials
    )
    """gemini-2.5-flash, gpt-5-mini, claude-haiku-4-5, openai:NAME@http://HOST/v1, or sim[:rate=50,...]."""
    escalate: Annotated[
        tuple[str, ...],
        in_group("model", metavar="A,B,C", converter=to_models, n_tokens=1, negative="", show_default=False),
    ] = attrs.field(default=(), validator=[_no_empty_model, _no_credentials])
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

    format: Annotated[Kind | None, in_group("input", metavar="KIND", show_choices=False)] = None
    """Where its name does not say: jsonl, openai, gemini, anthropic, csv, parquet or text."""
    prompt: Annotated[str | None, in_group("input", metavar="TEMPLATE")] = None
    """Made of columns, such as "Summarise {text}"."""
    limit: Annotated[int | None, in_group("input", metavar="N", converter=to_whole, n_tokens=1)] = attrs.field(
        default=None, validator=_at_least_1
    )
    """Only the first so many prompts."""
    sample: Annotated[int | None, in_group("input", metavar="N", converter=to_whole, n_tokens=1)] = attrs.field(
        default=None, validator=_at_least_1
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
        default=1_000, validator=_at_least_1
    )
    """Calls in flight: a ceiling, no setting."""
    timeout: Annotated[float, in_group("run", metavar="SECONDS")] = attrs.field(default=120.0, validator=_seconds)
    """Seconds for one call."""
    deadline: Annotated[float | None, in_group("run", metavar="SECONDS")] = attrs.field(
        default=None, validator=_seconds
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
