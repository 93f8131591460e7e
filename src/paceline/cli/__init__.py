"""The command line: `paceline run`, `paceline demo`.

This package is imported without the packages that its commands need, so that it can say which are missing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from .._core.exceptions import MissingExtraError, PacelineError
from .._core.fault import redact
from ..files import InputError
from .console import SIGNALLED, UNWANTED, USAGE, print_lines, print_message

_SIGINT = 2
_NEEDED = {"cyclopts", "rich"}

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code.

    Args:
        arguments: without the program's name; by default those that it was started with.
    """
    if sys.stderr is None:  # closed: print would take stdout instead
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 - for the rest of the process
    try:
        return _main(sys.argv[1:] if arguments is None else arguments)
    except InputError as error:
        print_lines(str(error))  # as compilers do, so that editors can jump to the lines
        return USAGE
    except PacelineError as error:
        print_message(redact(str(error)))
        return USAGE
    except KeyboardInterrupt:
        print_message("interrupted")
        return SIGNALLED + _SIGINT
    except BrokenPipeError:
        return UNWANTED


def _main(arguments: Sequence[str]) -> int:
    try:
        from .app import start  # noqa: PLC0415 - see above
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _NEEDED:
            raise
        raise MissingExtraError("the command line", "cli") from None
    return start(arguments)
