"""Inserts: each row is stored as it is, whatever it leaves out and however many are stored together."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paceline import TokenUsage
from paceline._core.accounting import Price
from paceline._core.fault import Fault, FaultKind, FaultReason
from paceline._core.results import Attempt, WorkItemResult
from paceline.journal.reader import JournalReader
from paceline.journal.writer import JournalWriter

from ..search import examples
from .support import attempt, done, failed, register, rows, started_writer

COUNTS = st.integers(0, 5)
USAGES = st.builds(TokenUsage, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS) | st.just(TokenUsage())
FAULTS = st.builds(
    lambda kind, reason, answer: Fault(kind, f"it was {kind}", reason=reason, answer=answer),
    st.sampled_from(sorted(set(FaultKind) - {FaultKind.PENDING})),
    st.none() | st.sampled_from(sorted(FaultReason)),
    st.none() | st.just("an answer"),
)
MODELS = st.sampled_from([None, "m-1", "m-2"])
ATTEMPTS = st.builds(
    Attempt, st.integers(1, 3), st.floats(0, 9), st.floats(0, 9), st.just("lane"), USAGES, st.none() | FAULTS, MODELS
)
RESULTS = st.builds(
    lambda end, context, usage, attempts, refusals, model: WorkItemResult(
        "", 0, **end, context=context, usage=usage, attempts=tuple(attempts), refusals=refusals, model=model
    ),
    st.builds(lambda fault: {"error": fault}, FAULTS) | st.sampled_from([{"output": "yes"}, {"output": None}, {}]),
    st.sampled_from([None, {"row": 1}]), USAGES, st.lists(ATTEMPTS, max_size=2), st.integers(0, 2), MODELS,
)  # fmt: skip
PRICES = {"m-1": Price(1e6, 1e6)}


@settings(deadline=None, max_examples=examples(40))
@given(st.lists(RESULTS, min_size=1, max_size=150))
def test_rows_of_all_shapes_are_stored_as_they_are(tmp_path_factory, results):
    path = str(tmp_path_factory.mktemp("shapes") / "run.db")
    results = [attrs.evolve(result, item_id=f"i{number}") for number, result in enumerate(results)]
    with JournalWriter(path) as writer:
        writer.begin_run()
        register(writer, *(result.item_id for result in results))
        writer.keep_recent()
        writer.commit(results, PRICES)
        recent = writer.take_recent(after=0)
    with JournalReader(path) as reader:
        assert [*reader.rows()] == recent
        for stored, result in zip(reader.results(), results, strict=True):
            assert (stored.id, stored.usage, stored.attempts) == (result.item_id, result.usage, len(result.attempts))
            assert (stored.refusals, stored.model, stored.seconds) == (result.refusals, result.model, result.seconds)
            assert (stored.data(), stored.context is None) == (result.output, result.context is None)
            fault = result.error
            assert (stored.kind, stored.message, stored.reason, stored.answer) == (
                (None,) * 4 if fault is None else (fault.kind, fault.message, fault.reason, fault.answer)
            )
    calls = [(result.item_id, call) for result in results for call in result.attempts]
    query = "SELECT id, number, quota, model, kind, input_tokens, cached_input_tokens, cost FROM attempts JOIN items USING (item) ORDER BY item, ordinal"
    assert rows(path, query) == [
        (
            *(name, call.number, call.quota, call.model, None if call.fault is None else str(call.fault.kind)),
            *(call.usage.input_tokens, call.usage.cached_input_tokens),
            PRICES["m-1"].of(call.usage) if call.model == "m-1" and call.usage.is_itemised else None,
        )
        for name, call in calls
    ]


@pytest.mark.parametrize("first", [done("a", "worse"), failed("a")])
@pytest.mark.parametrize("second", [done("a"), failed("a", FaultKind.REFUSED)])
def test_of_two_results_of_an_item_in_one_commit_the_later_one_stays(path, first, second):
    with started_writer(path, "a", "b") as writer:
        twice = [attrs.evolve(result, attempts=(attempt(),)) for result in (first, second)]
        writer.commit([*twice, done("b")], {})
        assert rows(path, "SELECT seq, kind FROM results ORDER BY seq") == [
            (2, None if second.error is None else str(second.error.kind)),
            (3, None),
        ]
        assert rows(path, "SELECT ordinal FROM attempts ORDER BY ordinal") == [(0,), (1,)]


@pytest.mark.parametrize("count", [1, 63, 64, 65, 127, 128, 200])
def test_any_number_of_items_and_results_is_stored_in_order(path, count):
    names = [f"i{number}" for number in range(count)]
    with started_writer(path, *names) as writer:
        writer.commit([done(name, attempts=(attempt(),)) for name in names], {})
        assert rows(path) == [(name,) for name in names]
        assert rows(path, "SELECT item FROM attempts ORDER BY item") == [(number,) for number in range(1, count + 1)]
