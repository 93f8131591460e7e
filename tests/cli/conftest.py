"""How the program is started by tests: here, or as a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from paceline.cli import main

from ..strategies.chat_service import forget_keys
from ..strategies.gemini.service import Service

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as shells have it for what they start in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)


FAST = "sim:rate=none,latency=0.01"
KEYS = (
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_BASE_URL",
    "GOOGLE_API_KEY",
    "GEMINI_API_KEY",
    "GOOGLE_GENAI_USE_VERTEXAI",
    "GOOGLE_GENAI_USE_ENTERPRISE",
)


@attrs.frozen
class Run:
    """What a run of the program came to."""

    code: int
    out: str
    err: str

    @property
    def rows(self):
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def paceline(capfd):
    """Run the program in this process."""

    def run(*arguments):
        code = main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Run(code, out, err)

    return run


@pytest.fixture
def start():
    """Start the program as a process; whatever is left of it is ended."""
    processes = []

    def popen(*arguments, command=("-m", "paceline"), environment=None, **options):
        process = subprocess.Popen(
            [sys.executable, *command, *map(str, arguments)],
            env=clean_environment() | (environment or {}),
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options,
        )
        processes.append(process)
        return process

    yield popen
    for process in processes:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


@pytest.fixture
def process(start):
    """Run the program as a process to its end."""

    def run(*arguments, stdin=None, **options):
        started = start(*arguments, stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL, **options)
        out, err = started.communicate(stdin)
        return Run(started.returncode, out, err)

    return run


@pytest.fixture
def service():
    """Run a server that answers as the providers do."""
    with Service() as running:
        yield running


@pytest.fixture
def no_keys(monkeypatch):
    """Hide the keys of whoever runs the tests."""
    forget_keys(monkeypatch)
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def jsonl(tmp_path):
    """Write a file of so many rows; return its path."""

    def write(number, name="in.jsonl"):
        path = tmp_path / name
        rows = [{"id": f"q{i}", "prompt": f"prompt {i}", "context": {"n": i}} for i in range(number)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        return path

    return write


def clean_environment() -> dict[str, str]:
    """Return the environment without keys, and with wide lines."""
    return {name: value for name, value in os.environ.items() if name not in KEYS} | {"COLUMNS": "200"}


def rows_of(path: Path):
    """Return the rows of a file of results."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.fixture
def batch(paceline, tmp_path):
    """Run a batch on a journal beside its output; return the path of the journal."""

    def run(content, *arguments, name="in.jsonl", model=FAST, code=0):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        done = paceline("run", path, "-o", tmp_path / "out.jsonl", "-m", model, "-q", *arguments)
        assert done.code == code, done.err
        return tmp_path / "out.jsonl.journal"

    return run


def lines_of(rows) -> str:
    """Return rows as lines of JSON."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def prompts(number):
    """Return an input of so many prompts."""
    return lines_of({"id": f"q{i}", "prompt": f"prompt {i}", "context": {"n": i}} for i in range(number))
