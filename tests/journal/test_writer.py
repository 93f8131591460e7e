"""Writer: items and their changes, results, and transactions that are committed completely or not at all."""

from __future__ import annotations

import math
import os

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paceline import Fault, WorkItemResult
from paceline._core.accounting import Price
from paceline._core.fault import FaultKind, FaultReason
from paceline._core.pace import PaceChange, PaceKnowledge
from paceline._core.usage import TokenUsage
from paceline.exceptions import ConfigurationError, JournalError
from paceline.journal.items import ItemChange, describe_changes, differences
from paceline.journal.reader import JournalReader
from paceline.journal.writer import JournalWriter, RecentResults

from ..search import examples
from .support import IDENTITY, Reading, attempt, done, failed, register, registered_items, rows, started_writer

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
def writer(path):
    with started_writer(path, "a", "b", "c") as opened:
        yield opened


def changes_of(writer, items):
    return describe_changes(writer.items.register(items, accept_changes=False))


# ------------------------------------------------------------------------------------------------ items


def test_items_are_registered_once(writer):
    assert register(writer, "b", "c", "d") == []
    assert (writer.items.count(), writer.items.count(gone=True)) == (4, 0)


def test_a_changed_prompt_is_reported_and_the_item_is_not_changed(writer):
    assert changes_of(writer, registered_items(writer, "a", prompt="another")) == ["the prompt of 'a' has changed"]
    assert changes_of(writer, registered_items(writer, "a", prompt="another")) == ["the prompt of 'a' has changed"]
    assert changes_of(writer, registered_items(writer, "a")) == []


def test_a_changed_strategy_is_reported_setting_by_setting(writer):
    other = {"strategy": "Test", "model": "m-2", "temperature": 0.5}
    assert changes_of(writer, registered_items(writer, "a", identity=other)) == [
        "'a' was started with another strategy: model was m-1, is m-2; temperature was not given, is 0.5"
    ]


def test_an_accepted_change_of_the_prompt_deletes_the_result(writer):
    writer.commit([done("a"), done("b")], {})
    changes = writer.items.register(registered_items(writer, "a", prompt="another"), accept_changes=True)
    assert [change.content for change in changes] == [True]
    assert rows(writer.path) == [("b",)]
    assert changes_of(writer, registered_items(writer, "a", prompt="another")) == []
    assert changes_of(writer, registered_items(writer, "a")) == ["the prompt of 'a' has changed"]


def test_an_accepted_change_of_the_strategy_keeps_the_result(writer):
    writer.commit([done("a")], {})
    changes = writer.items.register(registered_items(writer, "a", identity={"model": "m-2"}), accept_changes=True)
    assert [(change.content, change.before, change.after) for change in changes] == [
        (False, IDENTITY, {"model": "m-2"})
    ]
    assert rows(writer.path) == [("a",)]
    assert changes_of(writer, registered_items(writer, "a", identity={"model": "m-2"})) == []
    assert changes_of(writer, registered_items(writer, "a")) != []


def test_both_changes_at_once_are_reported_as_a_changed_prompt(writer):
    assert changes_of(writer, registered_items(writer, "a", prompt="x", identity={"m": 2})) == [
        "the prompt of 'a' has changed"
    ]


def test_many_changes_are_counted_after_the_first_ten():
    changes = [ItemChange(str(i), None, True, {}, {}) for i in range(1_012)]
    lines = describe_changes(changes)
    assert len(lines) == 11
    assert lines[9:] == ["the prompt of '9' has changed", "and 1,002 more changes"]
    assert len(describe_changes(changes[:10])) == 10


def test_differences_have_new_and_removed_settings():
    assert differences({"a": 1, "b": None, "c": [1]}, {"a": 1, "c": [2], "d": "x"}) == [
        "c was [1], is [2]",
        "d was not given, is x",
    ]


def test_more_items_than_fit_in_a_statement_are_compared(path):
    names = [f"n{i}" for i in range(1_203)]
    with started_writer(path, *names) as writer:
        assert changes_of(writer, registered_items(writer, *names)) == []
        assert (
            len(writer.items.register(registered_items(writer, *names, prompt="other"), accept_changes=False)) == 1_203
        )


def test_a_registered_item_may_move_and_keeps_its_place_if_no_other_is_given(writer):
    (first,) = registered_items(writer, "a")
    writer.items.register([attrs.evolve(first, place=77)], accept_changes=False)
    writer.items.register([attrs.evolve(first, place=None)], accept_changes=False)
    writer.items.mark_all_gone()
    writer.items.register([attrs.evolve(first, place=None)], accept_changes=False)
    assert rows(writer.path, "SELECT place, gone FROM items WHERE id = 'a'") == [(77, 0)]


def test_an_item_that_left_the_input_is_gone_until_it_returns(writer):
    writer.commit([done("a"), done("b")], {})
    writer.items.mark_all_gone()
    register(writer, "b", "c")
    assert (writer.items.count(), writer.items.count(gone=True)) == (2, 1)
    with JournalReader(writer.path) as reader:
        assert [kept.id for kept in reader.results()] == ["b"]
        assert (reader.counts().total, reader.counts().succeeded) == (2, 1)
        register(writer, "a")
        assert [kept.id for kept in reader.results()] == ["a", "b"]


def test_the_strategies_are_those_of_items_that_are_not_gone(writer):
    first, second = writer.items.strategy_number(IDENTITY), writer.items.strategy_number({"m": 2})
    assert writer.items.strategies() == {first}
    register(writer, "d", identity={"m": 2})
    assert writer.items.strategies() == {first, second}
    writer.items.mark_all_gone()
    assert writer.items.strategies() == set()


def test_an_identity_has_one_number_in_every_run(path):
    with started_writer(path) as writer:
        number = writer.items.strategy_number({"b": 1, "a": [1, {"x": None}]})
    with started_writer(path) as writer:
        assert writer.items.strategy_number({"a": [1, {"x": None}], "b": 1}) == number
        assert writer.items.strategy_number({"a": 1}) != number
        assert writer.items.identity(number) == {"a": [1, {"x": None}], "b": 1}


def test_results_of_some_kinds_are_deleted(writer):
    writer.commit([failed("a"), failed("b", FaultKind.REFUSED), done("c")], {})
    assert writer.items.delete_results(["transient", "timeout"]) == 1
    assert rows(writer.path) == [("b",), ("c",)]
    assert writer.items.delete_results([]) == 0
    assert writer.items.delete_results(map(str, FaultKind)) == 1
    assert rows(writer.path) == [("c",)]


# ------------------------------------------------------------------------------------------------ results


def test_a_later_result_replaces_an_earlier_one_under_a_new_number(writer):
    writer.commit([failed("a"), done("b")], {})
    writer.commit([done("a", "better")], {})
    with JournalReader(writer.path) as reader:
        assert [(kept.seq, kept.id, kept.data()) for kept in reader.results()] == [
            (2, "b", "an answer"),
            (3, "a", "better"),
        ]


def test_no_number_is_used_twice(writer):
    writer.commit([done("a"), done("b"), failed("c")], {})
    writer.items.delete_results(["transient"])
    writer.commit([done("c")], {})
    writer.items.register(registered_items(writer, "c", prompt="other"), accept_changes=True)
    writer.close()
    with JournalWriter(writer.path) as again:
        again.begin_run()
        again.commit([done("c")], {})
        with JournalReader(writer.path) as reader:
            assert [kept.seq for kept in reader.results()] == [1, 2, 5]


def test_only_the_attempts_of_a_pending_item_are_stored(writer):
    writer.commit([failed("a", FaultKind.PENDING, attempts=(attempt(1), attempt(2)))], {})
    assert rows(writer.path) == []
    assert rows(writer.path, "SELECT number FROM attempts ORDER BY ordinal") == [(1,), (2,)]


def test_a_pending_item_keeps_its_earlier_result(writer):
    writer.commit([failed("a")], {})
    writer.commit([failed("a", FaultKind.PENDING)], {})
    assert rows(writer.path) == [("a",)]


def test_attempts_of_a_later_batch_of_one_run_do_not_replace_earlier_ones(writer):
    writer.commit([failed("a", FaultKind.PENDING, attempts=(attempt(1), attempt(2)))], {})
    writer.commit([done("a", attempts=(attempt(1),))], {})
    assert rows(writer.path, "SELECT number FROM attempts ORDER BY ordinal") == [(1,), (2,), (1,)]
    with JournalReader(writer.path) as reader:
        ((use, _),) = reader.models()
        assert (use.calls, use.usage.input_tokens) == (3, 15)


def test_an_attempt_costs_what_its_tokens_cost(writer):
    writer.commit([done("a", attempts=(attempt(tokens=1_000_000),))], {"m-1": Price(2.0, 500_000.0)})
    assert rows(writer.path, "SELECT cost, run FROM attempts") == [(3.0, 1)]
    writer.commit([done("b", attempts=(attempt(),))], {"m-2": Price(1, 1)})
    assert rows(writer.path, "SELECT cost FROM attempts ORDER BY item") == [(3.0,), (None,)]


@pytest.mark.parametrize("tokens", [2**63, 10**30])
def test_an_absurd_number_of_tokens_harms_no_other_result(writer, tokens):
    absurd = TokenUsage(tokens, 1)
    writer.commit([done("a", usage=absurd, attempts=(attempt(tokens=tokens),)), done("b")], {})
    assert rows(writer.path) == [("a",), ("b",)]


def test_a_transaction_is_committed_completely_or_not_at_all(writer):
    with pytest.raises(ZeroDivisionError), writer.transaction() as db:  # noqa: PT012 - a block is what is tested
        db.execute("INSERT INTO facts VALUES ('x', '1')")
        writer.commit([done("a")], {})
        1 / 0  # noqa: B018
    assert rows(writer.path) == rows(writer.path, "SELECT * FROM facts") == []
    writer.commit([done("a")], {})
    assert rows(writer.path) == [("a",)]


def test_a_commit_stores_all_of_its_results_or_none(writer):
    odd = attrs.evolve(attempt(), number=object())
    with pytest.raises(JournalError, match=r"run\.db: "):
        writer.commit([done("a"), done("b", attempts=(odd,))], {})
    assert rows(writer.path) == []


def test_the_result_of_an_unregistered_item_is_refused_and_not_dropped(writer):
    with pytest.raises(JournalError, match=r"run\.db: cannot store the result of an item that is not registered"):
        writer.commit([done("a"), done("z"), done("b")], {})
    assert rows(writer.path) == []
    writer.commit([done("a"), failed("b", FaultKind.PENDING)], {})
    writer.commit([failed("b", FaultKind.PENDING)], {})
    writer.commit([], {})
    assert rows(writer.path) == [("a",)]


def test_an_sqlite_error_names_the_file(writer):
    with pytest.raises(JournalError, match=r"run\.db: no such table: nowhere"), writer.transaction() as db:
        db.execute("SELECT * FROM nowhere")
    writer.commit([done("a")], {})


def test_a_closed_writer_raises(writer):
    writer.close()
    writer.close()
    with pytest.raises(JournalError, match=r"run\.db: Cannot operate on a closed database"):
        writer.commit([done("a")], {})


@pytest.mark.parametrize("durability", ["FULL", None, "", "off"])
def test_an_invalid_durability_is_refused(path, durability):
    with pytest.raises(ConfigurationError, match=f"durability must be normal or full, not {durability!r}"):
        JournalWriter(path, durability=durability)


@pytest.mark.parametrize(("durability", "level"), [("normal", 1), ("full", 2)])
def test_the_durability_sets_sqlite_s_synchronous_level(path, durability, level):
    with started_writer(path, durability=durability) as writer, writer.transaction() as db:
        assert db.execute("PRAGMA synchronous").fetchone()[0] == level


def test_runs_are_recorded_with_their_process_and_their_end(path):
    with started_writer(path) as writer:
        writer.end_run()
    with started_writer(path), JournalReader(path) as reader:
        runs = reader.runs()
    assert [(run.run, run.pid, run.ended is None) for run in runs] == [(1, os.getpid(), False), (2, os.getpid(), True)]


# ------------------------------------------------------------------------------------------------ odd texts


@pytest.mark.parametrize("odd", [text for text in ODD if text.strip()])
def test_any_text_is_an_id(path, odd):
    with started_writer(path, "other", odd) as writer:
        writer.commit([done(odd, odd, model=odd or None), done("other")], {})
        assert register(writer, odd) == []
        with JournalReader(path) as reader:
            assert reader.counts().succeeded == 2
            assert next(reader.results()).line.decode("utf-8").startswith('{"id": ')


@settings(deadline=None, max_examples=examples(30))
@given(
    ids=st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1, unique=True),
    texts=st.lists(st.text(), min_size=1),
)
def test_any_texts_are_restored(tmp_path_factory, ids, texts):
    path = str(tmp_path_factory.mktemp("texts") / "run.db")
    with started_writer(path, *ids) as writer:
        writer.commit([done(name, texts) for name in ids], {})
    with JournalReader(path) as reader:
        found = {kept.id: kept.data() for kept in reader.results()}
    plain = [text.encode("utf-8", "replace").decode() for text in texts]
    assert found == dict.fromkeys(ids, plain)


# ------------------------------------------------------------------------------------------------ facts and the pace


def test_facts_are_stored_and_replaced(writer):
    assert writer.fact("x") is None
    writer.set_fact("x", {"a": [1, None]})
    writer.set_fact("x", {"b": "\ud800"})
    assert writer.fact("x") == Reading(writer.path).fact("x") == {"b": "\ud800"}


def test_a_fact_that_is_not_json_is_refused_and_not_stored(writer):
    with pytest.raises(ValueError, match="JSON"):
        writer.set_fact("x", math.inf)
    assert writer.fact("x") is None


def test_the_learned_pace_is_restored(path):
    learned = {"lane": PaceKnowledge(limit=7, rate=math.inf, token_rate=9.5, latency=0.5, learned=3.0)}
    changes = [
        ("lane", PaceChange(1.5, 1.0, math.inf, "more")),
        ("\ud800", PaceChange(2.5, 0, 1, "shut", "gate")),
    ]
    with started_writer(path) as writer:
        assert writer.knowledge() == {}
        writer.record_pace(changes, learned)
        writer.record_pace([], {})
    with started_writer(path) as writer, JournalReader(path) as reader:
        assert writer.knowledge() == reader.knowledge() == learned
        stored = [(entry.run, entry.at, entry.handle, entry.old, entry.new) for entry in reader.pace()]
    assert stored == [(1, 1.5, "workers", 1.0, None), (1, 2.5, "gate", 0.0, 1.0)]


def test_an_invalid_learned_pace_is_empty(writer):
    writer.set_fact("knowledge", {"version": 99})
    assert writer.knowledge() == Reading(writer.path).knowledge() == {}


# ------------------------------------------------------------------------------------------------ results in memory


def test_recent_results_are_the_rows_that_a_reader_finds(path, writer):
    writer.keep_recent()
    writer.commit([done("a", {"x": [1]}, attempts=(attempt(),), context={"n": 1}), failed("b")], {})
    writer.commit([done("c", "x\udfffy", model="m-1")], {})
    with JournalReader(path) as reader:
        assert writer.take_recent(after=0) == [*reader.rows()]
    assert writer.take_recent(after=0) == []


def test_results_of_a_transaction_that_was_rolled_back_are_not_recent(writer):
    writer.keep_recent()

    def commit_both():
        with writer.transaction():
            writer.commit([done("a")], {})
            writer.commit([done("not registered")], {})

    with pytest.raises(JournalError):
        commit_both()
    assert writer.take_recent(after=0) == []
    with writer.transaction():
        writer.commit([done("b")], {})
        assert writer.take_recent(after=0) == []
    assert [row[2] for row in writer.take_recent(after=0)] == ["b"]


def test_recent_results_are_in_memory_only_on_request(writer):
    writer.commit([done("a")], {})
    assert writer.take_recent(after=0) == []


def row_of(seq, output="x"):
    return (seq, seq, f"item-{seq}", 1, None, None, output)


@given(st.lists(st.one_of(st.integers(1, 6), st.integers(-3, 0), st.just("take")), max_size=30), st.integers(0, 3))
def test_recent_results_begin_with_the_next_one_and_have_no_gap(steps, after):
    """A number commits so many results; one below 1 leaves a gap; `take` is a reader that reads the rest from the journal."""
    recent, last = RecentResults(), 0
    for step in steps:
        if step == "take":
            found = [row[0] for row in recent.take(after)]
            assert found == [*range(after + 1, last + 1)][: len(found)]
            after = last
        elif step < 1:
            last -= step
        else:
            recent.add([row_of(seq) for seq in range(last + 1, last + step + 1)])
            last += step


def test_results_of_an_output_that_falls_behind_leave_memory():
    many, long = RecentResults(), RecentResults()
    for seq in range(1, 10_001):
        many.add([row_of(seq)])
    assert many.take(0) == []
    for seq in range(1, 21):
        long.add([row_of(seq, "x" * 2**20)])
    assert long.take(0) == []


def test_an_answer_that_was_not_accepted_and_the_reason_are_stored(writer, path):
    fault = Fault(FaultKind.REJECTED, "too large", answer="half \ud800", reason=FaultReason.TOO_LARGE)
    writer.commit([WorkItemResult("a", 0, error=fault), done("b")], {})
    kept, plain = Reading(path).results()
    assert (kept.result(None).error.answer, kept.result(None).error.reason) == ("half \\ud800", "too_large")
    assert (plain.answer, plain.reason) == (None, None)
    assert [group.reason for group in Reading(path).messages()] == ["too_large"]
    assert "half" not in repr(kept)


def test_a_reason_of_a_later_version_is_left_out(writer, path):
    writer.commit([failed("a", FaultKind.REJECTED)], {})
    with writer.transaction() as db:
        db.execute("UPDATE results SET reason = 'unheard-of'")
    (kept,) = Reading(path).results()
    assert kept.result(None).error.reason is None
    assert [group.reason for group in Reading(path).messages()] == [None]
