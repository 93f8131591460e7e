"""Frameworks: inspect_ai and lm_eval, each with paceline in a venv of its own, for the live tests and the live benchmark.

python -m benchmarks.frameworks [FOLDER]     install both, into build/frameworks by default
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = {"inspect": ["inspect"], "lm-eval": ["lm-eval"]}
"""Extras of paceline that each venv has, beside those of the three providers."""
_PROVIDERS = ["openai", "anthropic", "gemini"]


def venv(name: str, folder: Path) -> Path:
    """Return the Python of a framework's venv, which is made if it is not there, or if `pyproject.toml` is younger.

    Raises:
        subprocess.CalledProcessError: It could not be installed.
    """
    place = folder / name
    python, made = place / "bin" / "python", place / "made"
    if made.exists() and made.stat().st_mtime > (ROOT / "pyproject.toml").stat().st_mtime:
        return python
    target = f"{ROOT}[{','.join([*PACKAGES[name], *_PROVIDERS])}]"
    if uv := shutil.which("uv"):
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(place)], check=True)
        install = [uv, "pip", "install", "--quiet", "--python", str(python), "--editable", target]
    else:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(place)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--editable", target]
    subprocess.run(install, check=True)
    made.touch()
    return python


if __name__ == "__main__":
    for each in PACKAGES:
        print(venv(each, Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build" / "frameworks")))
