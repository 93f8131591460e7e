"""Set-up: the strategy and the input that a run's options name.

Rules owned here:

1. Everything that can be wrong with them is found before the first call: a model, a key, a file, a request that a model cannot serve.
2. With a schema, an answer that does not match is sent back with the errors; on a ladder, to the next model.
3. On a ladder every fault of an answer moves its item up: a mismatch, a truncated answer, a declined one.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from .._core.budget import Budget
from .._core.escalation import MAY_COUNT, EscalationPolicy
from .._core.exceptions import ConfigurationError, MissingExtraError, MissingKeyError
from .._core.model_settings import SETTINGS
from .._core.request import Request, has_system_text, overridden
from .._core.shards import to_shard
from ..abc import LLMCallStrategy
from ..files import Input, InputRecord, open_input
from ..files.output import OutputError, check_folder
from ..files.output_formats import OutputFormat
from ..files.tables import import_pyarrow
from ..files.types import STREAM
from ..llm_strategies.escalation import ModelEscalation
from ..llm_strategies.feedback import ValidationFeedback
from ..llm_strategies.output_types.output_type import OutputType
from ..llm_strategies.registry import model, provider_of
from .budget_options import budget_of
from .model_of_input import ReplacedModels
from .options import RunOptions
from .price_options import set_prices

_BOM = "\ufeff"
_LARGEST_TEXT = 16 * 10**6  # bytes of a system instruction, a template or a schema
_NOT_WRITTEN = {".xlsx", ".xls", ".ods", ".tsv", ".gz", ".zip", ".feather", ".arrow"}
"""Suffixes of files that are not written."""


def check_files(options: RunOptions) -> None:
    """Check the paths of the files that a run would create.

    Raises:
        OutputError: A folder is missing, or the output has the name of a format that is not written.
        MissingExtraError: The output is Parquet, and pyarrow is not installed.
    """
    for path in (options.output, options.journal_file):
        if path is not None and path != STREAM:
            check_folder(path)
    if not os.path.lexists(options.output):
        check_suffix(options.output, "a run writes")
    if options.output_format.is_table and options.journal_file is None:
        raise OutputError(f"{options.output}: a table ({options.output_format}) is written to a regular file")
    if options.output_format is OutputFormat.PARQUET:
        import_pyarrow()


def check_suffix(output: str, subject: str) -> None:
    """Check that the name of an output is not that of a format that is not written.

    Args:
        output: Path of the output.
        subject: What writes it, with its verb, such as "a run writes".

    Raises:
        OutputError: It is the name of a workbook, an archive or another such format.
    """
    place = Path(output)
    if place.suffix.lower() in _NOT_WRITTEN:
        other = shlex.quote(str(place.with_suffix(".csv")))
        raise OutputError(f"{output}: {subject} JSON lines, CSV or Parquet; use -o {other}")


def fields_of(options: RunOptions) -> list[str]:
    """Return the fields that outputs have by the schema of a run; empty if there is no schema, or it cannot be read."""
    if options.schema is None:
        return []
    try:
        schema = json.loads(_text(options.schema, "--schema"))
    except (ConfigurationError, ValueError, RecursionError):
        return []
    properties = schema.get("properties") if isinstance(schema, dict) else None
    return [*properties] if isinstance(properties, dict) else []


def strategy_of(
    options: RunOptions, *, on_missing_key: Callable[[MissingKeyError], None] | None = None
) -> LLMCallStrategy[Any]:
    """Make the strategy of a run.

    Args:
        options: Options of the run.
        on_missing_key: Called for each model that has no key, in place of raising; then the strategy can be described, and not called.

    Raises:
        ConfigurationError: A model is unknown, or its options are wrong; the message names the known ones.
        MissingExtraError: The client of a model is not installed.
        MissingKeyError: A model has no key.
    """
    arguments: dict[str, Any] = options.settings
    if options.system is not None:
        arguments["system_instruction"] = system_of(options.system)
    if options.schema is not None:
        arguments["output_type"] = schema_of(options.schema)
    if options.cache:
        arguments["cached"] = True
    strategies = [_strategy(name, arguments, on_missing_key) for name in options.models]
    set_prices(options.price, dict(zip(options.models, strategies, strict=True)))
    answering = strategies[0]
    if options.escalate:
        answering = ModelEscalation(strategies, EscalationPolicy(on=MAY_COUNT))
    return answering if options.schema is None else ValidationFeedback(answering)


def budget_of_run(options: RunOptions, strategy: LLMCallStrategy[Any]) -> Budget | None:
    """Return the budget of a run; None if it has no cap. Blocks for up to a second to look prices up.

    Raises:
        ConfigurationError: A cap is on a model that the run does not have, or the price of a model is not known.
    """
    steps = strategy.ladder.steps if strategy.ladder else (strategy,)
    return budget_of(options.max_cost, options.max_total_tokens, dict(zip(options.models, steps, strict=True)))


def servers_of(strategy: LLMCallStrategy[Any]) -> list[str]:
    """Return a sentence for each model that may be called, with its server, as far as the servers are known."""
    steps = strategy.ladder.steps if strategy.ladder else (strategy,)
    return [f"{step.model or step.quota} is called at {step.server}" for step in steps if step.server is not None]


def system_of(path: str) -> str:
    """Read the system instruction of a file.

    Raises:
        ConfigurationError: The file cannot be read, or is empty.
    """
    text = _text(path, "--system").rstrip()
    if not text:
        raise ConfigurationError(f"{path}: --system: is empty")
    return text


def template_of(path: str) -> str:
    """Read the template of the prompts of a file; a line end after its last line does not count.

    Raises:
        ConfigurationError: The file cannot be read, or is empty.
    """
    text = _text(path, "--prompt-file").rstrip("\r\n")
    if not text.strip():
        raise ConfigurationError(f"{path}: --prompt-file: is empty")
    return text


def schema_of(path: str) -> OutputType[Any]:
    """Make the type of answers that match the JSON schema of a file.

    Raises:
        ConfigurationError: The file cannot be read, or is not a JSON schema.
        MissingExtraError: jsonschema is not installed.
    """
    text = _text(path, "--schema")
    try:
        schema = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigurationError(
            f"{path}: --schema: not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    except (ValueError, RecursionError):
        raise ConfigurationError(
            f"{path}: --schema: not readable as JSON: nested too deeply, or a number is too long"
        ) from None
    try:
        title = schema.get("title") if isinstance(schema, dict) else None
        return OutputType.of_schema(schema, title if isinstance(title, str) and title.strip() else Path(path).stem)
    except MissingExtraError:
        raise
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: --schema: {error}") from None


def _text(path: str, option: str) -> str:
    try:
        with Path(path).open("rb") as file:
            content = file.read(_LARGEST_TEXT + 1)
        if len(content) > _LARGEST_TEXT:
            raise ConfigurationError(
                f"{path}: {option}: is larger than {_LARGEST_TEXT // 10**6} MB, which no model reads; give another file"
            )
        return content.decode().removeprefix(_BOM)
    except OSError as error:
        raise ConfigurationError(f"{path}: {option}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: {option}: is not UTF-8 at byte {error.start + 1}") from None


def _strategy(
    name: str, arguments: dict[str, Any], on_missing_key: Callable[[MissingKeyError], None] | None
) -> LLMCallStrategy[Any]:
    try:
        return model(name, **arguments)
    except MissingKeyError as error:
        if not error.variables:
            raise
        message = f"no API key for {provider_of(name)}: set {error.variables}"
        missing = MissingKeyError(message, variables=error.variables)
        if on_missing_key is None:
            raise missing from None
        on_missing_key(missing)
        return model(name, **arguments, api_key="none")  # it is never called


@contextmanager
def open_checked_input(
    options: RunOptions, strategy: LLMCallStrategy[Any], *, visit: Callable[[InputRecord], None] | None = None
) -> Iterator[Input]:
    """Open and check the input of a run; its notes say how many lines name another model than those of the run.

    Args:
        options: Options of the run.
        strategy: Answers the prompts, and may object to one.
        visit: Called once with every valid prompt.

    Raises:
        InputError: The input cannot be read, or has no valid prompt.
    """
    replaced = ReplacedModels(
        [step.model or step.quota for step in (strategy.ladder.steps if strategy.ladder else (strategy,))]
    )

    def visit_each(record: InputRecord) -> None:
        if isinstance(record.prompt, Request):
            replaced.add(record)
        if visit is not None:
            visit(record)

    with open_input(
        options.input,
        kind=options.input_format,
        template=options.prompt,
        id_column=options.id_column,
        encoding=options.encoding,
        skip_empty=options.skip_empty,
        limit=options.limit,
        sample=options.sample,
        shard=None if options.shard is None else to_shard(options.shard),
        strict=options.strict,
        visit=visit_each,
        objection=partial(_objection, options, strategy, _providers(options)),
    ) as source:
        yield attrs.evolve(source, notes=(*source.notes, *replaced.sentences(source.name)))


def _providers(options: RunOptions) -> Collection[str]:
    return {provider_of(model) for model in options.models}


def _objection(
    options: RunOptions, strategy: LLMCallStrategy[Any], providers: Collection[str], prompt: InputRecord
) -> str | None:
    """Return why a prompt cannot be sent; None if it can.

    Args:
        options: Options of the run.
        strategy: Answers the prompt.
        providers: Providers of the models: requests in their form have no place for options, or may have settings of their own.
        prompt: Record of the input.
    """
    request = prompt.prompt
    if not isinstance(request, Request):
        return None
    given = [name for name in (*SETTINGS, "option", "system") if getattr(options, name) not in (None, {})]
    if given and _PROVIDER_OF.get(request.dialect, request.dialect) in providers:
        if request.reply == "complete":
            return f"is sent unchanged, without {_listed(given)}: put that into the line"
        own = [name for name in given if _is_in(request, name, options)]
        if own:
            return f"says itself what {_listed(own)} says: leave one of them out"
    return strategy.objection(request)


_PROVIDER_OF = {"responses": "openai"}
"""Provider of a dialect with another name."""


def _is_in(request: Request, name: str, options: RunOptions) -> bool:
    """Whether a line of messages has an option of its own."""
    if name == "system":
        return has_system_text(request)
    return bool(overridden(request, options.option if name == "option" else [name]))


def _listed(names: Sequence[str]) -> str:
    return " and ".join(f"--{name.replace('_', '-')}" for name in names)
