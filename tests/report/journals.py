"""Journals for the tests of reports: made by SQL, row by row as each test wants them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

import attrs

from paceline.journal import schema
from paceline.journal.writer import JournalWriter

BEGAN = 1_790_000_000.0  # seconds of Unix time: 2026-09-21


@attrs.frozen(kw_only=True)
class Call:
    """One attempt of an item, in a row of its own."""

    item: int
    started: float = 0.0
    seconds: float = 1.0
    run: int = 1
    quota: str = "lane"
    model: str | None = "m"
    tokens: tuple[int, int] = (10, 5)
    cost: float | None = None
    kind: str | None = None
    ordinal: int = 0


@attrs.frozen(kw_only=True)
class Result:
    """The result of an item."""

    item: int
    run: int = 1
    settled: float = BEGAN + 1.0
    kind: str | None = None
    message: str | None = None
    output: str | None = '"an answer"'
    refusals: int = 0
    seconds: float = 1.0
    model: str | None = "m"
    answer: str | None = None


def make_journal(  # noqa: PLR0913 - one for each table
    path: Path,
    *,
    items: Iterable[str] = (),
    runs: Sequence[tuple[float, float | None]] = ((BEGAN, BEGAN + 10.0),),
    calls: Iterable[Call] = (),
    results: Iterable[Result] = (),
    pace: Iterable[tuple] = (),
    limits: Iterable[tuple] = (),
    version: int = len(schema.STEPS),
) -> str:
    """Write a journal with the tables of a version, and return its path."""
    with closing(sqlite3.connect(path)) as db:
        schema.ensure(db, str(path), schema.STEPS[:version])
        with db:
            db.execute('INSERT INTO strategies VALUES (1, \'{"strategy": "S", "model": "m"}\')')
            for number, name in enumerate(items, 1):
                row = (number, name, bytes(16), number)
                db.execute("INSERT INTO items VALUES (?, ?, ?, 1, ?, 0)", row)
            for number, (began, ended) in enumerate(runs, 1):
                db.execute("INSERT INTO runs VALUES (?, 99999999, '0.1.0', ?, ?)", (number, began, ended))
            for call in calls:
                sent, generated = call.tokens
                values = (
                    call.item,
                    call.run,
                    call.ordinal,
                    1,
                    call.started,
                    call.seconds,
                    call.quota,
                    call.model,
                    sent,
                    generated,
                )
                db.execute(
                    "INSERT INTO attempts (item, run, ordinal, number, started, seconds, quota, model, input_tokens, output_tokens, "
                    "cached_input_tokens, total_tokens, cost, kind) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?)",
                    (*values, sent + generated, call.cost, call.kind),
                )
            for result in results:
                db.execute(
                    "INSERT INTO results (item, strategy, run, settled, kind, message, output, model, input_tokens, output_tokens, "
                    "cached_input_tokens, total_tokens, attempts, refusals, seconds) "
                    "VALUES (?, 1, ?, ?, ?, ?, ?, ?, 10, 5, 0, 15, 1, ?, ?)",
                    (
                        result.item,
                        result.run,
                        result.settled,
                        result.kind,
                        result.message,
                        None if result.kind else result.output,
                        result.model,
                        result.refusals,
                        result.seconds,
                    ),
                )
                if result.answer is not None:
                    db.execute("UPDATE results SET answer = ? WHERE item = ?", (result.answer, result.item))
            db.executemany("INSERT INTO pace VALUES (?, ?, ?, ?, ?, ?, ?)", pace)
            if version >= schema.SIGHT:
                db.executemany("INSERT INTO limits VALUES (?, ?, ?, ?, ?)", limits)
    return str(path)


def empty_journal(path: Path) -> str:
    """Write a journal whose run has just begun, and return its path."""
    with JournalWriter(path) as writer:
        writer.begin_run()
    return str(path)
