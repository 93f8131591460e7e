"""What the exit codes mean.

How the user is told something: on stderr, which may be closed.

What a command answers on stdout: all of it or a sentence on stderr, but never a traceback.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from ..files.output import STDOUT, Output

OK: Final = 0
"""Every item has an output."""
FAILED: Final = 1
"""Some items have none."""
USAGE: Final = 2
"""The command, the input or the output is wrong."""
UNSAVED: Final = 3
"""Results could not be saved."""
SIGNALLED: Final = 128
"""Plus the signal's number: 130 for SIGINT, 143 for SIGTERM."""
UNWANTED: Final = SIGNALLED + 13
"""Whoever read stdout closed it: what SIGPIPE would have come to."""


def print_message(sentence: str) -> None:
    """Print a sentence, with the program's name before it."""
    print_lines(f"paceline: {sentence}")


def print_lines(text: str) -> None:
    """Print one line or several. That they cannot be printed is no reason to fail."""
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def answer(text: str) -> None:
    """Print lines on stdout; on stderr if it is closed.

    Raises:
        BrokenPipeError: whoever read stdout has closed it.
    """
    if sys.stdout is None:
        print_lines(text)
        return
    try:
        Output("stdout", STDOUT).write(f"{text}\n".encode("utf-8", "backslashreplace"))
    except BrokenPipeError:
        raise
    except OSError as error:
        print_message(f"stdout: cannot be written to: {error.strerror or os.strerror(error.errno or 0)}")


def answer_json(data: dict[str, Any], *, stdout_is_used: bool = False) -> None:
    """Print an object in a line: on stdout, or on stderr if stdout is used for rows."""
    line = json.dumps(data, allow_nan=False)  # in ASCII: a path may hold what no encoding can
    if stdout_is_used:
        print_lines(line)
    else:
        answer(line)


@contextmanager
def sigterm_raises_exit() -> Iterator[None]:
    """Let SIGTERM raise `SystemExit` in the block, so that a file that is not complete is removed before the process ends."""
    before = signal.signal(signal.SIGTERM, _exit)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _exit(number: int, _: object) -> None:
    raise SystemExit(SIGNALLED + number)
