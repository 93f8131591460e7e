"""Helpers of the journal tests."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

from paceline import CallableStrategy, LLMWorkItem, WorkItemResult
from paceline._core.fault import Fault, FaultKind
from paceline._core.results import Attempt
from paceline._core.usage import TokenUsage
from paceline.journal.items import RegisteredItem
from paceline.journal.reader import JournalReader
from paceline.journal.writer import JournalWriter

IDENTITY = {"strategy": "Test", "model": "m-1"}


async def upper(prompt: str) -> str:
    return prompt.upper()


UPPER = CallableStrategy(upper)


def content(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def registered_items(
    writer: JournalWriter, *ids: str, prompt: str | None = None, identity: Any = None
) -> list[RegisteredItem]:
    strategy = writer.items.strategy_number(IDENTITY if identity is None else identity)
    return [RegisteredItem(name, content(prompt or name), strategy, place) for place, name in enumerate(ids, 1)]


class Reading:
    """Calls one method of a reader that is open only for the call: `Reading(path).counts()`."""

    def __init__(self, path: Any) -> None:
        self._path = path

    def __getattr__(self, method: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            with JournalReader(self._path) as reader:
                value = getattr(reader, method)(*arguments, **options)
                return list(value) if isinstance(value, Iterator) else value

        return call


def register(writer: JournalWriter, *ids: str, **other: Any) -> list[Any]:
    return writer.items.register(registered_items(writer, *ids, **other), accept_changes=False)


OPEN: list[JournalWriter] = []
"""Writers that the current test has opened; `conftest.py` closes them."""


def started_writer(path: str, *ids: str, **options: Any) -> JournalWriter:
    """Open a journal, start a run and register items."""
    writer = JournalWriter(path, **options)
    OPEN.append(writer)
    writer.begin_run()
    register(writer, *ids)
    return writer


def done(name: str, output: Any = "an answer", **fields: Any) -> WorkItemResult[Any]:
    return WorkItemResult(name, 0, output, **fields)


def failed(name: str, kind: FaultKind = FaultKind.TRANSIENT, message: str = "a bad day", **fields: Any) -> Any:
    return WorkItemResult(name, 0, None, Fault(kind, message), **fields)


def attempt(number: int = 1, fault: Fault | None = None, tokens: int = 5) -> Attempt:
    return Attempt(number, number * 1.5, 0.25, "lane", TokenUsage(tokens, 2), fault, "m-1")


def item(name: str, prompt: str | None = None, strategy: Any = UPPER, context: Any = None) -> LLMWorkItem[Any]:
    return LLMWorkItem(name, strategy, name if prompt is None else prompt, context)


def rows(path: str, query: str = "SELECT id FROM results JOIN items USING (item) ORDER BY seq") -> list[Any]:
    """Query the file as another program does that opens it for writing, such as the shell of SQLite."""
    with closing(sqlite3.connect(path)) as db:
        return db.execute(query).fetchall()


def rows_elsewhere(path: str, query: str = "SELECT COUNT(*) FROM results") -> int:
    """Run a query for one number in another process."""
    script = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); print(c.execute(sys.argv[2]).fetchone()[0]); c.close()"
    )
    return int(python(script, path, query).stdout)


def python(script: str, *arguments: object, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a script in another process."""
    run = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        **options,
    )
    assert not check or run.returncode == 0, run.stderr
    return run


def forked(act: Callable[[], Any]) -> tuple[int, str]:
    """Call a function in a fork; return the exit code, and the result or the exception as text."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the test runner has threads
        pid = os.fork()
    if pid == 0:
        try:
            outcome = str(act())
        except BaseException as error:  # noqa: BLE001 - it is reported to the parent
            outcome = f"{type(error).__name__}: {error}"
        os.write(writing, outcome.encode()[:4000])
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        outcome = pipe.read().decode()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), outcome


def as_nobody(act: Callable[[], Any]) -> str:
    """Call a function in a fork as a user without permissions; return the result or the exception as text."""

    def acts() -> Any:
        os.setgid(65534)
        os.setuid(65534)
        return act()

    return forked(acts)[1]
