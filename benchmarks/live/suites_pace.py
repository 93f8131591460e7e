"""inspect_ai against a limit: the wall time of one evaluation with inspect's own provider and its adaptive concurrency, and by paceline.

    python -m benchmarks.live.suites_pace [--rate 100 --samples 2000 --latency 1.0]

Both run in one process, one after the other, against one slow service that refuses above the rate with 429. inspect_ai is installed into
build/frameworks at first.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ..frameworks import ROOT, venv
from .servers import Backend, slow_service

PROGRAM = Path(__file__).with_name("suites_pace_program.py")
NAMES = {"own": "inspect's own provider, adaptive concurrency", "paceline": "paceline"}
_LIMIT = 1_800.0  # seconds of an evaluation


def measure(name: str, python: Path, backend: Backend, samples: int, folder: Path) -> dict[str, Any]:
    """Run one evaluation; return its seconds, and how many calls the service refused."""
    before = backend.counts()
    settings = {"INSPECT_LOG_DIR": str(folder), "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [str(python), str(PROGRAM), name, f"{backend.url}/v1", str(samples)], cwd=folder, stdout=subprocess.PIPE, text=True,
        timeout=_LIMIT, check=True, env={**os.environ, **settings},
    )  # fmt: skip
    after = backend.counts()
    return {**json.loads(done.stdout.splitlines()[-1]), "refused": after["refused"] - before["refused"]}


def table(found: dict[str, dict[str, Any]], samples: int) -> str:
    """Return the figures as a table in Markdown."""
    lines = ["| | seconds | samples/s | calls refused | CPU seconds |", "|---|---|---|---|---|"]
    for name, figures in found.items():
        seconds = figures["seconds"]
        lines.append(
            f"| {NAMES[name]} | {seconds:.1f} | {samples / seconds:.1f} | {figures['refused']:,} | {figures['cpu']:.1f} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Measure and print the table; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.live.suites_pace")
    parser.add_argument("--rate", type=float, default=100.0, help="calls per second that the service allows")
    parser.add_argument("--latency", type=float, default=1.0, help="mean seconds of an answer")
    parser.add_argument("--samples", type=int, default=2_000, help="samples of the evaluation")
    parser.add_argument("--only", nargs="+", choices=tuple(NAMES), default=list(NAMES))
    options = parser.parse_args()
    python = venv("inspect", ROOT / "build" / "frameworks")
    found = {}
    with tempfile.TemporaryDirectory(prefix="paceline-inspect-") as name:
        folder = Path(name)
        limits = {"latency": options.latency, "rate": options.rate, "burst": 10, "refusal_after": 0.0}
        with slow_service(folder, **limits) as backend:
            for each in options.only:
                found[each] = measure(each, python, backend, options.samples, folder)
                time.sleep(1.0)  # the bucket is full again
    print(
        f"{options.samples:,} samples, {options.rate:g} calls/s, {options.latency:g} s: "
        f"at least {options.samples / options.rate:.1f} s; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    print(table(found, options.samples))
    return 0


if __name__ == "__main__":
    sys.exit(main())
