"""Item registry: the tables of a journal in which many items were registered at once."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from paceline.files.types import InputRecord
from paceline.journal.writer import JournalWriter
from paceline.runs.item_registry import ItemRegistry


def schema_of(store):
    with store.transaction() as db:
        return db.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name").fetchall()


@contextmanager
def registered(path, count, first=1):
    with JournalWriter(path) as store:
        before = schema_of(store)
        with store.transaction():
            registry = ItemRegistry(store, {"model": "m-1"}, lambda _: None)
            for place in range(first, first + count):
                registry.visit(InputRecord(place, f"item-{place}", f"prompt {place}"))
            found = registry.finish({})
        yield store, before, found


@pytest.mark.parametrize("count", [1, 999, 1_000, 2_500])
def test_a_journal_has_the_same_tables_and_indices_after_its_items_were_registered(tmp_path, count):
    with registered(tmp_path / "journal", count) as (store, before, found):
        assert schema_of(store) == before
        assert store.items.count() == count
        assert (found.changes, found.new, found.kept) == ((), 0, 0)


def test_items_that_are_registered_again_are_no_changes_and_new_ones_are_counted(tmp_path):
    with registered(tmp_path / "journal", 1_500):
        pass
    with registered(tmp_path / "journal", 1_600) as (store, before, found):
        assert schema_of(store) == before
        assert (found.changes, found.new, found.kept, store.items.count()) == ((), 100, 1_500, 1_600)


def test_a_registration_that_fails_leaves_the_tables_as_they_were(tmp_path):
    with JournalWriter(tmp_path / "journal") as store:
        before = schema_of(store)

        def fail():
            with store.transaction():
                ItemRegistry(store, {}, lambda _: None).visit(InputRecord(1, "a", "prompt"))
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        assert schema_of(store) == before
        assert store.items.count() == 0
