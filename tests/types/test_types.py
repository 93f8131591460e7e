"""Type checkers know the type of an output, from the strategy to the result."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def mypy_errors(*snippets):
    """Return the errors of a strict run, as triples of file, line and code."""
    names = [str((HERE / name).relative_to(ROOT)) for name in snippets]
    process = subprocess.run(
        [sys.executable, "-m", "mypy", *names], cwd=ROOT, text=True, capture_output=True, timeout=600, check=False
    )
    assert process.returncode in (0, 1), process.stdout + process.stderr
    errors = re.findall(r"^(\S+):(\d+): error: .*\[([\w-]+)\]$", process.stdout, re.MULTILINE)
    assert bool(errors) == bool(process.returncode), process.stdout
    return {(Path(name).name, int(line), code) for name, line, code in errors}


def marked_lines(name):
    """Return the errors that the marks in a file announce, as triples of file, line and code."""
    lines = enumerate((HERE / name).read_text("utf-8").splitlines(), 1)
    return {(name, number, mark[1]) for number, line in lines if (mark := re.search(r"# rejected: ([\w-]+)$", line))}


def test_a_type_checker_infers_the_type_of_every_output_and_rejects_wrong_types():
    assert mypy_errors("accepted.py", "rejected.py") == marked_lines("rejected.py")
    assert len(marked_lines("rejected.py")) == 7
