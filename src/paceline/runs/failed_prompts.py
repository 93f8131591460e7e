"""Failed prompts: `failed`, which writes the prompts of failed items as a new input, each as it stood in the old one.

1. The lines are those of the input that the journal's run read, or of a file with the same bytes. Any other input is refused, as its
   lines would belong to other items.
2. If no item failed, no file is made; but one that may be replaced is emptied, so that it has no prompts of another time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from os import PathLike

import attrs

from .._core.exceptions import ConfigurationError
from ..files import InputError, InputKind
from ..files.output import Output, atomic_file
from ..files.types import STREAM
from ..journal.reader import JournalReader, has_place
from .export_options import FailedOptions
from .journal_facts import RegisteredInput, journal_at, recorded_input, recorded_options

_CHUNK = 2**18  # bytes that are written with one call


@attrs.frozen(kw_only=True)
class FailedReport:
    """What `failed` has written."""

    output: str
    """Path of the file; `-` is stdout."""
    prompts: int
    """Prompts in the file."""
    is_written: bool
    """Whether the file was written: one without prompts is written only in place of another."""
    total: int
    """Prompts of the whole input."""
    input_format: InputKind
    """Format of the file, which is that of the input; lines of JSON if that was Parquet."""
    is_converted: bool = False
    """Whether the input has another encoding; the file is in UTF-8."""
    has_ids: bool
    """Whether the prompts name themselves; otherwise their ids are the numbers of their lines, and differ in the file."""


def failed(journal: str | PathLike[str], options: FailedOptions) -> FailedReport:
    """Write the prompts of failed items as a new input. Blocks; the file is complete or not there at all.

    Args:
        journal: Path of the journal, or of the output that it belongs to.
        options: Which prompts are written, and where.

    Raises:
        ConfigurationError: The input is missing or has changed, or the output cannot be used.
        JournalError: The journal cannot be read.
        OSError: The output could not be written; BrokenPipeError: its reader has closed it.
    """
    path = journal_at(journal)
    with JournalReader(path) as reader:
        known = recorded_input(reader)
        if known is None:
            raise ConfigurationError(f"{path}: was not started by paceline run, and does not name its input")
        source = _unchanged_input(reader, known, options)
        places = reader.places(failed=map(str, options.kinds), unsettled=options.pending)
    prompts = sum(byte.bit_count() for byte in places)
    is_written = prompts > 0 or (options.overwrite and options.output != STREAM)
    keep = {"the input": source, "the journal": path}
    with known.reopened(source) as reopened:
        if is_written:
            with atomic_file(options.output, overwrite=options.overwrite, keep=keep) as descriptor:
                output = Output(options.output, descriptor)
                for chunk in _chunks(reopened.raw(partial(has_place, places))):
                    output.write(chunk)
    return FailedReport(
        output=options.output,
        prompts=prompts,
        is_written=is_written,
        total=known.count,
        input_format=InputKind.JSONL if known.kind in {InputKind.PARQUET, InputKind.JSON} else InputKind(known.kind),
        is_converted=known.asked.get("encoding") is not None,
        has_ids=reopened.has_ids,
    )


def _unchanged_input(reader: JournalReader, known: RegisteredInput, options: FailedOptions) -> str:
    """Return the path of the input, whose bytes are those that the run read."""
    source = options.input or _recorded_path(reader) or known.name
    if source == STREAM:
        raise ConfigurationError(f"{reader.path}: its input was stdin; give a file with the same content: --input FILE")
    try:
        is_same = known.has_bytes_of(source)
    except InputError as error:
        advice = "" if options.input else "; if it was moved, give its path: --input FILE"
        raise InputError(f"{error}{advice}") from None
    if not is_same:
        advice = "give the path of that one" if options.input else "if it was moved, give its path: --input FILE"
        raise InputError(f"{source}: has changed, and is not the input that {reader.path} was started with; {advice}")
    return source


def _recorded_path(reader: JournalReader) -> str | None:
    try:
        options = recorded_options(reader)
    except ConfigurationError:
        return None
    return None if options is None else options.input


def _chunks(lines: Iterable[bytes]) -> Iterator[bytes]:
    chunk = bytearray()
    for line in lines:
        chunk += line
        if len(chunk) >= _CHUNK:
            yield bytes(chunk)
            chunk.clear()
    yield bytes(chunk)
