"""A set of keys on disk: memory does not grow with the number of keys.

1. The keys are in a temporary SQLite database without a name, which the system deletes when it is closed.
2. A key of more than 32 bytes is stored as its digest; two keys with the same digest do not occur in practice.
3. Most keys are new, and a filter in memory (Bloom's, with two places for each key) knows that of nearly all of them: they are stored many at
   once. Only a key that the filter may have met is looked up. The filter never calls a key new that is not.
"""

from __future__ import annotations

import sqlite3
from hashlib import blake2b
from itertools import chain

_LONG = 32  # bytes: longer keys are stored as digests of this length
_CACHE = 8  # MiB of the database that are held in memory
_PLACES = 2**22  # of the filter, a byte each: of a million keys 5 in 100 are looked up, of ten millions most
_OTHER = 22  # bits by which the hash of a key is shifted for its second place
_TOGETHER = 256  # keys that are stored with one statement; SQLite allows 999 parameters in old versions


class SeenSet:
    """Keys, each with a number that was given when it was first added."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        for setting in ("journal_mode = off", "synchronous = off", f"cache_size = -{_CACHE * 1024}"):
            self._database.execute(f"pragma {setting}")
        self._database.execute("create table seen (key blob primary key, number integer) without rowid")
        self._database.execute("begin")
        self._cursor = self._database.cursor()
        self._filter = bytearray(_PLACES)
        self._waiting: dict[bytes, int] = {}
        """New keys that are not stored yet, with their numbers."""

    def add(self, key: str | bytes, number: int) -> int:
        """Add a key unless it is there already; return the number with which it was first added.

        Raises:
            OSError: The temporary file cannot take it.
        """
        if isinstance(key, str):
            key = key.encode("utf-8", "surrogatepass")
        if len(key) > _LONG:
            key = b"\0" * (_LONG + 1) + blake2b(key, digest_size=_LONG).digest()
        places, first = self._filter, hash(key)
        other = (first >> _OTHER) % _PLACES
        first %= _PLACES
        if places[first] and places[other] and (known := self._find(key)) is not None:
            return known
        places[first] = places[other] = 1
        self._waiting[key] = number
        if len(self._waiting) == _TOGETHER:
            self._store()
        return number

    def __len__(self) -> int:
        self._store()
        ((count,),) = self._database.execute("select count(*) from seen")
        return int(count)

    def numbers(self) -> dict[int, int]:
        """Return how many keys were given each number."""
        self._store()
        return dict(self._database.execute("select number, count(*) from seen group by number"))

    def close(self) -> None:
        """Delete the database."""
        self._database.close()

    def _find(self, key: bytes) -> int | None:
        """Return the number of a key; None if it is new."""
        number = self._waiting.get(key)
        if number is None:
            row = self._run("select number from seen where key = ?", (key,)).fetchone()
            number = None if row is None else int(row[0])
        return number

    def _store(self) -> None:
        if self._waiting:
            marks = ", ".join(["(?, ?)"] * len(self._waiting))
            values = (*chain.from_iterable(self._waiting.items()),)
            self._run(f"insert into seen values {marks}", values)  # noqa: S608 - only question marks
            self._waiting.clear()

    def _run(self, statement: str, values: tuple[object, ...]) -> sqlite3.Cursor:
        try:
            return self._cursor.execute(statement, values)
        except sqlite3.Error as error:
            raise OSError(f"the temporary file for its ids: {error}") from None
