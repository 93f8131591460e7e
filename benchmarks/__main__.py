"""Command line of the benchmarks: runs them and prints their tables. A missed target does not fail the run: the machine may be busy.

`--check` is a gate on ratios, which fails: see `ratios`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

from . import estimate as quotes
from . import faults as faulty_items
from . import long_batch, ratios, savings
from . import report as pages
from . import scale as large
from . import shared_quota as shared
from . import sight as seen
from . import suites as benchmark_suites
from . import typed as typed_answers
from .journal import journal
from .memory import memory
from .overhead import overhead
from .page import about, machine, section, write
from .stages import stages

_BENCHMARKS = (
    "overhead",
    "memory",
    "journal",
    "stages",
    "long-batch",
    "typed",
    "clients",
    "savings",
    "faults",
    "scale",
    "report",
    "estimate",
    "suites",
    "sight",
    "shared-quota",
)


def main() -> None:
    """Run the benchmarks that the command line names."""
    arguments = _parser().parse_args()
    if arguments.check or arguments.store:
        from . import gate  # noqa: PLC0415 - as for `clients`

        names = [name for name in gate.NAMES if arguments.only in name]
        if not names:
            sys.exit(f"no ratio has a name with {arguments.only!r}; the names are: {'; '.join(gate.NAMES)}")
        measure = partial(gate.measure, report=_report)
        sys.exit(_check(names, gate.NAMES, measure) if arguments.check else _store(names, gate.NAMES, measure))
    sections = {}
    for name in arguments.names or _BENCHMARKS:
        where = machine()
        body = _measure(name, arguments)
        sections[name] = section(name, where, body)
        print(sections[name])
    if arguments.write is not None:
        write(arguments.write, sections)


def _check(names: Collection[str], known: Collection[str], measure: ratios.Measure) -> int:
    """Compare ratios with the stored ones; return the exit code."""
    stored = {name: value for name, value in ratios.load().items() if name in names or name not in known}
    failures = ratios.check(stored, names, measure, report=_report)
    for failure in failures:
        print(failure)
    if failures:
        advice = "Find what costs more; if it is meant to, store the new ratios: python -m benchmarks --store"
        print(f"{advice} ({ratios.STORED.name})")
    else:
        print(f"{len(names)} ratios are at most {ratios.MOST_WORSE:.0%} higher than those stored")
    return 1 if failures else 0


def _store(names: Collection[str], known: Collection[str], measure: ratios.Measure) -> int:
    """Store these ratios of now, and keep the others that are measured; return the exit code."""
    kept = {name: value for name, value in ratios.load().items() if name in known}
    ratios.store({**kept, **measure(names)})
    print(f"{len(names)} ratios are stored in {ratios.STORED}")
    return 0


def _measure(name: str, arguments: argparse.Namespace) -> str:
    measures: dict[str, Callable[[], str]] = {
        "overhead": lambda: overhead(arguments.rounds, arguments.items, arguments.peer_items, _report),
        "memory": lambda: memory(arguments.memory_rounds, arguments.streamed, arguments.peer_streamed, _report),
        "journal": lambda: journal(arguments.rounds, arguments.items, report=_report),
        "stages": lambda: stages(arguments.rounds, arguments.items, report=_report),
        "long-batch": lambda: (
            f"{about(long_batch)}\n\n{long_batch.long_batch(arguments.long_batch_items, report=_report)}"
        ),
        "typed": lambda: f"{about(typed_answers)}\n\n{typed_answers.typed()}",
        "clients": _clients,
        "savings": lambda: f"{about(savings)}\n\n{savings.savings()}",
        "faults": lambda: f"{about(faulty_items)}\n\n{faulty_items.faults()}",
        "report": lambda: f"{about(pages)}\n\n{pages.report(arguments.report_items, _report)}",
        "suites": lambda: (
            f"{about(benchmark_suites)}\n\n"
            f"{benchmark_suites.suites(arguments.rounds, arguments.items, arguments.suite_items, report=_report)}"
        ),
        "sight": lambda: f"{about(seen)}\n\n{seen.sight(arguments.rounds, arguments.items, report=_report)}",
        "estimate": lambda: f"{about(quotes)}\n\n{quotes.estimate()}",
        "shared-quota": lambda: f"{about(shared)}\n\n{shared.shared_quota(report=_report)}",
        "scale": lambda: f"{about(large)}\n\n{large.scale(arguments.waiting_items, arguments.items, report=_report)}",
    }
    return measures[name]()


def _clients() -> str:
    # Imported here: the packages take 100 MB, and the peak of a process that is started begins with that of this one.
    from . import clients  # noqa: PLC0415

    return f"{about(clients)}\n\n{clients.clients(report=_report)}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure paceline beside its peers.")
    parser.add_argument(
        "names", nargs="*", type=_name, metavar="|".join(_BENCHMARKS), help="benchmarks to run (default: all)"
    )
    gates = parser.add_mutually_exclusive_group()
    gates.add_argument(
        "--check", action="store_true", help="fail if a ratio to a peer is much worse than the stored one"
    )
    gates.add_argument("--store", action="store_true", help="store the ratios that --check compares with")
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="check or store only ratios whose names contain this"
    )
    parser.add_argument("--write", type=_page, metavar="PAGE", help="write the tables into this Markdown page")
    parser.add_argument(
        "--rounds", type=_count, default=5, help="rounds of overhead, journal and stages (default: %(default)s)"
    )
    parser.add_argument(
        "--items",
        type=_count,
        default=20_000,
        help="items in each run of overhead, journal and stages (default: %(default)s)",
    )
    parser.add_argument(
        "--peer-items", type=_count, default=2_000, help="--items of async-batch-llm (default: %(default)s)"
    )
    parser.add_argument("--memory-rounds", type=_count, default=2, help="rounds of memory (default: %(default)s)")
    parser.add_argument(
        "--streamed", type=_count, default=200_000, help="items in the longer runs of memory (default: %(default)s)"
    )
    parser.add_argument(
        "--long-batch-items", type=_count, default=1_000_000, help="items of the long batch (default: %(default)s)"
    )
    parser.add_argument(
        "--waiting-items", type=_count, default=1_000_000, help="items that wait in scale (default: %(default)s)"
    )
    parser.add_argument(
        "--report-items", type=_count, default=1_000_000, help="items of the journal in report (default: %(default)s)"
    )
    parser.add_argument(
        "--suite-items", type=_count, default=100_000, help="items of the suite in suites (default: %(default)s)"
    )
    parser.add_argument(
        "--peer-streamed", type=_count, default=20_000, help="--streamed of async-batch-llm (default: %(default)s)"
    )
    return parser


def _name(text: str) -> str:
    if text not in _BENCHMARKS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a benchmark; choose from {', '.join(_BENCHMARKS)}")
    return text


def _page(text: str) -> Path:
    page = Path(text)
    if page.is_dir() or not page.parent.is_dir():  # reported now, not after minutes of measuring
        raise argparse.ArgumentTypeError(f"{text!r} is not a file in an existing folder")
    return page


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def _report(progress: str) -> None:
    print(progress, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
