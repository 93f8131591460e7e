"""Report: the page of a journal with a million items, and the story of its pace.

    python -m benchmarks report --report-items 1000000

Rules owned here:

1. The journal is made by SQL: two lanes and models, outputs of 200 bytes, a fiftieth of the items failed with messages that differ in a number, and
   a change of the pace and of what limits the batch every few seconds.
2. The program runs in a process of its own. Its time is user and system, as other load on the machine changes that little; beside it is the
   time on the clock, and the most memory that it had, which is at least that of the benchmark's own process.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from paceline.journal import schema

from .table import table, verdict

_SECONDS, _MEGABYTES = 20.0, 300.0  # targets, for the page of a million items
_RATE = 280.0  # items a second
_ITEMS = """
WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :items)
INSERT INTO items (id, content, strategy, place) SELECT 'item-' || n, randomblob(16), 1, n FROM numbers
"""
_RESULTS = """
INSERT INTO results (item, strategy, run, settled, kind, message, output, model, input_tokens, output_tokens, cached_input_tokens,
    total_tokens, attempts, refusals, seconds)
SELECT item, 1, 1, 1.79e9 + item / :rate, IIF(item % 50, NULL, 'invalid'), IIF(item % 50, NULL, 'answer ' || item || ' is not JSON'),
    IIF(item % 50, '"' || hex(randomblob(100)) || '"', NULL), 'model-' || (item % 2), 400 + item % 100, 60, 0, 460 + item % 100, 1,
    item % 20 = 0, 1.0 + (item * 7919 % 1000) / 400.0
FROM items
"""
_ATTEMPTS = """
INSERT INTO attempts (item, run, ordinal, number, started, seconds, quota, model, input_tokens, output_tokens, cached_input_tokens,
    total_tokens, cost, kind, message)
SELECT item, 1, 0, 1, item / :rate, seconds, 'lane-' || (item % 2), model, input_tokens, output_tokens, 0, total_tokens, 0.0003, kind, message
FROM results
"""
_PACE = """
INSERT INTO pace SELECT 1, item / :rate, 'lane-' || (item % 2), 'calls a second', 140 + item % 7, 141 + item % 5,
    'refused with ' || item % 300 || ' in flight: presumably a limit on the rate'
FROM items WHERE item % 1000 < 2
"""
_LIMITS = """
INSERT INTO limits SELECT 1, item / :rate, 'lane-' || (item / 1000 % 2), IIF(item / 1000 % 3, 'requests', 'concurrency'), 'learned'
FROM items WHERE item % 1000 = 0
"""


def report(items: int, progress: Callable[[str], None]) -> str:
    """Measure, and return the section of the page. It needs a gigabyte of disk for a million items.

    Args:
        items: Items of the journal.
        progress: Function that receives progress messages.
    """
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "run.journal"
        progress(f"report: making a journal of {items:,} items")
        make_journal(journal, items)
        size = journal.stat().st_size
        rows, worst = [], {}
        commands = {
            "`report -o report.html`": ("report", str(journal), "-o", str(Path(folder) / "report.html")),
            "`report --json`": ("report", str(journal), "--json"),
            "`explain`": ("explain", str(journal)),
            "`status`": ("status", str(journal)),
        }
        for label, arguments in commands.items():
            progress(f"report: {label}")
            cpu, wall, memory = run(*arguments)
            worst[label] = cpu, memory
            rows.append((label, f"{cpu:.1f}", f"{wall:.1f}", f"{memory:.0f}"))
        page = (Path(folder) / "report.html").stat().st_size
    cpu, memory = worst["`report -o report.html`"]
    is_full = items >= 1_000_000
    return "\n\n".join(
        (
            f"A journal of {items:,} items and as many calls, {size / 1e6:,.0f} MB. The page has {page / 1e3:,.0f} kB.",
            table(("command", "s of CPU", "s on the clock", "MB"), rows),
            verdict(f"less than {_SECONDS:.0f} s", cpu if is_full else None, _SECONDS, "s"),
            verdict(f"less than {_MEGABYTES:.0f} MB", memory if is_full else None, _MEGABYTES, "MB"),
        )
    )


def make_journal(path: Path, items: int) -> None:
    """Write a journal of one run."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        schema.ensure(db, str(path))
        with db:
            values = {"items": items, "rate": _RATE}
            db.execute('INSERT INTO strategies VALUES (1, \'{"strategy": "Benchmark"}\')')
            db.execute("INSERT INTO runs VALUES (1, 99999999, '0', 1.79e9, 1.79e9 + ?)", (items / _RATE + 5.0,))
            for statement in (_ITEMS, _RESULTS, _ATTEMPTS, _PACE, _LIMITS):
                db.execute(statement, values)


def run(*arguments: str) -> tuple[float, float, float]:
    """Run the program; return its seconds of CPU, its seconds on the clock, and the most megabytes that it had."""
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "paceline", *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, arguments)
    unit = 1.0 if sys.platform == "darwin" else 1024.0  # bytes there, kilobytes here
    return usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * unit / 1e6
