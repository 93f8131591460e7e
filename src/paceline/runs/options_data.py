"""Options as plain data, for a journal or out of a file, and back.

Rules owned here:

1. The data of a run has all that another process needs to run the same again, from any folder: its paths are absolute. What was
   said of one start alone (what is shown, what may be replaced) is no part of it.
2. What is read is checked as strictly as JSON is: no text is taken for a number, no number for true.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any, get_type_hints

import attrs
from cattrs import Converter

from .._core.exceptions import ConfigurationError
from ..files.types import STREAM
from ..llm_strategies.output_types.structure import Hook, Unfit, structure_hook
from .option_values import OptionError, models_in, retried
from .options import ONCE, PATH, RunOptions

_FROM_TEXT: Mapping[str, Callable[[str], Any]] = {"escalate": models_in, "retry": retried}
_LONGEST = 60  # characters of a value that is told


def placed(options: RunOptions, folder: str = "") -> RunOptions:
    """Return options whose paths are absolute.

    Args:
        options: as they were asked.
        folder: in which relative paths are; by default that of the process.
    """
    paths: dict[str, Any] = {name: absolute(getattr(options, name), folder) for name in path_fields()}
    return attrs.evolve(options, **paths)


def absolute(path: str | None, folder: str = "") -> str | None:
    """Return a path made absolute; none, and that of a stream, stay as they are."""
    return path if path is None or path == STREAM else os.path.abspath(os.path.join(folder, path))  # noqa: PTH100, PTH118 - texts


def path_fields() -> frozenset[str]:
    """Return the names of the fields that are paths."""
    return frozenset(field.name for field in attrs.fields(RunOptions) if field.metadata.get(PATH))


def to_data(options: RunOptions) -> dict[str, Any]:
    """Return options as data that JSON can hold, under rule 1."""
    values = attrs.asdict(placed(options), recurse=False)
    return {name: _converter().unstructure(value) for name, value in values.items() if name in _lasting()}


def from_data(data: Mapping[str, Any]) -> RunOptions:
    """Return the options that `to_data` was given, but for what it leaves out.

    Raises:
        ConfigurationError: it is something else, or of a later version.
    """
    for name in data:
        if name not in _lasting():
            raise ConfigurationError(f"there is no option {name!r}{meant(name, _lasting())}")
    if "output" not in data:
        raise ConfigurationError("there is no output")
    options = RunOptions(**{name: value_of(name, value) for name, value in data.items()})
    options.check()
    return options


def value_of(name: str, value: object) -> Any:
    """Return an option's value, checked.

    Args:
        name: the field's.
        value: as JSON or TOML have it.

    Raises:
        OptionError: it cannot be that.
    """
    if name in _FROM_TEXT and (text := _joined(value)) is not None:
        value = [str(one) for one in _FROM_TEXT[name](text)]
    tp, hook = _hooks()[name]
    try:
        made = hook(value, tp)
    except Unfit as error:
        raise OptionError(name, f"{str(error).replace(' or null', '')}: {value!r:.{_LONGEST}}") from None
    except Exception as error:  # cattrs' groups, of what is in a list
        raise OptionError(name, "must be a text or a list of texts") from error
    field = attrs.fields_dict(RunOptions)[name]
    if field.validator is not None:
        field.validator(None, field, made)
    return made


def _joined(value: object) -> str | None:
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        return ",".join(value)
    return value if isinstance(value, str) else None


def meant(name: str, known: Mapping[str, Any] | frozenset[str] | set[str]) -> str:
    """Return a suggestion, in brackets, for a name that is not known; empty if none is near."""
    near = get_close_matches(name, known, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


@cache
def _lasting() -> frozenset[str]:
    return frozenset(field.name for field in attrs.fields(RunOptions) if not field.metadata.get(ONCE))


@cache
def _hooks() -> dict[str, tuple[Any, Hook]]:
    texts = {field.name: str | None if field.default is None else str for field in attrs.fields(RunOptions)}
    types = get_type_hints(RunOptions) | {name: texts[name] for name in path_fields()}
    return {name: (tp, structure_hook(tp)) for name, tp in types.items()}


@cache
def _converter() -> Converter:
    converter = Converter(unstruct_collection_overrides={frozenset: lambda kinds: sorted(map(str, kinds)), tuple: list})
    converter.register_unstructure_hook(enum.StrEnum, str)
    return converter
