"""The reference of the journal: every column is documented, and every query returns rows."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from paceline import FaultKind, Price, ProcessorConfig, RetryPolicy, run_prompts
from paceline.journal import schema
from paceline.testing import Service, SimulatedProvider, SimulatedStrategy

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "journal.md").read_text("utf-8")
SECTION = re.compile(r"^### `(\w+)`:.*?(?=^##|\Z)", re.MULTILINE | re.DOTALL)
COLUMN = re.compile(r"^\| `(\w+)` \| ([A-Z]+) \|", re.MULTILINE)
QUERY = re.compile(r"^```sql\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def journal(tmp_path_factory):
    """Return the path of a journal with answers, failures, retries and costs."""
    path = tmp_path_factory.mktemp("journal") / "run.db"
    service = Service(latency=0.01, faults={FaultKind.TRANSIENT: 0.3, FaultKind.REFUSED: 0.2})
    strategy = SimulatedStrategy(SimulatedProvider(service, seed=3), model="priced")
    strategy.price = Price(1.0, 4.0)
    config = ProcessorConfig(retry=RetryPolicy(max_attempts=2))
    batch = run_prompts(strategy, [f"prompt {n}" for n in range(60)], config=config, journal=path)
    assert batch.succeeded
    assert {"transient", "refused"} <= set(batch.failures)
    return path


def test_every_column_is_documented_in_order_with_its_type(journal):
    documented = {match[1]: COLUMN.findall(match[0]) for match in SECTION.finditer(PAGE)}
    with closing(sqlite3.connect(journal)) as db:
        names = db.execute(
            "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'"
        )
        tables = {
            name: [(column, kind) for _, column, kind, *_ in db.execute(f"PRAGMA table_info({name})")]
            for (name,) in names.fetchall()
        }
    assert documented == tables


def test_the_identification_of_the_file_is_as_documented():
    assert f"`application_id` is 0x{schema.APPLICATION_ID:X}" in PAGE
    assert f"`user_version` the version of the tables, now {len(schema.STEPS)}." in PAGE


@pytest.mark.parametrize("query", QUERY.findall(PAGE), ids=lambda query: " ".join(query.split())[:40])
def test_each_query_returns_rows_without_nulls(journal, query):
    with closing(sqlite3.connect(journal)) as db:
        rows = db.execute(query).fetchall()
    assert rows
    assert all(value is not None for row in rows for value in row)


def test_the_page_has_queries():
    assert len(QUERY.findall(PAGE)) >= 4
