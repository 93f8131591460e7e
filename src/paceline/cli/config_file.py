"""What the file of `--config` says: a TOML file with the options of the command line.

    model = "gemini-2.5-flash"

    [run]
    output = "results.jsonl"
    max-workers = 200

Rules owned here:

1. A key is a long option's name, with - or _ in it; `input` is the file to read. At the top it is for every command that has it, in
   a command's table for that one, and there it comes first. What the command line says comes before both.
2. What is not known, or is of a wrong type or out of its bounds, is refused with the file, the key and what would be right,
   also where the command line says otherwise: a file that is wrong stays wrong.
3. Paths are those that the file's own folder has, as a file that lies beside its data is run from anywhere.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
from cyclopts import App, ArgumentCollection, Token

from .._core.exceptions import ConfigurationError
from ..runs.option_values import OptionError
from ..runs.options import RunOptions
from ..runs.options_data import absolute, path_fields, suggestion, value_of
from .options import ResumeArguments, RunArguments

_INPUT = "INPUT"
_CHECKED = frozenset(field.name for field in attrs.fields(RunOptions))
_COMMANDS: Mapping[str, type] = {"run": RunArguments, "resume": ResumeArguments}


def apply_settings(_: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Give the arguments that the command line has not the values of the file that it names: a hook of cyclopts.

    Raises:
        ConfigurationError: the file cannot be read, or rule 2 is broken.
    """
    by_name = {argument.name: argument for argument in arguments}
    asked = by_name.get("--config")
    if asked is None or not asked.tokens:
        return
    path = asked.tokens[-1].value
    for name, value in read_settings(path, commands[-1]).items():
        option = f"--{name.replace('_', '-')}"
        argument = by_name[_INPUT] if name == "input" and option not in by_name else by_name[option]
        if not argument.tokens and not _is_said_otherwise(name, by_name):
            argument.append(Token(keyword=name, implicit_value=value, source=path))


def read_settings(path: str, command: str) -> dict[str, Any]:
    """Return the options that a file has for a command, by the names of its record's fields.

    Raises:
        ConfigurationError: the file cannot be read, or rule 2 is broken.
    """
    document = _read(path)
    tables = {key: document.pop(key) for key in [*document] if key in _COMMANDS or isinstance(document[key], dict)}
    for name, table in tables.items():
        if name not in _COMMANDS:
            raise ConfigurationError(f"{path}: [{name}] is no command{suggestion(name, set(_COMMANDS))}")
        if not isinstance(table, dict):
            raise ConfigurationError(f"{path}: {name}: must be a table: [{name}]")
    everywhere = _values(
        path, "", document, {key: one for known in map(_keys, _COMMANDS) for key, one in known.items()}
    )
    mine = {name: value for name, value in everywhere.items() if name in _keys(command).values()}
    for name, table in tables.items():
        found = _values(path, f"{name}.", table, _keys(name))
        if name == command:
            mine |= found
    return mine


def _read(path: str) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(path).read_bytes().decode())
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: is not UTF-8 at byte {error.start + 1}") from None
    except (ValueError, RecursionError) as error:  # of the first kind are TOML's own, and numbers of too many digits
        raise ConfigurationError(f"{path}: is no TOML: {error}") from None


def _keys(command: str) -> dict[str, str]:
    """Return the keys that a command has, with _ in them, and their fields."""
    names = {field.name for field in attrs.fields(_COMMANDS[command])} - {"config"} | {"input"}
    return {name: name for name in sorted(names)}


def _values(path: str, table: str, given: Mapping[str, Any], keys: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in given.items():
        name = keys.get(key.replace("-", "_"))
        if name is None:
            near = suggestion(key.replace("-", "_"), {*keys}).replace("_", "-")
            raise ConfigurationError(f"{path}: {table}{key} is no option{near}")
        if name in values:
            raise ConfigurationError(f"{path}: {table}{key} is given twice")
        try:
            values[name] = value_of(name, value, RunOptions if name in _CHECKED else RunArguments)
        except OptionError as error:
            raise ConfigurationError(f"{path}: {table}{key}: {error.rule}") from None
        if name in path_fields():
            values[name] = absolute(values[name], os.path.dirname(path))  # noqa: PTH120 - texts
    return values


def _is_said_otherwise(name: str, by_name: Mapping[str, Any]) -> bool:
    """Whether the command line has an option that stands in the place of this one."""
    others = {"model": "--escalate", "escalate": "--model", "journal": "--no-journal", "no_journal": "--journal"}
    other = others.get(name)
    return other is not None and any(token.source == "cli" for token in by_name[other].tokens)
