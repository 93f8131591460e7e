"""Stages of a run with a journal: CPU per item of all that is not the engine, each beside the least that the same work takes.

Rules owned here:

1. Each stage runs alone, in one thread, on the same items, without garbage collection: CPU is that of the thread.
2. The peer of a stage does only what cannot be left out (parse the line, insert the row) with the standard library. The ratio is
   taken within a round, and the median is shown: it holds on other machines.
3. The figures of a stage are the least of the rounds.
"""

from __future__ import annotations

import gc
import json
import os
import sqlite3
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from paceline import LLMCallStrategy, LLMWorkItem, TokenUsage, WorkItemResult
from paceline.files import Input
from paceline.files.input import open_input
from paceline.files.output import Output
from paceline.files.output_formats import OutputFormat
from paceline.journal import JournalReader, SqliteJournal
from paceline.journal.writer import JournalWriter
from paceline.runs.item_registry import ItemRegistry, RegisteredItems
from paceline.runs.journal_output import JournalOutput
from paceline.runs.runner import work_items
from paceline.typing import Attempt

from .table import table

_TOGETHER = 100  # results in one commit, as at several thousand calls per second
_RECALLED = 256  # items that are recalled together, as the engine does
_ANSWER = "an answer of about twenty words, as a classification with a short reason has it, no longer"


_PEER_TABLES = """
CREATE TABLE results (seq INTEGER PRIMARY KEY AUTOINCREMENT, item INTEGER UNIQUE, output, model, a, b, c, d, e, f, g, h, i);
CREATE TABLE attempts (item, ordinal, model, a, b, c, d, e, f, g, h, i, PRIMARY KEY (item, ordinal)) WITHOUT ROWID;
"""
_PEER_RESULT = """
INSERT INTO results (item, output, model, a, b, c, d, e, f, g, h, i) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_PEER_ATTEMPT = "INSERT INTO attempts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class _Unused(LLMCallStrategy[str]):
    async def execute(self, prompt: str, attempt: int, timeout: float) -> tuple[str, None]:
        return prompt, None


class _Rounds:
    """Times of each stage and of its peer, in microseconds an item."""

    def __init__(self, items: int) -> None:
        self._items = items
        self._times: dict[str, list[tuple[float, float | None]]] = {}

    def measure(self, name: str, stage: Callable[[], object], peer: Callable[[], object] | None = None) -> None:
        """Run a stage and its peer once. A stage without a peer takes the place of another, and is not in the sum."""
        first = None if peer is None else self._time(peer)
        self._times.setdefault(name, []).append((self._time(stage), first))

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Return a row of the table for each stage, and their sum."""
        rows, total = [], 0.0
        for name, times in self._times.items():
            least = min(stage for stage, _ in times)
            total += least if times[0][1] is not None else 0.0
            ratios = [stage / peer for stage, peer in times if peer]
            peers = [peer for _, peer in times if peer]
            rows.append(
                (
                    name,
                    f"{least:.1f}",
                    f"{min(peers):.1f}" if peers else "",
                    f"{statistics.median(ratios):.2f}" if ratios else "",
                )
            )
        return [*rows, ("all of them", f"{total:.1f}", "", "")]

    def _time(self, function: Callable[[], object]) -> float:
        gc.collect()
        gc.disable()
        try:
            started = time.thread_time()
            function()
            return (time.thread_time() - started) / self._items * 1e6
        finally:
            gc.enable()


def stages(rounds: int, items: int, *, report: Callable[[str], None]) -> str:
    """Measure, and return the section of the page.

    Args:
        rounds: Number of runs of each stage.
        items: Number of items in each run.
        report: Function that receives progress messages.
    """
    run, batch = _Rounds(items), _Rounds(items)
    for number in range(rounds):
        report(f"stages: round {number + 1} of {rounds}")
        with TemporaryDirectory() as folder, ExitStack() as stack:
            _measure_run(Path(folder), items, run, stack)
        with TemporaryDirectory() as folder:
            _measure_batch(Path(folder), items, batch)
    head = ("", "us an item", "peer, us", "ratio")
    introduction = (
        f"{items:,} items. Rounds: {rounds}. `paceline run`, from lines to lines; results are committed {_TOGETHER} at a time. The "
        "peer parses each line with `json`, or inserts the same rows by plain `executemany` in as many transactions, or writes a "
        "`json.dumps` of each row."
    )
    second = "A batch of the library with `journal=`, whose items are registered as they are read. The peer inserts the same items."
    return "\n\n".join((introduction, table(head, run.rows()), second, table(head, batch.rows())))


def _measure_run(folder: Path, items: int, rounds: _Rounds, stack: ExitStack) -> None:
    source, strategy = folder / "in.jsonl", _Unused()
    with source.open("w") as file:
        for number in range(items):
            prompt = f"Which of the five classes does message number {number} belong to?"
            file.write(json.dumps({"id": f"message-{number}", "prompt": prompt}) + "\n")
    store = stack.enter_context(JournalWriter(folder / "journal"))
    rounds.measure("check the input, register its items", partial(_register, store, source), partial(_parse, source))
    store.begin_run()
    reader = stack.enter_context(JournalReader(store.path))
    checked = stack.enter_context(open_input(str(source)))
    rounds.measure(
        "read the input again",
        partial(_read_again, checked, strategy, store),
        partial(_parse, source),
    )
    results = [_result(f"message-{number}", number) for number in range(items)]
    output = _output(folder / "out.jsonl", reader, store, stack)
    rounds.measure("commit results", partial(_commit, store, results), partial(_insert, folder / "peer", results))
    rounds.measure("write rows, read from the journal", output.catch_up, partial(_dump, folder / "peer.jsonl", results))
    again = _output(folder / "again.jsonl", reader, store, stack)
    recent = [*reader.rows()]
    rounds.measure("or write rows of results just committed", lambda: again._write(recent))  # noqa: SLF001 - one stage


def _measure_batch(folder: Path, items: int, rounds: _Rounds) -> None:
    strategy = _Unused()
    work = [LLMWorkItem(f"message-{number}", strategy, f"message number {number}") for number in range(items)]
    results = [_result(item.item_id, number) for number, item in enumerate(work)]
    with JournalWriter(folder / "journal") as store:
        journal = SqliteJournal.on(store, dedupe=True)
        store.begin_run()
        rounds.measure(
            "register and recall items",
            lambda: [journal._recall.recall(part) for part in _parts(work, _RECALLED)],  # noqa: SLF001 - the part in the thread
            partial(_insert_items, folder / "peer-items", work),
        )
        rounds.measure("commit results", partial(_commit, store, results), partial(_insert, folder / "peer", results))


def _register(store: JournalWriter, source: Path) -> None:
    with store.transaction():
        registry = ItemRegistry(store, {"model": "m-1"}, lambda _: None)
        with open_input(str(source), visit=registry.visit):
            registry.finish({})


def _read_again(checked: Input, strategy: LLMCallStrategy[str], store: JournalWriter) -> None:
    registered = RegisteredItems(
        identity=checked.identity,
        prompts=checked.prompts,
        bad_count=0,
        dedupe=False,
        numbers=range(1, len(checked) + 1),  # of a new journal
    )
    for _ in registered.remembered(work_items(checked, strategy), store.items, 1):
        pass


def _parse(source: Path) -> None:
    with source.open("rb") as file:
        for line in file:
            json.loads(line)


def _result(name: str, number: int) -> WorkItemResult[str]:
    usage = TokenUsage(40, 20)
    attempt = Attempt(1, number / 1e4, 0.001, "at-once", usage, None, "at-once")
    return WorkItemResult(name, number, _ANSWER, usage=usage, attempts=(attempt,), model="at-once")


def _output(path: Path, reader: JournalReader, store: JournalWriter, stack: ExitStack) -> JournalOutput:
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY)
    stack.callback(os.close, descriptor)
    return JournalOutput(reader, store, Output(str(path), descriptor), path=str(path), output_format=OutputFormat.OWN)


def _commit(store: JournalWriter, results: Sequence[WorkItemResult[str]]) -> None:
    for part in _parts(results, _TOGETHER):
        store.commit(part, {})


def _parts(values: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [values[start : start + size] for start in range(0, len(values), size)]


def _insert(path: Path, results: Sequence[WorkItemResult[str]]) -> None:
    """Insert rows of the same values in two tables with the same keys."""
    rows = [
        (number, json.dumps(result.output), "at-once", 40, 20, 0, 60, 0, 0, 1, 0, 0.001)
        for number, result in enumerate(results)
    ]
    db = _plain(
        path,
        _PEER_TABLES,
    )
    attempts = [(number, 0, *row) for number, _, *row in rows]
    for part, calls in zip(_parts(rows, _TOGETHER), _parts(attempts, _TOGETHER), strict=True):
        db.execute("BEGIN")
        db.executemany(_PEER_RESULT, part)
        db.executemany(_PEER_ATTEMPT, calls)
        db.execute("COMMIT")
    db.close()


def _insert_items(path: Path, items: Sequence[LLMWorkItem[str]]) -> None:
    """Insert the same items in a table with the same indices."""
    db = _plain(path, "CREATE TABLE items (id TEXT UNIQUE, content BLOB); CREATE INDEX by_content ON items (content);")
    for part in _parts([(item.item_id, os.urandom(16)) for item in items], _RECALLED):
        db.execute("BEGIN")
        db.executemany("INSERT INTO items VALUES (?, ?)", part)
        db.execute("COMMIT")
    db.close()


def _plain(path: Path, tables: str) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None)
    db.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; {tables}")
    return db


def _dump(path: Path, results: Sequence[WorkItemResult[str]]) -> None:
    usage = {"input_tokens": 40, "output_tokens": 20, "cached_input_tokens": 0, "total_tokens": 60}
    with path.open("w") as file:
        for result in results:
            row = {"id": result.item_id, "success": True, "output": result.output, "error": None, "context": None}
            file.write(
                json.dumps(row | {"model": result.model, "usage": usage, "attempts": 1, "seconds": 0.001}) + "\n"
            )
