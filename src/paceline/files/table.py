"""Tables: what CSV and Parquet have in common: the columns, the ids and the prompts of their rows.

1. The ids are in the column that the caller names, or else in the column `id`, in any case; without one, rows are identified by their
   numbers.
2. Columns of the same name are numbered: the second `text` is `text.1`, as in pandas. One that is used must be unique.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from .._core.json_values import kind_name
from .template import Template, parse_template
from .types import InputError, LineError, Reading, quote

_LIKE_AN_ID = re.compile(r"(?:[\W_](?i:id)|[a-z]I[dD])\Z")  # review_id, reviewId


class TableFormat:
    """Rows under named columns.

    Args:
        name: Name of the input, for messages.
        reading: Options.
        nested: Whether values may be nested.
    """

    header = b""

    def __init__(self, name: str, reading: Reading, *, nested: bool = False) -> None:
        self._name = name
        self._reading = reading
        self._nested = nested
        self._given: list[str] = []
        self._columns: list[str] = []
        self._id_column: str | None = None
        self._template = Template()
        self._notes: list[str] = []

    @property
    def has_ids(self) -> bool:
        """Whether there is a column of ids."""
        return self._id_column is not None

    @property
    def ids_may_repeat(self) -> bool:
        """Whether there is a column of ids."""
        return self._id_column is not None

    @property
    def id_field(self) -> str:
        """Name of the column of ids."""
        return self._id_column or "id"

    @property
    def notes(self) -> Sequence[str]:
        """Sentences about how the rows were read."""
        return self._notes

    def is_blank(self, data: Any) -> bool:  # noqa: ARG002
        """Return False: blank lines are not rows."""
        return False

    def _set_columns(self, columns: list[str]) -> None:
        """Choose the columns of ids and prompts; in a later pass, check that the columns are the same.

        Raises:
            InputError: The template or the column of ids does not fit, or the columns are not the same.
        """
        if self._given:
            if columns != self._given:
                raise InputError(f"{self._name}: has changed since it was checked: its columns are not the same")
            return
        self._columns = unique_names(columns)
        template = parse_template(self._reading.template, self._columns, self._name, nested=self._nested)
        id_column = find_id(self._columns, self._reading, self._name)
        repeated = [name for name in dict.fromkeys(columns) if columns.count(name) > 1]
        for name in repeated:
            if name in (*template.columns, id_column):
                raise InputError(f"{self._name}: has {columns.count(name)} columns {quote(name)}; rename all but one")
        self._given, self._template, self._id_column = columns, template, id_column
        if named := [name for name in repeated if name.strip()]:
            self._notes.append(
                f"{self._name}: has several columns {', '.join(map(quote, named))}; "
                f"the later ones are numbered, such as {quote(named[0] + '.1')}"
            )
        similar = next(filter(_LIKE_AN_ID.search, self._columns), None)
        if id_column is None and self._reading.id_column is None and similar is not None:
            self._notes.append(
                f"{self._name}: has no column id, and rows are identified by their numbers; "
                f"--id-column {shlex.quote(similar)} takes the ids from that column"
            )

    def _id_of(self, row: Mapping[str, Any], position: int) -> str:
        return str(position) if self._id_column is None else id_text(row[self._id_column], self._id_column)


def unique_names(columns: Sequence[str]) -> list[str]:
    """Return the names of columns, without spaces around them, and each different from those before it: rule 2."""
    taken, names = set(columns), list[str]()
    for column in map(str.strip, columns):
        name, number = column, 0
        while name in names:
            number += 1
            name = f"{column}.{number}"
            while name in taken:
                number += 1
                name = f"{column}.{number}"
        names.append(name)
    return names


def find_id(columns: Sequence[str], reading: Reading, name: str) -> str | None:
    """Return the column of ids; None if no column has ids.

    Raises:
        InputError: The column that the options name is missing.
    """
    wanted = reading.id_column
    if wanted == "":
        return None
    if wanted is not None:
        if wanted not in columns:
            known = ", ".join(map(quote, columns[:20]))
            raise InputError(f"{name}: has no column {quote(wanted)}, which --id-column names; columns are {known}")
        return wanted
    return id_key(columns, reading)


def id_key(fields: Sequence[str] | Mapping[str, Any], reading: Reading) -> str | None:
    """Return the field of ids where the options name none: `id`, or else the first that is spelled so in other case."""
    if "id" in fields:
        return "id"
    return None if reading.exact_id else next((field for field in fields if field.strip().lower() == "id"), None)


def id_text(value: object, name: str) -> str:
    """Return an id, which is a text that is not blank, or a number.

    Args:
        value: The id.
        name: Name of the field that holds it, for messages.

    Raises:
        LineError: It is not an id.
    """
    if type(value) is str and value and not value.isspace():
        return value
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float) and math.isfinite(value):
        return str(value)
    if not isinstance(value, str):
        found = "bytes" if isinstance(value, bytes) else kind_name(value)
        raise LineError(f"{_shown(name)} must be a string or a number, not {found}")
    if not value.strip():
        raise LineError(f"{_shown(name)} must not be empty")
    return value


def _shown(name: str) -> str:
    return name if name.isidentifier() else quote(name)
