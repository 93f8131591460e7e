"""Which prompts an input holds: checked to its last line before the first call is made.

1. Two passes and little memory: the first checks every line, the second hands the prompts over. Of the ids nothing is kept in
   memory; of bad lines the first, and of all of them their positions. What cannot be read twice (a pipe) is kept in a temporary
   file in between.
2. The kind is what the caller says; else what the suffix says, and the first line: lines of JSON may be paceline's own, or those
   of a provider's batch API. Stdin, or a pipe, is JSON if its first character is a brace. Any other file is text, but if it begins
   like JSON and not like a line of a batch API the caller must say so: prompts are paid for.
3. A line that cannot be taken is told with its place and the reason, and the others go on; unless the caller is strict.
4. With a limit, the input ends after so many good prompts; what follows is not looked at. A sample is drawn of what is left.
5. A complaint names the file and the line, and never quotes a prompt.

An input that was checked by an earlier run: only what is wanted of it is read.
"""

from __future__ import annotations

import os
import random
import sqlite3
import stat
import tempfile
from array import array
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import BinaryIO

import attrs

from .check import Check, Objection, complaints_of
from .csv_rows import CsvFormat
from .jsonl import LineFormat
from .lines import DigestingReader, open_source, reader_from
from .parquet_rows import ParquetForm, copied, is_parquet
from .types import BadLine, InputError, InputFormat, InputKind, InputRecord, LineError, Record

_JSON = {".jsonl", ".ndjson"}
_BY_SUFFIX = {".csv": InputKind.CSV, ".tsv": InputKind.CSV, ".parquet": InputKind.PARQUET, ".pq": InputKind.PARQUET}
_TEXT = {".txt", ".text"}
_SEED = 0  # of samples: the same input has the same


@attrs.frozen(kw_only=True)
class Input:
    """An input that was checked; made by `open_input`."""

    name: str
    kind: InputKind
    count: int
    """Good prompts."""
    bad: tuple[BadLine, ...]
    """The first lines that cannot be taken."""
    bad_count: int
    """All of them."""
    digest: bytes
    """Of the bytes that were looked at."""
    size: int
    """These bytes."""
    identity: os.stat_result
    """Of the file that it came from."""
    _form: InputFormat = attrs.field(alias="form", repr=False)
    _file: BinaryIO = attrs.field(alias="file", repr=False)
    _start: int = attrs.field(alias="start", repr=False)
    _passed: array[int] = attrs.field(alias="passed", repr=False)
    """The positions of the bad ones."""
    _total: int = attrs.field(alias="total", repr=False)
    """Good ones, before a sample was drawn."""
    _drawn: array[int] | None = attrs.field(alias="drawn", repr=False)
    """The sample, as numbers of good ones from 0; None: all."""

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[InputRecord]:
        """Yield the good prompts in their order.

        Raises:
            InputError: the file is not what it was when it was checked.
        """
        return self.prompts(lambda _: False)

    def prompts(self, skip: Callable[[int], bool]) -> Iterator[InputRecord]:
        """Yield the good prompts in their order, but for those at some positions, which are passed over unread.

        Args:
            skip: says whether a position is passed over.

        Raises:
            InputError: the file is not what it was when it was checked.
        """
        for position, line, data in self._good():
            if skip(position):
                continue
            try:
                prompt = self._form.read(position, data)
            except LineError as error:
                bad = BadLine(position, f"changed while it was read: {error}", line)
                raise InputError(bad.told(self.name)) from None
            if prompt is not None:
                yield prompt

    def raw(self, wanted: Callable[[int], bool]) -> Iterator[bytes]:
        """Yield the lines of the good prompts at some positions as they are, those of CSV below the header.

        Rows of Parquet come as lines of JSON in paceline's own form.

        Args:
            wanted: says whether a position is.

        Raises:
            InputError: the file is not what it was when it was checked.
        """
        if self._form.header:
            yield self._form.header
        for position, _, data in self._good():
            if wanted(position):
                yield self._form.raw(position, data)

    def complaints(self) -> list[str]:
        """Return a sentence for each of the first bad lines, and one for how many more there are."""
        return complaints_of(self.name, self.bad, self.bad_count)

    def _good(self) -> Iterator[Record]:
        """Yield the records of the good prompts, as far as can be told without reading them."""
        passed = _Ascending(self._passed)
        drawn = _Ascending(self._drawn) if self._drawn is not None else None
        number = 0
        with closing(reader_from(self._file, self._start)) as lines:
            for record in self._form.records(lines):
                if number == self._total or (drawn is not None and drawn.at_end):
                    return
                position, _, data = record
                if passed.has(position) or self._form.is_blank(data):
                    continue
                number += 1
                if drawn is None or drawn.has(number - 1):
                    yield record
        if number < self._total:
            raise InputError(f"{self.name}: changed while it was read: {self._total - number} prompts are gone")


@contextmanager
def open_input(  # noqa: PLR0913 - all but the path have good defaults
    path: str,
    *,
    kind: InputKind | None = None,
    template: str | None = None,
    limit: int | None = None,
    sample: int | None = None,
    strict: bool = False,
    visit: Callable[[InputRecord], None] | None = None,
    objection: Objection | None = None,
) -> Iterator[Input]:
    """Open and check an input.

    Args:
        path: of the file; - for stdin.
        kind: of the input, if it is known.
        template: of the prompts, with the names of columns in braces; for CSV and Parquet.
        limit: good prompts at most: the first ones.
        sample: prompts at most, drawn by chance; of the same input always the same.
        strict: whether one line that cannot be taken is one too many.
        visit: is given every good prompt once, before any is handed over.
        objection: says of each prompt that is well written why it cannot be taken all the same, if so.

    Raises:
        InputError: it cannot be read, or has no good prompts, or there is a line that cannot be taken and that is not to be.
        MissingExtraError: Parquet needs pyarrow.
    """
    name = "stdin" if path == "-" else path
    with ExitStack() as stack:
        try:
            source = stack.enter_context(open_source(path))
            identity = os.fstat(source.fileno())
            again = source
            if not stat.S_ISREG(identity.st_mode):
                again = stack.enter_context(tempfile.TemporaryFile())
            form = format_of(path, name, kind, template, source, copied=again is not source)
            check = Check(name, form, None if sample is not None else visit, objection)
            start, looked = _first_pass(check, source, again, limit)
        except OSError as error:
            raise InputError(f"{name}: cannot be read: {error.strerror or error}") from None
        except sqlite3.Error as error:
            raise InputError(f"{name}: its ids cannot be kept in a temporary file: {error}") from None
        check.conclude(strict=strict)
        drawn = _draw(sample, check.count) if sample is not None else None
        checked = Input(
            name=name,
            kind=form.kind,
            count=check.count if drawn is None else len(drawn),
            bad=tuple(check.bad),
            bad_count=len(check.passed),
            digest=looked.digest,
            size=looked.size,
            identity=identity,
            form=form,
            file=again,
            start=start,
            passed=check.passed,
            total=check.count,
            drawn=drawn,
        )
        if drawn is not None and visit is not None:
            for prompt in checked:
                visit(prompt)
        yield checked


def _first_pass(check: Check, source: BinaryIO, again: BinaryIO, limit: int | None) -> tuple[int, DigestingReader]:
    """Check an input; return where it starts, and what was looked at."""
    if check.form.kind is InputKind.PARQUET:
        if again is not source:
            copied(source, again)
            again.seek(0)
        start = again.tell()
        with closing(reader_from(again, start)) as rows:
            check.all(check.form.records(rows), limit)
        looked = DigestingReader(again, None)
        looked.rest()
        return start, looked
    start = again.tell()
    looked = DigestingReader(source, None if again is source else again)
    check.all(check.form.records(looked), limit)
    again.flush()
    return start, looked


def format_of(  # noqa: PLR0913 - all that can tell
    path: str, name: str, kind: InputKind | None, template: str | None, source: BinaryIO, *, copied: bool
) -> InputFormat:
    """Return how an input is read, from all that can tell."""
    suffix = "" if copied or path == "-" else Path(path).suffix.lower()
    kind = kind or _BY_SUFFIX.get(suffix) or (InputKind.TEXT if suffix in _TEXT else None)
    if kind is None and suffix not in _JSON and is_parquet(source.peek(4)[:4]):  # type: ignore[attr-defined]  # it is buffered
        kind = InputKind.PARQUET
    if kind is InputKind.CSV:
        return CsvFormat(name, template)
    if kind is InputKind.PARQUET:
        return ParquetForm(name, template)
    if template is not None:
        raise InputError(f"{name}: a template of prompts is for CSV and Parquet; say --input-format csv if it is")
    is_json = Path(path).suffix.lower() in _JSON
    return LineFormat(name, kind, is_json=is_json, may_guess=path == "-" or copied)


class _Ascending:
    """Numbers that are asked for in their order."""

    def __init__(self, numbers: array[int]) -> None:
        self._numbers = numbers
        self._next = 0

    @property
    def at_end(self) -> bool:
        """Whether there are no more of them."""
        return self._next == len(self._numbers)

    def has(self, number: int) -> bool:
        """Whether a number is one of them."""
        if self._next < len(self._numbers) and self._numbers[self._next] == number:
            self._next += 1
            return True
        return False


def _draw(sample: int, count: int) -> array[int]:
    """Return some of so many numbers, in order."""
    chance = random.Random(_SEED)  # noqa: S311 - a sample, no secret
    return array("Q", sorted(chance.sample(range(count), min(sample, count))))


@attrs.frozen(kw_only=True)
class CheckedInput:
    """An input whose bytes are known to be those that were checked; made by `reopen_input`."""

    name: str
    identity: os.stat_result
    """Of the file."""
    _form: InputFormat = attrs.field(alias="form", repr=False)
    _file: BinaryIO = attrs.field(alias="file", repr=False)

    @property
    def has_ids(self) -> bool:
        """Whether the records that were read name themselves; else each is named by its number."""
        return self._form.has_ids

    def prompts(self, wanted: Callable[[int], bool]) -> Iterator[InputRecord]:
        """Yield the prompts at some positions, at which there are good ones, in their order.

        Args:
            wanted: says whether a position is one.

        Raises:
            InputError: the file is not what it was.
        """
        for position, line, data in self._records():
            if not wanted(position):
                continue
            try:
                prompt = self._form.read(position, data)
            except LineError as error:
                raise InputError(BadLine(position, f"has changed: {error}", line).told(self.name)) from None
            if prompt is None:
                raise InputError(BadLine(position, "has changed: it is blank", line).told(self.name))
            yield prompt

    def raw(self, wanted: Callable[[int], bool]) -> Iterator[bytes]:
        """Yield the lines at some positions as they are, those of CSV below the header; those of Parquet as JSON."""
        header = True
        for position, _, data in self._records():
            if header and self._form.header:
                yield self._form.header
            header = False
            if wanted(position) and not isinstance(data, LineError):
                yield self._form.raw(position, data)

    def _records(self) -> Iterator[Record]:
        with closing(reader_from(self._file, 0)) as lines:
            yield from self._form.records(lines)


@contextmanager
def reopen_input(path: str, *, kind: InputKind, template: str | None = None) -> Iterator[CheckedInput]:
    """Open an input that was checked before, without checking it.

    Args:
        path: of a regular file.
        kind: of the input.
        template: of the prompts, with the names of columns in braces.

    Raises:
        InputError: it cannot be read.
    """
    try:
        opened = Path(path).open("rb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    with opened as file:
        form = format_of(path, path, kind, template, file, copied=False)
        yield CheckedInput(name=path, identity=os.fstat(file.fileno()), form=form, file=file)
