"""Runs the benchmarks and prints their tables. No target that is missed fails the run: the machine may be busy."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from . import gemini_client, savings
from . import night as long_batch
from . import typed as typed_answers
from .journal import journal
from .memory import memory
from .overhead import overhead
from .page import about, machine, section, write

_BENCHMARKS = ("overhead", "memory", "journal", "night", "typed", "gemini", "savings")


def main() -> None:
    """Do what the command line says."""
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
        "overhead": lambda: overhead(arguments.rounds, arguments.items, arguments.peer_items, _say),
        "memory": lambda: memory(arguments.memory_rounds, arguments.streamed, arguments.peer_streamed, _say),
        "journal": lambda: journal(arguments.rounds, arguments.items, say=_say),
        "night": lambda: f"{about(long_batch)}\n\n{long_batch.night(arguments.night_items, say=_say)}",
        "typed": lambda: f"{about(typed_answers)}\n\n{typed_answers.typed()}",
        "gemini": lambda: f"{about(gemini_client)}\n\n{gemini_client.gemini()}",
        "savings": lambda: f"{about(savings)}\n\n{savings.savings()}",
    }
    return measures[name]()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure paceline beside its peers.")
    parser.add_argument(
        "names", nargs="*", type=_name, metavar="|".join(_BENCHMARKS), help="what to measure (default: all)"
    )
    parser.add_argument("--write", type=_page, metavar="PAGE", help="keep the tables in this Markdown page")
    parser.add_argument("--rounds", type=_count, default=5, help="of the overhead (default: %(default)s)")
    parser.add_argument(
        "--items", type=_count, default=20_000, help="in each run of the overhead (default: %(default)s)"
    )
    parser.add_argument(
        "--peer-items", type=_count, default=2_000, help="the same for async-batch-llm (default: %(default)s)"
    )
    parser.add_argument("--memory-rounds", type=_count, default=2, help="of the memory (default: %(default)s)")
    parser.add_argument(
        "--streamed", type=_count, default=200_000, help="items in the long runs (default: %(default)s)"
    )
    parser.add_argument(
        "--night-items", type=_count, default=1_000_000, help="of the long batch (default: %(default)s)"
    )
    parser.add_argument(
        "--peer-streamed", type=_count, default=20_000, help="the same for async-batch-llm (default: %(default)s)"
    )
    return parser


def _name(text: str) -> str:
    if text not in _BENCHMARKS:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(_BENCHMARKS)}")
    return text


def _page(text: str) -> Path:
    page = Path(text)
    if page.is_dir() or not page.parent.is_dir():  # found now, not after minutes of measuring
        raise argparse.ArgumentTypeError(f"{text!r} is no file in a folder that exists")
    return page


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number, 1 or more")
    return int(text)


def _say(progress: str) -> None:
    print(progress, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
