"""Page: a Markdown page of the figures, with a section for each benchmark that its run rewrites."""

from __future__ import annotations

import os
import platform
import re
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

_FRAME = """# Benchmarks

These tables show what paceline costs in addition to the calls it makes, next to its peers in the same run. `make bench` prints them;
`python -m benchmarks --write docs/benchmarks.md` rewrites this page. Name one benchmark (`overhead`, `memory`, `journal`,
`stages`, `long-batch`, `typed`, `clients`, `savings`, `faults`, `scale`, `report`, `estimate`, `suites`, `sight`, `shared-quota`) before `--write` to rewrite only its section.

The numbers are from one machine on one day, which may have had other work to do: trust the ratios. Under each table its targets stand, and
whether they are met. `make bench-check` measures ratios again, and fails if one is 30 % higher than the one that is stored in
`benchmarks/ratios.json`; `python -m benchmarks --store` stores those of now.

"""
_TITLES = {
    "overhead": "CPU per item",
    "memory": "Memory of long runs",
    "journal": "What a journal costs",
    "stages": "Stages of a run with a journal",
    "long-batch": "A million items, killed and finished",
    "typed": "Typed answers",
    "clients": "Calls by the packages of providers",
    "savings": "What escalation and feedback save",
    "faults": "Answers of no use, and refused items",
    "scale": "A million items, thousands of workers and lanes",
    "report": "The report of a million items",
    "estimate": "The range of an estimate",
    "suites": "Suites",
    "sight": "What it costs to see a batch",
    "shared-quota": "One quota, many processes",
}


def machine() -> str:
    """Return the date, the processor and the versions of a measurement, without the machine's name."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists() and (found := re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.MULTILINE)):
        model = found[1]
    load = f", load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores ({model}), {platform.system()}, {python}{load}"


def about(module: ModuleType) -> str:
    """Return the docstring of a benchmark's module as Markdown."""
    lines = [line for line in (module.__doc__ or "").strip().splitlines() if not line.startswith("    python ")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).replace("\nRules owned here:\n", "")


def section(name: str, where: str, body: str) -> str:
    """Return one benchmark's section."""
    return f"## {_TITLES[name]}\n\nMeasured: {where}.\n\n{body}\n"


def write(path: Path, sections: dict[str, str]) -> None:
    """Replace these sections of the page, and keep the others."""
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    kept = {name: found for name in _TITLES if (found := _find(old, name)) is not None}
    texts = kept | sections
    path.write_text(_FRAME + "\n".join(texts[name] for name in _TITLES if name in texts), encoding="utf-8")


def _find(page: str, name: str) -> str | None:
    found = re.search(rf"^## {_TITLES[name]}\n.*?(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    return found[0].rstrip() + "\n" if found else None
