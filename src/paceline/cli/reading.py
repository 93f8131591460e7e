"""Which prompts an input holds: checked to its last line before the first call is made.

1. Two passes and little memory: the first checks every line, the second hands the prompts over. Of the ids only their
   hashes are kept, and only during the first. What cannot be read twice (a pipe) is kept in a temporary file in between.
2. The kind is what the caller says; else what the suffix says: .jsonl and .ndjson are JSONL. Stdin, or a pipe, is JSONL if
   its first character is a brace. Any other file is text, but if it begins like JSON the caller must say so: prompts are
   paid for.
3. With a limit, the input ends after so many prompts; what follows is not looked at.
4. A complaint names the file and the line, and never quotes a prompt.
"""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import attrs

from .._core.exceptions import ConfigurationError
from .lines import Kind, LineError, Prompt, quoted, read_line
from .telling import tell

_SHOWN = 10  # problems that are told one by one
_LONGEST = 64 * 2**20  # bytes of a line: more than any model reads
_JSONL = {".jsonl", ".ndjson"}
_TEXT = {".txt", ".text"}
_BOM = b"\xef\xbb\xbf"


class InputError(ConfigurationError):
    """The input cannot be run; the message has a sentence for each of the first problems, a line each."""


@attrs.frozen(kw_only=True)
class Input:
    """An input that was checked; made by `open_input`."""

    name: str
    kind: Kind
    count: int
    """Prompts in it."""
    identity: os.stat_result
    """Of the file that it came from."""
    _file: BinaryIO = attrs.field(alias="file")
    _start: int = attrs.field(alias="start")

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Prompt]:
        """Yield the prompts in their order.

        Raises:
            InputError: the file is not what it was when it was checked.
        """
        left = self.count
        self._file.seek(self._start)
        for number, line in _lines(self.name, self._file):
            if not left:
                return
            try:
                prompt = read_line(self.kind, number, line)
            except LineError as error:
                raise InputError(f"{self.name}:{number}: changed while it was read: {error}") from None
            if prompt is not None:
                left -= 1
                yield prompt
        if left:
            raise InputError(f"{self.name}: changed while it was read: {left} prompts are gone")


@contextmanager
def open_input(path: str, *, kind: Kind | None = None, limit: int | None = None) -> Iterator[Input]:
    """Open and check an input.

    Args:
        path: of the file; - for stdin.
        kind: of its lines, if it is known.
        limit: prompts at most.

    Raises:
        InputError: it cannot be read, or has no prompts, or there is a line that cannot be taken.
    """
    name = "stdin" if path == "-" else path
    with ExitStack() as stack:
        try:
            source = stack.enter_context(_opened(path))
            identity = os.fstat(source.fileno())
            again = source
            if not stat.S_ISREG(identity.st_mode):
                again = stack.enter_context(tempfile.TemporaryFile())
            start = again.tell()
            check = _Check(name, kind or _kind_by_name(path, identity), may_guess=path == "-" or again is not source)
            check.all(_lines(name, source, copy=None if again is source else again), limit)
        except OSError as error:
            raise InputError(f"{name}: cannot be read: {error.strerror or error}") from None
        yield Input(name=name, kind=check.settled_kind(), count=check.count, identity=identity, file=again, start=start)


def _opened(path: str) -> BinaryIO:
    if path != "-":
        return Path(path).open("rb")
    if sys.stdin is None:
        raise OSError("stdin is closed")
    if sys.stdin.isatty():
        tell("reads from the terminal; end with Ctrl-D")
    return open(0, "rb", closefd=False)


def _kind_by_name(path: str, identity: os.stat_result) -> Kind | None:
    suffix = Path(path).suffix.lower()
    if suffix in _JSONL:
        return Kind.JSONL
    return Kind.TEXT if suffix in _TEXT and stat.S_ISREG(identity.st_mode) else None


def _lines(name: str, file: BinaryIO, copy: BinaryIO | None = None) -> Iterator[tuple[int, bytes]]:
    number = 0
    while line := file.readline(_LONGEST + 1):
        number += 1
        if len(line) > _LONGEST:
            raise InputError(f"{name}:{number}: longer than {_LONGEST >> 20} MiB")
        if copy is not None:
            copy.write(line)
        yield number, line


class _Check:
    """The first pass."""

    def __init__(self, name: str, kind: Kind | None, *, may_guess: bool) -> None:
        self.count = 0
        self._name = name
        self._kind = kind
        self._may_guess = may_guess
        self._seen: dict[int, int] = {}
        self._problems: list[str] = []
        self._more = 0

    def all(self, lines: Iterator[tuple[int, bytes]], limit: int | None) -> None:
        """Check every line.

        Raises:
            InputError: with the first problems, and the number of the others.
        """
        for number, line in lines:
            try:
                taken = self._take(number, line)
            except LineError as problem:
                self._note(number, problem)
                taken = True
            self.count += taken
            if self.count == limit:
                break
        self._seen.clear()
        if self._problems:
            more = [f"and {self._more:,} more problems"] if self._more else []
            raise InputError("\n".join(self._problems + more))
        if not self.count:
            raise InputError(f"{self._name}: has no prompts")

    def settled_kind(self) -> Kind:
        """Return the kind that the lines were found to be of."""
        return self._kind or Kind.TEXT

    def _take(self, number: int, line: bytes) -> bool:
        if self._kind is None and (begin := line.removeprefix(_BOM).strip()):
            self._kind = self._guess(begin)
        prompt = read_line(self.settled_kind(), number, line)
        if prompt is None:
            return False
        if self._kind is Kind.JSONL:
            first = self._seen.setdefault(hash(prompt.id), number)
            if first != number:
                raise LineError(f"id {quoted(prompt.id)} is on line {first} already")
        return True

    def _guess(self, begin: bytes) -> Kind:
        if self._may_guess:
            return Kind.JSONL if begin.startswith(b"{") else Kind.TEXT
        if begin.startswith((b"{", b"[")):
            raise InputError(f"{self._name}: begins like JSON; say --format jsonl or --format text")
        return Kind.TEXT

    def _note(self, number: int, problem: LineError) -> None:
        if len(self._problems) < _SHOWN:
            self._problems.append(f"{self._name}:{number}: {problem}")
        else:
            self._more += 1
