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

from .bytes import Looked, reader_at
from .check import Check, Objection, complaints_of
from .csv_rows import CsvForm
from .forms import Form, LineForm, Record
from .kinds import BadLine, InputError, Kind, LineError, Prompt
from .parquet_rows import ParquetForm, copied, is_parquet
from .sources import opened

_JSON = {".jsonl", ".ndjson"}
_BY_SUFFIX = {".csv": Kind.CSV, ".tsv": Kind.CSV, ".parquet": Kind.PARQUET, ".pq": Kind.PARQUET}
_TEXT = {".txt", ".text"}
_SEED = 0  # of samples: the same input has the same


@attrs.frozen(kw_only=True)
class Input:
    """An input that was checked; made by `open_input`."""

    name: str
    kind: Kind
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
    _form: Form = attrs.field(alias="form", repr=False)
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

    def __iter__(self) -> Iterator[Prompt]:
        """Yield the good prompts in their order.

        Raises:
            InputError: the file is not what it was when it was checked.
        """
        return self.prompts(lambda _: False)

    def prompts(self, skip: Callable[[int], bool]) -> Iterator[Prompt]:
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
        with closing(reader_at(self._file, self._start)) as lines:
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
    kind: Kind | None = None,
    template: str | None = None,
    limit: int | None = None,
    sample: int | None = None,
    strict: bool = False,
    visit: Callable[[Prompt], None] | None = None,
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
            source = stack.enter_context(opened(path))
            identity = os.fstat(source.fileno())
            again = source
            if not stat.S_ISREG(identity.st_mode):
                again = stack.enter_context(tempfile.TemporaryFile())
            form = form_of(path, name, kind, template, source, copied=again is not source)
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


def _first_pass(check: Check, source: BinaryIO, again: BinaryIO, limit: int | None) -> tuple[int, Looked]:
    """Check an input; return where it starts, and what was looked at."""
    if check.form.kind is Kind.PARQUET:
        if again is not source:
            copied(source, again)
            again.seek(0)
        start = again.tell()
        with closing(reader_at(again, start)) as rows:
            check.all(check.form.records(rows), limit)
        looked = Looked(again, None)
        looked.rest()
        return start, looked
    start = again.tell()
    looked = Looked(source, None if again is source else again)
    check.all(check.form.records(looked), limit)
    again.flush()
    return start, looked


def form_of(  # noqa: PLR0913 - all that can tell
    path: str, name: str, kind: Kind | None, template: str | None, source: BinaryIO, *, copied: bool
) -> Form:
    """Return how an input is read, from all that can tell."""
    suffix = "" if copied or path == "-" else Path(path).suffix.lower()
    kind = kind or _BY_SUFFIX.get(suffix) or (Kind.TEXT if suffix in _TEXT else None)
    if kind is None and suffix not in _JSON and is_parquet(source.peek(4)[:4]):  # type: ignore[attr-defined]  # it is buffered
        kind = Kind.PARQUET
    if kind is Kind.CSV:
        return CsvForm(name, template)
    if kind is Kind.PARQUET:
        return ParquetForm(name, template)
    if template is not None:
        raise InputError(f"{name}: a template of prompts is for CSV and Parquet; say --format csv if it is")
    is_json = Path(path).suffix.lower() in _JSON
    return LineForm(name, kind, is_json=is_json, may_guess=path == "-" or copied)


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
