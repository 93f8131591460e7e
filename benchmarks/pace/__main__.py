"""Runs trials and prints their tables."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from paceline.testing.replies import DIALECTS

from .contenders import CONTENDERS, PACELINE, contender
from .families import FAMILIES
from .jobs import Result, results
from .options import GROUPS, Progress, trial_names
from .run import Job
from .tables import details, grouped, mean_of_families, overview, scenario_table, targets


def main() -> None:
    """Run the trials that the command line names."""
    options = _parser().parse_args()
    trials = options.scenarios or GROUPS["S" if options.page is None else "all"]
    contenders = options.contenders or ((PACELINE.name,) if options.page is None else tuple(CONTENDERS))
    jobs = [
        Job(trial, seed, who, options.cpu, None if contender(who).is_rival else options.backend, options.dialect)
        for who in contenders
        for trial in trials
        for seed in range(options.first, options.first + _seeds_of(who, options))
    ]
    found = results(jobs, processes=options.jobs, fresh=options.fresh, say=Progress(len(jobs)).say)
    if options.json is not None:
        options.json.write_text(json.dumps(found))
    if options.page is not None:
        from .page import write  # noqa: PLC0415 - needs the plotting library, which only the page needs

        write(options.page, found)
    _print(found, contenders, verbose=options.verbose)


def _print(found: list[Result], contenders: Sequence[str], *, verbose: bool) -> None:
    print()
    for trial, group in grouped(found, "trial").items():
        print(scenario_table(trial, group))
        if verbose or (trial in FAMILIES and len(contenders) == 1):
            for who, runs in grouped(group, "contender").items():
                print(f"  {who}", *details(runs), sep="\n")
        print()
    if len(contenders) > 1:
        print(overview(found), end="\n\n")
    for who in contenders:
        if not contender(who).is_rival and (table := targets(found, who)):
            print(f"{who}, and its targets (missed ones in bold)", table, "", sep="\n")
        if line := mean_of_families(found, who):
            print(line)
    for result in found:
        if "error" in result:
            error = result["error"] if verbose else result["error"].strip().splitlines()[-1]
            print(f"FAILED {result['trial']} {result['seed']} {result['contender']}: {error}")


def _seeds_of(who: str, options: argparse.Namespace) -> int:
    is_rival = contender(who).is_rival
    return int(options.seeds if options.rival_seeds is None or not is_rival else options.rival_seeds)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pace", description="Measure controllers of the pace.")
    parser.add_argument(
        "--scenarios",
        type=trial_names,
        metavar="S1,win,...",
        help=f"names, or {', '.join(GROUPS)} (default: S, or all for a page)",
    )
    parser.add_argument(
        "--contenders",
        type=_contenders,
        metavar="NAME,...",
        help="names, or package.module:controller (default: paceline, or all for a page)",
    )
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds (default: %(default)s)")
    parser.add_argument("--rival-seeds", type=int, help="number of seeds for rivals (default: as many)")
    parser.add_argument("--first", type=int, default=1, help="the first seed (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=2, help="number of processes (default: %(default)s)")
    parser.add_argument(
        "--cpu", type=float, default=300.0, help="seconds of CPU that a run may use (default: %(default)s)"
    )
    parser.add_argument(
        "--backend",
        choices=("trio", "asyncio", "core"),
        help="event loop; asyncio takes two thirds of the time, core (without the engine) an eighth (default: trio)",
    )
    parser.add_argument(
        "--dialect", choices=DIALECTS, default="none", help="whose headers and errors the provider uses for its limits"
    )
    parser.add_argument("--page", type=Path, metavar="FILE", help="write all tables, and plots beside it")
    parser.add_argument("--json", type=Path, metavar="FILE", help="store all figures and series")
    parser.add_argument("--fresh", action="store_true", help="run also what has a stored result")
    parser.add_argument("-v", "--verbose", action="store_true", help="show every run")
    return parser


def _contenders(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(text.split(",")))
    for name in names:
        try:
            contender(name)
        except (LookupError, ImportError, AttributeError) as error:
            raise argparse.ArgumentTypeError(str(error)) from error
    return names


if __name__ == "__main__":
    main()
