"""What a command answers on stdout: all of it or a sentence on stderr, but never a traceback."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from .rows.writing import STDOUT, Output
from .telling import print_lines, tell


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
        tell(f"stdout: cannot be written to: {error.strerror or os.strerror(error.errno or 0)}")


def answer_json(data: dict[str, Any], *, stdout_is_used: bool = False) -> None:
    """Print an object in a line: on stdout, or on stderr if stdout is used for rows."""
    line = json.dumps(data, allow_nan=False)  # in ASCII: a path may hold what no encoding can
    if stdout_is_used:
        print_lines(line)
    else:
        answer(line)
