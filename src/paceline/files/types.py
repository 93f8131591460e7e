"""What an input is made of, and what is taken out of it.

How an input is read as records, lines or rows, and each record as a prompt.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Any, Protocol, TypeAlias

import attrs

from .._core.exceptions import ConfigurationError
from .._core.request import Request

STREAM = "-"
"""A path that stands for stdin or stdout."""

LONGEST = 32 * 2**20
"""Bytes of a line, or of a row of CSV: more than any model reads."""

BOM = b"\xef\xbb\xbf"
"""The byte order mark, as some editors put it before UTF-8."""

_LONGEST_QUOTE = 40  # characters


class InputKind(enum.StrEnum):
    """What an input is."""

    JSONL = "jsonl"
    """A JSON object a line: `{"id": ..., "prompt": ..., "context": ...}`."""
    TEXT = "text"
    """A prompt a line; its id is the line's number."""
    OPENAI = "openai"
    """A line of OpenAI's batch API: `{"custom_id": ..., "method": "POST", "url": "/v1/chat/completions", "body": {...}}`."""
    GEMINI = "gemini"
    """A line of Gemini's: `{"key": ..., "request": {...}}`."""
    ANTHROPIC = "anthropic"
    """A line of Anthropic's: `{"custom_id": ..., "params": {...}}`."""
    CSV = "csv"
    """A row of named columns, of which a template makes the prompt."""
    PARQUET = "parquet"
    """The same."""


@attrs.frozen
class InputRecord:
    """What a line or a row asks for."""

    position: int
    """The line's number from 1; of CSV and Parquet the row's. Ascending."""
    id: str
    """Unique."""
    prompt: str | Request = attrs.field(repr=False)
    context: Any = attrs.field(default=None, repr=False)
    """What comes back with the result."""


@attrs.frozen
class BadLine:
    """A line or a row that cannot be taken."""

    position: int
    """As a prompt's."""
    reason: str
    """Quotes keys and ids, never a prompt."""
    line: int | None = attrs.field(default=attrs.Factory(lambda bad: bad.position, takes_self=True))
    """Where it begins in the file; None: the file has no lines."""

    def told(self, name: str) -> str:
        """Return the sentence about it, with its place in the file of that name."""
        place = f"{name}: row {self.position}" if self.line is None else f"{name}:{self.line}"
        return f"{place}: {self.reason}"


class InputError(ConfigurationError):
    """The input cannot be run; the message has a sentence for each of the first problems, a line each."""


class LineError(ValueError):
    """A line or a row cannot be taken; the message is the reason."""


def quoted(text: str) -> str:
    """Return a key or an id as a reason quotes it: in ASCII, shortened where it is long."""
    return ascii(text if len(text) <= _LONGEST_QUOTE else text[: _LONGEST_QUOTE - 3] + "...")


Line: TypeAlias = bytes | LineError
"""With its end; or why it is not there."""


class Lines(Protocol):
    """What lines are read from."""

    def readline(self, size: int, /) -> bytes:
        """Return the next line, or as much of it."""
        ...


Record: TypeAlias = tuple[int, int | None, Any]
"""Its position, the line where it begins, and what the form makes of it."""


class InputFormat(Protocol):
    """Reads one input, as often as is asked for."""

    @property
    def kind(self) -> InputKind:
        """What the input is, as far as is known."""
        ...

    def records(self, lines: Lines) -> Iterator[Record]:
        """Yield the records from the beginning on."""
        ...

    def read(self, position: int, data: Any) -> InputRecord | None:
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
