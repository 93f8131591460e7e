"""Scale: stalls of the event loop with very many items waiting, what workers and lanes cost, and memory of what waits.

Rules owned here:

1. Everything is measured in CPU time of the thread or in traced memory, so that other load on the machine changes little. Each
   measurement runs in a process of its own.
2. A stall is the longest time between two turns of a heartbeat task. The full collections of Python's garbage collector are measured
   apart: they take the longer the more objects a program has, whatever it does, and a million items that exist at once are a million
   objects. Items that are made as they are read are not; docs/how-to/run-a-long-batch.md says what else helps.
3. The ratio of workers and lanes is to 1,000 workers and one lane on the same backend.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from .table import table, verdict

_ROOT = Path(__file__).parent.parent
_BACKENDS = ("trio", "asyncio")
_STALLS = {
    "cancelled": "`process_all`, cancelled",
    "drained": "`process_all`, drained: all that waits is dismissed",
    "left": "the processor is left, the items queued",
    "stream": "`stream` of prompts in a pool that is cancelled",
    "made": "`stream` of items that a generator makes, to its end (a fifth as many)",
}
_CROWDS = ((1_000, 1), (10_000, 1), (1_000, 2_000), (10_000, 2_000))
_WAITING = {
    "items": "the user's own items, `process_all`",
    "prompts": "`process_prompts`",
    "calls": "`pool.call`, beside a task that waits for an event",
}
_STALL, _RATIO, _BYTES = 50.0, 1.3, 1_000.0  # milliseconds, times, bytes


def scale(waiting: int, items: int, report: Callable[[str], None]) -> str:
    """Measure, and return the section of the page. It takes minutes with the defaults, and says how far it is.

    Args:
        waiting: Items that wait while the longest stall is measured.
        items: Items of each run with many workers or lanes.
        report: Function that receives progress messages.
    """
    ask = _Asking(report)
    return "\n\n".join((*_stalls(waiting, ask), *_costs(items, ask), *_memory(ask)))


def _stalls(waiting: int, ask: _Asking) -> tuple[str, ...]:
    rows, worst = [], 0.0
    for name, title in _STALLS.items():
        cells = []
        for backend in _BACKENDS:
            answer = ask(f"{title}, {backend}", "stall", backend, name, str(waiting))
            worst = max(worst, answer["stall"])
            cells += [f"{answer['stall']:.1f}", f"{answer['collector']:.0f}"]
        rows.append((title, *cells))
    head = ("", "trio, ms", "collector", "asyncio, ms", "collector")
    return (
        (
            f"The longest stall of the event loop with {waiting:,} items waiting, from the first that is added until all is freed, "
            "without the pauses of the garbage collector, whose longest one is beside it."
        ),
        table(head, rows),
        verdict("no stall is longer than 50 ms", worst, _STALL, "ms"),
    )


def _costs(items: int, ask: _Asking) -> tuple[str, ...]:
    rows, worst, yardstick = [], 0.0, {}
    for workers, lanes in _CROWDS:
        cells = []
        for backend in _BACKENDS:
            title = f"{workers:,} workers, {lanes:,} lanes, {backend}"
            answer = ask(title, "cost", backend, str(workers), str(lanes), str(items))
            yardstick.setdefault(backend, answer)
            for kind in ("cold", "warm"):
                ratio = answer[kind] / yardstick[backend][kind]
                worst = max(worst, ratio)
                cells += [f"{answer[kind]:.1f}", f"{ratio:.2f}"]
        rows.append((f"{workers:,} workers, {lanes:,} lane{'s' if lanes > 1 else ''}", *cells))
    head = (
        "us of CPU an item, ratio",
        *(cell for b in _BACKENDS for k in ("cold", "warm") for cell in (f"{b}, {k}", "")),
    )
    return (
        f"{items:,} items of no-op calls that let other tasks run once, `process_all`: the first batch of a processor, and its third.",
        table(head, rows),
        verdict("workers and lanes cost at most 1.3 times", worst, _RATIO, "times"),
    )


def _memory(ask: _Asking) -> tuple[str, ...]:
    rows, worst = [], 0.0
    for name, title in _WAITING.items():
        cells = []
        for backend in _BACKENDS:
            answer = ask(f"memory, {title}, {backend}", "memory", backend, name)
            worst = max(worst, answer["bytes"])
            cells.append(f"{answer['bytes']:,.0f}")
        rows.append((title, *cells))
    return (
        "Memory of an item that waits, one of 20,000, beside the item itself.",
        table(("bytes an item", *_BACKENDS), rows),
        verdict("less than 1 kB an item that waits", worst, _BYTES, "bytes"),
    )


class _Asking:
    """Makes one measurement after the other, each in a process of its own, and reports how far it is."""

    _ALL = len(_BACKENDS) * (len(_STALLS) + len(_CROWDS) + len(_WAITING))

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._done = 0

    def __call__(self, title: str, *arguments: str) -> dict[str, float]:
        self._done += 1
        self._report(f"scale, {self._done} of {self._ALL}: {title}")
        command = (sys.executable, "-m", "benchmarks.scale_run", *arguments)
        done = subprocess.run(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True, check=True)
        answer: dict[str, float] = json.loads(done.stdout)
        return answer
