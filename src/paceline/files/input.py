"""Inputs: files of prompts, checked to the last line before the first call and then read as often as needed.

1. An input is read in two passes that hold little in memory: the first checks every line, the second yields the prompts. Between
   them stay the positions of all bad lines and the text of the first few; ids are kept on disk. What cannot be read twice (a
   pipe) is copied to a temporary file. The second pass is in `checked_input`.
2. The format is the one that the caller gives, or is determined by the suffix and the first line; see `source`.
3. A bad line is reported with its place and the reason, and the other lines are used, unless the check is strict. What else is
   worth saying (ids that are numbers, empty fields) is said once, in a note.
4. With a limit the input ends after that number of good prompts, and the rest is not read. A sample is drawn from what is left; of the
   same prompts, a larger sample contains each smaller one.
5. A message names the file and the line, and never quotes a prompt.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

import attrs

from .._core.shards import Shard
from .check import Check, Objection
from .checked_input import CheckedInput, Input
from .lines import ChangeGuard, DigestingReader, python_encoding
from .source import Source, errors_as_input_error, open_source, rows_reader
from .types import BadLine, InputKind, InputRecord, Reading

_SEED = 0  # of samples: the same input gives the same sample, and a larger sample contains a smaller one


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
    shard: Shard | None = None,
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
        shard: Part of the records to which the prompts and bad lines belong, whatever `limit` and `sample` leave of it. None: all.
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
            source.name,
            source.input_format,
            objection,
            skip_empty=skip_empty,
            refuse_undecodable=encoding is None,
            shard=shard,
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
            count=check.own_count if drawn is None else len(drawn),
            bad=tuple(check.own_bad),
            bad_count=check.own_bad_count,
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
            shard=shard,
        )
        if drawn is not None and (visit is not None or shard is not None):
            count = 0
            for found in checked:
                count += 1
                if visit is not None:
                    visit(found)
            checked = attrs.evolve(checked, count=count)
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
