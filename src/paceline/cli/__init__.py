"""The command line: `main` runs the program, turns errors into one message and returns the exit code.

Nothing optional is imported here, so that a missing package gives a message too.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence

from .._core.exceptions import MissingExtraError, PacelineError
from .._core.fault import redact
from .console import has_lost_output, print_lines, print_message
from .exit_codes import BROKEN_PIPE, OK, SIGNALLED, UNSAVED, USAGE

_SIGINT = 2
_REQUIRED = {"cyclopts", "rich"}

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code.

    Args:
        arguments: Arguments without the program's name; default: those of the process.
    """
    if sys.stderr is None:  # closed: print would write to stdout instead
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 - for the rest of the process
    try:
        return _main(sys.argv[1:] if arguments is None else arguments)
    except PacelineError as error:
        _print_error(error)
        return USAGE
    except KeyboardInterrupt:
        print_message("interrupted")
        return SIGNALLED + _SIGINT
    except BrokenPipeError:
        return BROKEN_PIPE


def _main(arguments: Sequence[str]) -> int:
    try:
        gc.disable()  # what is imported is no garbage, and to look for some takes a tenth of the start
        try:
            from .app import start  # noqa: PLC0415 - its packages may be missing
        finally:
            gc.enable()
        has_lost_output()
        code = start(arguments)
        return UNSAVED if has_lost_output() and code == OK else code
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _REQUIRED:
            raise
        raise MissingExtraError("the command line", "cli") from None


def _print_error(error: PacelineError) -> None:
    from ..files import InputError  # noqa: PLC0415 - the help does not need it

    if isinstance(error, InputError):
        print_lines(str(error))  # FILE:LINE: reason, as compilers write it: editors jump to such lines
    else:
        print_message(redact(str(error)))
