"""The command `resume`: what is missing in a journal, in the foreground."""

from __future__ import annotations

import sys

from ..._core.exceptions import ConfigurationError
from ...files.types import STREAM
from ...runs.options import ResumeOptions
from ...runs.resumption import resumed_options
from ..options import ResumeArguments, record_of
from .run import run


def resume(journal: str, arguments: ResumeArguments) -> int:
    """Run what is missing in a journal; return the exit code.

    Raises:
        ConfigurationError: The run cannot start; nothing was called.
        JournalError: The journal cannot be used; nothing was called.
    """
    options = resumed_options(journal, record_of(ResumeOptions, arguments))
    if options.input == STREAM and (sys.stdin is None or sys.stdin.isatty()):
        raise ConfigurationError(
            f"{options.journal}: its input was stdin; pipe it in again, or give a file: --input FILE"
        )
    return run(options, arguments)
