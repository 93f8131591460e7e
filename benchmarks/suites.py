"""Suites: what scores and bookkeeping cost beside the engine, and the memory of `paceline suite run`.

    python -m benchmarks suites --suite-items 100000

Rules owned here:

1. A suite and the same items as a batch of a pool take turns, each in a fresh process, with and without a folder; a figure is the least of the
   rounds. Their difference is what the suite adds: prompts from a template, the numeric scorer, sums, and with a folder the transcript.
2. The memory is that of the program, which runs a suite of the user's own against a simulated provider: its peak with few items and with many.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

from paceline.suites import read_result

from .processes import Answer, Contender, ContenderError, ask
from .report import run
from .table import table, verdict

_TARGET = 60.0  # microseconds of CPU an item, beside the engine
_MEGABYTES = 20.0  # of growth, from few items to many
_FEW = 2_000  # items
_PAIRS = tuple(
    (
        Contender(f"pool{with_journal}, {backend}", "by_suites", f"{pool}-{backend}"),
        Contender(f"**suite**{with_folder}, {backend}", "by_suites", f"{suite}-{backend}"),
    )
    for pool, suite, with_journal, with_folder in (
        ("pool", "suite", "", ""),
        ("pool-journal", "suite-folder", " with a journal", " with journal, transcript and result"),
    )
    for backend in ("trio", "asyncio")
)
_SUITE = """name = "sums"
items = "sums.jsonl"
prompt = "{question}"
target = "answer"
score = "numeric"
"""


def suites(rounds: int, items: int, samples: int, *, report: Callable[[str], None]) -> str:
    """Measure, and return the section of the page.

    Args:
        rounds: Number of runs of each contender.
        items: Items in each of them.
        samples: Items of the suite that the program runs.
        report: Function that receives progress messages.
    """
    answers: dict[Contender, list[Answer]] = {one: [] for pair in _PAIRS for one in pair}
    for number in range(rounds):
        for contender, found in answers.items():
            report(f"suites: round {number + 1} of {rounds}, {contender.label}")
            try:
                found.append(ask(contender, "cpu", items))
            except ContenderError as error:
                report(f"{contender.label}: {error}")
    rows, added = [], []
    for pool, suite in _PAIRS:
        beside = {one: min((answer.value for answer in answers[one]), default=None) for one in (pool, suite)}
        for one, least in beside.items():
            more = least - beside[pool] if one is suite and least is not None and beside[pool] is not None else None
            added += [] if more is None else [more]
            every = all(answer.complete for answer in answers[one])
            rows.append(
                (
                    one.label,
                    "not run" if least is None else f"{least:.1f}",
                    "" if more is None else f"{more:.1f}",
                    "yes" if every else "**NO**",
                )
            )
    costs = table(("", "CPU, us an item", "more than the pool", "every item"), rows)
    met = verdict(f"a suite adds at most {_TARGET:g} us an item", max(added, default=None), _TARGET, "us")
    return "\n\n".join((costs, met, _memory(samples, report)))


def _memory(items: int, report: Callable[[str], None]) -> str:
    rows, peaks = [], []
    for count in (_FEW, items):
        report(f"suites: paceline suite run, {count:,} items")
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "sums.toml").write_text(_SUITE, "utf-8")
            with (folder / "sums.jsonl").open("w", encoding="utf-8") as lines:
                for number in range(count):
                    question = f"{number} and {number} are?"
                    print(json.dumps({"id": f"q{number}", "question": question, "answer": f"{2 * number}"}), file=lines)
            out = folder / "out"
            model = "sim:rate=100000,burst=100000,latency=0.02"
            cpu, wall, peak = run("suite", "run", str(folder / "sums.toml"), "-m", model, "-o", str(out), "--quiet")
            scored = read_result(out).scored
            size = sum(path.stat().st_size for path in out.iterdir()) / 1e6
        peaks.append(peak)
        rows.append(
            (f"{count:,} items", f"{scored:,}", f"{cpu * 1e6 / count:.0f}", f"{wall:.1f}", f"{peak:.0f}", f"{size:.0f}")
        )
    head = ("`paceline suite run`", "scored", "CPU, us an item", "s on the clock", "peak, MB", "folder, MB")
    grown = verdict(f"{items:,} samples grow by less than {_MEGABYTES:g} MB", peaks[-1] - peaks[0], _MEGABYTES, "MB")
    return f"{table(head, rows)}\n\n{grown}"
