"""Prompts from the columns of a row, by a template; what CSV and Parquet have in common.

1. A field of the template is the name of a column and nothing else: no attributes, indices, conversions or format
   specifications. Braces that are text are doubled.
2. A message about a wrong template lists the columns, and suggests the nearest one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from string import Formatter
from typing import Any

import attrs

from .types import InputError, LineError, quote

_SHOWN = 20  # columns that a message lists


@attrs.frozen
class Template:
    """A template that was checked against the columns."""

    columns: tuple[str, ...] = ()
    """Columns that it uses."""
    _parts: tuple[tuple[str, str | None], ...] = ()
    """Texts, each with the column whose value follows it."""

    def fill(self, row: Mapping[str, str | None]) -> str:
        """Return the prompt of a row.

        Raises:
            LineError: A column that it uses is null in this row.
        """
        texts = []
        for text, column in self._parts:
            texts.append(text)
            if column is not None:
                value = row[column]
                if value is None:
                    raise LineError(f"the column {quote(column)} is null")
                texts.append(value)
        return "".join(texts)


def parse_template(text: str | None, columns: Sequence[str], name: str) -> Template:
    """Check a template against the columns of an input.

    Args:
        text: The template, with columns in braces; None: the prompts are in the column `prompt`.
        columns: Names of the columns.
        name: Name of the input, for messages.

    Raises:
        InputError: It does not fit the columns.
    """
    known = ", ".join(map(quote, columns[:_SHOWN])) + (", ..." if len(columns) > _SHOWN else "")
    if text is None:
        if "prompt" in columns:
            return Template(("prompt",), (("", "prompt"),))
        example = next((column for column in columns if column != "id" and column.isidentifier()), "text")
        raise InputError(
            f"{name}: has no column prompt; set --prompt to a template such as 'Summarise {{{example}}}' "
            f"(columns: {known})"
        )
    try:
        parts = tuple(
            (before, _column(field, spec, conversion)) for before, field, spec, conversion in Formatter().parse(text)
        )
    except ValueError as error:
        raise InputError(
            f"{name}: the prompt template cannot be read: {error}; double the braces that are text"
        ) from None
    used = [column for _, column in parts if column is not None]
    for column in used:
        if column not in columns:
            raise InputError(
                f"{name}: the prompt template has the field {quote('{' + column + '}')}{_suggestion(column, columns)}; "
                f"columns are {known}"
            )
    if not used:
        raise InputError(
            f"{name}: the prompt template names no column, so all prompts would be the same; columns are {known}"
        )
    return Template(tuple(dict.fromkeys(used)), parts)


def _column(field: str | None, spec: str | None, conversion: str | None) -> str | None:
    if field is None:
        return None
    return field + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")


def _suggestion(field: str, columns: Sequence[str]) -> str:
    near = get_close_matches(field, columns, n=1) or [
        column for column in columns if field.startswith((f"{column}.", f"{column}["))
    ]
    return f" (did you mean {{{near[0]}}}?)" if near else ""


def first_duplicate(columns: Sequence[str]) -> str | None:
    """Return the first column that has the name of an earlier one; None if all names differ."""
    seen: set[str] = set()
    for column in columns:
        if column in seen:
            return column
        seen.add(column)
    return None


class TableFormat:
    """Rows under named columns.

    Args:
        name: Name of the input, for messages.
        template: Template of the prompts; None: they are in the column `prompt`.
    """

    header = b""

    def __init__(self, name: str, template: str | None) -> None:
        self._name = name
        self._text = template
        self._columns: list[str] = []
        self._template = Template()

    @property
    def has_ids(self) -> bool:
        """Whether there is a column `id`."""
        return "id" in self._columns

    def is_blank(self, data: Any) -> bool:  # noqa: ARG002
        """Return False: blank lines are not rows."""
        return False

    def _set_columns(self, columns: list[str]) -> None:
        """Check the template against the columns; in a later pass, check that they are the same.

        Raises:
            InputError: The template does not fit, or the columns are not the same.
        """
        if not self._columns:
            self._template = parse_template(self._text, columns, self._name)
            self._columns = columns
        elif columns != self._columns:
            raise InputError(f"{self._name}: has changed since it was checked: its columns are not the same")
