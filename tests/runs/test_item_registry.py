"""Item registry: the tables of a journal in which many items were registered at once."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from paceline import LLMWorkItem
from paceline._core.results import make_result
from paceline.files.types import InputRecord
from paceline.journal.writer import JournalWriter
from paceline.llm_strategies.callable import CallableStrategy
from paceline.runs.item_registry import ItemRegistry, RegisteredItems


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


async def answer(prompt):
    return prompt, None


def ids_by_number(store):
    with store.transaction() as db:
        return dict(db.execute("SELECT item, id FROM items"))


@pytest.mark.parametrize("count", [1, 1_000, 2_500])
def test_the_items_of_a_new_journal_have_the_numbers_that_their_registry_says(tmp_path, count):
    with JournalWriter(tmp_path / "journal") as store:
        with store.transaction():
            registry = ItemRegistry(store, {"model": "m-1"}, lambda _: None)
            for place in range(1, count + 1):
                registry.visit(InputRecord(3 * place, f"item-{place}", "prompt"))
            registry.finish({})
        known = ids_by_number(store)
        assert [known[number] for number in registry.numbers] == [f"item-{place}" for place in range(1, count + 1)]


def test_no_numbers_are_known_of_a_journal_that_had_items_or_ignored_one(tmp_path):
    def numbers(path, ids):
        with JournalWriter(path) as store, store.transaction():
            registry = ItemRegistry(store, {"model": "m-1"}, lambda _: None)
            for place, name in enumerate(ids, 1):
                registry.visit(InputRecord(place, name, "prompt"))
            registry.finish({})
            return registry.numbers

    assert len(numbers(tmp_path / "journal", ["a", "b"])) == 2
    assert not numbers(tmp_path / "journal", ["a", "b"])
    assert not numbers(tmp_path / "journal", ["a", "b", "c"])
    assert not numbers(tmp_path / "other", ["a\ud800", "a\\ud800", "b"])  # are stored under one id


@pytest.mark.parametrize("known", [0, 1, 3])
def test_a_result_is_stored_with_its_own_item_whether_its_number_is_remembered_or_not(tmp_path, known):
    names = ["c", "\ud800", "a"]
    strategy = CallableStrategy(answer)
    items = [LLMWorkItem(name, strategy, "prompt") for name in names]
    with JournalWriter(tmp_path / "journal") as store:
        with store.transaction():
            registry = ItemRegistry(store, {"model": "m-1"}, lambda _: None)
            for place, name in enumerate(names, 1):
                registry.visit(InputRecord(place, name, "prompt"))
            registry.finish({})
        store.begin_run()
        registered = RegisteredItems(
            identity=None, prompts=None, bad_count=0, dedupe=False, numbers=registry.numbers[:known]
        )
        read = [*registered.remembered(items, store.items, store.items.strategy_number({"model": "m-1"}))]
        assert read == items
        store.commit([make_result(name, 0, output=f"of {name!r}") for name in reversed(names)], {})
        with store.transaction() as db:
            stored = dict(db.execute("SELECT id, output FROM items JOIN results USING (item)"))
    assert stored == {"c": "\"of 'c'\"", "\\ud800": "\"of '\\\\ud800'\"", "a": "\"of 'a'\""}
