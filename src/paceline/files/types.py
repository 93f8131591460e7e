"""Types of the input side: what an input is, the records read from it, and the lines that are not usable."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from typing import Any, Literal, Protocol, TypeAlias

import attrs

from .._core.exceptions import ConfigurationError
from .._core.prompt import Prompt

STREAM = "-"
"""The path that stands for stdin or stdout."""

LONGEST = 32 * 2**20
"""Longest line, or row of CSV, in bytes: more than the context window of any model holds."""

BOM = b"\xef\xbb\xbf"
"""The byte order mark that some editors write before UTF-8."""

_LONGEST_QUOTE = 40  # characters of a key or an id that a message shows


class InputKind(enum.StrEnum):
    """The format of an input file."""

    JSONL = "jsonl"
    """One JSON object per line: `{"id": ..., "prompt": ..., "context": ...}`; `context` is optional."""
    TEXT = "text"
    """One prompt per line; its id is the line number."""
    OPENAI = "openai"
    """Lines of OpenAI's batch API: `{"custom_id": ..., "method": "POST", "url": "/v1/chat/completions", "body": {...}}`."""
    GEMINI = "gemini"
    """Lines of Gemini's batch API: `{"key": ..., "request": {...}}`."""
    ANTHROPIC = "anthropic"
    """Lines of Anthropic's batch API: `{"custom_id": ..., "params": {...}}`."""
    CSV = "csv"
    """Rows of named columns; a template makes the prompt. Separated by commas, semicolons or tabs."""
    PARQUET = "parquet"
    """Rows of named columns, as for CSV. Requires `paceline[parquet]`."""
    JSON = "json"
    """One JSON array of objects, each as a line of JSONL."""


InputKindName: TypeAlias = Literal["jsonl", "json", "text", "openai", "gemini", "anthropic", "csv", "parquet"]
"""The values of `InputKind`."""


@attrs.frozen(kw_only=True)
class Reading:
    """How an input is read: what decides which records it has, and their ids and prompts."""

    kind: InputKind | None = None
    """Format; None: by the file's name and content."""
    template: str | None = None
    """Template of the prompts, with names of fields in braces; None: the field `prompt`."""
    id_column: str | None = None
    """Field with the ids; "": records are numbered. None: `id`, in any case, and records without one are numbered."""
    encoding: str | None = None
    """Encoding of a text file, a name of Python's; None: UTF-8."""
    skip_empty: bool = False
    """Whether records are left out in which a field of the prompt is empty or null."""
    exact_id: bool = False
    """Whether only a column named exactly `id` holds ids: the rule under which older journals were written."""


@attrs.define(unsafe_hash=True)
class InputRecord:
    """One prompt read from an input, ready to become a work item.

    To be treated as frozen. One is made of each line in each pass, and to make a frozen one takes three times as long.
    """

    position: int
    """Line number from 1; for CSV and Parquet the row number below the header. Ascending."""
    id: str
    """Unique in its input."""
    prompt: Prompt = attrs.field(repr=False)
    """A text, or the request of a batch line, which is sent as it is."""
    context: Any = attrs.field(default=None, repr=False)
    """Returned with the result: the `context` of a JSONL line, or the complete row or object if it has other fields."""
    line: int | None = attrs.field(default=None, eq=False, kw_only=True)
    """Line of the file at which it begins, from 1; None for Parquet."""
    empty_field: str | None = attrs.field(default=None, eq=False, kw_only=True)
    """Name of the first field of the prompt that is empty; None: no field is empty."""


@attrs.frozen
class BadLine:
    """A line or row from which no prompt can be made. `str(bad)` is "file:line: reason"."""

    file: str
    """Path of the input, or "stdin"."""
    position: int
    """Line number from 1; for CSV and Parquet the row number below the header."""
    reason: str
    """One sentence. It may quote keys and ids, never a prompt."""
    line: int | None = attrs.field(default=attrs.Factory(lambda bad: bad.position, takes_self=True))
    """Line of the file at which it begins, from 1; None for Parquet."""

    def __str__(self) -> str:
        place = f"{self.file}: row {self.position}" if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.reason}"


class InputError(ConfigurationError):
    """The input cannot be used; the message has one line for each of the first problems."""


class LineError(ValueError):
    """A line or row is not usable; the message is the reason."""


class LostRestError(LineError):
    """A record ends where nothing says how to read on: what follows it is lost, so that a check refuses the input."""


class WrongEncodingError(LineError):
    """A line is not text in the encoding of its input; other lines are likely to be wrong, too."""


def quote(text: str) -> str:
    """Return a key or an id as messages quote it: in ASCII, and at most 40 characters of it."""
    return ascii(text if len(text) <= _LONGEST_QUOTE else text[: _LONGEST_QUOTE - 3] + "...")


Line: TypeAlias = bytes | LineError
"""A line with its line end, or why it could not be read."""


class Lines(Protocol):
    """A source of lines; binary files are sources."""

    def readline(self, size: int, /) -> bytes:
        """Return the next line, or its next `size` bytes if it is longer; b"" at the end."""
        ...


RawRecord: TypeAlias = tuple[int, int | None, Any]
"""A record's position, the line at which it begins (None for Parquet), and its data, which only its format understands."""


class InputFormat(Protocol):
    """Splits one input into raw records, and makes prompts of them. It can be run over the same input several times."""

    @property
    def kind(self) -> InputKind:
        """The format, as far as it is known."""
        ...

    def records(self, lines: Lines) -> Iterator[RawRecord]:
        """Yield the raw records, from the beginning."""
        ...

    def read(self, record: RawRecord) -> InputRecord | None:
        """Return the prompt of a raw record; None if it is blank.

        Raises:
            LineError: No prompt can be made of it.
        """
        ...

    def is_blank(self, data: Any) -> bool:
        """Whether a record that passed its check is blank; cheaper than `read`."""
        ...

    def raw(self, record: RawRecord) -> bytes:
        """Return a record that passed its check as lines of an input file."""
        ...

    @property
    def header(self) -> bytes:
        """The lines before the records; otherwise b""."""
        ...

    @property
    def has_ids(self) -> bool:
        """Whether the records have ids of their own; otherwise their positions are their ids."""
        ...

    @property
    def ids_may_repeat(self) -> bool:
        """Whether records may name themselves, so that two of them may have the same id."""
        ...

    @property
    def id_field(self) -> str:
        """Name of the field that holds the ids, for messages."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """Sentences about how the records were read, for people."""
        ...
