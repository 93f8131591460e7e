"""How a contender is run: in a process of its own, so that none leaves warm caches, garbage or a large heap to the next."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import attrs

ROOT = Path(__file__).parent.parent
_VENVS = Path(__file__).parent / ".venvs"
_LONGEST = 1_800  # seconds


@attrs.frozen
class Contender:
    """A program that is compared with others."""

    label: str
    """For people."""
    module: str
    """Of `benchmarks.contenders`."""
    entry: str
    requirement: str | None = None
    """What it needs from PyPI, in an environment of its own; None: it runs in ours."""


@attrs.frozen
class Answer:
    """What one run of a contender came to."""

    value: float
    complete: bool
    """Whether it gave every item's output, once."""


class ContenderError(Exception):
    """A contender could not be run."""


def ask(contender: Contender, question: str, items: int) -> Answer:
    """Run a contender, and return what it measured.

    Raises:
        ContenderError: it could not be installed or run; the last line of what it printed.
    """
    python = sys.executable if contender.requirement is None else _python_with(contender.requirement)
    module = f"benchmarks.contenders.{contender.module}"
    answer = json.loads(_output(python, "-m", module, contender.entry, question, str(items)))
    complete = answer.pop("complete")
    (value,) = answer.values()
    return Answer(value, complete)


def _python_with(requirement: str) -> str:
    """Return the interpreter of an environment that has `requirement`; make it if there is none."""
    home = _VENVS / requirement.replace("==", "-")
    python = home / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    made = home / "made"  # written last: an environment that was left half made is made again
    if not made.exists():
        print(f"making an environment with {requirement} ...", file=sys.stderr)
        _output(sys.executable, "-m", "venv", "--clear", str(home))
        _output(
            str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1", requirement
        )
        made.touch()
    return str(python)


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=_LONGEST, check=True)
    except subprocess.CalledProcessError as error:
        complaint = (error.stderr or error.stdout).strip().splitlines() or [str(error)]
        raise ContenderError(complaint[-1]) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ContenderError(str(error)) from error
    return done.stdout
