"""Console: messages on stderr, output on stdout.

Rules owned here:

1. A message starts with the program's name, and is one line. A stderr that is closed or full is not an error.
2. Output goes to stdout completely, or a message says why not, and the exit code is that of results which could not be saved; there is no
   traceback.
3. Nothing that a terminal could obey is printed, whatever names, answers and journals hold.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from .._core.printable import printable
from .exit_codes import SIGNALLED

_lost: list[OSError] = []  # why output could not be printed
STDOUT: Final = 1
"""File descriptor of stdout."""


def print_message(message: str) -> None:
    """Print a message to stderr, after the program's name."""
    print_lines(f"paceline: {printable(message, keep='')}")


def print_lines(text: str) -> None:
    """Print one or more lines to stderr."""
    with suppress(OSError):
        print(printable(text), file=sys.stderr, flush=True)


def print_output(text: str) -> None:
    """Print lines to stdout; to stderr if stdout is closed.

    Raises:
        BrokenPipeError: The reader of stdout has closed it.
    """
    if sys.stdout is None:
        print_lines(text)
        return
    try:
        _write(f"{printable(text)}\n".encode("utf-8", "backslashreplace"))
    except BrokenPipeError:
        raise
    except OSError as error:
        print_message(f"stdout: cannot be written to: {error.strerror or os.strerror(error.errno or 0)}")
        _lost.append(error)


def has_lost_output() -> bool:
    """Whether output could not be printed since the last call."""
    lost = bool(_lost)
    _lost.clear()
    return lost


def print_json(data: dict[str, Any], *, stdout_is_used: bool = False) -> None:
    """Print an object as one line of JSON: to stdout, or to stderr if rows go to stdout."""
    line = json.dumps(data, allow_nan=False)  # ASCII: a path may hold bytes that are not text
    if stdout_is_used:
        print_lines(line)
    else:
        print_output(line)


@contextmanager
def sigterm_raises_exit() -> Iterator[None]:
    """Make SIGTERM raise `SystemExit` in the block, so that an incomplete file is removed before the process ends."""
    before = signal.signal(signal.SIGTERM, _exit)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _exit(number: int, _: object) -> None:
    raise SystemExit(SIGNALLED + number)


def _write(content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        try:
            rest = rest[os.write(STDOUT, rest) :]
        except BlockingIOError:  # a terminal or pipe that another program made non-blocking
            select.select((), (STDOUT,), ())
