"""Contents: the prompts of the items that a journal has, whether or not the table has an index of them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paceline.journal import contents as contents_module
from paceline.journal.writer import JournalWriter

from ..search import examples
from .support import content, register, rows, started_writer

INDICES = "SELECT name FROM sqlite_master WHERE name = 'items_by_content'"


def known(writer, *texts):
    return writer.items.contents.known({content(text) for text in texts})


def test_items_that_are_registered_are_known_and_others_are_not(path):
    with started_writer(path, "a", "b") as writer:
        assert known(writer, "a", "b", "c") == {content("a"), content("b")}


def test_items_of_an_earlier_run_are_known(path):
    with started_writer(path, "a"):
        pass
    with started_writer(path, "b") as writer:
        assert known(writer, "a", "b", "c") == {content("a"), content("b")}


def test_a_new_journal_has_no_index_while_its_items_are_few(path):
    with started_writer(path, "a") as writer:
        assert known(writer, "a")
        assert rows(path, INDICES) == []
    with started_writer(path) as writer:
        assert rows(path, INDICES) == []
        assert known(writer, "a")
        assert rows(path, INDICES) == [("items_by_content",)]


def test_with_many_items_the_index_is_created_when_it_is_needed(path):
    names = [f"n{number}" for number in range(contents_module._MOST_IN_MEMORY + 1)]
    with JournalWriter(path) as writer:
        writer.begin_run()
        with writer.transaction():
            register(writer, *names)
        assert rows(path, INDICES) == []
        assert known(writer, "n0", names[-1], "other") == {content("n0"), content(names[-1])}
        assert rows(path, INDICES) == [("items_by_content",)]
        register(writer, "other")
        assert known(writer, "other") == {content("other")}


def test_a_transaction_that_is_rolled_back_loses_no_item_of_another(path):
    with started_writer(path) as writer:
        with pytest.raises(ZeroDivisionError), writer.transaction():  # noqa: PT012 - a block is what is tested
            register(writer, "a")
            1 / 0  # noqa: B018
        register(writer, "b")
        assert known(writer, "b") == {content("b")}
    with started_writer(path) as writer:
        assert known(writer, "a", "b") == {content("b")}


@settings(deadline=None, max_examples=examples(15))
@given(st.lists(st.lists(st.integers(0, 30), max_size=5, unique=True), max_size=6), st.sets(st.integers(0, 40)))
def test_exactly_the_contents_of_registered_items_are_known(tmp_path_factory, runs, wanted):
    path = str(tmp_path_factory.mktemp("contents") / "run.db")
    registered = set()
    for names in [*runs, []]:
        with JournalWriter(path) as writer:
            writer.begin_run()
            for name in names:
                register(writer, str(name))
                registered.add(name)
                assert known(writer, *map(str, wanted)) == {content(str(name)) for name in wanted & registered}
