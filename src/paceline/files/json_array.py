"""A JSON array of objects, or of prompts: split into its entries, each of them read as a line of JSONL.

1. The file is never held in memory as a whole: only one entry is.
2. Entries are separated where brackets and quotes are balanced. An entry that is not JSON is invalid on its own.
3. An array that is not closed, or followed by something else, is refused: its rest cannot be read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from .batch_lines import ID_FIELDS
from .json_lines import decode_line, parse_object
from .jsonl import ObjectRecords, numbered_note
from .lines import decoded
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

_CHUNK = 2**18  # bytes per read
_IN_STRING = re.compile(rb'\\.|"', re.DOTALL)
_OUTSIDE = re.compile(rb'["\[\]{},]')


class JsonArrayFormat:
    """Entries of one JSON array, each a prompt.

    Args:
        name: Name of the input, for messages.
        reading: Options.
    """

    header = b""

    def __init__(self, name: str, reading: Reading) -> None:
        self._name = name
        self._reading = reading
        self._objects = ObjectRecords(name, reading)
        self._found: InputKind | None = None

    kind = InputKind.JSON

    @property
    def has_ids(self) -> bool:
        """Whether the entries that were read have ids of their own."""
        return not self._objects.unnamed and self._reading.id_column != ""

    @property
    def ids_may_repeat(self) -> bool:
        """Whether entries may name themselves."""
        return self._reading.id_column != ""

    @property
    def id_field(self) -> str:
        """Name of the field of ids."""
        return ID_FIELDS.get(self._found or self.kind) or self._reading.id_column or "id"

    @property
    def notes(self) -> Sequence[str]:
        """Sentences about how the entries were read."""
        return numbered_note(self._name, self._objects.unnamed, "entries", self._reading)

    def records(self, lines: Lines) -> Iterator[RawRecord]:
        """Yield the entries.

        Raises:
            InputError: The file is not an array.
        """
        splitter = _Splitter(self._name)
        source = decoded(lines, self._reading.encoding, self._name)
        position = 0
        while piece := source.readline(_CHUNK):
            while piece.endswith(b"\\") and (more := source.readline(1)):
                piece += more  # an escaped character is not separated from its backslash
            for line, entry in splitter.feed(piece):
                position += 1
                yield position, line, entry
        for line, entry in splitter.finish():
            position += 1
            yield position, line, entry

    def read(self, record: RawRecord) -> InputRecord:
        """Return the prompt of an entry."""
        position, line, data = record
        if isinstance(data, LineError):
            raise data
        text = decode_line(data, self._reading.encoding)
        if data.startswith(b'"') and self._reading.template is None:
            (prompt,) = parse_object(data + b"\n", f'{{"prompt": {text}}}').values()
            return self._objects.read(InputKind.JSONL, position, line or 0, {"prompt": prompt})
        fields = parse_object(data + b"\n", text)
        if self._found is None:
            self._found = self._objects.kind_of(fields)
        return self._objects.read(self._found or InputKind.JSONL, position, line or 0, fields)

    def is_blank(self, data: Line) -> bool:  # noqa: ARG002
        """Return False: what is blank is not an entry."""
        return False

    def raw(self, record: RawRecord) -> bytes:
        """Return an entry as a line of JSONL."""
        self.read(record)  # counts an entry without an id
        value = json.loads(record[2])
        fields = {"prompt": value} if isinstance(value, str) else value
        return json.dumps(fields, ensure_ascii=False).encode() + b"\n"


class _Splitter:
    """Finds the entries of an array in pieces of its text."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._entry = bytearray()
        self._is_too_long = False
        self._begin = self._line = 1  # line where the entry begins, and the current line
        self._depth = 0  # open brackets, that of the array included
        self._in_string = self._is_closed = False

    def feed(self, piece: bytes) -> Iterator[tuple[int, Line]]:
        """Yield the entries that end in a piece, each with its line.

        A piece has at most one line end, which is its last byte, and does not end with a backslash.
        """
        place = 0
        if not self._depth and not self._is_closed:
            start = piece.removeprefix(BOM) if self._line == 1 else piece
            if start.strip() and not start.lstrip().startswith(b"["):
                raise InputError(f"{self._name}: is not a JSON array of objects")
            place = piece.find(b"[") + 1 or len(piece)
            self._depth = 1 if start.strip() else 0
        while place < len(piece):
            found = (_IN_STRING if self._in_string else _OUTSIDE).search(piece, place) if not self._is_closed else None
            if found is None:
                self._keep(piece[place:])
                break
            self._keep(piece[place : found.start()])
            place = found.end()
            yield from self._take(found[0])
        self._line += piece.endswith(b"\n")

    def finish(self) -> Iterator[tuple[int, Line]]:
        """Yield the last entry if only the end of the array is missing, and what is wrong with the end, if anything is."""
        if not self._is_closed:
            if self._depth == 1 and self._entry and not self._in_string:  # it is complete
                yield self._begin, self._entry_found()
            yield (
                self._line,
                LostRestError(
                    "the array is not closed: the file looks cut off, or a quote in it is not closed; correct it, or make it again"
                ),
            )
        elif self._entry:
            yield self._begin, LostRestError("text follows the end of the array; make it a part of the array")

    def _take(self, token: bytes) -> Iterator[tuple[int, Line]]:
        """Take a quote, a bracket, a comma or an escaped character."""
        is_end = not self._in_string and self._depth == 1 and token in {b",", b"]"}
        if self._in_string or token == b'"':
            self._in_string ^= token == b'"'
        elif token in b"[{":
            self._depth += 1
        elif token in b"]}" and self._depth > 1:
            self._depth -= 1
        if not is_end:
            self._keep(token)
            return
        self._is_closed = token == b"]"
        if token == b"," or self._entry:
            yield self._begin, self._entry_found()
        self._entry.clear()
        self._is_too_long = False

    def _entry_found(self) -> Line:
        if self._is_too_long:
            return LineError(f"longer than {LONGEST >> 20} MiB")
        return bytes(self._entry).rstrip() or LineError("is empty: there are two commas, or one before the first entry")

    def _keep(self, piece: bytes) -> None:
        if not self._entry:
            piece = piece.lstrip()
            self._begin = self._line
        if len(self._entry) + len(piece) > LONGEST:
            self._is_too_long = True
        else:
            self._entry += piece
