"""Task: the prompts, the measurement and the answer of a contender, the same for all of them.

Rules owned here:

1. Standard library only: one contender runs in an environment without paceline.
2. The no-op call returns its prompt, so that the outputs show whether every item was processed once.
3. CPU is user and system time of the process, between the first and the last item, after a warm-up. The warm-up is a batch of its own:
   what a contender learns in it, such as a pace, is not kept, except by a runner that starts the clock itself.
"""

from __future__ import annotations

import dataclasses
import gc
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Protocol

WORKERS = int(os.environ.get("BENCHMARK_WORKERS", "100"))
SECONDS = 120.0  # for one call: no contender reaches it, all must enforce it
_WARM_UP = 500  # items: late imports, and the interpreter's specialisation

Take = Callable[[str], object]


class Clock:
    """CPU and wall time since it was started last."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Start, or start again."""
        gc.collect()
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def read(self) -> tuple[float, float]:
        """Return the seconds of CPU and of wall time."""
        return time.process_time() - self._cpu, time.perf_counter() - self._wall


CLOCK = Clock()
"""The clock of the measurement. A runner with a part that is not measured starts it again after that part."""


class Runner(Protocol):
    """Answers every prompt by a call that returns the prompt, and hands each output over.

    Its return value is kept until the measurement has ended.
    """

    def __call__(self, prompts: Iterable[str], take: Take, *, pauses: bool) -> Awaitable[object]:
        """Run; each call lets other tasks run once if it `pauses`, otherwise it returns at once."""


Start = Callable[[Callable[[], Awaitable[dict[str, float]]]], dict[str, float]]


@dataclasses.dataclass(frozen=True)
class Entry:
    """One contender: a runner, and the function that runs it on an event loop."""

    run: Runner
    start: Start


def main(entries: dict[str, Entry]) -> None:
    """Measure the entry that the command line names, `ENTRY QUESTION ITEMS`, and print the answer as JSON."""
    name, question, items = sys.argv[1:]
    entry = entries[name]
    print(json.dumps(entry.start(lambda: _QUESTIONS[question](entry.run, int(items)))))


async def _cpu(run: Runner, items: int, *, pauses: bool) -> dict[str, float]:
    await run(list(map(str, range(_WARM_UP))), _nothing, pauses=pauses)
    prompts = list(map(str, range(items)))
    outputs: list[str] = []
    CLOCK.start()
    kept = await run(prompts, outputs.append, pauses=pauses)
    seconds, wall = CLOCK.read()
    del kept
    return {"microseconds": seconds / items * 1e6, "complete": sorted(outputs) == sorted(prompts), "wall": wall}


async def _cpu_pausing(run: Runner, items: int) -> dict[str, float]:
    return await _cpu(run, items, pauses=True)


async def _cpu_at_once(run: Runner, items: int) -> dict[str, float]:
    return await _cpu(run, items, pauses=False)


async def _memory(run: Runner, items: int) -> dict[str, float]:
    outputs = total = 0

    def take(output: str) -> None:
        nonlocal outputs, total
        outputs += 1
        total += int(output)

    kept = await run(map(str, range(items)), take, pauses=True)
    megabytes = peak_memory()
    del kept
    return {"megabytes": megabytes, "complete": outputs == items and total == items * (items - 1) // 2}


async def _size(run: Runner, items: int) -> dict[str, float]:
    prompts = list(map(str, range(items)))
    outputs: list[str] = []
    written = await run(prompts, outputs.append, pauses=True)
    if not isinstance(written, int):
        raise TypeError(f"the runner must return the number of bytes it has written, not {written!r}")
    return {"bytes": written / items, "complete": sorted(outputs) == sorted(prompts)}


_QUESTIONS = {"cpu": _cpu_pausing, "cpu-at-once": _cpu_at_once, "memory": _memory, "size": _size}


def _nothing(_: str) -> None:
    """Discard an output."""


def bytes_in(folder: str) -> int:
    """Return the sum of the sizes of the files in a folder."""
    return sum(path.stat().st_size for path in Path(folder).iterdir())


def peak_memory() -> float:
    """Return the peak of resident memory so far, in MB."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss would start from the parent process's memory
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    import resource  # noqa: PLC0415 - not on Windows

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
