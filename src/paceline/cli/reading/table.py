"""What CSV and Parquet have in common: named columns, of which a template makes the prompt."""

from __future__ import annotations

from .kinds import InputError
from .template import Template


class TableForm:
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
