"""The check of an input: tells good records from bad ones, in one pass over all of them."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from .._core.quantity import quantity
from .._core.shards import Shard
from .batch_lines import ID_FIELDS
from .types import (
    BadLine,
    InputError,
    InputFormat,
    InputKind,
    InputRecord,
    LineError,
    LostRestError,
    RawRecord,
    WrongEncodingError,
    quote,
)

if TYPE_CHECKING:
    from .seen_set import SeenSet

_SHOWN = 10  # bad lines that are reported one by one, and empty fields whose places are
_NOUNS = {InputKind.CSV: ("row", "rows"), InputKind.PARQUET: ("row", "rows"), InputKind.JSON: ("entry", "entries")}
"""What a record is called in messages, by the format of its input; otherwise a line."""
_MOST_REPEATED = 0.1  # of the ids: with more, they hardly are ids, and a sample of the records would be run
_FEW = 2  # records that repeat an id, or are in another encoding: a single one refuses no input, however short it is
_ON_IDS = "--id-column names another field, and --id-column '' numbers them"
_BATCH = {InputKind.OPENAI, InputKind.GEMINI, InputKind.ANTHROPIC}

Objection = Callable[[InputRecord], str | None]
"""Returns why a well-formed prompt cannot be used all the same; None if it can."""


class EmptyFields:
    """Counts the records in which a field of the prompt is empty, and remembers where the first are.

    Args:
        is_skipped: Whether they are left out.
    """

    def __init__(self, *, is_skipped: bool) -> None:
        self._is_skipped = is_skipped
        self._field = ""
        self._count = 0
        self._places = array("Q")

    def add(self, place: int, field: str) -> None:
        """Count a record."""
        self._count += 1
        self._field = self._field or field
        if len(self._places) < _SHOWN:
            self._places.append(place)

    def sentences(self, nouns: tuple[str, str]) -> list[str]:
        """Return what to say about them.

        Args:
            nouns: What one record, and several, are called.
        """
        said = []
        if self._count:
            places = ", ".join(map(str, self._places)) + (", ..." if self._count > len(self._places) else "")
            is_one = self._count == 1
            prompts, where = ("prompt has", nouns[0]) if is_one else ("prompts have", nouns[1])
            what = "skipped" if self._is_skipped else "sent all the same; --skip-empty leaves such prompts out"
            said.append(
                f"{self._count:,} {prompts} an empty field {quote(self._field)} ({where} {places}), "
                f"and {'is' if is_one else 'are'} {what}"
            )
        return said


class Check:
    """One pass over the records of an input.

    Args:
        name: Name of the input, for messages.
        input_format: Reads the records.
        objection: Returns why a well-formed prompt cannot be used; None: there are no objections.
        skip_empty: Whether records are left out in which a field of the prompt is empty or null.
        refuse_undecodable: Whether a second line that is not text in its encoding makes the input unusable: without its lines
            with accents an input is another one. Otherwise each is a bad line.
        shard: Part of the records whose prompts are yielded, and whose bad lines are its own; None: all of them.
    """

    def __init__(  # noqa: PLR0913 - all but the first two have good defaults
        self,
        name: str,
        input_format: InputFormat,
        objection: Objection | None = None,
        *,
        skip_empty: bool = False,
        refuse_undecodable: bool = False,
        shard: Shard | None = None,
    ) -> None:
        self._format = input_format
        self.count: int = 0
        """Good records so far."""
        self.bad: list[BadLine] = []
        """The first bad lines."""
        self.bad_count: int = 0
        """All bad lines."""
        self.own_count: int = 0
        """Good records of the shard so far."""
        self.own_bad: list[BadLine] = []
        """The first bad lines of the shard."""
        self.own_bad_count: int = 0
        """All bad lines of the shard."""
        self.left_out: array[int] = array("Q")
        """Positions of the bad lines, and of those that are left out because a field is empty, ascending."""
        self._name = name
        self._objection = objection
        self._skip_empty = skip_empty
        self._refuse_undecodable = refuse_undecodable
        self._shard = shard
        self._row = -1  # number of the present record, from 0, if blank ones do not count
        self._empty = EmptyFields(is_skipped=skip_empty)
        self._ids_may_repeat: bool | None = None  # as the format says once it is known
        self._repeated = 0
        self._undecodable = 0
        self._reasons: set[str] = set()  # of the first bad lines

    def examine(self, records: Iterable[RawRecord], limit: int | None) -> Iterator[InputRecord | BadLine]:
        """Yield each good record, and each bad line in its place; blank lines, and the records of other shards, are skipped.

        Args:
            records: Raw records of the input.
            limit: Most good records of all shards; None: no limit. What follows them is not read.

        Raises:
            OSError: The ids cannot be kept in a temporary file.
            InputError: The input cannot be read to its end, or not in its encoding.
        """
        from .seen_set import SeenSet  # noqa: PLC0415 - imports sqlite3, which importing paceline.files must not

        with closing(SeenSet()) as ids:
            for record in records:
                is_own = self._is_own(record)
                try:
                    found = self._read(record, ids)
                except LineError as problem:
                    if (refusal := self._refusal(record, problem)) is not None:
                        raise InputError(refusal) from None
                    bad = self._record_bad(record, str(problem), is_own=is_own)
                    if is_own:
                        yield bad
                    continue
                if found is not None:
                    self.count += 1
                    if is_own:
                        self.own_count += 1
                        yield found
                    if self.count == limit:
                        return

    def conclude(self, *, strict: bool) -> None:
        """Raise if there are no good records, if too many repeat an id, or, where the check is strict, if there is a bad one.

        Raises:
            InputError: With what repeats, or the first bad lines and the number of the others.
        """
        total = self.count + self._repeated
        if self._repeated >= _FEW and self._repeated > _MOST_REPEATED * total:
            one, several = self._nouns
            raise InputError(
                f"{self._name}: {self._repeated:,} of {total:,} {several} repeat an id in {quote(self._format.id_field)} "
                f"that an earlier {one} has, and would not be run; {self._advice_on_ids}"
            )
        complaints = describe_bad_lines(self.bad, self.bad_count)
        if not self.count and self.bad_count > _SHOWN and len(self._reasons) == 1:
            complaints = [f"{self.bad[0]} (there are {self.bad_count:,} such {self._nouns[1]}, and no valid prompt)"]
        if complaints and (strict or not self.count):
            raise InputError("\n".join(complaints))
        if not self.count:
            why = (
                f": a field of the prompt is empty in all {len(self.left_out):,} {self._nouns[1]}"
                if self.left_out
                else ""
            )
            raise InputError(f"{self._name}: has no prompts{why}")

    def notes(self) -> list[str]:
        """Return sentences about how the records were read, and about empty fields."""
        notes = self._empty.sentences(self._nouns)
        if self._repeated and self._format.kind not in _BATCH:
            notes.append(f"{self._repeated:,} {self._nouns[1]} repeat an id; {_ON_IDS}")
        return [*self._format.notes, *(f"{self._name}: {note}" for note in notes)]

    @property
    def _advice_on_ids(self) -> str:
        is_batch = self._format.id_field in ID_FIELDS.values()
        return "give each line its own" if is_batch else _ON_IDS

    @property
    def _nouns(self) -> tuple[str, str]:
        return _NOUNS.get(self._format.kind, ("line", "lines"))

    def _is_own(self, record: RawRecord) -> bool:
        """Whether a record belongs to the shard; counts the records that are not blank."""
        if self._shard is None:
            return True
        self._row += not self._format.is_blank(record[2])
        return self._shard.has_row(self._row)

    def _read(self, record: RawRecord, ids: SeenSet) -> InputRecord | None:
        found = self._format.read(record)
        if found is None:
            return None
        if self._objection is not None and (reason := self._objection(found)) is not None:
            raise LineError(reason)
        if found.empty_field is not None and self._is_left_out(record, found.empty_field):
            return None
        if self._ids_may_repeat is None:
            self._ids_may_repeat = self._format.ids_may_repeat
        if self._ids_may_repeat and (first := ids.add(found.id, found.position)) != found.position:
            noun = self._nouns[0]
            self._repeated += 1
            raise LineError(f"id {quote(found.id)} is {'on' if noun == 'line' else 'in'} {noun} {first} already")
        return found

    def _refusal(self, record: RawRecord, problem: LineError) -> str | None:
        """Return the sentence about a problem that is not one of this record only; None if it is."""
        position, line, _ = record
        bad = BadLine(self._name, position, str(problem), line)
        if isinstance(problem, LostRestError):
            return str(bad)
        if self._refuse_undecodable and isinstance(problem, WrongEncodingError):
            self._undecodable += 1
            if self._undecodable < _FEW:
                return None
            return f"{bad}; --encoding utf-8 skips such {self._nouns[1]}"
        return None

    def _is_left_out(self, record: RawRecord, field: str) -> bool:
        """Note a record with an empty field; return whether it is left out."""
        position, line, _ = record
        self._empty.add(line if line is not None and self._nouns[0] == "line" else position, field)
        if self._skip_empty:
            self.left_out.append(position)
        return self._skip_empty

    def _record_bad(self, record: RawRecord, reason: str, *, is_own: bool) -> BadLine:
        position, line, _ = record
        if len(self.bad) < _SHOWN:
            self._reasons.add(reason)
        if self._nouns[0] == "entry":  # a line may have several
            reason = f"entry {position}: {reason}"
        bad = BadLine(self._name, position, reason, line)
        if len(self.bad) < _SHOWN:
            self.bad.append(bad)
        self.bad_count += 1
        if is_own and len(self.own_bad) < _SHOWN:
            self.own_bad.append(bad)
        self.own_bad_count += is_own
        self.left_out.append(position)
        return bad


def describe_bad_lines(bad: Sequence[BadLine], count: int) -> list[str]:
    """Return one message for each of the given bad lines, and one for the number of the others."""
    more = count - len(bad)
    return [*map(str, bad), *([f"and {quantity(more, 'more problem')}"] if more else [])]
