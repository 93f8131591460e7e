"""Prompts from the fields of a record, by a template: what CSV, Parquet and JSON have in common.

1. A field of the template is the name of a column or a key and nothing else: no attributes, indices, conversions or format
   specifications. Braces that are text are doubled. Where values are nested, `{a.b}` is the key `b` of `a`, and `{a.0}` the first
   entry of the list `a`, unless there is a field of that very name.
2. A message about a wrong template lists the fields at hand, suggests the nearest one, and says how braces are written as text.
3. A value that is not text is shown as JSON. A field that is null is empty, and one that is empty is reported.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from string import Formatter
from typing import Any

import attrs

from .types import InputError, LineError, quote

_SHOWN = 20  # fields that a message lists
_NAME = re.compile(r"[\w .\-/]+")  # what may be meant as a field; anything else in braces is likely to be text
_BRACES = "braces that are text are written twice: {{ and }}"
_MISSING = object()


@attrs.frozen
class Template:
    """A template that was checked against the fields."""

    columns: tuple[str, ...] = ()
    """Fields that it uses."""
    _parts: tuple[tuple[str, str | None], ...] = ()
    """Texts, each with the field whose value follows it."""
    _noun: str = "column"
    """What messages call a field."""

    def fill(self, row: Mapping[str, Any]) -> tuple[str, str | None]:
        """Return the prompt of a record, and the first field that is empty in it; None if no field is.

        Raises:
            LineError: A field that it uses is missing, or is not text.
        """
        texts, empty = [], None
        for text, field in self._parts:
            texts.append(text)
            if field is not None:
                value = self._text_of(row, field)
                if empty is None and not value.strip():
                    empty = field
                texts.append(value)
        return "".join(texts), empty

    def _text_of(self, row: Mapping[str, Any], field: str) -> str:
        value = value_at(row, field)
        if value is _MISSING:
            raise LineError(
                f"has no {self._noun} {quote(field)}{_suggestion(field, [*row])}; it has {_listed([*row]) or 'none'}"
            )
        if value is None:
            return ""
        if isinstance(value, bytes):
            raise LineError(f"the {self._noun} {quote(field)} holds bytes, not text")
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def value_at(row: Mapping[str, Any], field: str) -> Any:
    """Return the value of a field under rule 1; `_MISSING` if there is no such field."""
    if field in row or "." not in field:
        return row.get(field, _MISSING)
    value: Any = row
    for key in field.split("."):
        if isinstance(value, Mapping):
            value = value.get(key, _MISSING)
        elif isinstance(value, list) and key.isdecimal():
            value = value[int(key)] if int(key) < len(value) else _MISSING
        elif value is not None:
            return _MISSING
    return value


def parse_template(
    text: str | None, columns: Sequence[str], name: str, *, noun: str = "column", nested: bool = False
) -> Template:
    """Check a template against the fields of an input.

    Args:
        text: The template, with fields in braces; None: the prompts are in the field `prompt`.
        columns: Names of the fields: all columns of a table, or the keys of the first object.
        name: Name of the input, for messages.
        noun: What messages call a field: "column", or "field" where the records may have different ones.
        nested: Whether values may be nested.

    Raises:
        InputError: It does not fit the fields.
    """
    known = f"{noun}s are {_listed(columns)}"
    if text is None:
        if "prompt" in columns:
            return Template(("prompt",), (("", "prompt"),), noun)
        raise InputError(f"{name}: has no {noun} prompt; {template_advice(columns)} ({noun}s: {_listed(columns)})")
    try:
        parts = tuple(
            (before, _column(field, spec, conversion)) for before, field, spec, conversion in Formatter().parse(text)
        )
    except ValueError as error:
        reason = str(error).removesuffix(" in format string").removesuffix(" encountered")
        raise InputError(
            f"{name}: the prompt template cannot be read: {reason[:1].lower()}{reason[1:]}; {_BRACES}; {known}"
        ) from None
    used = [field for _, field in parts if field is not None]
    for field in used:
        is_known = field in columns or (nested and field.partition(".")[0] in columns)
        if not is_known and (noun == "column" or not _NAME.fullmatch(field)):
            raise InputError(
                f"{name}: the prompt template has the field {quote('{' + field + '}')}{_suggestion(field, columns)}; "
                f"{known}; {_BRACES}"
            )
    if not used:
        raise InputError(
            f"{name}: the prompt template names no {noun}, so all prompts would be the same; {known}, "
            f"such as {{{_example(columns)}}}"
        )
    return Template(tuple(dict.fromkeys(used)), parts, noun)


def template_advice(fields: Sequence[str]) -> str:
    """Return how to make prompts of records that have no field `prompt`."""
    return f"set --prompt to a template such as 'Summarise {{{_example(fields)}}}'"


def _example(fields: Sequence[str]) -> str:
    return next((field for field in fields if field.lower() != "id" and field.isidentifier()), "text")


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(map(quote, columns[:_SHOWN])) + (", ..." if len(columns) > _SHOWN else "")


def _column(field: str | None, spec: str | None, conversion: str | None) -> str | None:
    if field is None:
        return None
    return field + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")


def _suggestion(field: str, columns: Sequence[str]) -> str:
    lower = field.strip().lower()
    near = [column for column in columns if column.strip().lower() == lower]
    near = near or get_close_matches(field, columns, n=1)
    near = near or [column for column in columns if field.startswith((f"{column}.", f"{column}["))]
    return f" (did you mean {{{near[0]}}}?)" if near else ""
