"""`python -m paceline.contrib.lm_eval`: the command line of lm_eval, which then knows the model `paceline`."""

# pyright: reportMissingImports=false, reportMissingModuleSource=false
from __future__ import annotations

import sys

from ..._core.exceptions import PacelineError
from ...exceptions import CallError

_FAILED, _USAGE = 1, 2  # exit codes, as of the program `paceline`


def main() -> int:
    """Run lm_eval's command line; return the exit code."""
    try:
        from . import _model as _registers  # noqa: F401, I001, PLC0415 - slow to import, and lm_eval may be missing
        from lm_eval.__main__ import cli_evaluate  # noqa: PLC0415
    except PacelineError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - a program
        return _USAGE
    try:
        cli_evaluate()
    except (PacelineError, NotImplementedError) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return _FAILED if isinstance(error, CallError) else _USAGE
    return 0


if __name__ == "__main__":
    sys.exit(main())
