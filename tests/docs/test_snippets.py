"""Every snippet of the README, CONTRIBUTING and docs runs: programs, commands, and (dry) make targets."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from paceline.cli.config_file import read_config

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")


def blocks(page: Path) -> list[tuple[str, str]]:
    return [(match[1], match[2]) for match in BLOCK.finditer(page.read_text("utf-8"))]


VIRTUAL_TIME = """\
import trio
from trio.testing import MockClock
run = trio.run
trio.run = lambda *args, **options: run(*args, **{"clock": MockClock(autojump_threshold=0)} | options)
"""
"""Where trio is started afterwards, simulated providers take no time."""
PROGRAM = f"import sys\n{VIRTUAL_TIME}from paceline.cli import main\nsys.exit(main())"
IN_BACKGROUND = re.compile(r"&\s*(#.*)?$")


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


def in_virtual_time(text: str) -> str:
    """Return a program that takes no time, unless it talks to a server."""
    return text if "Server" in text else VIRTUAL_TIME + text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_snippet_runs(page, tmp_path, programs):
    for language, text in blocks(page):
        match language:
            case "python":
                done = run([sys.executable, "-W", "error", "-"], tmp_path, in_virtual_time(text))
            case "console":
                commands = [line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ ")]
                assert commands, text
                # What is started in the background is watched or killed while it runs.
                script = "\n".join("REAL_TIME=1 " * bool(IN_BACKGROUND.search(line)) + line for line in commands)
                done = run(["bash", "-euo", "pipefail", "-c", script], tmp_path, programs=programs)
            case "sh":
                done = run(["bash", "-euo", "pipefail", "-c", text.replace("make ", "make --dry-run ")], ROOT)
            case "json":
                json.loads(text)
                continue
            case "toml":
                (tmp_path / "options.toml").write_text(text, "utf-8")
                read_config(str(tmp_path / "options.toml"), "run")
                continue
            case "sql":
                continue  # test_journal runs it
            case "" | "{include} ../CHANGELOG.md" | "{include} ../CONTRIBUTING.md" | "{toctree}":
                continue  # a drawing, or for the site
            case _:
                pytest.fail(f"{page.name}: nothing runs {language} snippets")
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_has_a_target(page):
    for target in LINK.findall(page.read_text("utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_the_pages_have_snippets():
    languages = [language for page in PAGES for language, _ in blocks(page)]
    assert languages.count("python") >= 8
    assert languages.count("console") >= 2
