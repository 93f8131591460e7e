"""How the user is told something: on stderr, which may be closed."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

_STDERR = 2


def tell(sentence: str) -> None:
    """Print a sentence, with the program's name before it."""
    print_lines(f"paceline: {sentence}")


def print_lines(text: str) -> None:
    """Print one line or several. That they cannot be printed is no reason to fail."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        _silence()


def _silence() -> None:
    """Let what is still to be printed, also at the interpreter's end, go nowhere."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, _STDERR)
        os.close(nowhere)
