"""A set of keys on disk: memory does not grow with the number of keys.

1. The keys are in a temporary SQLite database without a name, which the system deletes when it is closed.
2. A key of more than 32 bytes is stored as its digest; two keys with the same digest do not occur in practice.
"""

from __future__ import annotations

import sqlite3
from hashlib import blake2b

_LONG = 32  # bytes: longer keys are stored as digests of this length
_CACHE = 8  # MiB of the database that are held in memory


class SeenSet:
    """Keys, each with a number that was given when it was first added."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        for setting in ("journal_mode = off", "synchronous = off", f"cache_size = -{_CACHE * 1024}"):
            self._database.execute(f"pragma {setting}")
        self._database.execute("create table seen (key blob primary key, number integer) without rowid")
        self._database.execute("begin")
        self._cursor = self._database.cursor()

    def add(self, key: str | bytes, number: int) -> int:
        """Add a key unless it is there already; return the number with which it was first added.

        Raises:
            OSError: The temporary file cannot take it.
        """
        if isinstance(key, str):
            key = key.encode("utf-8", "surrogatepass")
        if len(key) > _LONG:
            key = b"\0" * (_LONG + 1) + blake2b(key, digest_size=_LONG).digest()
        try:
            if self._cursor.execute("insert or ignore into seen values (?, ?)", (key, number)).rowcount:
                return number
            ((first,),) = self._cursor.execute("select number from seen where key = ?", (key,))
        except sqlite3.Error as error:
            raise OSError(f"the temporary file for its ids: {error}") from None
        return int(first)

    def __len__(self) -> int:
        ((count,),) = self._database.execute("select count(*) from seen")
        return int(count)

    def total(self) -> int:
        """Return the sum of the numbers."""
        ((total,),) = self._database.execute("select ifnull(sum(number), 0) from seen")
        return int(total)

    def close(self) -> None:
        """Delete the database."""
        self._database.close()
