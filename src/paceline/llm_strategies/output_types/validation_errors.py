"""Validation errors: the exceptions of validators become problems that a model can act on.

Rules owned here:

1. Exceptions of pydantic, cattrs, msgspec and json are recognised by the names of their types and base types, as none of these
   packages has to be installed. Nothing here raises, whatever a foreign exception does.
2. A problem's rule says what the value must be. The value is kept apart from it, as far as the validator's wording is known:
   rules go into logs and results, values do not.
3. Valid fields are known only if the answer is at hand: they are the fields with no problem in them or below them. A field with
   both valid and invalid parts is not listed; its valid parts are.
4. Everything is bounded: the number of problems and of valid fields, the length of rules and of values.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

import attrs

from ..._core.exceptions import InvalidOutputError, Problem
from ..._core.provider_answers.foreign_error import attribute

Place: TypeAlias = tuple[str | int, ...]
Report: TypeAlias = "tuple[tuple[Problem, ...], tuple[str, ...], str | None]"

MAX_FINDINGS = 100  # problems, and valid fields
_LONGEST_VALUE = 120  # characters
_LONGEST_RULE = 300
_AROUND = 30  # characters quoted on each side of a syntax error
TOO_DEEP = "is nested too deeply"
_PLAIN = re.compile(r"[\w-]+")

UNKNOWN: Any = object()
"""Marks a value that is not known."""


@attrs.frozen
class Finding:
    """A problem and its place in the answer."""

    place: Place
    rule: str
    value: Any = UNKNOWN

    @property
    def problem(self) -> Problem:
        """The problem in its public form."""
        value = None if self.value is UNKNOWN else short_json(self.value)
        return Problem(format_path(self.place), truncate(self.rule, _LONGEST_RULE), value)


class Misfit(Exception):  # noqa: N818 - named after the answer
    """An answer does not fit its type; it carries all problems."""

    def __init__(self, found: Sequence[Finding]) -> None:
        super().__init__(found)
        self.found: tuple[Finding, ...] = tuple(found)


def format_path(place: Place) -> str:
    """Format a place: `people[0].name`."""
    path = ""
    for step in place:
        if isinstance(step, int):
            path += f"[{step}]"
        elif _PLAIN.fullmatch(step):
            path += f".{step}" if path else step
        else:
            path += f"[{short_json(step)}]"
    return truncate(path, _LONGEST_RULE)


def short_json(value: Any) -> str | None:
    """Return a value as shortened JSON; None if JSON cannot express it."""
    try:
        return truncate(json.dumps(value, ensure_ascii=False, default=str), _LONGEST_VALUE)
    except (ValueError, TypeError, RecursionError):
        return None


def truncate(text: str, longest: int) -> str:
    """Shorten a text and make it encodable: a model may have written half of a surrogate pair."""
    text = text if len(text) <= longest else text[: longest - 1] + "…"
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def problems_of(exception: BaseException) -> Report | None:
    """Return an output's problems, its valid fields, and its text, as far as the exception shows them.

    None if the exception is not a validator's. Never raises.
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
        return (json_finding(exception, exception.doc).problem,), (), exception.doc
    if names & {
        "pydantic_core._pydantic_core.ValidationError",
        "pydantic.v1.error_wrappers.ValidationError",
        "pydantic.error_wrappers.ValidationError",
    }:
        return _pydantic_report(exception)
    if names & {"cattrs.errors.BaseValidationError", "cattrs.errors.ForbiddenExtraKeysError"}:
        return _problems(list(cattrs_findings(exception, (), UNKNOWN))), _fields_without_findings(exception), None
    if "msgspec.DecodeError" in names:
        return _problems([_msgspec_finding(exception)]), (), None
    if isinstance(exception, BaseExceptionGroup):
        reports = [report for report in map(problems_of, exception.exceptions) if report is not None]
        return reports[0] if len(reports) == len(exception.exceptions) == 1 else None
    return None


def _problems(found: Sequence[Finding]) -> tuple[Problem, ...]:
    return tuple(one.problem for one in found[:MAX_FINDINGS])


def _pydantic_report(error: Any) -> Report:
    """Read an error without the answer at hand. The error holds the answer if a top-level field is missing."""
    data: Any = UNKNOWN
    text: str | None = None
    for one in _errors_of(error):
        given = one.get("input")
        if isinstance(given, dict) and len(one["loc"]) == 1 and one["type"] == "missing":
            data, text = given, json.dumps(given, ensure_ascii=False, default=str)
        if isinstance(given, str) and one["type"] == "json_invalid":
            text = given
    found = list(pydantic_findings(error, data))
    return _problems(found), () if data is UNKNOWN else valid_fields(data, found), text


def valid_fields(data: Any, found: Sequence[Finding]) -> tuple[str, ...]:
    """Return the valid fields of an answer: rule 3."""
    wrong: dict[Any, Any] = {}
    for one in found:
        level = wrong
        for step in one.place:
            level = level.setdefault(step, {})
        level[UNKNOWN] = True  # this value is wrong, and with it everything below
    right: list[str] = []
    _collect_valid(data, wrong, (), right)
    return tuple(right)


def _collect_valid(data: Any, wrong: dict[Any, Any], place: Place, right: list[str]) -> None:
    if UNKNOWN in wrong:
        return
    steps: Any = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for step, value in steps:
        if len(right) >= MAX_FINDINGS:
            return
        if step in wrong:
            _collect_valid(value, wrong[step], (*place, step), right)
        else:
            right.append(format_path((*place, step)))


def at(data: Any, step: str | int) -> Any:
    """Return the value one step below; UNKNOWN if it does not exist."""
    if isinstance(data, dict):
        return data.get(step, UNKNOWN)
    return data[step] if isinstance(data, list) and isinstance(step, int) and 0 <= step < len(data) else UNKNOWN


def line_and_column(text: str, place: int) -> tuple[int, int]:
    """Return the line and the column of a place in a text, both from 1."""
    return text.count("\n", 0, place) + 1, place - text.rfind("\n", 0, place)


def json_finding(error: json.JSONDecodeError, text: str) -> Finding:
    """Return the problem of a text that is not JSON, with line and column."""
    place = min(error.pos, len(text))
    line, column = line_and_column(text, place)
    excerpt = text[max(0, place - _AROUND) : place + _AROUND]
    return Finding((), f"must be JSON: {error.msg} at line {line}, column {column}", excerpt)


def pydantic_findings(error: Any, data: Any) -> Iterator[Finding]:
    """Read pydantic's errors. Their places contain steps that no answer has: members of unions, names of functions."""
    for one in _errors_of(error):
        place: Place = tuple(step if isinstance(step, int) else str(step) for step in one["loc"])
        missing = str(one["type"]).endswith("missing")
        if data is not UNKNOWN:
            place = _place_in(data, place, missing=missing)
        value = UNKNOWN if missing else one.get("input", UNKNOWN)
        yield Finding(place, str(one["msg"]), value)


def _errors_of(error: Any) -> list[dict[str, Any]]:
    try:
        errors: list[dict[str, Any]] = error.errors(include_url=False, include_context=False)
    except TypeError:
        errors = error.errors()  # pydantic 1
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


def cattrs_findings(error: Any, place: Place, data: Any) -> Iterator[Finding]:
    """Read cattrs' nested groups of exceptions."""
    names = {ancestor.__qualname__ for ancestor in type(error).__mro__ if ancestor.__module__ == "cattrs.errors"}
    if "BaseValidationError" in names:
        attributed, others = error.group_exceptions()
        for one, note in attributed:
            # A note is a string, which has an `index` method of its own.
            step = note.name if hasattr(note, "name") else note.index
            step = step if isinstance(step, int) else str(step)
            below = UNKNOWN if data is UNKNOWN else at(data, step)
            if isinstance(one, KeyError) and below is UNKNOWN:
                yield Finding((*place, step), "is missing")
            else:
                yield from _leaf_findings(one, (*place, step), below, note.type)
        for one in others:
            yield from _leaf_findings(one, place, data, None, attribute(error, "cl"))
    else:
        yield from _leaf_findings(error, place, data, None)


def _leaf_findings(error: Any, place: Place, data: Any, tp: Any, cls: Any = None) -> Iterator[Finding]:
    names = {ancestor.__qualname__ for ancestor in type(error).__mro__ if ancestor.__module__ == "cattrs.errors"}
    if "BaseValidationError" in names:
        yield from cattrs_findings(error, place, data)
    elif "ForbiddenExtraKeysError" in names:
        for name in sorted(error.extra_fields, key=str):
            yield Finding((*place, name), "is not a field of this object", at(data, name))
    elif isinstance(error, RecursionError):
        yield Finding(place, TOO_DEEP)
    else:
        args = error.args
        field = next((arg for arg in args if isinstance(arg, attrs.Attribute)), None)
        if field is not None and cls is not None:
            given = UNKNOWN if args[-1] is field else args[-1]  # attrs' own validators pass the value last
            place, data = (*place, field.name), given if data is UNKNOWN else at(data, field.name)
        yield Finding(place, _rule_of(error, data, tp), data)


def _rule_of(error: Exception, data: Any, tp: Any) -> str:
    """Return a validator's message, without the value that attrs' own validators append."""
    if data is not UNKNOWN or tp is None:
        message = str(error.args[0] if error.args and isinstance(error.args[0], str) else error)
        message = (
            message
            if isinstance(error, (ValueError, TypeError, AssertionError))
            else f"{type(error).__name__}: {message}"
        )
        return _without(data, message) or type(error).__name__
    from cattrs.v import format_exception  # noqa: PLC0415 - cattrs has raised, so it is loaded

    return format_exception(error, tp)


def _without(data: Any, message: str) -> str:
    for form in (": {!r}", " (got {!r}", " ({!r} doesn't)"):
        with suppress(Exception):
            head, found, tail = message.rpartition(form.format(data))
            if found and (tail == "" or form != ": {!r}"):
                return head
    return message


def _fields_without_findings(error: Any) -> tuple[str, ...]:
    """Return the required fields of the class that cattrs could not build, without those that have problems."""
    names = {ancestor.__qualname__ for ancestor in type(error).__mro__ if ancestor.__module__ == "cattrs.errors"}
    if "ClassValidationError" not in names:
        return ()
    attributed, others = error.group_exceptions()
    if any("ForbiddenExtraKeysError" not in str(type(one)) for one in others):
        return ()  # the problem concerns the whole object
    wrong = {note.name for _, note in attributed}
    fields = getattr(error.cl, "__attrs_attrs__", None) or getattr(error.cl, "__dataclass_fields__", {}).values()
    missing = (attrs.NOTHING, dataclasses.MISSING)
    required = (
        one.name for one in fields if one.default in missing and getattr(one, "default_factory", missing[1]) in missing
    )
    return tuple(name for name in required if name not in wrong)[:MAX_FINDINGS]


_AT = re.compile(r"(.*) - at `\$?(.*)`", re.DOTALL)


def _msgspec_finding(error: BaseException) -> Finding:
    match = _AT.fullmatch(str(error))
    if match is None:
        return Finding((), str(error))
    steps = re.findall(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]", match[2])
    return Finding(tuple(name or (int(index) if index.isdigit() else "*") for name, index in steps), match[1])
