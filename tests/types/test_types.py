"""Type checkers know the type of an output, from the strategy to the result."""

from __future__ import annotations

import json
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


def pyright_errors(*snippets):
    """Return the errors as pairs of file and line; the lines count from 1."""
    names = [str((HERE / name).relative_to(ROOT)) for name in snippets]
    command = [sys.executable, "-m", "basedpyright", "--pythonpath", sys.executable, "--outputjson", *names]
    process = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=600, check=False)
    report = json.loads(process.stdout)
    assert report["summary"]["filesAnalyzed"] == len(snippets)
    errors = [each for each in report["generalDiagnostics"] if each["severity"] == "error"]
    return {(Path(each["file"]).name, each["range"]["start"]["line"] + 1) for each in errors}


def marked_lines(name):
    """Return the errors that the marks in a file announce, as triples of file, line and code."""
    lines = enumerate((HERE / name).read_text("utf-8").splitlines(), 1)
    return {(name, number, mark[1]) for number, line in lines if (mark := re.search(r"# rejected: ([\w-]+)$", line))}


def test_a_type_checker_infers_the_type_of_every_output_and_rejects_wrong_types():
    assert mypy_errors("accepted.py", "narrowed.py", "rejected.py") == marked_lines("rejected.py")
    assert len(marked_lines("rejected.py")) == 9


def test_pyright_infers_the_same_types_and_rejects_the_same_lines():
    lines = {(name, line) for name, line, _ in marked_lines("rejected.py")}
    assert pyright_errors("accepted.py", "rejected.py") == lines
