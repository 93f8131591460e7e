"""An input that was checked by an earlier run: only what is wanted of it is read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO

import attrs

from .bytes import reader_at
from .forms import Form, Record
from .input import form_of
from .kinds import BadLine, InputError, Kind, LineError, Prompt


@attrs.frozen(kw_only=True)
class InputAgain:
    """An input whose bytes are known to be those that were checked; made by `open_again`."""

    name: str
    identity: os.stat_result
    """Of the file."""
    _form: Form = attrs.field(alias="form", repr=False)
    _file: BinaryIO = attrs.field(alias="file", repr=False)

    @property
    def has_ids(self) -> bool:
        """Whether the records that were read name themselves; else each is named by its number."""
        return self._form.has_ids

    def prompts(self, wanted: Callable[[int], bool]) -> Iterator[Prompt]:
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
        with closing(reader_at(self._file, 0)) as lines:
            yield from self._form.records(lines)


@contextmanager
def open_again(path: str, *, kind: Kind, template: str | None = None) -> Iterator[InputAgain]:
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
        form = form_of(path, path, kind, template, file, copied=False)
        yield InputAgain(name=path, identity=os.fstat(file.fileno()), form=form, file=file)
