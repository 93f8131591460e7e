"""Journal facts: what a run stores in its journal beside the items, so that a later command finds input, options and output.

1. A fact that is missing, damaged, or written by another program is None: the caller says what that means.
2. Facts that an earlier version stored are read.
3. Options and the output have a stamp. Without a valid one they are not known to be this user's (see `stamps`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import attrs
from cattrs import structure
from cattrs.errors import BaseValidationError

from .._core.exceptions import ConfigurationError
from .._core.fault import FaultKind
from .._core.fault_groups import FaultGroup
from ..files import CheckedInput, Input, InputError, InputKind, digest_of, reopen_input
from ..files.types import STREAM
from ..journal.reader import JournalReader
from ..journal.writer import JournalWriter
from .options import DEFAULT_SUFFIX, RunOptions
from .options_data import FORMER_NAMES, from_data, to_data
from .stamps import is_stamped, stamp

_INPUT, _OPTIONS, _OUTPUT, _LATEST = "input", "options", "output", "latest run"
_STAMP = "stamp of the options"
_READING: Mapping[str, Any] = {
    "input_format": None,
    "prompt": None,
    "limit": None,
    "sample": None,
    "shard": None,
    "id_column": None,
    "encoding": None,
    "skip_empty": False,
}
"""The options that decide which items an input has, and how older journals, which do not have all of them, were read."""
_UNREADABLE = (BaseValidationError, TypeError, ValueError, KeyError)
_MAGIC = b"SQLite format 3\0"


def journal_at(path: str | os.PathLike[str]) -> str:
    """Return the path of a journal, given that path or the path of the output that it belongs to.

    Raises:
        ConfigurationError: The path is a stream, or an input whose journal has another name.
    """
    path = os.fspath(path)
    if path == STREAM:
        raise ConfigurationError("a journal is a file, not a stream: give its path, or the path of its output")
    if _is_database(path):
        return path
    if os.path.exists(beside := f"{path}.journal"):  # noqa: PTH110 - a text
        return beside
    if os.path.isfile(path) and os.path.exists(default := f"{path}{DEFAULT_SUFFIX}.journal"):  # noqa: PTH110, PTH113 - texts
        raise ConfigurationError(f"{path} is an input; its journal is {default}")
    return path


def _is_database(path: str) -> bool:
    try:
        if not os.path.isfile(path):  # noqa: PTH113 - a text; reading a pipe could block forever
            return False
        with Path(path).open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


@attrs.frozen(kw_only=True)
class RegisteredInput:
    """An input whose items are in the journal, and how it was read."""

    name: str
    """Path of the input; `-` is stdin."""
    digest: str
    """Digest of the bytes that were read, in hexadecimal digits."""
    size: int
    """Number of these bytes."""
    kind: str
    """Format of the input, an `InputKind`."""
    asked: Mapping[str, Any]
    """Options that it was read with."""
    count: int
    """Valid prompts."""
    bad_count: int
    """Invalid lines."""
    bad: tuple[str, ...]
    """Sentences about the first invalid lines."""
    has_requests: bool = False
    """Whether there are requests in a provider's form among the prompts."""

    @classmethod
    def of(cls, source: Input, options: RunOptions, *, has_requests: bool) -> RegisteredInput:
        """Describe an input that was checked."""
        return cls(
            name=source.name,
            digest=source.digest.hex(),
            size=source.size,
            kind=str(source.kind),
            asked=reading_options(options),
            count=source.count,
            bad_count=source.bad_count,
            bad=tuple(source.complaints()),
            has_requests=has_requests,
        )

    @property
    def reading(self) -> dict[str, Any]:
        """The options that it was read with, with the defaults of those that an older version did not have."""
        return {**_READING, **self.asked}

    def is_read_again_by(self, options: RunOptions) -> bool:
        """Whether a run reads the same bytes with the same options; False for stdin, whose bytes cannot be compared in advance.

        Raises:
            InputError: The input cannot be read.
        """
        return options.input != STREAM and self.reading == reading_options(options) and self.has_bytes_of(options.input)

    def has_bytes_of(self, path: str) -> bool:
        """Whether a file has the bytes that were read.

        Raises:
            InputError: The file cannot be read.
        """
        if not os.path.isfile(path) and os.path.exists(path):  # noqa: PTH110, PTH113 - texts
            return False
        try:
            may_match = self.asked.get("limit") is not None or os.path.getsize(path) == self.size  # noqa: PTH202 - a text
            digest = digest_of(path, self.size) if may_match else None
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
        return digest is not None and digest.hex() == self.digest

    def reopened(self, path: str) -> AbstractContextManager[CheckedInput]:
        """Open a file that has the bytes that were read, without checking it.

        Raises:
            InputError: It cannot be read.
        """
        return reopen_input(
            path,
            kind=InputKind(self.kind),
            template=self.asked.get("prompt"),
            id_column=self.asked.get("id_column"),
            encoding=self.asked.get("encoding"),
            exact_id="id_column" not in self.asked,
            digest=bytes.fromhex(self.digest),
            size=self.size,
        )


def reading_options(options: RunOptions) -> dict[str, Any]:
    """Return the options that decide which items an input has."""
    return {name: value for name, value in to_data(options).items() if name in _READING}


def recorded_input(journal: JournalWriter | JournalReader) -> RegisteredInput | None:
    """Return the input of the latest run; None if no run registered one."""
    try:
        found = structure(journal.fact(_INPUT), RegisteredInput)
    except _UNREADABLE:
        return None
    return attrs.evolve(found, asked={FORMER_NAMES.get(name, name): value for name, value in found.asked.items()})


def record_input(store: JournalWriter, found: RegisteredInput) -> None:
    """Record the input of a run."""
    store.set_fact(_INPUT, attrs.asdict(found))


def recorded_options(journal: JournalWriter | JournalReader) -> RunOptions | None:
    """Return the options of the latest run, without those that applied to it alone; None if no run stored them.

    Raises:
        ConfigurationError: They were written by a later version, or by another program.
    """
    data = journal.fact(_OPTIONS)
    return from_data(data) if isinstance(data, dict) else None


def record_options(store: JournalWriter, options: RunOptions) -> None:
    """Record the options of a run."""
    data = to_data(options)
    store.set_fact(_OPTIONS, data)
    store.set_fact(_STAMP, stamp({_OPTIONS: data}))


def has_own_options(journal: JournalWriter | JournalReader) -> bool:
    """Whether a run of this user on this machine recorded the options."""
    return is_stamped({_OPTIONS: journal.fact(_OPTIONS)}, journal.fact(_STAMP))


@attrs.frozen(kw_only=True)
class WrittenOutput:
    """How much of a journal an output holds."""

    path: str
    """Absolute path."""
    form: str
    """Format of the rows, an `OutputFormat`."""
    last: int
    """Number of the latest result in it; 0: it has none."""
    size: int
    """Bytes up to the end of that result."""
    digest: str | None = None
    """Digest of a table, which is written as a whole, in hexadecimal digits; None: the output is lines."""
    proved: int = 0
    """Bytes of lines that a run has written, whether they are up to date or not."""
    tail: str | None = None
    """Digest of the last of these bytes, in hexadecimal digits; None: the output is empty, or a table."""
    stamp: str | None = None
    """Stamp of all this; None: there was no key."""

    def is_own(self, path: str) -> bool:
        """Whether a run of this user on this machine has recorded this, of an output at `path`."""
        return self.is_at(path) and is_stamped(self._fact, self.stamp)

    @property
    def _fact(self) -> dict[str, Any]:
        return {_OUTPUT: attrs.asdict(attrs.evolve(self, stamp=None))}

    def stamped(self) -> WrittenOutput:
        """Return the same with a stamp."""
        return attrs.evolve(self, stamp=stamp(self._fact))

    def is_at(self, path: str) -> bool:
        """Whether a path is that of this output."""
        return path != STREAM and self.path == str(Path(path).resolve())


def recorded_output(journal: JournalWriter | JournalReader) -> WrittenOutput | None:
    """Return the state of the latest output; None if it is not recorded."""
    try:
        return structure(journal.fact(_OUTPUT), WrittenOutput)
    except _UNREADABLE:
        return None


def record_output(store: JournalWriter, written: WrittenOutput) -> None:
    """Record the state of an output that this run has written."""
    store.set_fact(_OUTPUT, attrs.asdict(written.stamped()))


def restart_output(store: JournalWriter) -> None:
    """Record that rows of the output are out of date, so that the next run writes all rows again."""
    written = recorded_output(store)
    if written is not None and written.digest is None:
        is_own = written.is_own(written.path)
        written = attrs.evolve(written, last=0, size=0)
        store.set_fact(
            _OUTPUT, attrs.asdict(written.stamped() if is_own else written)
        )  # what was not proved is not proved now


@attrs.frozen(kw_only=True)
class LatestRun:
    """How the latest run goes, or has ended."""

    run: int
    """Number of the run."""
    faults: tuple[FaultGroup, ...] = ()
    """The most frequent faults of its calls, those of repeated calls included."""
    stopped: str | None = None
    """Why it ended early; None: it did not, or has not ended."""
    systematic: tuple[FaultKind, ...] = ()
    """Kinds of faults with which all calls of a lane failed. Items that failed so in this run are run again by the next."""

    def stopped_by(self, kind: str, run: int | None) -> bool:
        """Whether this is the run of a fault, and calls that all failed with this kind stopped it."""
        return run == self.run and kind in self.systematic


def recorded_latest_run(journal: JournalWriter | JournalReader) -> LatestRun | None:
    """Return how the latest run goes, or has ended; None if it is not recorded."""
    try:
        return structure(journal.fact(_LATEST), LatestRun)
    except _UNREADABLE:
        return None


def record_latest_run(store: JournalWriter, latest: LatestRun) -> None:
    """Record how the latest run goes, or has ended."""
    store.set_fact(_LATEST, attrs.asdict(latest))
