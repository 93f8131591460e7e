"""How a prompt is made of the columns of a row.

1. A field of the template is a column's name, and nothing else: no attributes, no indices, no formats. Braces are written twice.
2. A mistake is told with the columns that there are, and the nearest of them.

What CSV and Parquet have in common: named columns, of which a template makes the prompt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from string import Formatter

import attrs

from .types import InputError, LineError, quoted

_SHOWN = 20  # columns that are told


@attrs.frozen
class Template:
    """A template that fits the columns."""

    columns: tuple[str, ...]
    """That it names."""
    _parts: tuple[tuple[str, str | None], ...]

    def fill(self, row: Mapping[str, str | None]) -> str:
        """Return the prompt of a row.

        Raises:
            LineError: a column that it names is null there.
        """
        texts = []
        for text, column in self._parts:
            texts.append(text)
            if column is not None:
                value = row[column]
                if value is None:
                    raise LineError(f"the column {quoted(column)} is null")
                texts.append(value)
        return "".join(texts)


def template_of(text: str | None, columns: Sequence[str], name: str) -> Template:
    """Return a template.

    Args:
        text: the user's; None: the prompts are in the column `prompt`.
        columns: of the rows.
        name: the input's.

    Raises:
        InputError: it does not fit the columns.
    """
    known = ", ".join(map(quoted, columns[:_SHOWN])) + (", ..." if len(columns) > _SHOWN else "")
    if text is None:
        if "prompt" in columns:
            return Template(("prompt",), (("", "prompt"),))
        example = f"'Summarise {{{next((column for column in columns if column != 'id' and column.isidentifier()), 'text')}}}'"
        raise InputError(
            f"{name}: has no column prompt; say what is asked, such as --prompt {example} (columns: {known})"
        )
    try:
        parts = tuple(
            (before, _column(field, form, conversion)) for before, field, form, conversion in Formatter().parse(text)
        )
    except ValueError as error:
        raise InputError(
            f"{name}: the prompt's template cannot be read: {error}; braces that are text are written twice"
        ) from None
    named = [column for _, column in parts if column is not None]
    for column in named:
        if column not in columns:
            near = get_close_matches(column, columns, n=1) or [
                c for c in columns if column.startswith((f"{c}.", f"{c}["))
            ]
            meant = f" (did you mean {{{near[0]}}}?)" if near else ""
            raise InputError(
                f"{name}: the prompt's template has the field {quoted('{' + column + '}')}{meant}; columns are {known}"
            )
    if not named:
        raise InputError(
            f"{name}: the prompt's template names no column, so that all prompts would be the same; columns are {known}"
        )
    return Template(tuple(dict.fromkeys(named)), parts)


def twice_in(columns: Sequence[str]) -> str | None:
    """Return the first column whose name an earlier one has; None: all have names of their own."""
    seen: set[str] = set()
    for column in columns:
        if column in seen:
            return column
        seen.add(column)
    return None


def _column(field: str | None, form: str | None, conversion: str | None) -> str | None:
    if field is None:
        return None
    return field + (f"!{conversion}" if conversion else "") + (f":{form}" if form else "")


class TableFormat:
    """Rows under named columns.

    Args:
        name: of the input.
        template: of the prompts; None: they are in the column `prompt`.
    """

    header = b""

    def __init__(self, name: str, template: str | None) -> None:
        self._name = name
        self._text = template
        self._columns: list[str] = []
        self._template: Template | None = None

    @property
    def has_ids(self) -> bool:
        """Whether there is a column of ids."""
        return "id" in self._columns

    @property
    def _fitting(self) -> Template:
        if self._template is None:  # not reached: the columns are read first
            raise InputError(f"{self._name}: has no columns")
        return self._template
