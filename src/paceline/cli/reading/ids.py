"""Which ids were seen, in memory that does not grow with their number.

They are in a temporary database on the disk. A long id is known by its digest, of which no two are alike in practice.
"""

from __future__ import annotations

import sqlite3
from hashlib import blake2b

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
