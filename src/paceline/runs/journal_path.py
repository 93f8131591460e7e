"""Which journal a path means: its own, or that of the output which is there."""

from __future__ import annotations

import os
from pathlib import Path

from .._core.exceptions import ConfigurationError
from ..files.types import STREAM

_BEGIN = b"SQLite format 3\0"


def journal_at(path: str) -> str:
    """Return the path of the journal that is meant by its own path, or by that of an output beside which it lies.

    Raises:
        ConfigurationError: it can be none.
    """
    if path == STREAM:
        raise ConfigurationError("a journal is a file, not a stream: name it, or the output beside which it lies")
    beside = f"{path}.journal"
    return path if _is_database(path) or not os.path.exists(beside) else beside  # noqa: PTH110 - a text


def _is_database(path: str) -> bool:
    try:
        if not os.path.isfile(path):  # noqa: PTH113 - a text; what is none may never end
            return False
        with Path(path).open("rb") as file:
            return file.read(len(_BEGIN)) == _BEGIN
    except OSError:
        return False
