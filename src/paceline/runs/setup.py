"""Which strategy answers a run's prompts: its models, with what else its options ask of them.

1. All that can be wrong with them is found here, before the first call: a model, a key, a file, what a model cannot do.
2. With a schema, the model is told what was wrong with an answer that does not fit, and asked again; on a ladder by the next model up.
3. On a ladder every fault of an answer moves an item up: that it does not fit, was cut off, or was declined.

The input that a run's options name: the one place where they are handed to the reader.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

from .._core.escalation import MAY_COUNT, EscalationPolicy
from .._core.exceptions import ConfigurationError, MissingExtraError
from .._core.request import Request
from ..abc import LLMCallStrategy
from ..files import Input, InputRecord, open_input
from ..llm_strategies.escalation import ModelEscalation
from ..llm_strategies.feedback import ValidationFeedback
from ..llm_strategies.output_types.output_type import OutputType
from ..llm_strategies.registry import model, provider_of
from .options import RunOptions

_BOM = "\ufeff"


def strategy_of(options: RunOptions) -> LLMCallStrategy[Any]:
    """Return the strategy that a run's options ask for.

    Raises:
        ConfigurationError: there is no such model, or its options are wrong; the message names those that are known.
        MissingExtraError: its client is not installed.
        MissingKeyError: there is no key for it.
    """
    arguments: dict[str, Any] = {}
    if options.system is not None:
        arguments["system_instruction"] = system_of(options.system)
    if options.schema is not None:
        arguments["output_type"] = schema_of(options.schema)
    if options.cache:
        arguments["cached"] = True
    strategies = [_one(name, arguments) for name in options.models]
    answering = strategies[0]
    if options.escalate:
        answering = ModelEscalation(strategies, EscalationPolicy(on=MAY_COUNT))
    return answering if options.schema is None else ValidationFeedback(answering)


def system_of(path: str) -> str:
    """Return the system instruction that a file holds.

    Raises:
        ConfigurationError: it cannot be read, or is empty.
    """
    text = _text(path, "--system").rstrip()
    if not text:
        raise ConfigurationError(f"{path}: --system: is empty")
    return text


def schema_of(path: str) -> OutputType[Any]:
    """Return the type of the answers that fit the schema of a file.

    Raises:
        ConfigurationError: it cannot be read, or is no JSON schema.
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
            f"{path}: --schema: not JSON that can be read: too deep, or too long a number"
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
        return Path(path).read_bytes().decode().removeprefix(_BOM)
    except OSError as error:
        raise ConfigurationError(f"{path}: {option}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: {option}: is not UTF-8 at byte {error.start + 1}") from None


def _one(name: str, arguments: dict[str, Any]) -> LLMCallStrategy[Any]:
    if arguments and provider_of(name) == "sim":
        given = " and ".join(_OPTIONS[argument] for argument in arguments)
        raise ConfigurationError(f"{name}: a simulated model has no use for {given}: leave it out, or name a real one")
    return model(name, **arguments)


_OPTIONS = {"system_instruction": "--system", "output_type": "--schema", "cached": "--cache"}


def open_checked_input(
    options: RunOptions, strategy: LLMCallStrategy[Any], *, visit: Callable[[InputRecord], None] | None = None
) -> AbstractContextManager[Input]:
    """Open and check the input of a run.

    Args:
        options: of the run.
        strategy: that is to answer it, and may object to a prompt.
        visit: is given every prompt once.

    Raises:
        InputError: it cannot be read, or has nothing that can be run.
    """
    return open_input(
        options.input,
        kind=options.input_format,
        template=options.prompt,
        limit=options.limit,
        sample=options.sample,
        strict=options.strict,
        visit=visit,
        objection=partial(_objection, strategy, as_they_are=() if options.system is None else _providers(options)),
    )


def _providers(options: RunOptions) -> Collection[str]:
    return {provider_of(model) for model in options.models}


def _objection(strategy: LLMCallStrategy[Any], prompt: InputRecord, *, as_they_are: Collection[str]) -> str | None:
    """Return why a prompt cannot be taken, if so.

    Args:
        strategy: that is to answer it.
        prompt: of the input.
        as_they_are: the providers whose own requests have no place for a system instruction that is asked for.
    """
    request = prompt.prompt
    if not isinstance(request, Request):
        return None
    if request.dialect in as_they_are:
        return "is sent as it is, and has no place for what --system says: put it into the line"
    return strategy.objection(request)
