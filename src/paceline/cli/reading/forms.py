"""How an input is read as records, lines or rows, and each record as a prompt."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, TypeAlias

from .bytes import Line, Lines, numbered
from .kinds import BOM, InputError, Kind, LineError, Prompt
from .lines import is_blank, kind_of, read_line

Record: TypeAlias = tuple[int, int | None, Any]
"""Its position, the line where it begins, and what the form makes of it."""


class Form(Protocol):
    """Reads one input, as often as is asked for."""

    @property
    def kind(self) -> Kind:
        """What the input is, as far as is known."""
        ...

    def records(self, lines: Lines) -> Iterator[Record]:
        """Yield the records from the beginning on."""
        ...

    def read(self, position: int, data: Any) -> Prompt | None:
        """Return what a record asks for; None: nothing.

        Raises:
            LineError: it cannot be taken.
        """
        ...

    def is_blank(self, data: Any) -> bool:
        """Whether a record that was taken before asks for nothing."""
        ...

    def raw(self, position: int, data: Any) -> bytes:
        """Return a record that was taken before as lines of an input."""
        ...

    @property
    def header(self) -> bytes:
        """What stands before the records."""
        ...

    @property
    def has_ids(self) -> bool:
        """Whether the records name themselves; else each is named by its number."""
        ...


class LineForm:
    """Lines, each a prompt; of what kind is found out by the first that tells."""

    header = b""

    def __init__(self, name: str, kind: Kind | None, *, is_json: bool, may_guess: bool) -> None:
        """Take what is known.

        Args:
            name: of the input.
            kind: of the lines; None: not known.
            is_json: whether they are JSON, of any kind.
            may_guess: whether what begins with a brace is JSON, and the rest is text.
        """
        self._name = name
        self._kind = kind
        self._is_json = is_json
        self._may_guess = may_guess

    @property
    def kind(self) -> Kind:
        """What the input is, as far as is known."""
        return self._kind or (Kind.JSONL if self._is_json else Kind.TEXT)

    @property
    def has_ids(self) -> bool:
        """Whether the lines name themselves."""
        return self.kind is not Kind.TEXT

    def records(self, lines: Lines) -> Iterator[Record]:
        """Yield the lines."""
        for number, line in numbered(lines):
            yield number, number, line

    def read(self, position: int, data: Line) -> Prompt | None:
        """Return what a line asks for; None: it is blank."""
        if isinstance(data, LineError):
            raise data
        if self._kind is None:
            self._look(position, data)
        return read_line(self.kind, position, data)

    def is_blank(self, data: Line) -> bool:
        """Whether a line that was taken before is blank."""
        return not isinstance(data, LineError) and is_blank(data)

    def raw(self, position: int, data: bytes) -> bytes:
        """Return the line, without a mark before it."""
        line = data.removeprefix(BOM) if position == 1 else data
        return line if line.endswith(b"\n") else line + b"\n"

    def _look(self, number: int, line: bytes) -> None:
        """Find out what the lines are, if this one tells.

        Raises:
            InputError: they may be JSON, but the user must say so.
        """
        begin = line.removeprefix(BOM).strip()
        if not begin:
            return
        if self._is_json:
            self._kind = kind_of(number, line)
        elif self._may_guess:
            self._is_json = begin.startswith(b"{")
            self._kind = kind_of(number, line) if self._is_json else Kind.TEXT
        elif not begin.startswith((b"{", b"[")):
            self._kind = Kind.TEXT
        else:
            found = kind_of(number, line)
            if found in {None, Kind.JSONL}:
                raise InputError(f"{self._name}: begins like JSON; say --format jsonl or --format text")
            self._kind = found
