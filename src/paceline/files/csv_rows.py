"""CSV: rows of fields under a header, each with the bytes that it was read from.

1. A quoted field may contain line breaks; a row's place is the line where it begins.
2. A row is bad on its own, and the next line begins the next row. But where the quotes of a row that spans lines are wrong,
   nothing says where it ends: the input is refused, as its rest cannot be read.
3. Fields are separated by commas, semicolons or tabs: by the one that splits the header into the most columns, or that a line
   `sep=;` before it names.
4. Every row has as many fields as the header; empty ones after them do not count. The complete row is the context.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator

import attrs

from .._core.quantity import quantity
from .json_lines import decode_line
from .lines import decoded, numbered
from .table import TableFormat
from .types import (
    BOM,
    LONGEST,
    InputError,
    InputKind,
    InputRecord,
    Line,
    LineError,
    Lines,
    LostRestError,
    RawRecord,
    Reading,
)

# csv.Sniffer is not better than the header: it fails on files of one column, and it looks at prose, which has commas too.
_SEPARATORS = ",;\t"
_NOT_CLOSED = "a quote is opened and not closed"
_REASONS = {  # by a part of the csv module's message
    "unexpected end of data": _NOT_CLOSED,
    "field larger": f"{_NOT_CLOSED}, or the row is longer than {LONGEST >> 20} MiB",
    "new-line character": "a carriage return stands alone, outside of quotes",
    "' expected after '": "a quote is closed before its field ends",
}
_CONVERT = "; if its lines end so, convert them with: tr '\\r' '\\n'"
_LOST = "so that the rest of the file cannot be read; correct the quotes of this row"
_SEPARATOR_LINE = re.compile(r"sep=(.)\s*", re.IGNORECASE)  # Excel's, before the header


@attrs.frozen
class _Row:
    fields: list[str]
    raw: bytes


class CsvFormat(TableFormat):
    """Rows of CSV, each a prompt.

    Reading sets `csv.field_size_limit` to 32 MiB, which holds for the whole process: the csv module has no other setting.
    """

    kind = InputKind.CSV

    def __init__(self, name: str, reading: Reading, *, separators: str = _SEPARATORS) -> None:
        super().__init__(name, reading)
        self._separators = separators
        self._separator = ","

    def records(self, lines: Lines) -> Iterator[RawRecord]:
        """Yield the rows below the header.

        Raises:
            InputError: The header cannot be read, differs from the header of the first pass, or does not fit the template.
        """
        encoding = self._reading.encoding
        feed = _Feed(numbered(decoded(lines, encoding, self._name)), encoding)
        self._read_header(feed)
        reader = csv.reader(feed, delimiter=self._separator, strict=True)
        position = 0
        while not feed.at_end:
            feed.begin_row()
            data: _Row | LineError
            try:
                fields = next(reader, [])
            except (csv.Error, LineError) as error:
                reason = str(error) if isinstance(error, LineError) else _reason(error)
                data = LostRestError(f"{reason}, {_LOST}") if feed.spans_lines else LineError(reason)
            else:
                if not fields and feed.problem is None:
                    continue
                data = feed.problem or _Row(fields, bytes(feed.raw))
            position += 1
            yield position, feed.line, data
            if isinstance(data, LostRestError):
                return

    def read(self, record: RawRecord) -> InputRecord:
        """Return the prompt of a row."""
        position, line, data = record
        if isinstance(data, LineError):
            raise data
        fields, count = data.fields, len(self._columns)
        if len(fields) != count and (len(fields) < count or any(fields[count:])):  # Excel adds empty ones
            raise LineError(f"has {quantity(len(fields), 'field')}, and the header has {count:,}")
        if b"\0" in data.raw:
            raise LineError("contains a NUL byte, which is not text")
        row = dict(zip(self._columns, fields, strict=False))
        prompt, empty = self._template.fill(row)
        return InputRecord(position, self._id_of(row, position), prompt, row, line=line, empty_field=empty)

    def raw(self, record: RawRecord) -> bytes:
        """Return the row as it is in the file."""
        raw: bytes = record[2].raw
        return raw if raw.endswith(b"\n") else raw + b"\n"

    def _read_header(self, feed: _Feed) -> None:
        csv.field_size_limit(LONGEST)
        fields: list[str] = []
        try:
            while not fields and not feed.at_end:
                feed.begin_row()
                first = feed.peek()
                if (named := _SEPARATOR_LINE.fullmatch(first)) is not None:
                    next(feed)
                    self._separators = named[1]
                    continue
                if not self._columns:
                    self._separator = _separator_of(first, self._separators)
                fields = next(csv.reader(feed, delimiter=self._separator, strict=True), [])
                if feed.problem is not None:
                    raise feed.problem
        except (csv.Error, LineError) as error:
            reason = error if isinstance(error, LineError) else _reason(error)
            advice = _CONVERT if "carriage return" in str(reason) else ""
            raise InputError(f"{self._name}:{feed.line}: the header cannot be read: {reason}{advice}") from None
        if not fields and not self._columns:
            raise InputError(f"{self._name}: has no prompts")
        self._set_columns(fields)
        header = feed.raw.removeprefix(BOM)
        self.header: bytes = bytes(header if header.endswith(b"\n") else header + b"\n")


class _Feed:
    """Feeds lines to the csv module, and records which of them the current row was read from."""

    def __init__(self, lines: Iterator[tuple[int, Line]], encoding: str | None) -> None:
        self._encoding = encoding
        self.line = 0
        """The line where the current row begins."""
        self.raw = bytearray()
        """The bytes of the current row."""
        self.problem: LineError | None = None
        """Why the current row is not usable though its fields could be separated: it is not UTF-8."""
        self._lines = lines
        self._next: tuple[int, Line] | None = None
        self._count = 0

    @property
    def at_end(self) -> bool:
        """Whether there are no more lines."""
        if self._next is None:
            self._next = next(self._lines, None)
        return self._next is None

    @property
    def spans_lines(self) -> bool:
        """Whether the current row is longer than one line."""
        return self._count > 1

    def peek(self) -> str:
        """Return the next line.

        Raises:
            LineError: It is not text.
        """
        if self.at_end or self._next is None:
            return ""
        self.line, line = self._next
        return self._decode(self.line, line)

    def begin_row(self) -> None:
        """Start a row with the next line."""
        self.raw.clear()
        self.problem = None
        self._count = 0

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        if self.at_end or self._next is None:
            raise StopIteration
        number, line = self._next
        self._next = None
        self._count += 1
        if self._count == 1:
            self.line = number
        if isinstance(line, LineError):
            raise line if self._count == 1 else LineError(f"{_NOT_CLOSED}, or line {number} is {line}")
        self.raw += line
        if len(self.raw) > LONGEST:
            raise LineError(f"longer than {LONGEST >> 20} MiB, or {_NOT_CLOSED}")
        try:
            return self._decode(number, line)
        except LineError as problem:  # the quotes are read on, so that it is known where the row ends
            place = "" if number == self.line else f" (line {number})"
            self.problem = self.problem or type(problem)(f"{problem}{place}")
            return line.decode(errors="replace")

    def _decode(self, number: int, line: Line) -> str:
        if isinstance(line, LineError):
            raise line
        return decode_line(line.removeprefix(BOM) if number == 1 else line, self._encoding)


def _separator_of(header: str, separators: str) -> str:
    return max(separators, key=lambda separator: len(next(csv.reader([header], delimiter=separator), ())))


def _reason(error: csv.Error) -> str:
    message = str(error)
    return next((reason for part, reason in _REASONS.items() if part in message), f"not CSV: {message}")
