"""Every snippet of the README, CONTRIBUTING and docs runs: programs, commands, and (dry) make targets."""

from __future__ import annotations

import gc
import json
import os
import re
import shlex
import subprocess
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from subprocess import CompletedProcess
from unittest.mock import patch

import pytest
import trio
from trio.testing import MockClock

from paceline.cli import main
from paceline.cli.config_file import read_config

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")


def blocks(page: Path) -> list[tuple[str, str]]:
    return [(match[1], match[2]) for match in BLOCK.finditer(page.read_text("utf-8"))]


PROGRAM = """\
import sys
import trio
from trio.testing import MockClock
run = trio.run
trio.run = lambda *args, **options: run(*args, **{"clock": MockClock(autojump_threshold=0)} | options)
from paceline.cli import main
sys.exit(main())
"""
"""The program in virtual time, where simulated providers take no time."""
SERVER = re.compile(r"HTTPServer")
"""What takes real time, and is left open at the end of a snippet: that one runs in a process of its own."""
FRAMEWORK = re.compile(r"^(?:from|import) (?:inspect_ai|lm_eval)\b", re.MULTILINE)
"""What has a venv of its own: tests/live/test_frameworks.py runs it."""
IN_BACKGROUND = re.compile(r"&\s*(#.*)?$")
COMMAND = re.compile(r"paceline ((?:[^|&;<>$`\\#]|'[^']*')+?)(?: (<|>|2>) (\S+))?(?: \|\| test \$\? (?:=|-eq) (\d+))?")
"""A command that needs no shell: its arguments, a stream and its file, and the exit code that it may have."""
STREAMS = {"<": (0, "stdin"), ">": (1, "stdout"), "2>": (2, "stderr")}
NEEDS_SHELL = re.compile(r"\b(cd|source|until|if) |&$|<<|\$!", re.MULTILINE)


def in_background(line: str) -> str:
    """Return a command that is watched or killed while it runs: in real time, and slowly, as the machine may be busy."""
    return "REAL_TIME=1 " + line.replace("rate=40,", "rate=8,")


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """Return a folder with the program `paceline`, in virtual time unless REAL_TIME is set."""
    folder = tmp_path_factory.mktemp("programs")
    program = folder / "paceline"
    python = shlex.quote(sys.executable)
    program.write_text(
        f'#!/bin/sh\n[ -z "$REAL_TIME" ] || exec {python} -m paceline "$@"\n'
        f'exec {python} -c {shlex.quote(PROGRAM)} "$@"\n'
    )
    program.chmod(0o755)
    return folder


def run(
    command: list[str], folder: Path, text: str | None = None, programs: Path | None = None
) -> CompletedProcess[str]:
    path = [str(folder) for folder in (programs, Path(sys.executable).parent) if folder] + [os.environ["PATH"]]
    return subprocess.run(
        command, cwd=folder, input=text, text=True, capture_output=True, timeout=120, check=False,
        env={**os.environ, "PATH": os.pathsep.join(path)},
    )  # fmt: skip


def run_here(text: str, page: Path) -> None:
    """Run a Python snippet in this process, as a main module of its own; see that it leaves nothing open."""
    program, module = compile(text, str(page), "exec"), types.ModuleType("__main__")
    if FRAMEWORK.search(text):
        return
    main = sys.modules["__main__"]
    sys.modules["__main__"] = module  # alone: the modules that it imports stay, or later tests had them twice
    try:
        with patch.dict(os.environ):
            exec(program, module.__dict__)  # noqa: S102 - our own text
    finally:
        sys.modules["__main__"] = main
        module.__dict__.clear()
    gc.collect()


@contextmanager
def redirected(arrow: str, path: Path) -> Iterator[None]:
    """Let a stream of this process be a file, as the shell does."""
    number, name = STREAMS[arrow]
    before = os.dup(number)
    with path.open("r" if arrow == "<" else "w", encoding="utf-8") as file, patch.object(sys, name, file):
        os.dup2(file.fileno(), number)
        try:
            yield
        finally:
            os.dup2(before, number)
            os.close(before)


def run_commands(text: str, folder: Path, programs: Path) -> None:
    """Run the commands of a console snippet: the program in this process, where nothing of a shell is used, else in bash."""
    commands = [line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ ")]
    assert commands, text
    if NEEDS_SHELL.search(text):
        commands = ["\n".join(in_background(line) if IN_BACKGROUND.search(line) else line for line in commands)]
    for command in commands:
        if found := COMMAND.fullmatch(command):
            with redirected(found[2], folder / found[3]) if found[2] else nullcontext():
                assert main(shlex.split(found[1])) in {0, int(found[4] or 0)}, command
        else:
            done = run(["bash", "-euo", "pipefail", "-c", command], folder, programs=programs)
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.fixture
def virtual_time(monkeypatch):
    """Run whatever starts trio in this process in virtual time, where simulated providers take none."""
    run = trio.run

    def run_in_virtual_time(*arguments, **options):
        return run(*arguments, **{"clock": MockClock(autojump_threshold=0)} | options)

    monkeypatch.setattr(trio, "run", run_in_virtual_time)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
@pytest.mark.usefixtures("virtual_time")
def test_every_snippet_runs(page, tmp_path, programs, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for language, text in blocks(page):
        match language:
            case "python" if SERVER.search(text):
                done = run([sys.executable, "-W", "error", "-"], tmp_path, text)
                assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
            case "python":
                run_here(text, page)
            case "console":
                run_commands(text, tmp_path, programs)
            case "sh":
                done = run(["bash", "-euo", "pipefail", "-c", text.replace("make ", "make --dry-run ")], ROOT)
                assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
            case "json":
                json.loads(text)
            case "toml":
                (tmp_path / "options.toml").write_text(text, "utf-8")
                read_config(str(tmp_path / "options.toml"), "run")
            case "sql":
                pass  # test_journal runs it
            case "" | "{include} ../CHANGELOG.md" | "{include} ../CONTRIBUTING.md" | "{toctree}":
                pass  # a drawing, or for the site
            case _:
                pytest.fail(f"{page.name}: nothing runs {language} snippets")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_has_a_target(page):
    for target in LINK.findall(page.read_text("utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_the_pages_have_snippets():
    languages = [language for page in PAGES for language, _ in blocks(page)]
    assert languages.count("python") >= 8
    assert languages.count("console") >= 2
