"""A long batch by the program: a million items, killed on the way, resumed, and started once more when nothing is left to do.

Rules owned here:

1. `paceline run` runs in processes of its own, with a model that answers at once: everything but the model is measured, which is
   reading and checking the input, the engine, the journal and the output.
2. CPU is user and system time of the whole process; memory is the peak of resident memory that the kernel reports.
3. The process is killed by SIGKILL when a part of the output is written. The cost of the kill is in the table: calls that were
   made twice.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs

from .table import table, verdict

_MODEL = """
import os

from paceline import LLMCallStrategy, TokenUsage


class AtOnce(LLMCallStrategy[str]):
    model = "at-once"
    calls = 0

    def __init__(self, name, **options):
        self.report = os.environ["CALLS"]

    def __copy__(self):
        return self

    async def prepare(self):
        pass

    async def execute(self, prompt, attempt, timeout):
        AtOnce.calls += 1
        if AtOnce.calls % 1_000 == 0:
            with open(self.report, "w") as file:
                file.write(str(AtOnce.calls))
        return "an answer of about twenty words, as a classification with a short reason has it, no longer", TokenUsage(40, 20)

    async def cleanup(self):
        with open(self.report, "w") as file:
            file.write(str(AtOnce.calls))
"""
_CPU, _MEMORY, _RESUME = 80.0, 150.0, 10.0  # microseconds an item, MB, seconds


@attrs.frozen
class Figures:
    """What was measured of one process."""

    label: str
    seconds: float
    cpu: float
    """Seconds."""
    memory: float
    """Peak, MB."""
    calls: int
    """Calls that the model counted, in thousands."""
    rows: int
    """Rows in the output afterwards."""


def long_batch(items: int, *, report: Callable[[str], None]) -> str:
    """Measure, and return the section of the page.

    Args:
        items: Number of items of the batch.
        report: Function that receives progress messages.
    """
    with TemporaryDirectory() as folder:
        bench = _Bench(Path(folder), items, report)
        complete = bench.run("the whole batch, not interrupted", "complete.jsonl")
        killed = bench.run("killed with SIGKILL on the way", "out.jsonl", kill_at=0.4)
        rest = bench.run("the same command again: the rest", "out.jsonl")
        done = bench.run("once more: nothing is left to do", "out.jsonl")
        bench.check("out.jsonl")
        size = bench.size("out.jsonl.journal")
    rows = [
        (
            figures.label,
            f"{figures.seconds:,.1f}",
            f"{figures.cpu:,.1f}",
            f"{figures.cpu / items * 1e6:,.1f}",
            f"{figures.memory:,.0f}",
            f"{figures.calls:,}",
            f"{figures.rows:,}",
        )
        for figures in (complete, killed, rest, done)
    ]
    twice = killed.calls + rest.calls - items
    head = ("", "wall, s", "CPU, s", "CPU, us an item", "peak memory, MB", "calls", "rows then")
    introduction = (
        f"{items:,} lines of JSONL, each with a prompt of its own; answers of 90 characters. The journal has "
        f"{size / items:,.0f} bytes a record, the answer among them. After the kill {max(0, twice):,} calls were made twice, at most "
        "1,000 more (calls are counted in thousands)."
    )
    verdicts = (
        verdict("at most 80 us of CPU an item, everything included", complete.cpu / items * 1e6, _CPU, "us"),
        verdict("less than 150 MB resident", max(complete.memory, rest.memory), _MEMORY, "MB"),
        verdict("a finished journal is resumed in under 10 s", done.seconds, _RESUME, "s"),
    )
    return "\n\n".join((introduction, table(head, rows), *verdicts))


def microseconds_an_item(items: int, *, report: Callable[[str], None]) -> float:
    """Return the CPU of `paceline run` for each item, without that of starting the program and reading what is done."""
    with TemporaryDirectory() as folder:
        bench = _Bench(Path(folder), items, report)
        complete = bench.run("a batch by `paceline run`", "out.jsonl")
        again = bench.run("once more: nothing is left to do", "out.jsonl")
    return (complete.cpu - again.cpu) / items * 1e6


class _Bench:
    """A folder with the input, and a model that is installed there as a package."""

    def __init__(self, folder: Path, items: int, report: Callable[[str], None]) -> None:
        self._folder = folder
        self._items = items
        self._report = report
        packages = folder / "packages"
        info = packages / "at_once-1.0.dist-info"
        info.mkdir(parents=True)
        (packages / "at_once.py").write_text(_MODEL)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: at-once\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[paceline.models]\nat-once = at_once:AtOnce\n")
        self._calls = folder / "calls"
        path = os.pathsep.join(filter(None, (str(packages), os.environ.get("PYTHONPATH"))))
        self._environment = os.environ | {"PYTHONPATH": path, "CALLS": str(self._calls)}
        report(f"writing {items:,} lines")
        with (folder / "in.jsonl").open("w") as file:
            for number in range(items):
                prompt = f"Which of the five classes does message number {number} belong to?"
                file.write(json.dumps({"id": f"message-{number}", "prompt": prompt}) + "\n")

    def run(self, label: str, output: str, *, kill_at: float | None = None) -> Figures:
        """Run the program; kill it when it has made this share of its calls."""
        self._report(label)
        self._calls.write_text("0")
        command = [sys.executable, "-m", "paceline", "run", "in.jsonl", "-o", output, "-m", "at-once:x", "-q"]
        started = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=self._folder, env=self._environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        while kill_at is not None and self._calls_made() < kill_at * self._items and process.poll() is None:
            time.sleep(0.01)
        if kill_at is not None:
            process.send_signal(signal.SIGKILL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        if kill_at is None and status:
            complaint = process.stderr.read().decode() if process.stderr else ""
            raise RuntimeError(f"{label}: the program ended with {os.waitstatus_to_exitcode(status)}: {complaint}")
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.stderr is not None:
            process.stderr.close()
        with (self._folder / output).open("rb") as file:
            rows = sum(1 for _ in file)
        return Figures(label, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e3, self._calls_made(), rows)

    def check(self, output: str) -> None:
        """Raise unless an output has one row for each item."""
        with (self._folder / output).open() as file:
            ids = sum(1 for _ in {hash(line[:40]) for line in file})
        if ids != self._items:
            raise RuntimeError(f"{output} has {ids:,} different rows, not {self._items:,}")

    def size(self, name: str) -> int:
        """Return the bytes of a file."""
        return (self._folder / name).stat().st_size

    def _calls_made(self) -> int:
        return int(self._calls.read_text() or 0)
