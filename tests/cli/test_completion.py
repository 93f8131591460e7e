"""`paceline completion`: scripts for shells."""

from __future__ import annotations

import shutil
import subprocess

import pytest

ASK = """
source "$1"
COMP_WORDS=(paceline "${@:2}")
COMP_CWORD=$(($# - 1))
_paceline
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def script(paceline, tmp_path):
    def write(shell):
        run = paceline("completion", shell)
        assert (run.code, run.err) == (0, "")
        path = tmp_path / f"completion.{shell}"
        path.write_text(run.out, "utf-8")
        return path

    return write


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_has_valid_syntax_for_its_shell(script, shell):
    path = script(shell)
    assert "escalate" in path.read_text("utf-8")
    if shutil.which(shell):
        subprocess.run([shell, "-n", path], check=True)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["r"], {"run", "results", "resume", "report"}),
        (["s"], {"status", "suite"}),
        (["f"], {"failed"}),
        (["results", "x", "--in"], {"--in-order"}),
        (["resume", "sy"], {"system.txt"}),
        (["resume", "x", "--all"], {"--allow-changes"}),
        (["failed", "x", "--input", "sy"], {"system.txt"}),
        (["run", "--sch"], {"--schema"}),
        (["run", "--output-format", ""], {"own", "openai", "gemini", "anthropic", "csv", "parquet"}),
        (["run", "x", "--system", "sy"], {"system.txt"}),
        (["run", "sy"], {"system.txt"}),
        (["completion", ""], {"bash", "zsh", "fish"}),
    ],
)
def test_bash_completes_commands_options_choices_and_files(script, tmp_path, words, expected):
    (tmp_path / "system.txt").touch()
    done = subprocess.run(
        ["bash", "-c", ASK, "bash", script("bash"), *words], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) == expected


@pytest.mark.parametrize("arguments", [[], ["tcsh"], ["bash", "zsh"]])
def test_an_unknown_shell_is_one_message(paceline, arguments):
    run = paceline("completion", *arguments)
    assert (run.code, run.out) == (2, "")
    assert len(run.err.splitlines()) == 1
