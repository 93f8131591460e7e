"""Config file: the options of a TOML file given by `--config`.

    model = "gemini-2.5-flash"

    [run]
    output = "results.jsonl"
    max-workers = 200

Rules owned here:

1. A key is the long name of an option, with - or _; `input` is the file to read. Keys at the top apply to every command that has the
   option; those in a command's table apply to that command and override the top; those of `[run]` apply to `estimate`, too. The command line overrides both. Of `option`,
   `price` and `max-cost`, which may be tables, each key is overridden by itself.
2. An unknown key, or a value of a wrong type or out of its bounds, is refused with the file, the key and what is expected, also when
   the command line overrides it: an invalid file stays invalid.
3. Relative paths start from the file's folder, so that a file next to its data works from any folder.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
from cyclopts import ArgumentCollection, Token

from .._core.exceptions import ConfigurationError
from ..runs.budget_options import max_costs_in
from ..runs.option_values import OptionError, options_in
from ..runs.options import RunOptions
from ..runs.options_data import absolute, path_fields, suggestion, value_of
from ..runs.price_options import prices_in
from .options import FORMER_OPTIONS, EstimateArguments, ResumeArguments, RunArguments

_LARGEST = 10**6  # bytes of a file
_CHECKED = frozenset(field.name for field in attrs.fields(RunOptions))
_COMMANDS: Mapping[str, type] = {"run": RunArguments, "estimate": EstimateArguments, "resume": ResumeArguments}
_ALSO: Mapping[str, str] = {"estimate": "run"}
"""Commands that have the options of another command's table, too: an estimate is of the run."""
_ALTERNATIVES = {
    "model": "--escalate",
    "escalate": "--model",
    "journal": "--no-journal",
    "no_journal": "--journal",
    "prompt": "--prompt-file",
    "prompt_file": "--prompt",
}
"""Options by field, and the option that each contradicts."""


def apply_config(command: str, arguments: ArgumentCollection) -> None:
    """Fill the arguments that the command line does not have with the values of its --config file.

    Raises:
        ConfigurationError: The file cannot be read, or breaks rule 2.
    """
    by_name = {argument.name: argument for argument in arguments}
    path = by_name["--config"].tokens[-1].value
    for name, value in read_config(path, command).items():
        option = f"--{name.replace('_', '-')}"
        argument = by_name["INPUT"] if name == "input" and option not in by_name else by_name[option]
        if name == "option":
            texts = [f"{key}={json.dumps(member)}" for key, member in value.items()]
            argument.tokens[:0] = [Token(keyword=name, value=text, source=path) for text in texts]
        elif name == "price":
            argument.tokens[:0] = [Token(keyword=name, value=json.dumps(value), source=path)]
        elif name == "max_cost":
            texts = [f"{model}:{usd}" if model else str(usd) for model, usd in value.items()]
            argument.tokens[:0] = [Token(keyword=name, value=text, source=path) for text in texts]
        elif not argument.tokens and not _is_overridden(name, by_name):
            argument.append(Token(keyword=name, implicit_value=value, source=path))


def read_config(path: str, command: str) -> dict[str, Any]:
    """Return the options that a file has for a command, by the names of the record's fields.

    Raises:
        ConfigurationError: The file cannot be read, or breaks rule 2.
    """
    document = _read(path)
    tables = {key: document.pop(key) for key in [*document] if key in _COMMANDS or _is_table(key, document[key])}
    for name, table in tables.items():
        if name not in _COMMANDS:
            raise ConfigurationError(f"{path}: [{name}] is not a command{suggestion(name, set(_COMMANDS))}")
        if not isinstance(table, dict):
            raise ConfigurationError(f"{path}: {name}: must be a table: [{name}]")
    values = _values(path, "", document, set().union(*map(_keys, _COMMANDS)))
    options = {name: value for name, value in values.items() if name in _keys(command)}
    for name in sorted(tables, key=lambda name: name == command):  # the command's own table is the last
        values = _values(path, f"{name}.", tables[name], _keys(name))
        if name in (command, _ALSO.get(command)):
            values = {key: value for key, value in values.items() if key in _keys(command)}
            options |= values | _joined_options(options, values)
    return options


def _is_table(key: str, value: object) -> bool:
    return isinstance(value, dict) and key not in {"option", "price", "max_cost"}


def _joined_options(options: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those options of both tables in one that the command line joins, too, if they are given several times."""
    joined: dict[str, Any] = {}
    for name, parse in (("option", options_in), ("price", prices_in), ("max_cost", max_costs_in)):
        found = [table[name] for table in (options, values) if name in table]
        if found:
            joined[name] = parse(found)
    return joined


def _read(path: str) -> dict[str, Any]:
    try:
        with Path(path).open("rb") as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise ConfigurationError(f"{path}: is larger than {_LARGEST // 10**6} MB; a file of options is not")
        return tomllib.loads(content.decode())
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: is not UTF-8 at byte {error.start + 1}") from None
    except ConfigurationError:
        raise
    except (ValueError, RecursionError) as error:  # ValueError: TOML's own errors, and numbers of too many digits
        raise ConfigurationError(f"{path}: is not TOML: {error}") from None


def _keys(command: str) -> set[str]:
    """Return the keys of a command, with _ in them."""
    return {field.name for field in attrs.fields(_COMMANDS[command])} - {"config"} | {"input"}


def _values(path: str, table: str, given: Mapping[str, Any], keys: set[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    record = EstimateArguments if "pilot" in keys else RunArguments
    for key, value in given.items():
        place, name = f"{path}: {table}{key}", key.replace("-", "_")
        if (renamed := FORMER_OPTIONS.get(f"--{name}")) is not None:
            raise ConfigurationError(f"{place} is now called {renamed[2:]}")
        if name not in keys:
            raise ConfigurationError(f"{place} is not an option{suggestion(name, keys).replace('_', '-')}")
        if name in values:
            raise ConfigurationError(f"{place} is given twice")
        try:
            values[name] = value_of(name, value, RunOptions if name in _CHECKED else record)
        except OptionError as error:
            raise ConfigurationError(f"{place}: {error.rule}") from None
        if name in path_fields() | path_fields(RunArguments):
            values[name] = absolute(values[name], os.path.dirname(path))  # noqa: PTH120 - texts
    return values


def _is_overridden(name: str, by_name: Mapping[str, Any]) -> bool:
    """Return whether the command line has the option that contradicts this one."""
    other = _ALTERNATIVES.get(name)
    return other is not None and other in by_name and any(token.source == "cli" for token in by_name[other].tokens)
