"""CSV: rows of fields under a header, each with the bytes that it was read from.

1. A quoted field may contain line breaks; a row's place is the line where it begins.
2. A row is bad on its own, and the next line begins the next row. But where the quotes of a row that spans lines are wrong,
   nothing says where it ends: reading stops there, and its bad line says that the rest of the file was not read.
3. Fields are separated by commas, semicolons or tabs: by the one that splits the header into the most columns.
4. Every row has as many fields as the header. The complete row is the context; the column `id`, if there is one, is the id.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator

import attrs

from .jsonl import check_id, decode_line
from .lines import numbered
from .template import TableFormat, first_duplicate
from .types import BOM, LONGEST, InputError, InputKind, InputRecord, Line, LineError, Lines, RawRecord, quote

# csv.Sniffer is not better than the header: it fails on files of one column, and it looks at prose, which has commas too.
_SEPARATORS = ",;\t"
_NOT_CLOSED = "a quote is opened and not closed"
_REASONS = {  # by a part of the csv module's message
    "unexpected end of data": _NOT_CLOSED,
    "field larger": f"{_NOT_CLOSED}, or the row is longer than {LONGEST >> 20} MiB",
    "new-line character": "a carriage return stands alone, outside of quotes",
    "' expected after '": "a quote is closed before its field ends",
}
_STOPPED = "; the rest of the file was not read"


@attrs.frozen
class _Row:
    fields: list[str]
    raw: bytes


class CsvFormat(TableFormat):
    """Rows of CSV, each a prompt.

    Reading sets `csv.field_size_limit` to 32 MiB, which holds for the whole process: the csv module has no other setting.
    """

    kind = InputKind.CSV

    def __init__(self, name: str, template: str | None) -> None:
        super().__init__(name, template)
        self._separator = ","

    def records(self, lines: Lines) -> Iterator[RawRecord]:
        """Yield the rows below the header.

        Raises:
            InputError: The header cannot be read, differs from the header of the first pass, or does not fit the template.
        """
        feed = _Feed(numbered(lines))
        self._read_header(feed)
        reader = csv.reader(feed, delimiter=self._separator, strict=True)
        position = 0
        while not feed.at_end:
            feed.begin_row()
            data: _Row | LineError
            is_lost = False
            try:
                fields = next(reader, [])
            except (csv.Error, LineError) as error:
                is_lost = feed.spans_lines
                reason = str(error) if isinstance(error, LineError) else _reason(error)
                data = LineError(reason + (_STOPPED if is_lost else ""))
            else:
                if not fields and feed.problem is None:
                    continue
                data = feed.problem or _Row(fields, bytes(feed.raw))
            position += 1
            yield position, feed.line, data
            if is_lost:
                return

    def read(self, record: RawRecord) -> InputRecord:
        """Return the prompt of a row."""
        position, line, data = record
        if isinstance(data, LineError):
            raise data
        if len(data.fields) != len(self._columns):
            raise LineError(f"has {len(data.fields)} fields, and the header has {len(self._columns)}")
        if b"\0" in data.raw:
            raise LineError("contains a NUL byte, which is not text")
        row = dict(zip(self._columns, data.fields, strict=True))
        name = check_id(row["id"], "id") if "id" in row else str(position)
        return InputRecord(position, name, self._template.fill(row), row, line=line)

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
                if not self._columns:
                    self._separator = _separator_of(feed.peek())
                fields = next(csv.reader(feed, delimiter=self._separator, strict=True), [])
                if feed.problem is not None:
                    raise feed.problem
        except (csv.Error, LineError) as error:
            reason = error if isinstance(error, LineError) else _reason(error)
            raise InputError(f"{self._name}:{feed.line}: the header cannot be read: {reason}") from None
        if not fields and not self._columns:
            raise InputError(f"{self._name}: has no prompts")
        if not self._columns and (duplicate := first_duplicate(fields)) is not None:
            raise InputError(f"{self._name}:{feed.line}: the header has the column {quote(duplicate)} twice")
        self._set_columns(fields)
        header = feed.raw.removeprefix(BOM)
        self.header: bytes = bytes(header if header.endswith(b"\n") else header + b"\n")


class _Feed:
    """Feeds lines to the csv module, and records which of them the current row was read from."""

    def __init__(self, lines: Iterator[tuple[int, Line]]) -> None:
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
        return _decode(self.line, line)

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
            return _decode(number, line)
        except LineError as problem:  # the quotes are read on, so that it is known where the row ends
            place = "" if number == self.line else f" (line {number})"
            self.problem = self.problem or LineError(f"{problem}{place}")
            return line.decode(errors="replace")


def _decode(number: int, line: Line) -> str:
    if isinstance(line, LineError):
        raise line
    return decode_line(line.removeprefix(BOM) if number == 1 else line)


def _separator_of(header: str) -> str:
    return max(_SEPARATORS, key=lambda separator: len(next(csv.reader([header], delimiter=separator), ())))


def _reason(error: csv.Error) -> str:
    message = str(error)
    return next((reason for part, reason in _REASONS.items() if part in message), f"not CSV: {message}")
