"""Option values: parses and checks the value of a single option.

A message names the option, what it must be and the value, unless the value may contain a password.
"""

from __future__ import annotations

import json
import math
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from os import PathLike
from typing import Any, TypeAlias, TypeVar

import attrs

from .._core.exceptions import ConfigurationError
from .._core.fault import TRANSIENT_KINDS, FaultKind
from .._core.model_settings import check_values, nested
from .._core.validators import Number, OneOf
from ..files.lines import python_encoding
from ..files.output_formats import OutputFormat

_CONTINUED = re.compile(r"\s*\w+=")  # a part that belongs to the model before it: sim:rate=50,latency=1
_SECRET_PARTS = re.compile(r"://[^/?#\s]*@|[?&][^=&#]*(?:key|token|secret|password|sig)[^=&#]*=", re.IGNORECASE)
_MAY_HOLD_KEYS = frozenset({"extra_headers", "extra_query", "http_options", "api_key", "headers"})
_SHOWN = 40  # characters of a value that a message quotes

AnyPath: TypeAlias = str | PathLike[str]
Value = TypeVar("Value", bound=str)

PATH = "path"
"""Key of a field's metadata: the value is a path, or - for a standard stream."""


class OptionError(ConfigurationError):
    """An option has an invalid value."""

    def __init__(self, name: str, rule: str) -> None:
        super().__init__(f"--{name.replace('_', '-')}: {rule}")
        self.rule = rule
        """What the option must be and what it is, without its name."""


class MissingOptionError(ConfigurationError):
    """An option is required and was not given."""


FAILED = frozenset(FaultKind)
"""Kinds of faults in the group `failed`: all of them."""
KIND_GROUPS: Mapping[str, frozenset[FaultKind]] = {"transient": TRANSIENT_KINDS, "failed": FAILED, "none": frozenset()}
"""Groups of kinds, by name."""


def kinds_in(given: str | Sequence[str], option: str) -> frozenset[FaultKind]:
    """Parse kinds of faults: groups and kinds, separated by commas or in a list; together they are the union.

    Args:
        given: Value of the option. In a string, `transient` is the group; in a list, as a journal stores it, the kind alone.
        option: Name of the option, for the message.

    Raises:
        OptionError: A word is neither a group nor a kind, or `none` is not the only word.
    """
    text = given if isinstance(given, str) else ",".join(given)
    words = [word.strip().lower() for word in text.split(",")]
    if "passing" in words:
        raise OptionError(option, "passing is now called transient")
    if "none" in words and len(words) > 1:
        raise OptionError(option, f"none cannot be combined with other kinds; not {text!r}")
    kinds: set[FaultKind] = set()
    for word in words:
        if word in KIND_GROUPS and (isinstance(given, str) or word != FaultKind.TRANSIENT):
            kinds |= KIND_GROUPS[word]
        elif word in set(FaultKind):
            kinds.add(FaultKind(word))
        else:
            expected = f"{', '.join(KIND_GROUPS)}, or some of {', '.join(FaultKind)}"
            raise OptionError(option, f"must be {expected}; not {text!r}")
    return frozenset(kinds)


def to_kinds(value: str | Iterable[FaultKind]) -> frozenset[FaultKind]:
    """Return kinds of faults; a string is read as by `--retry` (attrs converter)."""
    return kinds_in(value, "retry") if isinstance(value, str) else frozenset(value)


def models_in(text: str) -> tuple[str, ...]:
    """Parse names of models separated by commas; a comma before an option of `sim` (`rate=50,latency=1`) does not separate."""
    models: list[str] = []
    for piece in text.split(","):
        if models and _CONTINUED.match(piece):
            models[-1] += f",{piece}"
        else:
            models.append(piece)
    return tuple(model.strip() for model in models)


def to_path(value: AnyPath) -> str:
    """Return a path as a text (attrs converter)."""
    return os.fspath(value)


def one_of(known: Iterable[Value], value: Value, name: str) -> Value:
    """Return a value that is one of those known.

    Args:
        known: The values.
        value: The value given.
        name: Name of the option, for the message.

    Raises:
        OptionError: It is not one of them.
    """
    if value not in set(known):
        raise OptionError(name, f"must be one of {', '.join(map(str, known))}, not {value!r}")
    return value


def to_output_format(value: str) -> OutputFormat:
    """Return the format of an output by its name (attrs converter).

    Raises:
        OptionError: There is no such format.
    """
    return OutputFormat(one_of(OutputFormat, value, "output_format"))


Validator: TypeAlias = "Callable[[object, attrs.Attribute[Any], Any], None]"


def _must(test: Callable[[Any], bool], rule: str) -> Validator:
    def check(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        if value is not None and not test(value):
            raise OptionError(attribute.name, f"must be {rule}, not {value}")

    return check


at_least_1: Validator = _must(lambda value: value >= 1, "1 or more")
seconds_above_0: Validator = _must(lambda value: 0 < value < math.inf, "a number of seconds above 0")


def setting(check: Number | OneOf) -> Validator:
    """Return the validator of a setting of models, whose message names the option (attrs validator)."""
    return _must(check.accepts, str(check))


def to_option(text: str) -> dict[str, Any]:
    """Parse KEY=VALUE: VALUE is JSON where it can be read as JSON, otherwise a text; dots in KEY lead into an object.

    Raises:
        OptionError: There is no = or no key.
    """
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise OptionError("option", f"must be KEY=VALUE, such as top_p=0.9, not {_hidden(name)!r}")
    try:
        return _nested(name, json.loads(value))
    except RecursionError:
        raise OptionError("option", f"{_hidden(name)}: the value is nested too deeply") from None
    except ValueError:
        return _nested(name, value)


def _nested(name: str, value: object) -> dict[str, Any]:
    try:
        return nested(name.strip(), value)
    except ConfigurationError as error:
        raise OptionError("option", str(error)) from None


def options_in(given: object) -> dict[str, Any]:
    """Parse options of a model: a mapping, one KEY=VALUE, or a list of them; a later one wins.

    Raises:
        OptionError: One cannot be read, or names a place for credentials.
    """
    if isinstance(given, Mapping):
        made: dict[str, Any] = {}
        for name, value in given.items():
            _overlay(made, _nested(str(name), value))
    else:
        made = {}
        for one in [given] if isinstance(given, str | Mapping) else _as_list(given):
            _overlay(made, to_option(one) if isinstance(one, str) else options_in(one))
    for name in made:
        if name.lower() in _MAY_HOLD_KEYS:
            raise OptionError(
                "option",
                f"{name} may hold a key, and options are stored in the journal; set the key in the provider's variable, such as OPENAI_API_KEY",
            )
    try:
        json.dumps(made, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise OptionError("option", "must have values that JSON can hold") from None
    return made


def _as_list(given: object) -> Sequence[Any]:
    if isinstance(given, Sequence) and all(isinstance(one, str | Mapping) for one in given):
        return given
    raise OptionError("option", "must be a table of options, KEY=VALUE, or a list of KEY=VALUE")


def _overlay(made: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Add options to others, which they replace; objects are joined."""
    for name, value in more.items():
        if isinstance(value, Mapping) and isinstance(made.get(name), dict):
            _overlay(made[name], value)
        else:
            made[name] = dict(value) if isinstance(value, Mapping) else value


def _hidden(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def options_are_valid(_: object, __: attrs.Attribute[Any], value: Mapping[str, Any]) -> None:
    """Refuse options of a model that are out of the range that all providers have (attrs validator)."""
    try:
        check_values(value)
    except ConfigurationError as error:
        raise OptionError("option", str(error)) from None


def known_encoding(_: object, attribute: attrs.Attribute[Any], value: str | None) -> None:
    """Refuse the name of an encoding that Python does not have (attrs validator)."""
    try:
        python_encoding(value)
    except ConfigurationError as error:
        raise OptionError(attribute.name, str(error).partition(": ")[2]) from None


def no_credentials(_: object, attribute: attrs.Attribute[Any], value: str | Sequence[str] | None) -> None:
    """Refuse a model whose address may contain a credential (attrs validator)."""
    for model in [value] if isinstance(value, str) else value or ():
        if _SECRET_PARTS.search(model):
            raise OptionError(
                attribute.name,
                "the server's address must not contain a user, a password or a key, as it appears in logs and results; "
                "set the key in the provider's variable, such as OPENAI_API_KEY",
            )


def no_empty_model(_: object, attribute: attrs.Attribute[Any], value: Sequence[str]) -> None:
    """Refuse a list with an empty name (attrs validator)."""
    if not all(value):
        raise OptionError(attribute.name, "must be models separated by commas, cheapest first; one of them is empty")


_UNITS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)")
_LONGEST_WINDOW = 30 * 86_400.0  # seconds: no provider keeps a job for longer


def to_time(value: object) -> float:
    """Return a time in seconds since 1970; a time of day is the next one, in the zone of this machine.

    Raises:
        OptionError: It is not a time.
    """
    now = time.time()
    try:
        if isinstance(value, datetime):
            at = value.timestamp()
        elif isinstance(value, str) and re.fullmatch(r"\s*\d{1,2}:\d{2}(:\d{2})?\s*", value):
            local = datetime.fromtimestamp(now).astimezone()
            hours, minutes, *seconds = map(int, value.split(":"))
            moment = local.replace(hour=hours, minute=minutes, second=sum(seconds), microsecond=0, tzinfo=None)
            if moment.timestamp() <= now:
                moment += timedelta(days=1)
            at = moment.timestamp()
        elif isinstance(value, str):
            at = datetime.fromisoformat(value.strip()).timestamp()
        elif isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(value)
        else:
            at = float(value)
    except (ValueError, OverflowError, OSError):
        raise OptionError("by", f"must be a time such as 06:00 or 2027-01-31T06:00, not {value!r:.60}") from None
    if not at < now + _LONGEST_WINDOW:
        raise OptionError("by", f"must be within 30 days, not {value!r:.60}")
    return at


def time_after(span: str) -> float:
    """Return the time that follows now by a span such as `6h`, `90m` or `1.5h`, in seconds since 1970.

    Raises:
        OptionError: It is not a span.
    """
    found = _SPAN.fullmatch(span.strip())
    seconds = float(found.group(1)) * _UNITS[found.group(2) or "s"] if found is not None else 0.0
    if not 0 < seconds < _LONGEST_WINDOW:
        raise OptionError("within", f"must be a time span such as 6h or 90m, up to 30d, not {span!r:.60}")
    return time.time() + seconds
