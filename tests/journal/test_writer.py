"""What is written to a journal: items and their changes, results, all of a transaction or nothing."""

from __future__ import annotations

import math
import os

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paceline._core.accounting import Price
from paceline._core.fault import FaultKind
from paceline._core.pace import PaceChange, PaceKnowledge
from paceline._core.usage import TokenUsage
from paceline.exceptions import ConfigurationError, JournalError
from paceline.journal.items import ItemChange, describe_changes, differences
from paceline.journal.reader import JournalReader
from paceline.journal.writer import JournalWriter

from .support import IDENTITY, attempt, begun, done, failed, known, noted, rows

ODD = [
    "",
    "\0",
    "a\0b",
    "\ud800",
    "x\udfffy",
    "😀",
    "\u2028",
    "'; DROP TABLE items; --",
    "%",
    "_",
    "\\",
    '"',
    "null",
    "1",
    "1.0",
]


@pytest.fixture
def store(path):
    with begun(path, "a", "b", "c") as opened:
        yield opened


def told(store, items):
    return describe_changes(store.items.register(items, accept_changes=False))


# ------------------------------------------------------------------------------------------------ items


def test_items_are_noted_once(store):
    assert noted(store, "b", "c", "d") == []
    assert (store.items.count(), store.items.count(gone=True)) == (4, 0)


def test_a_changed_prompt_is_told_and_the_item_stays_as_it_was(store):
    assert told(store, known(store, "a", prompt="another")) == ["the prompt of 'a' has changed"]
    assert told(store, known(store, "a", prompt="another")) == ["the prompt of 'a' has changed"]
    assert told(store, known(store, "a")) == []


def test_a_changed_strategy_is_told_setting_by_setting(store):
    other = {"strategy": "Test", "model": "m-2", "temperature": 0.5}
    assert told(store, known(store, "a", identity=other)) == [
        "'a' was started with another strategy: model was m-1, is m-2; temperature was not given, is 0.5"
    ]


def test_a_changed_prompt_that_is_accepted_is_another_item(store):
    store.commit([done("a"), done("b")], {})
    changes = store.items.register(known(store, "a", prompt="another"), accept_changes=True)
    assert [change.content for change in changes] == [True]
    assert rows(store.path) == [("b",)]
    assert told(store, known(store, "a", prompt="another")) == []
    assert told(store, known(store, "a")) == ["the prompt of 'a' has changed"]


def test_with_another_strategy_that_is_accepted_a_result_stands(store):
    store.commit([done("a")], {})
    changes = store.items.register(known(store, "a", identity={"model": "m-2"}), accept_changes=True)
    assert [(change.content, change.before, change.after) for change in changes] == [
        (False, IDENTITY, {"model": "m-2"})
    ]
    assert rows(store.path) == [("a",)]
    assert told(store, known(store, "a", identity={"model": "m-2"})) == []
    assert told(store, known(store, "a")) != []


def test_both_changes_at_once_are_told_as_another_prompt(store):
    assert told(store, known(store, "a", prompt="x", identity={"m": 2})) == ["the prompt of 'a' has changed"]


def test_many_changes_are_counted_after_the_first_ten():
    changes = [ItemChange(str(i), None, True, {}, {}) for i in range(1_012)]
    lines = describe_changes(changes)
    assert len(lines) == 11
    assert lines[9:] == ["the prompt of '9' has changed", "and 1,002 more changes"]
    assert len(describe_changes(changes[:10])) == 10


def test_differences_name_what_is_new_and_what_is_gone():
    assert differences({"a": 1, "b": None, "c": [1]}, {"a": 1, "c": [2], "d": "x"}) == [
        "c was [1], is [2]",
        "d was not given, is x",
    ]


def test_more_items_than_fit_in_a_statement_are_compared(path):
    names = [f"n{i}" for i in range(1_203)]
    with begun(path, *names) as store:
        assert told(store, known(store, *names)) == []
        assert len(store.items.register(known(store, *names, prompt="other"), accept_changes=False)) == 1_203


def test_a_known_item_may_move_and_keeps_its_place_where_none_is_given(store):
    (first,) = known(store, "a")
    store.items.register([attrs.evolve(first, place=77)], accept_changes=False)
    store.items.register([attrs.evolve(first, place=None)], accept_changes=False)
    store.items.mark_all_gone()
    store.items.register([attrs.evolve(first, place=None)], accept_changes=False)
    assert rows(store.path, "SELECT place, gone FROM items WHERE id = 'a'") == [(77, 0)]


def test_what_is_not_in_the_input_any_more_is_gone_until_it_is_back(store):
    store.commit([done("a"), done("b")], {})
    store.items.mark_all_gone()
    noted(store, "b", "c")
    assert (store.items.count(), store.items.count(gone=True)) == (2, 1)
    with JournalReader(store.path) as reader:
        assert [kept.id for kept in reader.results()] == ["b"]
        assert (reader.counts().total, reader.counts().succeeded) == (2, 1)
        noted(store, "a")
        assert [kept.id for kept in reader.results()] == ["a", "b"]


def test_the_strategies_are_those_of_items_that_are_not_gone(store):
    first, second = store.items.strategy_number(IDENTITY), store.items.strategy_number({"m": 2})
    assert store.items.strategies() == {first}
    noted(store, "d", identity={"m": 2})
    assert store.items.strategies() == {first, second}
    store.items.mark_all_gone()
    assert store.items.strategies() == set()


def test_an_identity_has_one_number_in_every_run(path):
    with begun(path) as store:
        number = store.items.strategy_number({"b": 1, "a": [1, {"x": None}]})
    with begun(path) as store:
        assert store.items.strategy_number({"a": [1, {"x": None}], "b": 1}) == number
        assert store.items.strategy_number({"a": 1}) != number
        assert store.items.identity(number) == {"a": [1, {"x": None}], "b": 1}


def test_results_of_some_kinds_are_forgotten(store):
    store.commit([failed("a"), failed("b", FaultKind.REFUSED), done("c")], {})
    assert store.items.delete_results(["transient", "timeout"]) == 1
    assert rows(store.path) == [("b",), ("c",)]
    assert store.items.delete_results([]) == 0
    assert store.items.delete_results(map(str, FaultKind)) == 1
    assert rows(store.path) == [("c",)]


# ------------------------------------------------------------------------------------------------ results


def test_a_later_result_takes_the_place_of_an_earlier_one_under_a_new_number(store):
    store.commit([failed("a"), done("b")], {})
    store.commit([done("a", "better")], {})
    with JournalReader(store.path) as reader:
        assert [(kept.seq, kept.id, kept.data()) for kept in reader.results()] == [
            (2, "b", "an answer"),
            (3, "a", "better"),
        ]


def test_no_number_is_used_twice(store):
    store.commit([done("a"), done("b"), failed("c")], {})
    store.items.delete_results(["transient"])
    store.commit([done("c")], {})
    store.items.register(known(store, "c", prompt="other"), accept_changes=True)
    store.close()
    with JournalWriter(store.path) as again:
        again.begin_run()
        again.commit([done("c")], {})
        with JournalReader(store.path) as reader:
            assert [kept.seq for kept in reader.results()] == [1, 2, 5]


def test_of_a_pending_item_only_the_attempts_are_kept(store):
    store.commit([failed("a", FaultKind.PENDING, attempts=(attempt(1), attempt(2)))], {})
    assert rows(store.path) == []
    assert rows(store.path, "SELECT number FROM attempts ORDER BY ordinal") == [(1,), (2,)]


def test_a_pending_item_leaves_its_earlier_result(store):
    store.commit([failed("a")], {})
    store.commit([failed("a", FaultKind.PENDING)], {})
    assert rows(store.path) == [("a",)]


def test_attempts_of_a_later_batch_of_one_run_do_not_take_the_place_of_earlier_ones(store):
    store.commit([failed("a", FaultKind.PENDING, attempts=(attempt(1), attempt(2)))], {})
    store.commit([done("a", attempts=(attempt(1),))], {})
    assert rows(store.path, "SELECT number FROM attempts ORDER BY ordinal") == [(1,), (2,), (1,)]
    with JournalReader(store.path) as reader:
        ((use, _),) = reader.models()
        assert (use.calls, use.usage.input_tokens) == (3, 15)


def test_an_attempt_costs_what_its_tokens_cost(store):
    store.commit([done("a", attempts=(attempt(tokens=1_000_000),))], {"m-1": Price(2.0, 500_000.0)})
    assert rows(store.path, "SELECT cost, run FROM attempts") == [(3.0, 1)]
    store.commit([done("b", attempts=(attempt(),))], {"m-2": Price(1, 1)})
    assert rows(store.path, "SELECT cost FROM attempts ORDER BY item") == [(3.0,), (None,)]


@pytest.mark.parametrize("tokens", [2**63, 10**30])
def test_an_absurd_number_of_tokens_harms_no_other_result(store, tokens):
    absurd = TokenUsage(tokens, 1)
    store.commit([done("a", usage=absurd, attempts=(attempt(tokens=tokens),)), done("b")], {})
    assert rows(store.path) == [("a",), ("b",)]


def test_a_transaction_happens_or_does_not(store):
    with pytest.raises(ZeroDivisionError), store.transaction() as db:  # noqa: PT012 - a block is what is tested
        db.execute("INSERT INTO facts VALUES ('x', '1')")
        store.commit([done("a")], {})
        1 / 0  # noqa: B018
    assert rows(store.path) == rows(store.path, "SELECT * FROM facts") == []
    store.commit([done("a")], {})
    assert rows(store.path) == [("a",)]


def test_a_commit_keeps_all_of_its_results_or_none(store):
    odd = attrs.evolve(attempt(), number=object())
    with pytest.raises(JournalError, match=r"run\.db: "):
        store.commit([done("a"), done("b", attempts=(odd,))], {})
    assert rows(store.path) == []


def test_a_result_of_an_item_that_was_not_noted_is_refused_and_not_dropped(store):
    with pytest.raises(JournalError, match=r"run\.db: cannot store the result of an item that is not registered"):
        store.commit([done("a"), done("z"), done("b")], {})
    assert rows(store.path) == []
    store.commit([done("a"), failed("b", FaultKind.PENDING)], {})
    store.commit([failed("b", FaultKind.PENDING)], {})
    store.commit([], {})
    assert rows(store.path) == [("a",)]


def test_what_sqlite_raises_names_the_file(store):
    with pytest.raises(JournalError, match=r"run\.db: no such table: nowhere"), store.transaction() as db:
        db.execute("SELECT * FROM nowhere")
    store.commit([done("a")], {})


def test_a_closed_store_says_so(store):
    store.close()
    store.close()
    with pytest.raises(JournalError, match=r"run\.db: Cannot operate on a closed database"):
        store.commit([done("a")], {})


@pytest.mark.parametrize("durability", ["FULL", None, "", "off"])
def test_a_durability_that_is_none_is_refused(path, durability):
    with pytest.raises(ConfigurationError, match=f"durability must be normal or full, not {durability!r}"):
        JournalWriter(path, durability=durability)


@pytest.mark.parametrize(("durability", "level"), [("normal", 1), ("full", 2)])
def test_the_durability_is_that_of_sqlite(path, durability, level):
    with begun(path, durability=durability) as store, store.transaction() as db:
        assert db.execute("PRAGMA synchronous").fetchone()[0] == level


def test_runs_are_noted_with_their_process_and_their_end(path):
    with begun(path) as store:
        store.end_run()
    with begun(path), JournalReader(path) as reader:
        runs = reader.runs()
    assert [(run.run, run.pid, run.ended is None) for run in runs] == [(1, os.getpid(), False), (2, os.getpid(), True)]


# ------------------------------------------------------------------------------------------------ odd texts


@pytest.mark.parametrize("odd", [text for text in ODD if text.strip()])
def test_any_text_is_an_id(path, odd):
    with begun(path, "other", odd) as store:
        store.commit([done(odd, odd, model=odd or None), done("other")], {})
        assert noted(store, odd) == []
        with JournalReader(path) as reader:
            assert reader.counts().succeeded == 2
            assert next(reader.results()).line.decode("utf-8").startswith('{"id": ')


@settings(deadline=None, max_examples=30)
@given(
    ids=st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1, unique=True),
    texts=st.lists(st.text(), min_size=1),
)
def test_any_texts_come_back(tmp_path_factory, ids, texts):
    path = str(tmp_path_factory.mktemp("texts") / "run.db")
    with begun(path, *ids) as store:
        store.commit([done(name, texts) for name in ids], {})
    with JournalReader(path) as reader:
        found = {kept.id: kept.data() for kept in reader.results()}
    plain = [text.encode("utf-8", "replace").decode() for text in texts]
    assert found == dict.fromkeys(ids, plain)


# ------------------------------------------------------------------------------------------------ facts and the pace


def test_facts_are_noted_and_replaced(store):
    assert store.fact("x") is None
    store.set_fact("x", {"a": [1, None]})
    store.set_fact("x", {"b": "\ud800"})
    assert store.fact("x") == JournalReader(store.path).fact("x") == {"b": "\ud800"}


def test_a_fact_that_is_no_json_is_refused_and_nothing_is_noted(store):
    with pytest.raises(ValueError, match="JSON"):
        store.set_fact("x", math.inf)
    assert store.fact("x") is None


def test_what_was_learned_comes_back(path):
    known_of_it = {"lane": PaceKnowledge(limit=7, rate=math.inf, token_rate=9.5, latency=0.5, learned=3.0)}
    changes = [
        ("lane", PaceChange(1.5, 1.0, math.inf, "more")),
        ("\ud800", PaceChange(2.5, 0, 1, "shut", "gate")),
    ]
    with begun(path) as store:
        assert store.knowledge() == {}
        store.record_pace(changes, known_of_it)
        store.record_pace([], {})
    with begun(path) as store, JournalReader(path) as reader:
        assert store.knowledge() == reader.knowledge() == known_of_it
        told = [(entry.run, entry.at, entry.handle, entry.old, entry.new) for entry in reader.pace()]
    assert told == [(1, 1.5, "workers", 1.0, None), (1, 2.5, "gate", 0.0, 1.0)]


def test_knowledge_that_cannot_be_read_is_none(store):
    store.set_fact("knowledge", {"version": 99})
    assert store.knowledge() == JournalReader(store.path).knowledge() == {}
