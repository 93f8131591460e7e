"""Where an input comes from: a file, stdin, or a pipe."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import BinaryIO

from ..telling import tell

_PIECE = 2**18  # bytes that are read at once


def opened(path: str) -> BinaryIO:
    """Open an input; - is stdin, which is left open.

    Raises:
        OSError: it cannot be.
    """
    if path != "-":
        return Path(path).open("rb", buffering=_PIECE)
    if sys.stdin is None:
        raise OSError("stdin is closed")
    if sys.stdin.isatty():
        tell("reads from the terminal; end with Ctrl-D")
    return open(0, "rb", buffering=_PIECE, closefd=False)
