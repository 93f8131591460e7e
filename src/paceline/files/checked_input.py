"""Checked inputs: the prompts of a file that was checked, read as often as needed.

Rules owned here:

1. The positions of the bad lines are known, so that they are skipped without a second check.
2. An input whose checked bytes are changed in place is not read on, so that no text is sent that was not checked. Lines that are
   added at its end are not read, and a file that is replaced is read as it was.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import BinaryIO

import attrs

from .._core.quantity import quantity, verb
from .._core.shards import Shard
from .check import describe_bad_lines
from .lines import ChangeGuard, reader_from
from .types import BadLine, InputError, InputFormat, InputKind, InputRecord, LineError, RawRecord


@attrs.frozen(kw_only=True)
class CheckedInput:
    """An input that was checked by an earlier run, so that the caller knows which positions are good; see `reopen_input`."""

    name: str
    """Path of the file, or "stdin"; messages begin with it."""
    identity: os.stat_result
    """Status of the file, by which an output can be compared with it."""
    _format: InputFormat = attrs.field(alias="input_format", repr=False)
    _file: BinaryIO = attrs.field(alias="file", repr=False)
    _start: int = attrs.field(default=0, alias="start", repr=False)
    """Offset in the file at which the input begins, in bytes."""
    _guard: ChangeGuard | None = attrs.field(alias="guard", repr=False)
    """Refuses what has changed since the check; None for a copy, which cannot change."""

    @property
    def has_ids(self) -> bool:
        """Whether the records that were read have ids of their own; otherwise their positions are their ids."""
        return self._format.has_ids

    def prompts(self, wanted: Callable[[int], bool]) -> Iterator[InputRecord]:
        """Yield the prompts at some positions, in order; the other records are skipped without parsing their JSON.

        Args:
            wanted: Returns whether a position is one of them. Of a `CheckedInput` these must be positions of good lines.

        Raises:
            InputError: The file has changed since it was checked.
        """
        for record in self._records():
            position, line, _ = record
            if not wanted(position):
                continue
            try:
                found = self._format.read(record)
                problem = "it is blank" if found is None else ""
            except LineError as error:
                found, problem = None, str(error)
            if found is None:
                raise InputError(
                    str(BadLine(self.name, position, f"has changed since it was checked: {problem}", line))
                )
            yield found

    def raw(self, wanted: Callable[[int], bool]) -> Iterator[bytes]:
        """Yield the lines of some positions as they are in the file, those of CSV after the header.

        Rows of Parquet are yielded as lines of JSON in paceline's own format.

        Args:
            wanted: As for `prompts`.

        Raises:
            InputError: The file has changed since it was checked.
        """
        is_first = True
        for record in self._records():
            if is_first and self._format.header:
                yield self._format.header
            is_first = False
            position, _, data = record
            if wanted(position) and not isinstance(data, LineError):
                yield self._format.raw(record)

    def _records(self) -> Iterator[RawRecord]:
        with closing(reader_from(self._file, self._start, self._guard)) as lines:
            yield from self._format.records(lines)


@attrs.frozen(kw_only=True)
class Input(CheckedInput):
    """An open input with the outcome of its check; see `open_input`. Iterating over it yields its good prompts in order."""

    kind: InputKind
    """Format."""
    count: int
    """Good prompts, after `limit`, `sample` and `shard`; also `len(input)`."""
    bad: tuple[BadLine, ...]
    """The first bad lines."""
    bad_count: int
    """All bad lines."""
    notes: tuple[str, ...] = ()
    """Sentences about how it was read, such as that its records are identified by numbers."""
    digest: bytes
    """BLAKE2b digest of the bytes that were read; see `digest_of`."""
    size: int
    """Bytes that were read: the complete file, unless `limit` ended the input early."""
    _left_out: Sequence[int] = attrs.field(alias="left_out", repr=False)
    """Positions of the bad lines, and of records that are left out because a field is empty."""
    _total: int = attrs.field(alias="total", repr=False)
    """Good prompts before a sample was drawn."""
    _drawn: Sequence[int] | None = attrs.field(alias="drawn", repr=False)
    """The sample, as numbers of good prompts from 0, ascending; None: all of them."""
    _shard: Shard | None = attrs.field(default=None, alias="shard", repr=False)
    """The part of the records that is yielded; None: all of them."""

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[InputRecord]:
        """Yield the good prompts in order.

        Raises:
            InputError: The file has changed since it was checked.
        """
        return self.prompts(lambda _: True)

    def complaints(self) -> list[str]:
        """Return one message for each of the first bad lines, and one for the number of the others."""
        return describe_bad_lines(self.bad, self.bad_count)

    def _records(self) -> Iterator[RawRecord]:
        """Yield the raw records of the good prompts."""
        bad = _Ascending(self._left_out)
        drawn = None if self._drawn is None else _Ascending(self._drawn)
        number, row, shard = 0, -1, self._shard
        for record in super()._records():
            if number == self._total or (drawn is not None and drawn.is_exhausted):
                return
            position, _, data = record
            is_blank = self._format.is_blank(data)
            row += not is_blank
            if bad.matches(position) or is_blank:
                continue
            number += 1
            if (drawn is None or drawn.matches(number - 1)) and (shard is None or shard.has_row(row)):
                yield record
        if number < self._total:
            missing = self._total - number
            raise InputError(
                f"{self.name}: has changed since it was checked: {quantity(missing, 'prompt')} {verb(missing)} missing"
            )


class _Ascending:
    """Numbers in ascending order, matched against an ascending sequence of candidates."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self._numbers = numbers
        self._next = 0

    @property
    def is_exhausted(self) -> bool:
        """Whether all of them were matched."""
        return self._next == len(self._numbers)

    def matches(self, number: int) -> bool:
        """Whether a candidate is one of them."""
        if self._next < len(self._numbers) and self._numbers[self._next] == number:
            self._next += 1
            return True
        return False
