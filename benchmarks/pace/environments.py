"""Environments of rivals: each has its own, with the package as its authors published it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_VENVS = _ROOT / "benchmarks" / ".venvs"
_LONGEST = 1_800  # seconds


class EnvironmentFailure(Exception):  # noqa: N818 - its text is what a program printed
    """A contender could not be installed or run."""


@cache
def python_with(requirements: Sequence[str]) -> str:
    """Return the interpreter of an environment with `requirements` and paceline; create it if it does not exist.

    A requirement that begins with `--no-deps ` is installed without its dependencies.

    Raises:
        EnvironmentFailure: It could not be created.
    """
    home = _VENVS / ("pace-" + requirements[0].split()[-1].replace("==", "-"))
    python = str(home / ("Scripts" if sys.platform == "win32" else "bin") / "python")
    made = home / "made"  # written last: an incomplete environment is created again
    if not made.exists():
        print(f"making an environment with {requirements[0]} ...", file=sys.stderr)
        _do(sys.executable, "-m", "venv", "--clear", str(home))
        for each in (*(requirement.split() for requirement in requirements), ("--editable", str(_ROOT))):
            _do(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *each)
        made.touch()
    return python


def _do(*command: str) -> None:
    try:
        subprocess.run(command, capture_output=True, text=True, timeout=_LONGEST, check=True)
    except subprocess.CalledProcessError as error:
        raise EnvironmentFailure((error.stderr or error.stdout).strip()[-500:]) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentFailure(str(error)) from error
