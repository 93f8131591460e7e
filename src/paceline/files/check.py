"""Which ids were seen, in memory that does not grow with their number.

They are in a temporary database on the disk. A long id is known by its digest, of which no two are alike in practice.

Which records of an input are good: the first pass over it, which looks at all of them.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Callable, Iterator
from contextlib import closing
from hashlib import blake2b

from .types import BadLine, InputError, InputFormat, InputKind, InputRecord, LineError, Record, quoted

_LONG = 32  # bytes, from which on the digest is shorter
_CACHE = 8  # MiB


class Ids:
    """The ids of an input, and where each was first."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        for setting in ("journal_mode = off", "synchronous = off", f"cache_size = -{_CACHE * 1024}"):
            self._database.execute(f"pragma {setting}")
        self._database.execute("create table seen (id blob primary key, position integer) without rowid")
        self._database.execute("begin")
        self._cursor = self._database.cursor()

    def first(self, name: str, position: int) -> int:
        """Return where an id was first: `position`, if it was not seen before."""
        key = name.encode("utf-8", "surrogatepass")
        if len(key) > _LONG:
            key = b"\0" * (_LONG + 1) + blake2b(key, digest_size=_LONG).digest()
        if self._cursor.execute("insert or ignore into seen values (?, ?)", (key, position)).rowcount:
            return position
        ((found,),) = self._cursor.execute("select position from seen where id = ?", (key,))
        return int(found)

    def close(self) -> None:
        """Forget them."""
        self._database.close()


_SHOWN = 10  # problems that are told one by one

Objection = Callable[[InputRecord], str | None]
"""Says why a prompt is not to be taken, if it is not."""


class Check:
    """The first pass."""

    def __init__(
        self, name: str, form: InputFormat, visit: Callable[[InputRecord], None] | None, objection: Objection | None
    ) -> None:
        self.form = form
        self.count = 0
        self.bad: list[BadLine] = []
        self.passed = array("Q")
        self._name = name
        self._visit = visit
        self._objection = objection

    def all(self, records: Iterator[Record], limit: int | None) -> None:
        """Check every record."""
        with closing(Ids()) as ids:
            for position, line, data in records:
                try:
                    prompt = self._take(position, data, ids)
                except LineError as problem:
                    self._note(position, line, str(problem))
                    continue
                if prompt is None:
                    continue
                self.count += 1
                if self._visit is not None:
                    self._visit(prompt)
                if self.count == limit:
                    break

    def conclude(self, *, strict: bool) -> None:
        """Raise if there is nothing to be done, or too much that cannot be.

        Raises:
            InputError: with the first problems, and the number of the others.
        """
        complaints = complaints_of(self._name, self.bad, len(self.passed))
        if complaints and (strict or not self.count):
            raise InputError("\n".join(complaints))
        if not self.count:
            raise InputError(f"{self._name}: has no prompts")

    def _take(self, position: int, data: object, ids: Ids) -> InputRecord | None:
        prompt = self.form.read(position, data)
        if prompt is None:
            return None
        if self._objection is not None and (reason := self._objection(prompt)) is not None:
            raise LineError(reason)
        if self.form.has_ids and (first := ids.first(prompt.id, position)) != position:
            place = "in row" if self.form.kind in {InputKind.CSV, InputKind.PARQUET} else "on line"
            raise LineError(f"id {quoted(prompt.id)} is {place} {first} already")
        return prompt

    def _note(self, position: int, line: int | None, reason: str) -> None:
        if len(self.bad) < _SHOWN:
            self.bad.append(BadLine(position, reason, line))
        self.passed.append(position)


def complaints_of(name: str, bad: list[BadLine] | tuple[BadLine, ...], count: int) -> list[str]:
    """Return a sentence for each of some bad lines, and one for how many more there are."""
    more = count - len(bad)
    return [*(line.told(name) for line in bad), *([f"and {more:,} more problems"] if more else [])]
