"""Command line of the benchmarks: runs them and prints their tables. A missed target does not fail the run: the machine may be busy."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from . import faults as faulty_items
from . import gemini_client, long_batch, savings
from . import typed as typed_answers
from .journal import journal
from .memory import memory
from .overhead import overhead
from .page import about, machine, section, write
from .stages import stages

_BENCHMARKS = ("overhead", "memory", "journal", "stages", "long-batch", "typed", "gemini", "savings", "faults")


def main() -> None:
    """Run the benchmarks that the command line names."""
    arguments = _parser().parse_args()
    sections = {}
    for name in arguments.names or _BENCHMARKS:
        where = machine()
        body = _measure(name, arguments)
        sections[name] = section(name, where, body)
        print(sections[name])
    if arguments.write is not None:
        write(arguments.write, sections)


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
        "gemini": lambda: f"{about(gemini_client)}\n\n{gemini_client.gemini()}",
        "savings": lambda: f"{about(savings)}\n\n{savings.savings()}",
        "faults": lambda: f"{about(faulty_items)}\n\n{faulty_items.faults()}",
    }
    return measures[name]()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure paceline beside its peers.")
    parser.add_argument(
        "names", nargs="*", type=_name, metavar="|".join(_BENCHMARKS), help="benchmarks to run (default: all)"
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
