"""Ablation: benefit and cost of one constant of the controller (`python -m benchmarks.pace.ablation --page FILE`).

The length of a growth cycle has two opposite effects. Clients that share a limit are refused once per cycle, so long cycles cost
fewer refusals (S7); a limit that jumps is followed a cycle late, so long cycles lose goodput (S5, the square waves). Every value
runs in processes of its own, with the real engine. Only the runs with the built-in value are stored, which are those of the page.
The next run of the page keeps the table.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path

from paceline._core.pace import rate

from ..table import table
from .jobs import Result, results
from .run import Job, run

VALUES = (5.0, 7.0, 9.0, 12.0)  # seconds of the rate
TRIALS = ("S7", "S5", "sq")
_HEAD = ("cycle", "S7 refusals", "S7 Jain", "S5 goodput", "square waves", "worst of them", "refusals there")
_TABLE = re.compile(r"^\| cycle .*?\n\n_Seeds: .*?_$|^\(not measured\)$", re.MULTILINE | re.DOTALL)


def measure(cycle: float, seeds: Sequence[int], processes: int) -> dict[str, list[Result]]:
    """Run the trials with growth cycles of `cycle` seconds; return the results by trial."""
    jobs = [Job(trial, seed, "paceline") for trial in TRIALS for seed in seeds]
    usual = rate._CYCLE  # noqa: SLF001 - an ablation changes a constant
    if cycle == usual:
        return _by_trial(jobs, results(jobs, processes=processes, fresh=False, say=lambda _: None))
    rate._CYCLE = cycle  # noqa: SLF001 - the processes forked from here have it
    try:
        with get_context("fork").Pool(processes) as pool:
            found = pool.map(run, jobs, chunksize=1)
    finally:
        rate._CYCLE = usual  # noqa: SLF001
    return _by_trial(jobs, found)


def _by_trial(jobs: Sequence[Job], found: Sequence[Result]) -> dict[str, list[Result]]:
    return {trial: [result for job, result in zip(jobs, found, strict=True) if job.trial == trial] for trial in TRIALS}


def row(cycle: float, found: dict[str, list[Result]]) -> tuple[str, ...]:
    """Return a line of the table."""

    def mean(trial: str, figure: str) -> float:
        return sum(result[figure] for result in found[trial]) / len(found[trial])

    return (
        f"{cycle:g} s",
        f"{mean('S7', 'refusals'):.4f}",
        f"{mean('S7', 'jain'):.3f}",
        f"{mean('S5', 'good'):.3f}",
        f"{mean('sq', 'good'):.3f}",
        f"{min(result['good'] for result in found['sq']):.3f}",
        f"{mean('sq', 'refusals'):.4f}",
    )


def find(page: str) -> str:
    """Return the table in a page; empty if there is no table."""
    found = _TABLE.search(page)
    return found[0] if found else ""


def write(path: Path, measured: str) -> None:
    """Replace the table in a page."""
    page = path.read_text(encoding="utf-8")
    path.write_text(_TABLE.sub(lambda _: measured, page, count=1), encoding="utf-8")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pace.ablation", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument("--page", type=Path, metavar="FILE", help="put the table into the page, too")
    options = parser.parse_args()
    seeds = range(1, 1 + options.seeds)
    rows = [row(cycle, measure(cycle, seeds, options.jobs)) for cycle in VALUES]
    measured = f"{table(_HEAD, rows)}\n\n_Seeds: 1 to {options.seeds}; cycles of {rate._CYCLE:g} s are built in._"  # noqa: SLF001 - as above
    print(measured)
    if options.page is not None:
        write(options.page, measured)


if __name__ == "__main__":
    main()
