"""The check of an input: tells good records from bad ones, in one pass over all of them."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from .types import BadLine, InputError, InputFormat, InputKind, InputRecord, LineError, RawRecord, quote

if TYPE_CHECKING:
    from .seen_set import SeenSet

_SHOWN = 10  # bad lines that are reported one by one

Objection = Callable[[InputRecord], str | None]
"""Returns why a well-formed prompt cannot be used all the same; None if it can."""


class Check:
    """One pass over the records of an input.

    Args:
        name: Name of the input, for messages.
        input_format: Reads the records.
        objection: Returns why a well-formed prompt cannot be used; None: there are no objections.
    """

    def __init__(self, name: str, input_format: InputFormat, objection: Objection | None = None) -> None:
        self._format = input_format
        self.count: int = 0
        """Good records so far."""
        self.bad: list[BadLine] = []
        """The first bad lines."""
        self.bad_positions: array[int] = array("Q")
        """Positions of all bad lines, ascending."""
        self._name = name
        self._objection = objection

    def examine(self, records: Iterable[RawRecord], limit: int | None) -> Iterator[InputRecord | BadLine]:
        """Yield each good record, and each bad line in its place; blank lines are skipped.

        Args:
            records: Raw records of the input.
            limit: Most good records; None: no limit. What follows them is not read.

        Raises:
            OSError: The ids cannot be kept in a temporary file.
        """
        from .seen_set import SeenSet  # noqa: PLC0415 - imports sqlite3, which importing paceline.files must not

        with closing(SeenSet()) as ids:
            for record in records:
                try:
                    found = self._read(record, ids)
                except LineError as problem:
                    yield self._record_bad(record, str(problem))
                    continue
                if found is not None:
                    self.count += 1
                    yield found
                    if self.count == limit:
                        return

    def conclude(self, *, strict: bool) -> None:
        """Raise if there are no good records, or, where the check is strict, if there is a bad one.

        Raises:
            InputError: With the first bad lines, and the number of the others.
        """
        complaints = describe_bad_lines(self.bad, len(self.bad_positions))
        if complaints and (strict or not self.count):
            raise InputError("\n".join(complaints))
        if not self.count:
            raise InputError(f"{self._name}: has no prompts")

    def _read(self, record: RawRecord, ids: SeenSet) -> InputRecord | None:
        found = self._format.read(record)
        if found is None:
            return None
        if self._objection is not None and (reason := self._objection(found)) is not None:
            raise LineError(reason)
        if self._format.has_ids and (first := ids.add(found.id, found.position)) != found.position:
            place = "in row" if self._format.kind in {InputKind.CSV, InputKind.PARQUET} else "on line"
            raise LineError(f"id {quote(found.id)} is {place} {first} already")
        return found

    def _record_bad(self, record: RawRecord, reason: str) -> BadLine:
        position, line, _ = record
        bad = BadLine(self._name, position, reason, line)
        if len(self.bad) < _SHOWN:
            self.bad.append(bad)
        self.bad_positions.append(position)
        return bad


def describe_bad_lines(bad: Sequence[BadLine], count: int) -> list[str]:
    """Return one message for each of the given bad lines, and one for the number of the others."""
    more = count - len(bad)
    return [*map(str, bad), *([f"and {more:,} more problems"] if more else [])]
