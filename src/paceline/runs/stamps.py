"""Stamps: how a journal proves that a run of this user on this machine wrote what it says.

A journal names files to read and to write and servers to call, and journals are copied around. So a run stamps such facts with a key that only
this user can read (HMAC-SHA-256). Without a valid stamp a fact is data: it is shown, and obeyed only if the user confirms it.

Rules owned here:

1. The key is made at its first use, in the user's state folder ($XDG_STATE_HOME, by default ~/.local/state). It never leaves that file.
2. A key that another user could have written proves nothing. Where there is no key and none can be made, nothing is stamped.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

_KEY_BYTES = 32
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def stamp(fact: Mapping[str, Any]) -> str | None:
    """Return the stamp of a fact, in hexadecimal digits; None if there is no key and none can be made.

    Args:
        fact: Data that JSON can hold.
    """
    key = _key() or _new_key()
    return None if key is None else _stamp(key, fact)


def is_stamped(fact: Mapping[str, Any], given: object) -> bool:
    """Whether a stamp was made for a fact by this user on this machine.

    Args:
        fact: Data that JSON can hold.
        given: The stamp, as a journal has it.
    """
    key = _key()
    return (
        key is not None and isinstance(given, str) and hmac.compare_digest(_stamp(key, fact).encode(), given.encode())
    )


def _stamp(key: bytes, fact: Mapping[str, Any]) -> str:
    return hmac.new(key, json.dumps(fact, sort_keys=True).encode(), hashlib.sha256).hexdigest()


def _path() -> Path:
    folder = os.environ.get("XDG_STATE_HOME", "")
    base = Path(folder) if Path(folder).is_absolute() else Path.home() / ".local" / "state"
    return base / "paceline" / "stamp.key"


def _key() -> bytes | None:
    """Return the user's key; None if it does not exist, or proves nothing."""
    with suppress(OSError, RuntimeError, ValueError), _path().open("rb") as file:  # RuntimeError: there is no home
        found = os.fstat(file.fileno())
        is_own = not hasattr(os, "getuid") or (found.st_uid == os.getuid() and not found.st_mode & _WRITABLE_BY_OTHERS)
        key = file.read(_KEY_BYTES + 1)
        return key if is_own and len(key) == _KEY_BYTES else None
    return None


def _new_key() -> bytes | None:
    """Make the user's key, complete or not at all, unless another process is faster; return the one that is there."""
    with suppress(OSError, RuntimeError, ValueError):
        path = _path()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, secrets.token_bytes(_KEY_BYTES))
        finally:
            os.close(descriptor)
        with suppress(FileExistsError):
            os.link(part, path)
        part.unlink()
    return _key()
