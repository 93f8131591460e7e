"""Processes: runs each contender in a process of its own, so that none leaves warm caches, garbage or a large heap to the next."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import attrs

ROOT = Path(__file__).parent.parent
_VENVS = Path(__file__).parent / ".venvs"
_TIMEOUT = 1_800  # seconds for one run


@attrs.frozen
class Contender:
    """A program that is compared with others."""

    label: str
    """Its name in the tables."""
    module: str
    """Module in `benchmarks.contenders`."""
    entry: str
    """Name in the module's `ENTRIES`."""
    requirement: str | None = None
    """A package from PyPI, installed in an environment of its own; None: it runs in this environment."""


@attrs.frozen
class Answer:
    """What one run of a contender measured."""

    value: float
    """In the unit of the question: microseconds an item, MB, or bytes an item."""
    complete: bool
    """Whether it gave every item's output, once."""
    wall: float = math.nan
    """Seconds that it took, if the question measures them."""


class ContenderError(Exception):
    """A contender could not be run."""


def ask(contender: Contender, question: str, items: int, *, workers: int = 100) -> Answer:
    """Run a contender, and return its answer to a question.

    Args:
        contender: Program.
        question: What is measured: see `contenders.task`.
        items: Number of items.
        workers: Calls at the same time.

    Raises:
        ContenderError: It could not be installed or run; the message is the last line of its output.
    """
    python = sys.executable if contender.requirement is None else _python_with(contender.requirement)
    module = f"benchmarks.contenders.{contender.module}"
    environment = os.environ | {"BENCHMARK_WORKERS": str(workers)}
    answer = json.loads(_output(python, "-m", module, contender.entry, question, str(items), environment=environment))
    complete, wall = answer.pop("complete"), answer.pop("wall", math.nan)
    (value,) = answer.values()
    return Answer(value, complete, wall)


def _python_with(requirement: str) -> str:
    """Return the interpreter of an environment that has `requirement`; create the environment if it does not exist."""
    home = _VENVS / requirement.replace("==", "-")
    python = home / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    complete = home / "complete"  # written last: an incomplete environment is created again
    if not complete.exists():
        print(f"creating an environment with {requirement} ...", file=sys.stderr)
        _output(sys.executable, "-m", "venv", "--clear", str(home))
        _output(
            str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1", requirement
        )
        complete.touch()
    return str(python)


def _output(*command: str, environment: Mapping[str, str] | None = None) -> str:
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=_TIMEOUT, check=True, env=environment
        )
    except subprocess.CalledProcessError as error:
        lines = (error.stderr or error.stdout).strip().splitlines() or [str(error)]
        raise ContenderError(lines[-1]) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ContenderError(str(error)) from error
    return done.stdout
