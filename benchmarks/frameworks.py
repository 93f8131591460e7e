"""Frameworks: inspect_ai and lm_eval, each with paceline in a venv of its own, for the live tests and the live benchmark.

python -m benchmarks.frameworks [FOLDER]     install both, into build/frameworks by default
"""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = {"inspect": ["inspect"], "lm-eval": ["lm-eval"]}
"""Extras of paceline that each venv has, beside those of the three providers."""
_PROVIDERS = ["openai", "anthropic", "gemini"]


def venv(name: str, folder: Path) -> Path:
    """Return the Python of a framework's venv, which is made if it is not there, or if `pyproject.toml` asks for other packages.

    Raises:
        subprocess.CalledProcessError: It could not be installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder / f"{name}.lock"):
        return _venv(name, folder / name)


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Keep other processes out while the block runs: they wait for it."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _venv(name: str, place: Path) -> Path:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    asked = json.dumps([project["dependencies"], project["optional-dependencies"]])
    python, made = place / "bin" / "python", place / "made"
    if made.exists() and made.read_text("utf-8") == asked:
        return python
    target = f"{ROOT}[{','.join([*PACKAGES[name], *_PROVIDERS])}]"
    if uv := shutil.which("uv"):
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(place)], check=True)
        install = [uv, "pip", "install", "--quiet", "--python", str(python), "--editable", target]
    else:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(place)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--editable", target]
    subprocess.run(install, check=True)
    made.write_text(asked, "utf-8")
    return python


if __name__ == "__main__":
    for each in PACKAGES:
        print(venv(each, Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build" / "frameworks")))
