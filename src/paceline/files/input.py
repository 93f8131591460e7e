"""Inputs: files of prompts, checked to the last line before the first call and then read as often as needed.

1. An input is read in two passes that hold little in memory: the first checks every line, the second yields the prompts. Between
   them stay the positions of all bad lines and the text of the first few; ids are kept on disk. What cannot be read twice (a
   pipe) is copied to a temporary file.
2. The format is the one that the caller gives, or is determined by the suffix and the first line; see `source`.
3. A bad line is reported with its place and the reason, and the other lines are used, unless the check is strict. What else is
   worth saying (ids that are numbers, empty fields) is said once, in a note.
4. An input whose checked bytes are changed in place is not read on, so that no text is sent that was not checked. Lines that are
   added at its end are not read, and a file that is replaced is read as it was.
5. With a limit the input ends after that number of good prompts, and the rest is not read. A sample is drawn from what is left; of the
   same prompts, a larger sample contains each smaller one.
6. A message names the file and the line, and never quotes a prompt.
"""

from __future__ import annotations

import os
import random
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import BinaryIO

import attrs

from .._core.quantity import quantity, verb
from .check import Check, Objection, describe_bad_lines
from .lines import ChangeGuard, DigestingReader, python_encoding, reader_from
from .source import Source, errors_as_input_error, open_source, rows_reader
from .types import BadLine, InputError, InputFormat, InputKind, InputRecord, LineError, RawRecord, Reading

_SEED = 0  # of samples: the same input gives the same sample, and a larger sample contains a smaller one


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
    """Good prompts, after `limit` and `sample`; also `len(input)`."""
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
        number = 0
        for record in super()._records():
            if number == self._total or (drawn is not None and drawn.is_exhausted):
                return
            position, _, data = record
            if bad.matches(position) or self._format.is_blank(data):
                continue
            number += 1
            if drawn is None or drawn.matches(number - 1):
                yield record
        if number < self._total:
            missing = self._total - number
            raise InputError(
                f"{self.name}: has changed since it was checked: {quantity(missing, 'prompt')} {verb(missing)} missing"
            )


@contextmanager
def open_input(  # noqa: PLR0913 - all but the path have good defaults
    path: str,
    *,
    kind: InputKind | None = None,
    template: str | None = None,
    id_column: str | None = None,
    encoding: str | None = None,
    skip_empty: bool = False,
    limit: int | None = None,
    sample: int | None = None,
    strict: bool = False,
    visit: Callable[[InputRecord], None] | None = None,
    objection: Objection | None = None,
) -> Iterator[Input]:
    """Open an input and check all of it; it is closed at the end of the block.

    Args:
        path: Path of the file; "-" for stdin.
        kind: Format; None: by the file's name and first line.
        template: Template of the prompts, with columns or JSON fields in braces; None: the field `prompt`.
        id_column: Column or field with the ids; "": number the records. None: `id`, in any case.
        encoding: Encoding of a text file, a name of Python's; None: UTF-8, and a line that is not makes the input unusable.
        skip_empty: Whether records are left out in which a field of the prompt is empty or null.
        limit: Most good prompts: the first ones. None: all.
        sample: Most prompts, drawn at random from what `limit` leaves; the same input gives the same sample. None: all.
        strict: Whether one bad line makes the input unusable.
        visit: Called with each good prompt, before the input is yielded.
        objection: Returns why a well-formed prompt cannot be used all the same; None if it can.

    Raises:
        InputError: It cannot be read to its end, has no good prompts, repeats many ids, or has a bad line while `strict` is true.
        MissingExtraError: The file is Parquet, and pyarrow is not installed.
    """
    reading = Reading(
        kind=kind, template=template, id_column=id_column, encoding=python_encoding(encoding), skip_empty=skip_empty
    )
    with open_source(path, reading) as source:
        check = Check(
            source.name, source.input_format, objection, skip_empty=skip_empty, refuse_undecodable=encoding is None
        )
        read = _check_all(source, check, limit, None if sample is not None else visit)
        check.conclude(strict=strict)
        notes = check.notes()
        drawn = None if sample is None else _draw(sample, check.count)
        guard = ChangeGuard(
            source.name, source.file, source.identity, start=source.start, size=read.size, digest=read.digest
        )
        checked = Input(
            name=source.name,
            kind=source.input_format.kind,
            count=check.count if drawn is None else len(drawn),
            bad=tuple(check.bad),
            bad_count=check.bad_count,
            notes=tuple(notes),
            digest=read.digest,
            size=read.size,
            identity=source.identity,
            input_format=source.input_format,
            file=source.copy or source.file,
            start=source.start,
            guard=guard if source.copy is None else None,
            left_out=check.left_out,
            total=check.count,
            drawn=drawn,
        )
        if drawn is not None and visit is not None:
            for found in checked:
                visit(found)
        yield checked


@contextmanager
def examine_input(path: str, reading: Reading, *, limit: int | None) -> Iterator[Iterator[InputRecord | BadLine]]:
    """Open an input; yield an iterator that reads it once, and yields each bad line in its place.

    Args:
        path: Path of the file; "-" for stdin.
        reading: Options.
        limit: Most good prompts; None: all.

    Raises:
        InputError: It cannot be read.
        MissingExtraError: The file is Parquet, and pyarrow is not installed.
    """
    with open_source(path, reading) as source:
        yield _examine(source, reading, limit)


@contextmanager
def reopen_input(  # noqa: PLR0913 - all but the path and the format have good defaults
    path: str,
    *,
    kind: InputKind,
    template: str | None = None,
    id_column: str | None = None,
    encoding: str | None = None,
    exact_id: bool = False,
    digest: bytes | None = None,
    size: int = 0,
) -> Iterator[CheckedInput]:
    """Open an input that was checked before, without checking it; it is closed at the end of the block.

    Args:
        path: Path of a regular file.
        kind: Format.
        template: Template of the prompts, as for `open_input`.
        id_column: Column or field with the ids, as for `open_input`.
        encoding: Encoding of a text file, as for `open_input`.
        exact_id: Whether only a column named exactly `id` holds ids: the rule under which older versions read.
        digest: Digest of the bytes that were checked, as `Input.digest` has it; None: any change of the file from now on counts.
        size: Number of these bytes.

    Raises:
        InputError: It cannot be read.
    """
    reading = Reading(
        kind=kind, template=template, id_column=id_column, encoding=python_encoding(encoding), exact_id=exact_id
    )
    with open_source(path, reading) as source:
        guard = ChangeGuard(path, source.file, source.identity, size=size, digest=digest)
        yield CheckedInput(
            name=path, identity=source.identity, input_format=source.input_format, file=source.file, guard=guard
        )


def _check_all(
    source: Source, check: Check, limit: int | None, visit: Callable[[InputRecord], None] | None
) -> DigestingReader:
    """Make the first pass; return the reader that digested what was read."""
    with errors_as_input_error(source.name), ExitStack() as stack:
        if source.input_format.kind is InputKind.PARQUET:  # read from its end, and digested as a whole
            records = source.input_format.records(stack.enter_context(closing(rows_reader(source))))
            read = DigestingReader(source.copy or source.file, None)
        else:
            read = DigestingReader(source.file, source.copy)
            records = source.input_format.records(read)
        for found in check.examine(records, limit):
            if visit is not None and isinstance(found, InputRecord):
                visit(found)
        if check.count != limit or source.input_format.kind is InputKind.PARQUET:
            read.read_rest()
        if source.copy is not None:
            source.copy.flush()
        return read


def _examine(source: Source, reading: Reading, limit: int | None) -> Iterator[InputRecord | BadLine]:
    with errors_as_input_error(source.name), ExitStack() as stack:
        lines = source.file
        if source.input_format.kind is InputKind.PARQUET:
            lines = stack.enter_context(closing(rows_reader(source)))
        check = Check(source.name, source.input_format, skip_empty=reading.skip_empty)
        yield from check.examine(source.input_format.records(lines), limit)


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


def _draw(sample: int, count: int) -> array[int]:
    """Return `sample` of the numbers below `count`, or all if there are fewer, ascending.

    They are the first of one shuffle of all numbers, so that a larger sample contains each smaller one. Of the shuffle only the places
    that a swap has changed are kept.
    """
    generator = random.Random(_SEED)  # noqa: S311 - a sample, not a secret
    moved: dict[int, int] = {}
    drawn = array("Q")
    for place in range(min(sample, count)):
        other = generator.randrange(place, count)
        drawn.append(moved.get(other, other))
        moved[other] = moved.pop(place, place)
    return array("Q", sorted(drawn))
