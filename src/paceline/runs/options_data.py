"""Options as plain data: stored in a journal, read from a journal or a file.

Rules owned here:

1. The data of a run are all that another process needs to start the same run from any folder: paths are absolute. Options that
   apply to one start only (what may be replaced or may differ) are not stored.
2. Values are checked as strictly as JSON is: a string is not accepted as a number, nor a number as a boolean.
3. Data that an earlier version stored under other names are read.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any, TypeGuard, get_type_hints

import attrs
from cattrs import Converter

from .._core.exceptions import ConfigurationError
from ..files.types import STREAM
from ..llm_strategies.output_types.structure import Hook, Unfit, structure_hook
from .budget_options import max_costs_in
from .option_values import PATH, OptionError, kinds_in, models_in, options_are_valid, options_in
from .options import ONCE, RunOptions
from .price_options import prices_in

FORMER_NAMES: Mapping[str, str] = {"source": "input", "form": "output_format", "format": "input_format"}
"""Names that options had before, and their names now."""
_PARSERS: Mapping[str, Callable[[str | list[str]], Iterable[str]]] = {
    "escalate": lambda value: models_in(value if isinstance(value, str) else ",".join(value)),
    "retry": lambda value: kinds_in(value, "retry"),
    "kinds": lambda value: kinds_in(value, "kinds"),
}
"""Parsers of the options that are lists; each takes a string with commas, or the list."""
_TABLES: Mapping[str, Callable[[object], Any]] = {"price": prices_in, "max_cost": max_costs_in}
"""Parsers of the options that are tables, by model."""
_LONGEST = 60  # characters of a value that a message quotes


def with_absolute_paths(options: RunOptions, folder: str = "") -> RunOptions:
    """Return the options with absolute paths.

    Args:
        options: The options of a run.
        folder: Folder that relative paths start from; default: the working directory.
    """
    paths: dict[str, Any] = {name: absolute(getattr(options, name), folder) for name in path_fields()}
    return attrs.evolve(options, **paths)


def absolute(path: str | None, folder: str = "") -> str | None:
    """Return a path made absolute; None and `-` stay as they are."""
    return path if path is None or path == STREAM else os.path.abspath(os.path.join(folder, path))  # noqa: PTH100, PTH118 - texts


def path_fields(record: type[attrs.AttrsInstance] = RunOptions) -> frozenset[str]:
    """Return the names of the fields that are paths."""
    return frozenset(field.name for field in attrs.fields(record) if field.metadata.get(PATH))


def to_data(options: RunOptions) -> dict[str, Any]:
    """Return options as data that JSON can hold, under rule 1."""
    values = attrs.asdict(with_absolute_paths(options), recurse=False)
    return {name: _converter().unstructure(value) for name, value in values.items() if name in _stored()}


def from_data(data: Mapping[str, Any]) -> RunOptions:
    """Return the options that `to_data` was given, with the defaults of those that are not stored.

    Raises:
        ConfigurationError: The data are not a run's options, or were written by a later version.
    """
    values: dict[str, Any] = {}
    for former, value in data.items():
        name = FORMER_NAMES.get(former, former)
        if name not in _stored():
            raise ConfigurationError(f"there is no option {name!r}{suggestion(name, _stored())}")
        values[name] = value_of(name, value)
    for name in ("input", "output"):
        if name not in values:
            raise ConfigurationError(f"there is no {name}")
    return RunOptions(**values)


def value_of(name: str, value: object, record: type[attrs.AttrsInstance] = RunOptions) -> Any:
    """Return an option's value, checked.

    Args:
        name: Name of the field.
        value: Value as JSON or TOML has it.
        record: Record that has the field.

    Raises:
        OptionError: The field cannot have that value.
    """
    field = attrs.fields_dict(record)[name]
    if name == "option":
        options = options_in(value)
        options_are_valid(None, field, options)
        return options
    if name in _TABLES:
        return _TABLES[name](value)
    if name in _PARSERS and _is_text(value):
        value = [str(one) for one in _PARSERS[name](value)]
    tp, hook = _hooks(record)[name]
    try:
        made = hook(value, tp)
    except Unfit as error:
        raise OptionError(name, f"{str(error).replace(' or null', '')}: {value!r:.{_LONGEST}}") from None
    except Exception as error:  # cattrs' groups, of what is in a list
        raise OptionError(name, "must be a string or a list of strings") from error
    if field.validator is not None:
        field.validator(None, field, made)
    return made


def _is_text(value: object) -> TypeGuard[str | list[str]]:
    """Whether a value is a string, or a list of one or more strings."""
    if isinstance(value, list):
        return bool(value) and all(isinstance(one, str) for one in value)
    return isinstance(value, str)


def suggestion(name: str, known: Mapping[str, Any] | frozenset[str] | set[str], *, cutoff: float = 0.6) -> str:
    """Return, in brackets, the known name that an unknown one is close to; empty if no name is close.

    Args:
        name: The unknown name; dashes before it are not compared.
        known: Names that are known.
        cutoff: Least ratio of `difflib` at which a name is close, 0 to 1; default: difflib's own.
    """
    by_text = {one.lstrip("-"): one for one in known}
    near = get_close_matches(name.lstrip("-"), by_text, n=1, cutoff=cutoff)
    return f" (did you mean {by_text[near[0]]}?)" if near else ""


@cache
def _stored() -> frozenset[str]:
    return frozenset(field.name for field in attrs.fields(RunOptions) if not field.metadata.get(ONCE))


@cache
def _hooks(record: type[attrs.AttrsInstance]) -> dict[str, tuple[Any, Hook]]:
    texts = {field.name: str | None if field.default is None else str for field in attrs.fields(record)}
    types = get_type_hints(record) | {name: texts[name] for name in path_fields(record)}
    return {name: (tp, structure_hook(tp)) for name, tp in types.items()}


@cache
def _converter() -> Converter:
    converter = Converter(unstruct_collection_overrides={frozenset: lambda kinds: sorted(map(str, kinds)), tuple: list})
    converter.register_unstructure_hook(enum.StrEnum, str)
    return converter
