"""Pages of Parquet: how large a column's pages are once decompressed, by the headers that the reader has to obey.

The footer says it too, but nothing depends on what it says: a small file could claim little and expand to gigabytes.

A header is in Thrift's compact form (parquet.thrift, `PageHeader`): field 1 is the type of the page, 2 its size decompressed, 3 its size
in the file; the others are skipped. The page follows its header.
"""

from __future__ import annotations

from typing import Any, Final

_LARGEST_HEAD: Final = 2**20  # bytes: a header may hold the least and the largest value of its page
_FIRST_READ: Final = 256  # bytes of a header without such values
_SIZE, _COMPRESSED = 2, 3  # fields
_DEEPEST = 16  # structures within each other; a header has four
_MOST_IN_A_LIST = 10_000
_LAST_BYTE = 0x80  # a byte of a varint that is smaller is its last one
_LONG_LIST = 15
_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)


class DamagedPageError(ValueError):
    """A page has no header that can be read."""


def expanded_size(file: Any, start: int, length: int) -> int:
    """Return how many bytes the pages of a column of a row group have together once they are decompressed.

    Args:
        file: The file, open for reading bytes.
        start: Where the first page begins.
        length: Bytes that all of them have in the file, with their headers.

    Raises:
        DamagedPageError: A header cannot be read.
    """
    size, end = 0, start + length
    while start < end:
        head = _head_at(file, start)
        size += head.values[_SIZE]
        start += head.position + head.values[_COMPRESSED]
    return size


def _head_at(file: Any, start: int) -> _Head:
    wanted = _FIRST_READ
    while True:
        file.seek(start)
        data = file.read(wanted)
        try:
            head = _Head(data)
        except IndexError:
            if len(data) < wanted or wanted >= _LARGEST_HEAD:
                raise DamagedPageError(f"the page at byte {start:,} has no header that can be read") from None
            wanted *= 16
            continue
        if head.values.keys() >= {_SIZE, _COMPRESSED} and min(head.values.values()) >= 0:
            return head
        raise DamagedPageError(f"the page at byte {start:,} has a header without sizes")


class _Head:
    """A header: its numbers by field, and its length as the position behind it."""

    def __init__(self, data: bytes) -> None:
        self.position = 0
        self.values: dict[int, int] = {}
        self._data = data
        self._read_struct(self.values, 0)

    def _byte(self) -> int:
        value = self._data[self.position]
        self.position += 1
        return value

    def _varint(self) -> int:
        number = shift = 0
        while True:
            byte = self._byte()
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < _LAST_BYTE:
                return number

    def _number(self) -> int:
        number = self._varint()
        return (number >> 1) ^ -(number & 1)

    def _read_struct(self, values: dict[int, int] | None, depth: int) -> None:
        if depth > _DEEPEST:
            raise DamagedPageError("a page has a header with too many structures within each other")
        field = 0
        while head := self._byte():
            field = field + (head >> 4) if head >> 4 else self._number()
            kind = head & 0x0F
            if kind == _I32 and values is not None:
                values[field] = self._number()
            elif kind not in {_TRUE, _FALSE}:
                self._skip(kind, depth)

    def _skip(self, kind: int, depth: int) -> None:
        if kind in {_TRUE, _FALSE, _BYTE}:  # in a list a truth value is a byte
            self._move(1)
        elif kind in {_I16, _I32, _I64}:
            self._varint()
        elif kind == _DOUBLE:
            self._move(8)
        elif kind == _BINARY:
            self._move(self._varint())
        elif kind in {_LIST, _SET}:
            head = self._byte()
            count = head >> 4 if head >> 4 < _LONG_LIST else self._varint()
            self._skip_many([head & 0x0F], count, depth)
        elif kind == _MAP:
            if count := self._varint():
                kinds = self._byte()
                self._skip_many([kinds >> 4, kinds & 0x0F], count, depth)
        elif kind == _STRUCT:
            self._read_struct(None, depth + 1)
        else:
            raise DamagedPageError("a page has a header with a field of an unknown type")

    def _skip_many(self, kinds: list[int], count: int, depth: int) -> None:
        if count > _MOST_IN_A_LIST or depth > _DEEPEST:
            raise DamagedPageError("a page has a header with too many values")
        for _ in range(count):
            for kind in kinds:
                self._skip(kind, depth + 1)

    def _move(self, count: int) -> None:
        self.position += count
        if self.position > len(self._data):
            raise IndexError
