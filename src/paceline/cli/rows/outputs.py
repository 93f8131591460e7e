"""Could the output be opened? Asked without a trace: nothing is created, nothing is changed."""

from __future__ import annotations

import os
import stat
import sys

from ..asking.options import STREAM
from .writing import STDOUT, OutputError


def state_of(path: str, *, source: os.stat_result, overwrite: bool, belongs: bool = False) -> str:
    """Return what would become of an output: `new`, `empty`, `continued`, `replaced`, `stream`.

    Args:
        path: of the file; - for stdout.
        source: the input's identity.
        overwrite: whether what is there may be replaced.
        belongs: whether it is that of the journal, which is gone on with.

    Raises:
        OutputError: it could not be written to, or has content, or is the input.
    """
    if path == STREAM and sys.stdout is None:
        raise OutputError("stdout: cannot be written to: it is closed")
    try:
        found = os.fstat(STDOUT) if path == STREAM else os.stat(path)  # noqa: PTH116 - beside fstat
    except FileNotFoundError:
        _must_take_a_file(path)
        return "new"
    except OSError as error:
        raise OutputError(f"{path}: cannot be written to: {error.strerror}") from None
    name = "stdout" if path == STREAM else path
    if stat.S_ISREG(found.st_mode) and os.path.samestat(found, source):
        raise OutputError(f"{name}: is the input; name another file")
    if path == STREAM:
        return "stream"
    return _state_of_what_is_there(path, found, overwrite=overwrite, belongs=belongs)


def _state_of_what_is_there(path: str, found: os.stat_result, *, overwrite: bool, belongs: bool) -> str:
    if stat.S_ISDIR(found.st_mode):
        raise OutputError(f"{path}: cannot be written to: Is a directory")
    if not os.access(path, os.W_OK):
        raise OutputError(f"{path}: cannot be written to: Permission denied")
    if not stat.S_ISREG(found.st_mode):
        return "stream"
    if not found.st_size:
        return "empty"
    if belongs:
        return "continued"
    if not overwrite:
        raise OutputError(f"{path}: has content; name another file, or say --overwrite to replace it")
    return "replaced"


def _must_take_a_file(path: str) -> None:
    folder = os.path.dirname(os.path.abspath(path))  # noqa: PTH100, PTH120 - texts
    if not os.path.isdir(folder):  # noqa: PTH112 - a text
        raise OutputError(f"{path}: cannot be written to: No such file or directory")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{path}: cannot be written to: Permission denied")
