"""Command line: runs cases and prints their figures; writes them as JSON, and as a section for the page of the pace."""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from .cases import CASES
from .processes import StartError
from .programs import PROGRAMS
from .report import section, table_of, write
from .run import run
from .servers import MissingServerError


def main() -> int:
    """Run what the command line names; return the exit code."""
    options = _parser().parse_args()
    if options.list:
        print("\n".join(f"{case.name:20} {case.about}" for case in CASES.values()))
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as Ctrl-C does: the servers end too
    if options.install is not None:
        return _install(options.install or [program.name for program in PROGRAMS.values() if not program.debian])
    known = _stored(options.json)
    found = []
    began = time.monotonic()
    for name in options.server or CASES:
        with tempfile.TemporaryDirectory(prefix="paceline-live-") as folder:
            try:
                result = run(CASES[name], Path(folder), is_verbose=options.verbose)
            except (MissingServerError, StartError) as error:
                print(f"{name}: skipped: {error}", file=sys.stderr)
                continue
        print(table_of([result]), end="\n\n", flush=True)
        found.append(result)
        known[name] = result
        if options.json is not None:
            options.json.write_text(json.dumps(list(known.values()), indent=1) + "\n", "utf-8")
    print(f"{len(found)} cases, {time.monotonic() - began:.0f} s", file=sys.stderr)
    if options.page is not None and found:
        write(options.page, section([known[name] for name in CASES if name in known]))
    return 0 if found else 1


def _stored(file: Path | None) -> dict[str, dict[str, Any]]:
    """Return the stored figures by case: those of cases that are not run now are kept."""
    if file is None or not file.exists():
        return {}
    return {each["case"]: each for each in json.loads(file.read_text("utf-8"))}


def _install(names: list[str]) -> int:
    for name in names:
        try:
            PROGRAMS[name].install()
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"{name} could not be installed: {error}", file=sys.stderr)
            return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.live", description="Measure paceline against real servers on this machine."
    )
    parser.add_argument("--list", action="store_true", help="name the cases")
    parser.add_argument("--server", nargs="+", choices=tuple(CASES), metavar="CASE", help="cases to run (default: all)")
    parser.add_argument(
        "--install",
        nargs="*",
        choices=[program.name for program in PROGRAMS.values() if not program.debian],
        metavar="SERVER",
        help="install servers that PyPI and npm have into build/servers (default: all of them)",
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="store the figures; stored ones of other cases are kept"
    )
    parser.add_argument("--page", type=Path, metavar="FILE", help="replace the section of the page of the pace")
    parser.add_argument("-v", "--verbose", action="store_true", help="show the course of each run")
    return parser


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)  # the servers have ended
