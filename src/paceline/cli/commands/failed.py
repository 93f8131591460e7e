"""The command `failed`: the prompts of failed items as a new input, line by line as they were written.

1. The lines are those of the input that the journal was begun with, or of the same bytes elsewhere: another input is refused, as
   its lines would be of other items.
2. The new file has them all, also if there are none.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from ..._core.exceptions import ConfigurationError
from ...files import InputError, InputKind, reopen_input
from ...files.output import Output, atomic_file
from ...files.types import STREAM
from ...journal.reader import JournalReader, has_place
from ...runs.item_registry import OPTIONS, RegisteredInput, has_registered_bytes, registered_input
from ...runs.journal_path import journal_at
from ..console import OK, UNSAVED, print_message, sigterm_raises_exit
from ..options import FailedArguments

_SIZE = 2**18  # bytes that are written with one call
_SUFFIXES = {InputKind.CSV: {".csv", ".tsv"}, InputKind.TEXT: {".txt", ".text"}}


def failed(journal: str, options: FailedArguments) -> int:
    """Write the lines of failed items; return the exit code.

    Raises:
        ConfigurationError: the input is gone or another, or the output cannot be written.
        JournalError: the journal cannot be read.
    """
    path = journal_at(journal)
    with JournalReader(path) as reader:
        noted = registered_input(reader)
        if noted is None:
            raise ConfigurationError(f"{path}: was not begun by paceline run: it does not say what its input was")
        source = _source_of(reader, noted, options)
        places = reader.places(failed=map(str, options.kinds), unsettled=options.pending)
    count = sum(byte.bit_count() for byte in places)
    keep = {"the input": source, "the journal": path}
    try:
        with (
            reopen_input(source, kind=InputKind(noted.kind), template=noted.asked.get("prompt")) as again,
            sigterm_raises_exit(),
            atomic_file(options.output, overwrite=options.overwrite, keep=keep) as descriptor,
        ):
            output = Output(options.output, descriptor)
            for piece in _pieces(again.raw(partial(has_place, places))):
                output.write(piece)
    except BrokenPipeError:
        raise
    except OSError as error:
        print_message(f"{options.output}: {error.strerror or error}")
        return UNSAVED
    _tell(count, noted, options, has_ids=again.has_ids)
    return OK


def _source_of(reader: JournalReader, noted: RegisteredInput, options: FailedArguments) -> str:
    """Return the path of the input, which is as it was."""
    asked = reader.fact(OPTIONS)
    source = (
        options.input
        or ((asked.get("input") or asked.get("source")) if isinstance(asked, dict) else None)
        or noted.name
    )
    if source == STREAM:
        raise ConfigurationError(f"{reader.path}: its input was stdin: say --input FILE, with the same content")
    try:
        same = has_registered_bytes(noted, source)
    except InputError as error:
        advice = "" if options.input else "; say --input FILE if it is elsewhere"
        raise InputError(f"{error}{advice}") from None
    if not same:
        advice = "name that one" if options.input else "say --input FILE if that one is elsewhere"
        raise InputError(f"{source}: is not the input that {reader.path} was begun with: it has changed; {advice}")
    return source


def _pieces(lines: Iterator[bytes]) -> Iterator[bytes]:
    held = bytearray()
    for line in lines:
        held += line
        if len(held) >= _SIZE:
            yield bytes(held)
            held.clear()
    yield bytes(held)


def _tell(count: int, noted: RegisteredInput, options: FailedArguments, *, has_ids: bool) -> None:
    kind = InputKind.JSONL if noted.kind == InputKind.PARQUET else InputKind(noted.kind)
    told = f"{count:,} of {noted.count:,} prompts are in {'stdout' if options.output == STREAM else options.output}"
    suffixes = _SUFFIXES.get(kind)
    if suffixes is not None and not any(options.output.endswith(suffix) for suffix in suffixes):
        told += f"; run them with --input-format {kind}"
    if not has_ids:
        told += "; their ids are the numbers of lines, and so they have others there"
    print_message(told)
