"""The command `failed`: the prompts of failed items as a new input, line by line as they were written.

1. The lines are those of the input that the journal was begun with, or of the same bytes elsewhere: another input is refused, as
   its lines would be of other items.
2. The new file has them all, also if there are none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Annotated, Any

import attrs
from cyclopts import Parameter, Token

from ..._core.exceptions import ConfigurationError
from ..._core.fault import FaultKind
from ...files import InputError, InputKind, reopen_input
from ...files.output import Output, atomic_file
from ...files.types import STREAM
from ...journal.reader import JournalReader, has
from ...runs.item_registry import OPTIONS, RegisteredInput, has_registered_bytes, registered_input
from ...runs.journal_path import journal_at
from ...runs.option_values import FAILED, kinds_in
from ...runs.options import PATH, FilePath
from ..console import OK, UNSAVED, print_message

_FLAG = Parameter(negative="", show_default=False)
_SIZE = 2**18  # bytes that are written with one call
_SUFFIXES = {InputKind.CSV: {".csv", ".tsv"}, InputKind.TEXT: {".txt", ".text"}}


def _to_kinds(_: Any, tokens: Sequence[Token]) -> frozenset[FaultKind]:
    return kinds_in(",".join(token.value for token in tokens), "kinds")


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class FailedOptions:
    """What `failed` was asked."""

    output: Annotated[FilePath, Parameter(metavar="FILE", alias="-o")]
    """Where the lines go; - for stdout."""
    kinds: Annotated[
        frozenset[FaultKind],
        Parameter(
            metavar="KINDS", converter=_to_kinds, n_tokens=1, negative="", show_default=False, show_choices=False
        ),
    ] = FAILED
    """failed, passing, none, or kinds as timeout,bug. [default: failed]"""
    pending: Annotated[bool, _FLAG] = False
    """Those too that have no result yet."""
    source: Annotated[FilePath | None, Parameter(name="--input", metavar="FILE", show_default=False)] = attrs.field(
        default=None, metadata={PATH: True}
    )
    """Where the input is now, if it is elsewhere."""
    overwrite: Annotated[bool, _FLAG] = False
    """Replace what the output holds."""


def failed(journal: str, options: FailedOptions) -> int:
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
    keep = [(source, "the input"), (path, "the journal")]
    try:
        with (
            reopen_input(source, kind=InputKind(noted.kind), template=noted.asked.get("prompt")) as again,
            atomic_file(options.output, overwrite=options.overwrite, keep=keep) as descriptor,
        ):
            output = Output(options.output, descriptor)
            for piece in _pieces(again.raw(partial(has, places))):
                output.write(piece)
    except BrokenPipeError:
        raise
    except OSError as error:
        print_message(f"{options.output}: {error.strerror or error}")
        return UNSAVED
    _tell(count, noted, options, has_ids=again.has_ids)
    return OK


def _source_of(reader: JournalReader, noted: RegisteredInput, options: FailedOptions) -> str:
    """Return the path of the input, which is as it was."""
    asked = reader.fact(OPTIONS)
    source = options.source or (asked.get("source") if isinstance(asked, dict) else None) or noted.name
    if source == STREAM:
        raise ConfigurationError(f"{reader.path}: its input was stdin: say --input FILE, with the same content")
    try:
        same = has_registered_bytes(noted, source)
    except InputError as error:
        advice = "" if options.source else "; say --input FILE if it is elsewhere"
        raise InputError(f"{error}{advice}") from None
    if not same:
        advice = "name that one" if options.source else "say --input FILE if that one is elsewhere"
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


def _tell(count: int, noted: RegisteredInput, options: FailedOptions, *, has_ids: bool) -> None:
    kind = InputKind.JSONL if noted.kind == InputKind.PARQUET else InputKind(noted.kind)
    told = f"{count:,} of {noted.count:,} prompts are in {'stdout' if options.output == STREAM else options.output}"
    suffixes = _SUFFIXES.get(kind)
    if suffixes is not None and not any(options.output.endswith(suffix) for suffix in suffixes):
        told += f"; run them with --format {kind}"
    if not has_ids:
        told += "; their ids are the numbers of lines, and so they have others there"
    print_message(told)
