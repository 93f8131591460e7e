"""Ablations: benefit and cost of one constant, or of each rule, of the controller.

    python -m benchmarks.pace.ablation --page docs/benchmarks/pace.md          the length of a growth cycle
    python -m benchmarks.pace.ablation --each --rules rate --scenarios S,R --seeds 1,2    each rule of `rate`: see `leave_one_out`
    python -m benchmarks.pace.ablation --list                                  all rules, and the constants without one

The length of a growth cycle has two opposite effects. Clients that share a limit are refused once per cycle, so long cycles cost
fewer refusals (S7); a limit that jumps is followed a cycle late, so long cycles lose goodput (S5, the square waves). The
real engine runs every value; the runs with the built-in one are those of the page, which keeps the table.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from paceline._core.pace import rate
from paceline.testing.replies import DIALECTS

from ..table import table
from . import leave_one_out
from .contenders import PACELINE, WITH
from .jobs import Result, results
from .options import Progress, trial_names
from .rules import RULES, Rule
from .run import Job

VALUES = (5.0, 7.0, 9.0, 12.0)  # seconds of the rate
TRIALS = ("S7", "S5", "sq")
_HEAD = ("cycle", "S7 refusals", "S7 Jain", "S5 goodput", "square waves", "worst of them", "refusals there")
_TABLE = re.compile(r"^\| cycle .*?\n\n_Seeds: .*?_$|^\(not measured\)$", re.MULTILINE | re.DOTALL)


def measure(cycle: float, seeds: Sequence[int], processes: int) -> dict[str, list[Result]]:
    """Run the trials with growth cycles of `cycle` seconds, unless they have stored results; return the results by trial."""
    who = PACELINE.name if cycle == rate._CYCLE else f"{WITH}rate:_CYCLE={cycle:g}"  # noqa: SLF001 - an ablation changes a constant
    jobs = [Job(trial, seed, who) for trial in TRIALS for seed in seeds]
    return _by_trial(jobs, results(jobs, processes=processes, fresh=False, say=lambda _: None))


def _by_trial(jobs: Sequence[Job], found: Sequence[Result]) -> dict[str, list[Result]]:
    return {trial: [result for job, result in zip(jobs, found, strict=True) if job.trial == trial] for trial in TRIALS}


def row(cycle: float, found: dict[str, list[Result]]) -> tuple[str, ...]:
    """Return a line of the table."""

    def mean(trial: str, figure: str) -> float:
        return float(sum(result[figure] for result in found[trial]) / len(found[trial]))

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
    options = _parser().parse_args()
    if options.list:
        print(leave_one_out.listing())
    elif options.each:
        _leave_one_out(options)
    else:
        _vary_the_cycle(options)


def _leave_one_out(options: argparse.Namespace) -> None:
    rules = options.rules or [rule for rule in RULES.values() if not rule.is_gone and not rule.unseen]
    jobs = leave_one_out.jobs_of(rules, options.scenarios, options.seeds, options.backend, options.dialect)
    found: list[Result] = []
    progress = Progress(len(jobs))

    def say(result: Result) -> None:
        found.append(result)
        progress.say(result)

    try:
        leave_one_out.measure(jobs, processes=options.jobs, stored_only=options.stored, say=say)
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on", file=sys.stderr)
    measured = leave_one_out.report(found, rules)
    seeds = ", ".join(map(str, options.seeds))
    measured += f"\n\n_Seeds: {seeds}. Trials: {', '.join(options.scenarios)}._"
    print(measured)
    if options.verbose:
        print("", leave_one_out.in_full(found, {rule.name: rule for rule in rules}), sep="\n")
    if options.page is not None:
        leave_one_out.write(options.page, leave_one_out.section(measured, options.backend))


def _vary_the_cycle(options: argparse.Namespace) -> None:
    seeds = options.seeds
    rows = [row(cycle, measure(cycle, seeds, options.jobs)) for cycle in VALUES]
    measured = f"{table(_HEAD, rows)}\n\n_Seeds: {seeds[0]} to {seeds[-1]}; cycles of {rate._CYCLE:g} s are built in._"  # noqa: SLF001 - as above
    print(measured)
    if options.page is not None:
        write(options.page, measured)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pace.ablation", description=__doc__.splitlines()[0])
    parser.add_argument("--each", action="store_true", help="switch off one rule after the other")
    parser.add_argument("--list", action="store_true", help="list the rules, and the constants without one")
    parser.add_argument(
        "--rules", type=_rules, metavar="NAME,...", help="rules, or modules (default: all that some trial shows)"
    )
    parser.add_argument(
        "--scenarios",
        type=trial_names,
        default=trial_names("all"),
        metavar="S1,R,...",
        help="as of benchmarks.pace (default: all)",
    )
    parser.add_argument("--seeds", type=_seeds, default=_seeds("1,2,3,4,5"), metavar="1,2,...", help="default: 1 to 5")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument(
        "--backend",
        choices=("trio", "asyncio", "core"),
        default="core",
        help="event loop (default: %(default)s, which is faster)",
    )
    parser.add_argument(
        "--dialect", choices=DIALECTS, default="none", help="whose headers the provider uses (not with core)"
    )
    parser.add_argument("--stored", action="store_true", help="run nothing: show what was measured so far")
    parser.add_argument("--page", type=Path, metavar="FILE", help="put the table into the page")
    parser.add_argument("-v", "--verbose", action="store_true", help="show every difference that counts")
    return parser


def _rules(text: str) -> list[Rule]:
    chosen = []
    for part in text.split(","):
        named = [rule for name, rule in RULES.items() if part in {name, name.partition(".")[0]}]
        if not named:
            raise argparse.ArgumentTypeError(f"{part!r} is neither a rule nor a module with rules; --list shows them")
        chosen += named
    return chosen


def _seeds(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    main()
