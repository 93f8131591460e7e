"""Merge: `merge`, which writes the results of all shards of an input to one file, in the order of the input.

1. The file has the results that each journal held at one moment, each once. Memory grows with the number of shards only.
2. Journals that are not shards of one input are refused. Shards that are missing, and rows that have no result yet, are named.
"""

from __future__ import annotations

import glob
import heapq
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import islice, pairwise
from operator import itemgetter
from os import PathLike

import attrs

from .._core.exceptions import ConfigurationError, JournalError
from .._core.shards import Shard, missing, shard_of_file, to_shard
from ..files.output import atomic_file
from ..files.output_formats import OutputFormat
from ..journal.reader import JournalReader
from ..journal.records import KIND, ResultRow
from .export_options import ExportFormat, ExportOptions
from .journal_export import write_lines
from .journal_facts import RegisteredInput, journal_at, recorded_input, recorded_options, recorded_output
from .setup import check_suffix, fields_of
from .table_output import StoredRows, write_table

_JOURNAL = ".journal"
_PARTS = ("-wal", "-shm")  # of a journal that is open
_IDS = 5  # pending rows of a shard that are named


@attrs.frozen(kw_only=True)
class UnfinishedShard:
    """A shard that has rows without a result."""

    shard: str
    """The shard, such as `3/8`."""
    journal: str
    """Path of its journal."""
    pending: int
    """Number of these rows."""
    ids: tuple[str, ...]
    """Ids of the first of them."""


@attrs.frozen(kw_only=True)
class MergeReport:
    """What `merge` has written."""

    journals: tuple[str, ...]
    """Paths of the journals, in the order of the shards."""
    output: str
    """Path of the file; `-` is stdout."""
    file_format: ExportFormat
    """Format of the file."""
    rows: int
    """Results in the file."""
    missing: tuple[str, ...]
    """The shards that have no journal among them, such as `3/8`."""
    unfinished: tuple[UnfinishedShard, ...]
    """The shards that have rows without a result."""

    @property
    def is_complete(self) -> bool:
        """Whether each row of the input has a result, and it is in the file unless `only` left it out."""
        return not self.missing and not self.unfinished


def merge(journals: Iterable[str | PathLike[str]], options: ExportOptions) -> MergeReport:
    """Write the results of all shards of an input to one file, in the order of the input. Blocks; the file is complete or not there at all.

    Args:
        journals: Paths of journals or of their outputs, folders, patterns such as `answers-*`, or the path that `output` had for all shards.
        options: What is written, and where; `in_order` is always true.

    Raises:
        ConfigurationError: They are not journals of shards of one input, or the output cannot be used.
        JournalError: A journal cannot be read.
        OSError: The output could not be written; BrokenPipeError: its reader has closed it.
    """
    check_suffix(options.output, "results are written as")
    with ExitStack() as stack:
        shards = _one_input([_open(path, stack) for path in journals_of(journals)])
        rows = StoredRows(partial(_rows, shards, options))
        try:
            with atomic_file(options.output, overwrite=options.overwrite, keep=_keep(shards)) as descriptor:
                if options.file_format is ExportFormat.JSONL:
                    count = write_lines(_rows(shards, options), options, descriptor)
                else:
                    form = OutputFormat(options.file_format.value)
                    fields = shards[0].fields
                    write_table(rows, options.output, descriptor, form, fields=fields, raw_csv=options.raw_csv)
                    count = rows.count
        except json.JSONDecodeError as error:
            raise JournalError(
                f"{options.output}: a journal is damaged: it has a value that is not JSON ({error})"
            ) from None
        found = [one.shard for one in shards]
        return MergeReport(
            journals=tuple(one.reader.path for one in shards),
            output=options.output,
            file_format=options.file_format,
            rows=count,
            missing=tuple(map(str, missing(found, found[0].count))),
            unfinished=tuple(filter(None, map(_unfinished, shards))),
        )


def journals_of(paths: Iterable[str | PathLike[str]]) -> list[str]:
    """Return the journals that paths stand for, each once.

    Args:
        paths: As for `merge`.

    Raises:
        ConfigurationError: A path stands for no journal.
    """
    found: dict[str, str] = {}
    for path in (os.fspath(one) for one in paths):
        journals = _journals_at(path)
        if not journals:
            raise ConfigurationError(f"{path}: no journal is there; name journals, their outputs or their folder")
        for journal in journals:
            found.setdefault(os.path.realpath(journal), journal)
    if not found:
        raise ConfigurationError("no journals are given: name them, their outputs or their folder")
    return [*found.values()]


def _journals_at(path: str) -> list[str]:
    if os.path.isdir(path):  # noqa: PTH112 - a text, as below
        return sorted(glob.glob(os.path.join(glob.escape(path), f"*{_JOURNAL}")))  # noqa: PTH118, PTH207
    if os.path.exists(path):  # noqa: PTH110
        for part in _PARTS:
            path = path.removesuffix(part) if path.endswith(f"{_JOURNAL}{part}") else path
        journal = journal_at(path)
        return [journal] if journal != path or path.endswith(_JOURNAL) else _named_after(path) or [journal]
    if glob.has_magic(path):
        outputs = (one for one in sorted(glob.glob(path)) if not one.endswith(_PARTS))  # noqa: PTH207
        return [journal for output in outputs if _is_file(journal := journal_at(output))]
    return _named_after(path)


def _named_after(path: str) -> list[str]:
    """Return the journals of the shards of which `path` is the output of all."""
    stem, suffix = os.path.splitext(path)  # noqa: PTH122
    candidates = glob.glob(f"{glob.escape(stem)}-*-of-*{glob.escape(suffix)}{_JOURNAL}")  # noqa: PTH207
    named = ((one, shard_of_file(one.removesuffix(_JOURNAL))) for one in sorted(candidates))
    return [one for one, found in named if found is not None and found[0] == path]


def _is_file(path: str) -> bool:
    return os.path.isfile(path)  # noqa: PTH113


# ---------------------------------------------------------------------------------------------- shards that are open


@attrs.frozen
class _OpenShard:
    shard: Shard
    reader: JournalReader
    input: RegisteredInput
    fields: list[str]
    output: str | None


def _open(path: str, stack: ExitStack) -> _OpenShard:
    reader = stack.enter_context(JournalReader(path))
    options, source, written = recorded_options(reader), recorded_input(reader), recorded_output(reader)
    if options is None or source is None or options.shard is None:
        raise ConfigurationError(
            f"{path}: is not the journal of a shard; for all results of one journal use paceline results"
        )
    stack.enter_context(reader.one_moment())
    output = None if written is None else written.path
    return _OpenShard(to_shard(options.shard), reader, source, fields_of(options), output)


def _one_input(shards: Sequence[_OpenShard]) -> list[_OpenShard]:
    """Return shards in their order, if they are shards of one input.

    Raises:
        ConfigurationError: They are not.
    """
    shards = sorted(shards, key=lambda one: one.shard)
    for before, after in pairwise(shards):
        both = f"{before.reader.path} and {after.reader.path}"
        if before.shard.count != after.shard.count:
            raise ConfigurationError(
                f"{both}: are shards {before.shard} and {after.shard}, which do not belong together"
            )
        if before.shard == after.shard:
            raise ConfigurationError(f"{both}: are both shard {before.shard}; name one of them")
        if _bytes_of(before.input) != _bytes_of(after.input):
            raise ConfigurationError(
                f"{both}: are shards of different inputs, or of one that has changed since; run each with the input as it is now"
            )
    return shards


def _bytes_of(source: RegisteredInput) -> object:
    return source.digest, {name: value for name, value in source.reading.items() if name != "shard"}


def _rows(shards: Sequence[_OpenShard], options: ExportOptions) -> Iterator[ResultRow]:
    is_failed = options.only == "failed"
    parts = [
        zip(
            one.reader.result_places(failed=is_failed),
            one.reader.rows(in_input_order=True, failed=is_failed),
            strict=True,
        )
        for one in shards
    ]
    rows = (row for _, row in heapq.merge(*parts, key=itemgetter(0)))
    return (row for row in rows if row[KIND] is None) if options.only == "succeeded" else rows


def _unfinished(one: _OpenShard) -> UnfinishedShard | None:
    pending = one.reader.counts().pending
    if not pending:
        return None
    ids = tuple(islice(one.reader.pending_ids(), _IDS))
    return UnfinishedShard(shard=str(one.shard), journal=one.reader.path, pending=pending, ids=ids)


def _keep(shards: Sequence[_OpenShard]) -> dict[str, str]:
    kept: dict[str, str] = {}
    for one in shards:
        name = f"the journal of shard {one.shard}"
        kept |= {name: one.reader.path, **{f"{name} ({part})": f"{one.reader.path}{part}" for part in _PARTS}}
        if one.output is not None:
            kept[f"the output of shard {one.shard}"] = one.output
    return kept
