"""How the user is told something: on stderr, which may be closed."""

from __future__ import annotations

import sys
from contextlib import suppress


def tell(sentence: str) -> None:
    """Print a sentence, with the program's name before it."""
    print_lines(f"paceline: {sentence}")


def print_lines(text: str) -> None:
    """Print one line or several. That they cannot be printed is no reason to fail."""
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)
