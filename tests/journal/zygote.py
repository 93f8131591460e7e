"""A process that runs batches in forks of itself, to be killed: forking is fast, and a fork dies like any process.

It reads orders, a JSON object a line, and answers each with the code that its fork ended with.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sqlite3
import sys
import threading
from pathlib import Path
from typing import Any

import anyio

from paceline import CallError, FaultKind, LLMCallStrategy, LLMWorkItem, ParallelBatchProcessor, TokenUsage
from paceline._codec import encode_row
from paceline.journal import SqliteJournal

IN_FLIGHT = 8


class FixedPace:
    """Allows a fixed number of concurrent calls."""

    rate = token_rate = float("inf")
    history = ()
    limit = IN_FLIGHT

    def __init__(self) -> None:
        self.in_flight = 0

    def admit_at(self, now: float, cost: float) -> float:
        return float("inf") if self.in_flight >= self.limit else now

    def started(self, now: float, cost: float) -> None:
        self.in_flight += 1

    def settled(self, ticket: Any, now: float, signal: Any) -> None:
        self.in_flight -= 1

    def knowledge(self, now: float) -> None:
        return None


def prompt_of(number: int) -> str:
    """Return the prompt of an item: every fifth has the prompt of the item before."""
    return f"p{number - 1 if number % 5 == 4 else number}"


def expected(number: int) -> dict[str, Any]:
    """Return the expected row of an item."""
    prompt = prompt_of(number)
    refused = prompt in {"p2", "p7"}
    return {"id": f"i{number}", "success": not refused, "output": None if refused else {"said": prompt}}


class Counted(LLMCallStrategy[Any]):
    """Records each call in a file, which survives a kill."""

    def __init__(self, file: Path, seconds: float) -> None:
        self.file, self.seconds = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT), seconds

    async def execute(self, prompt: str, attempt: int, timeout: float) -> Any:
        os.write(self.file, f"{prompt} {attempt}\n".encode())
        await anyio.sleep(self.seconds * (1 + int(prompt[1:]) % 3))
        if prompt in {"p2", "p7"}:
            raise CallError("no", kind=FaultKind.REFUSED)
        if prompt == "p5" and attempt == 1:
            raise CallError("what?", kind=FaultKind.INVALID, usage=TokenUsage(1, 1))
        return {"said": prompt}, TokenUsage(2, 3)


def mortal(kill_at: int) -> Any:
    """Return a function that opens a database and kills the process before statement number `kill_at`."""
    left = kill_at

    def count() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    class Mortal(sqlite3.Connection):
        def execute(self, *arguments: Any) -> sqlite3.Cursor:
            count()
            return super().execute(*arguments)

        def executemany(self, *arguments: Any) -> sqlite3.Cursor:
            count()
            return super().executemany(*arguments)

        def executescript(self, *arguments: Any) -> sqlite3.Cursor:
            count()
            return super().executescript(*arguments)

    return lambda *arguments, **options: sqlite3.connect(*arguments, factory=Mortal, **options)


async def batch(directory: Path, items: int, seconds: float, kill_at: int, durability: Any) -> None:
    """Run a batch on the journal of a directory, and acknowledge each result in a file."""
    strategy = Counted(directory / "calls", seconds)
    shown = os.open(directory / "shown", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    journal = SqliteJournal(directory / "run.db", connect=mortal(kill_at), durability=durability)
    work = (LLMWorkItem(f"i{number}", strategy, prompt_of(number)) for number in range(items))
    async with (
        ParallelBatchProcessor(journal=journal, pace=lambda _: FixedPace()) as processor,
        processor.stream(work) as results,
    ):
        async for result in results:
            os.write(shown, encode_row(result))


def child(order: dict[str, Any]) -> int:
    """Run one order."""
    values = Path(order["directory"]), order["items"], order["seconds"], order["kill_at"], order["durability"]
    anyio.run(batch, *values, backend=order["backend"])
    return 0


def main() -> None:
    """Fork a child for each order."""
    for backend in ("trio", "asyncio"):
        importlib.import_module(f"anyio._backends._{backend}")  # here, and not in each fork
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                code = child(order)
            finally:
                os._exit(code)
        if order["killed_after"] is not None:
            timer = threading.Timer(order["killed_after"], os.kill, (pid, signal.SIGKILL))
            timer.start()
        _, status = os.waitpid(pid, 0)
        if order["killed_after"] is not None:
            timer.cancel()
            timer.join()
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
