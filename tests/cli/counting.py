"""A provider from another package that records its calls in a file, so that they are known after a kill."""

from __future__ import annotations

import os
from pathlib import Path

MODULE = """
import os

import anyio

from paceline import LLMCallStrategy, TokenUsage


class Counting(LLMCallStrategy[str]):
    def __init__(self, name, **options):
        self.model = "counting"
        self.seconds = float(name)
        self.calls = os.open(os.environ["CALLS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def __copy__(self):
        return self

    async def execute(self, prompt, attempt, timeout):
        os.write(self.calls, prompt.encode() + b"\\n")
        await anyio.sleep(self.seconds)
        return prompt.upper(), TokenUsage(3, 4)
"""


def install(folder: Path) -> dict[str, str]:
    """Install the package into a folder; return the environment in which `counting:SECONDS` is a model."""
    home = folder / "packages"
    info = home / "counting-1.0.dist-info"
    info.mkdir(parents=True)
    (home / "counting_models.py").write_text(MODULE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: counting\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[paceline.models]\ncounting = counting_models:Counting\n")
    path = os.pathsep.join(filter(None, (str(home), os.environ.get("PYTHONPATH"))))
    return {"PYTHONPATH": path, "CALLS": str(folder / "calls")}


def calls_in(folder: Path) -> list[str]:
    """Return the prompts of all calls, in order."""
    path = folder / "calls"
    return path.read_text().splitlines() if path.exists() else []
