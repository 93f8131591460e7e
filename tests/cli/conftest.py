"""Fixtures that run the program: in this process, or as a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import MockClock

from paceline.cli import main

from ..strategies.chat_service import forget_keys
from ..strategies.gemini.service import Service

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as shells set it for background processes
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # as nohup sets it
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


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
    """The exit code and the output of a run of the program."""

    code: int
    out: str
    err: str

    @property
    def rows(self):
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def virtual_time(monkeypatch, request):
    """Run whatever starts trio in this process in virtual time, where simulated providers take none.

    The clock jumps only when nothing has happened for a moment, as threads write the files meanwhile.
    """
    if "service" in request.fixturenames:
        return  # a real server takes real time, in which the clock would jump to the timeout of a call
    run = trio.run

    def run_in_virtual_time(*arguments, **options):
        return run(*arguments, **{"clock": MockClock(autojump_threshold=0.002)} | options)

    monkeypatch.setattr(trio, "run", run_in_virtual_time)


@pytest.fixture
def paceline(capfd, virtual_time):
    """Run the program in this process, in virtual time; `stdin` is the text that it reads there."""

    def run(*arguments, stdin=None):
        with contextlib.nullcontext() if stdin is None else on_stdin(stdin):
            code = main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Run(code, out, err)

    return run


@contextlib.contextmanager
def on_stdin(text):
    """Let the standard input be a pipe with a text that the pipe can hold."""
    before = os.dup(0)
    reading, writing = os.pipe()
    try:
        os.write(writing, text.encode())
        os.dup2(reading, 0)
        os.close(writing)
        yield
    finally:
        os.dup2(before, 0)
        os.close(before)
        os.close(reading)


# Not `preexec_fn`: a process with threads, as each worker of the tests is, may hang between fork and exec.
LIMITED = """
import json, os, resource, sys
kind, soft, hard = json.loads(sys.argv[1])
resource.setrlimit(kind, (soft, hard))
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""
"""Program that lowers a limit of its process, and becomes the Python program of the remaining arguments."""


@pytest.fixture
def start():
    """Start the program as a process, which is killed after the test."""
    processes = []

    def popen(*arguments, command=("-m", "paceline"), environment=None, limits=None, **options):
        if limits is not None:
            command = ("-c", LIMITED, json.dumps(limits), *command)
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
    """Run the program as a process and wait for its end."""

    def run(*arguments, stdin=None, **options):
        started = start(*arguments, stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL, **options)
        out, err = started.communicate(stdin)
        return Run(started.returncode, out, err)

    return run


@pytest.fixture
def service():
    """Run a server that answers like the providers."""
    with Service() as running:
        yield running


@pytest.fixture
def no_keys(monkeypatch):
    """Hide the keys of the user who runs the tests."""
    forget_keys(monkeypatch)
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def jsonl(tmp_path):
    """Write a file with a number of rows; return its path."""

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
    """Run a batch with a journal next to its output; return the path of the journal."""

    def run(content, *arguments, name="in.jsonl", model=FAST, code=0):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        done = paceline("run", path, "-o", tmp_path / "out.jsonl", "-m", model, "-q", *arguments)
        assert done.code == code, done.err
        return tmp_path / "out.jsonl.journal"

    return run


def lines_of(rows) -> str:
    """Return rows as JSONL."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def prompts(number):
    """Return an input with a number of prompts."""
    return lines_of({"id": f"q{i}", "prompt": f"prompt {i}", "context": {"n": i}} for i in range(number))
