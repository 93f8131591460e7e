"""The type of an output is known to a type checker from the strategy to the result."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def mypy(*snippets):
    """Return the errors of a strict run, as pairs of line and code for each file."""
    names = [str((HERE / name).relative_to(ROOT)) for name in snippets]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *names], cwd=ROOT, text=True, capture_output=True, timeout=600, check=False
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    errors = re.findall(r"^(\S+):(\d+): error: .*\[([\w-]+)\]$", done.stdout, re.MULTILINE)
    assert bool(errors) == bool(done.returncode), done.stdout
    return {(Path(name).name, int(line), code) for name, line, code in errors}


def marked(name):
    lines = enumerate((HERE / name).read_text("utf-8").splitlines(), 1)
    return {(name, number, mark[1]) for number, line in lines if (mark := re.search(r"# refused: ([\w-]+)$", line))}


def test_a_type_checker_knows_the_type_of_every_output_and_refuses_what_does_not_fit():
    assert mypy("accepted.py", "refused.py") == marked("refused.py")
    assert len(marked("refused.py")) == 5
