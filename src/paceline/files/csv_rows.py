"""How CSV is read: rows of fields under a header, each with the bytes that it was made of.

1. A quoted field may hold line breaks: the row is one, and its place is the line where it begins.
2. A row whose quotes are wrong is bad. If it went over several lines, the ones after its first are read again as rows of their
   own: a quote that is never closed would swallow all that follows.
3. Fields are separated by commas, semicolons or tabs: by what makes the most of the header. It is looked at once.
4. Every row has as many fields as the header. The whole row comes back as the context; `id` is its id, else its number.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator

import attrs

from .jsonl import decoded, id_of
from .lines import numbered
from .template import TableFormat, template_of, twice_in
from .types import BOM, LONGEST, InputError, InputKind, InputRecord, Line, LineError, Lines, Record, quoted

_SEPARATORS = ",;\t"
_MOST_LINES = 100_000  # of a row: what is held, as all of them may have to be read again
_MISTAKES = {  # of the csv module, by how they begin
    "unexpected end of data": "a quote is opened and not closed",
    "field larger": "a quote is opened and not closed, or the row is too long",
    "new-line character": "a carriage return stands alone, outside of quotes",
    "' expected after '": "a quote is closed before its field ends",
}


@attrs.frozen
class _Row:
    fields: list[str]
    raw: bytes


class CsvFormat(TableFormat):
    """Rows of CSV, each a prompt."""

    kind = InputKind.CSV

    def __init__(self, name: str, template: str | None) -> None:
        super().__init__(name, template)
        self._separator = ","

    def records(self, lines: Lines) -> Iterator[Record]:
        """Yield the rows below the header.

        Raises:
            InputError: the header is none, or is another than before, or the template does not fit it.
        """
        feed = _Feed(numbered(lines))
        self._read_header(feed)
        reader = csv.reader(feed, delimiter=self._separator, strict=True)
        position = 0
        while not feed.at_end:
            feed.begin()
            data: _Row | LineError
            try:
                fields = next(reader, None)
            except (csv.Error, LineError) as error:
                feed.take_back()
                data = error if isinstance(error, LineError) else LineError(_mistake(error))
            else:
                if not fields:
                    continue
                data = _Row(fields, feed.raw)
            position += 1
            yield position, feed.line, data

    def read(self, position: int, data: _Row | LineError) -> InputRecord:
        """Return what a row asks for."""
        if isinstance(data, LineError):
            raise data
        if len(data.fields) != len(self._columns):
            raise LineError(f"has {len(data.fields)} fields, and the header {len(self._columns)}")
        if b"\0" in data.raw:
            raise LineError("has a NUL byte, which no text has")
        row = dict(zip(self._columns, data.fields, strict=True))
        name = id_of(row["id"], "id") if "id" in row else str(position)
        return InputRecord(position, name, self._fitting.fill(row), row)

    def is_blank(self, data: _Row | LineError) -> bool:  # noqa: ARG002
        """No row is: blank lines are none."""
        return False

    def raw(self, position: int, data: _Row) -> bytes:  # noqa: ARG002
        """Return the row as it was."""
        return data.raw if data.raw.endswith(b"\n") else data.raw + b"\n"

    def _read_header(self, feed: _Feed) -> None:
        csv.field_size_limit(LONGEST)  # of the whole process: the csv module has no other
        feed.begin()
        fields: list[str] = []
        try:
            while not fields and not feed.at_end:
                feed.begin()
                if self._template is None:
                    self._separator = _separator_of(feed.peek())
                fields = next(csv.reader(feed, delimiter=self._separator, strict=True), [])
        except (csv.Error, LineError) as error:
            reason = error if isinstance(error, LineError) else _mistake(error)
            raise InputError(f"{self._name}:{feed.line}: the header cannot be read: {reason}") from None
        if self._template is None:
            self._take_header(fields, feed)
        elif fields != self._columns:
            raise InputError(f"{self._name}: changed while it was read: its header is another")

    def _take_header(self, fields: list[str], feed: _Feed) -> None:
        if not fields:
            raise InputError(f"{self._name}: has no prompts")
        if (twice := twice_in(fields)) is not None:
            raise InputError(f"{self._name}:{feed.line}: the column {quoted(twice)} is twice in the header")
        self._columns = fields
        self._template = template_of(self._text, fields, self._name)
        header = feed.raw.removeprefix(BOM)
        self.header = header if header.endswith(b"\n") else header + b"\n"


class _Feed:
    """Gives the csv module one line after the other, and can take them back."""

    def __init__(self, lines: Iterator[tuple[int, Line]]) -> None:
        self.line = 0
        """Where the row begins that is being read."""
        self._lines = lines
        self._again: deque[tuple[int, Line]] = deque()
        self._taken: list[tuple[int, Line]] = []
        self._size = 0

    @property
    def raw(self) -> bytes:
        """What the row was made of."""
        return b"".join(line for _, line in self._taken if isinstance(line, bytes))

    @property
    def at_end(self) -> bool:
        """Whether there is no more line."""
        if not self._again:
            following = next(self._lines, None)
            if following is None:
                return True
            self._again.append(following)
        return False

    def peek(self) -> str:
        """Return the next line.

        Raises:
            LineError: it is no text.
        """
        if self.at_end:
            return ""
        self.line, line = self._again[0]
        return _text(self.line, line)

    def begin(self) -> None:
        """A row begins."""
        self._taken = []
        self._size = 0

    def take_back(self) -> None:
        """The row is bad: what followed its first line is to be read again."""
        self._again.extendleft(reversed(self._taken[1:]))
        del self._taken[1:]

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        if self.at_end:
            raise StopIteration
        number, line = self._again.popleft()
        if not self._taken:
            self.line = number
        self._taken.append((number, line))
        self._size += len(line) if isinstance(line, bytes) else 0
        if self._size > LONGEST or len(self._taken) > _MOST_LINES:
            raise LineError(
                f"longer than {LONGEST >> 20} MiB or {_MOST_LINES:,} lines, or a quote is opened and not closed"
            )
        try:
            return _text(number, line)
        except LineError as problem:
            if number == self.line:
                raise
            raise LineError(f"{problem} (line {number})") from None


def _text(number: int, line: Line) -> str:
    if isinstance(line, LineError):
        raise line
    return decoded(line.removeprefix(BOM) if number == 1 else line)


def _separator_of(header: str) -> str:
    return max(_SEPARATORS, key=lambda separator: len(next(csv.reader([header], delimiter=separator), ())))


def _mistake(error: csv.Error) -> str:
    said = str(error)
    return next((words for known, words in _MISTAKES.items() if known in said), f"not CSV: {said}")
