"""What is wrong with an output, in words that a model can act upon: read from what validators raise.

Rules owned here:

1. pydantic's, cattrs', msgspec's and json's exceptions are known by the names of their types, as none of these packages need be
   installed; those of the types derived from them too. Nothing here raises, whatever a foreign exception does.
2. A problem's rule says what must be. The value stands beside it, never in it, as far as the rule's words are known: rules
   go into logs and results, values do not.
3. What is right is known only where the answer is: then it is the fields at which, and under which, nothing is wrong.
   A field under which something is right and something wrong is neither, its fields are.
4. All is bounded: the number of problems and of right fields, the length of rules and of values.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

import attrs

from ..._core.classify import attribute
from ..._core.exceptions import InvalidOutputError, Problem

Place: TypeAlias = tuple[str | int, ...]
Report: TypeAlias = "tuple[tuple[Problem, ...], tuple[str, ...], str | None]"

MOST = 100  # problems, and right fields
_LONGEST_VALUE = 120  # characters
_LONGEST_RULE = 300
_AROUND = 30  # characters on each side of the place at which JSON ends to be JSON
TOO_DEEP = "is nested too deeply"
_PLAIN = re.compile(r"[\w-]+")

UNKNOWN: Any = object()
"""No value."""


@attrs.frozen
class Found:
    """A problem, and where it is."""

    place: Place
    rule: str
    value: Any = UNKNOWN

    @property
    def problem(self) -> Problem:
        """The problem as it is told."""
        value = None if self.value is UNKNOWN else shortened(self.value)
        return Problem(path_of(self.place), cut(self.rule, _LONGEST_RULE), value)


class Misfit(Exception):  # noqa: N818 - a word for a value
    """An answer does not fit; with all that is wrong."""

    def __init__(self, found: Sequence[Found]) -> None:
        super().__init__(found)
        self.found = tuple(found)


def path_of(place: Place) -> str:
    """Return a place as people write it: `people[0].name`."""
    path = ""
    for step in place:
        if isinstance(step, int):
            path += f"[{step}]"
        elif _PLAIN.fullmatch(step):
            path += f".{step}" if path else step
        else:
            path += f"[{shortened(step)}]"
    return cut(path, _LONGEST_RULE)


def shortened(value: Any) -> str | None:
    """Return a value as JSON, shortened; None: it has none."""
    try:
        return cut(json.dumps(value, ensure_ascii=False, default=str), _LONGEST_VALUE)
    except (ValueError, TypeError, RecursionError):
        return None


def cut(text: str, longest: int) -> str:
    """Return a text shortened, fit for every encoding: a model may have written half of a surrogate pair."""
    text = text if len(text) <= longest else text[: longest - 1] + "…"
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def problems_of(exception: BaseException) -> Report | None:
    """Return what is wrong with an output, which of its fields are right, and its text, as far as it can be known.

    None: the exception is none of a validator's. Never raises.
    """
    if isinstance(exception, InvalidOutputError):
        return exception.problems, exception.right, exception.text
    try:
        return _read(exception)
    except Exception:  # noqa: BLE001 - rule 1
        return None


def _read(exception: BaseException) -> Report | None:
    names = {f"{ancestor.__module__}.{ancestor.__qualname__}" for ancestor in type(exception).__mro__}
    if isinstance(exception, json.JSONDecodeError):
        return (in_json(exception, exception.doc).problem,), (), exception.doc
    if names & {
        "pydantic_core._pydantic_core.ValidationError",
        "pydantic.v1.error_wrappers.ValidationError",
        "pydantic.error_wrappers.ValidationError",
    }:
        return _of_pydantic_alone(exception)
    if names & {"cattrs.errors.BaseValidationError", "cattrs.errors.ForbiddenExtraKeysError"}:
        return _told(list(of_cattrs(exception, (), UNKNOWN))), _fields_beside(exception), None
    if "msgspec.DecodeError" in names:
        return _told([_of_msgspec(exception)]), (), None
    if isinstance(exception, BaseExceptionGroup):
        reports = [report for report in map(problems_of, exception.exceptions) if report is not None]
        return reports[0] if len(reports) == len(exception.exceptions) == 1 else None
    return None


def _told(found: Sequence[Found]) -> tuple[Problem, ...]:
    return tuple(one.problem for one in found[:MOST])


def _of_pydantic_alone(error: Any) -> Report:
    """Read an error of which the answer is not at hand: it stands in the error where something is missing at its top."""
    data: Any = UNKNOWN
    text: str | None = None
    for one in _errors_of(error):
        given = one.get("input")
        if isinstance(given, dict) and len(one["loc"]) == 1 and one["type"] == "missing":
            data, text = given, json.dumps(given, ensure_ascii=False, default=str)
        if isinstance(given, str) and one["type"] == "json_invalid":
            text = given
    found = list(of_pydantic(error, data))
    return _told(found), () if data is UNKNOWN else right_in(data, found), text


def right_in(data: Any, found: Sequence[Found]) -> tuple[str, ...]:
    """Return the fields of an answer that are right: rule 3."""
    wrong: dict[Any, Any] = {}
    for one in found:
        level = wrong
        for step in one.place:
            level = level.setdefault(step, {})
        level[UNKNOWN] = True  # this very value is wrong, and so all within it
    right: list[str] = []
    _gather(data, wrong, (), right)
    return tuple(right)


def _gather(data: Any, wrong: dict[Any, Any], place: Place, right: list[str]) -> None:
    if UNKNOWN in wrong:
        return
    steps: Any = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for step, value in steps:
        if len(right) >= MOST:
            return
        if step in wrong:
            _gather(value, wrong[step], (*place, step), right)
        else:
            right.append(path_of((*place, step)))


def at(data: Any, step: str | int) -> Any:
    """Return what an answer has at a step; UNKNOWN: nothing."""
    if isinstance(data, dict):
        return data.get(step, UNKNOWN)
    return data[step] if isinstance(data, list) and isinstance(step, int) and 0 <= step < len(data) else UNKNOWN


def in_json(error: json.JSONDecodeError, text: str, offset: int = 0) -> Found:
    """Return the problem of a text that is no JSON, with its place there."""
    place = min(offset + error.pos, len(text))
    line, column = text.count("\n", 0, place) + 1, place - text.rfind("\n", 0, place)
    excerpt = text[max(0, place - _AROUND) : place + _AROUND]
    return Found((), f"must be JSON: {error.msg} at line {line}, column {column}", excerpt)


def of_pydantic(error: Any, data: Any) -> Iterator[Found]:
    """Read pydantic's errors. Their places have steps that no answer has: the member of a union, the name of a function."""
    for one in _errors_of(error):
        place: Place = tuple(step if isinstance(step, int) else str(step) for step in one["loc"])
        missing = str(one["type"]).endswith("missing")
        if data is not UNKNOWN:
            place = _place_in(data, place, missing=missing)
        value = UNKNOWN if missing else one.get("input", UNKNOWN)
        yield Found(place, str(one["msg"]), value)


def _errors_of(error: Any) -> list[dict[str, Any]]:
    try:
        errors: list[dict[str, Any]] = error.errors(include_url=False, include_context=False)
    except TypeError:
        errors = error.errors()  # its first version's
    return errors


def _place_in(data: Any, place: Place, *, missing: bool) -> Place:
    steps: list[str | int] = []
    for index, step in enumerate(place):
        below = at(data, step)
        if below is not UNKNOWN:
            steps.append(step)
            data = below
        elif missing and index == len(place) - 1:
            steps.append(step)
    return tuple(steps)


def of_cattrs(error: Any, place: Place, data: Any) -> Iterator[Found]:
    """Read cattrs' groups of exceptions, as far down as they go."""
    names = {ancestor.__qualname__ for ancestor in type(error).__mro__ if ancestor.__module__ == "cattrs.errors"}
    if "BaseValidationError" in names:
        noted, others = error.group_exceptions()
        for one, note in noted:
            step = (
                note.name if hasattr(note, "name") else note.index
            )  # a note is a string, which has an `index` of its own
            step = step if isinstance(step, int) else str(step)
            below = UNKNOWN if data is UNKNOWN else at(data, step)
            if isinstance(one, KeyError) and below is UNKNOWN:
                yield Found((*place, step), "is missing")
            else:
                yield from _of_one(one, (*place, step), below, note.type)
        for one in others:
            yield from _of_one(one, place, data, None, attribute(error, "cl"))
    else:
        yield from _of_one(error, place, data, None)


def _of_one(error: Any, place: Place, data: Any, tp: Any, cls: Any = None) -> Iterator[Found]:
    names = {ancestor.__qualname__ for ancestor in type(error).__mro__ if ancestor.__module__ == "cattrs.errors"}
    if "BaseValidationError" in names:
        yield from of_cattrs(error, place, data)
    elif "ForbiddenExtraKeysError" in names:
        for name in sorted(error.extra_fields, key=str):
            yield Found((*place, name), "is no field here", at(data, name))
    elif isinstance(error, RecursionError):
        yield Found(place, TOO_DEEP)
    else:
        args = error.args
        field = next((arg for arg in args if isinstance(arg, attrs.Attribute)), None)
        if field is not None and cls is not None:
            given = UNKNOWN if args[-1] is field else args[-1]  # attrs' own validators put the value last
            place, data = (*place, field.name), given if data is UNKNOWN else at(data, field.name)
        yield Found(place, _rule_of(error, data, tp), data)


def _rule_of(error: Exception, data: Any, tp: Any) -> str:
    """Return what a validator says, without the value that attrs' own repeat at the end."""
    if data is not UNKNOWN or tp is None:
        message = str(error.args[0] if error.args and isinstance(error.args[0], str) else error)
        message = (
            message
            if isinstance(error, (ValueError, TypeError, AssertionError))
            else f"{type(error).__name__}: {message}"
        )
        return _without(data, message) or type(error).__name__
    from cattrs.v import format_exception  # noqa: PLC0415 - only where cattrs has raised

    return format_exception(error, tp)


def _without(data: Any, message: str) -> str:
    for form in (": {!r}", " (got {!r}", " ({!r} doesn't)"):
        with suppress(Exception):
            head, found, tail = message.rpartition(form.format(data))
            if found and (tail == "" or form != ": {!r}"):
                return head
    return message


def _fields_beside(error: Any) -> tuple[str, ...]:
    """Return the fields that the class which cattrs could not make requires, other than those that are wrong."""
    names = {ancestor.__qualname__ for ancestor in type(error).__mro__ if ancestor.__module__ == "cattrs.errors"}
    if "ClassValidationError" not in names:
        return ()
    noted, others = error.group_exceptions()
    if any("ForbiddenExtraKeysError" not in str(type(one)) for one in others):
        return ()  # something is wrong with the whole of it
    wrong = {note.name for _, note in noted}
    fields = getattr(error.cl, "__attrs_attrs__", None) or getattr(error.cl, "__dataclass_fields__", {}).values()
    missing = (attrs.NOTHING, dataclasses.MISSING)
    required = (
        one.name for one in fields if one.default in missing and getattr(one, "default_factory", missing[1]) in missing
    )
    return tuple(name for name in required if name not in wrong)[:MOST]


_AT = re.compile(r"(.*) - at `\$?(.*)`", re.DOTALL)


def _of_msgspec(error: BaseException) -> Found:
    match = _AT.fullmatch(str(error))
    if match is None:
        return Found((), str(error))
    steps = re.findall(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]", match[2])
    return Found(tuple(name or (int(index) if index.isdigit() else "*") for name, index in steps), match[1])
