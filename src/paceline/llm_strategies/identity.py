"""A long or private value in a strategy's identity, as a hash: what a journal needs is whether it is the same."""

from __future__ import annotations

import hashlib
import json
from typing import Any

_LENGTH = 16  # hexadecimal digits: enough to tell a user's settings apart


def fingerprint(value: Any) -> str | None:
    """Return a hash of plain data, or of a text; None: there is none."""
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=repr)
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:_LENGTH]
