"""Results: the sums of a batch follow from its results."""

from __future__ import annotations

import math

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline._core.fault import Fault, FaultKind
from paceline._core.fault_groups import FaultGroup
from paceline._core.results import Attempt, BatchResult, WorkItemResult
from paceline._core.usage import NO_USAGE, TokenUsage

counts = st.integers(0, 10**6)
usages = st.builds(TokenUsage, counts, counts, counts)
errors = st.none() | st.builds(Fault, st.sampled_from(FaultKind), st.sampled_from(["", "a bad day"]))


@st.composite
def batches(draw):
    size = draw(st.integers(0, 20))
    order = draw(st.permutations(range(size)))
    results = tuple(
        WorkItemResult(f"q{index}", index, error=draw(errors), usage=draw(usages), refusals=draw(counts))
        for index in order
    )
    return BatchResult(results=results, seconds=draw(st.floats(0, 1e6)), refusals=draw(counts))


@given(batches())
def test_every_item_either_succeeded_or_failed_with_one_kind(batch):
    good = [result for result in batch.results if result.error is None]
    assert batch.total_items == len(batch.results)
    assert batch.succeeded == len(good)
    assert batch.succeeded + batch.failed + batch.pending == batch.total_items
    assert sum(batch.failures.values()) == batch.failed + batch.pending
    for kind in FaultKind:
        items = [result for result in batch.results if result.error is not None and result.error.kind is kind]
        assert batch.failures.get(kind, 0) == len(items)
        assert (kind in batch.failures) == bool(items)


@given(batches())
def test_the_tokens_are_the_sum_over_all_items(batch):
    assert batch.usage.input_tokens == sum(result.usage.input_tokens for result in batch.results)
    assert batch.usage.total_tokens == sum(result.usage.total_tokens for result in batch.results)


@given(batches())
def test_input_order_is_a_permutation_sorted_by_index(batch):
    ordered = batch.in_input_order()
    assert [result.index for result in ordered] == list(range(batch.total_items))
    assert {id(result) for result in ordered} == {id(result) for result in batch.results}


def test_an_empty_batch_is_all_zero():
    batch = BatchResult()
    assert (batch.total_items, batch.succeeded, batch.failed, batch.failures) == (0, 0, 0, {})
    assert (batch.usage, batch.in_input_order()) == (NO_USAGE, ())
    assert batch.summary().splitlines()[0].split() == ["items", "0:", "0", "succeeded,", "0", "failed"]


# ---------------------------------------------------------------------------------------------- one item


def test_an_item_took_from_its_first_start_to_its_last_end():
    first = Attempt(1, started=10.0, seconds=2.0, quota="m", fault=Fault(FaultKind.TIMEOUT))
    last = Attempt(2, started=20.0, seconds=1.5, quota="m")
    assert WorkItemResult("q", 0, attempts=(first, last)).seconds == 11.5
    assert WorkItemResult("q", 0, attempts=(first,)).seconds == 2.0
    assert WorkItemResult("q", 0).seconds == 0.0


@given(errors)
def test_an_item_succeeded_unless_it_has_an_error(error):
    assert WorkItemResult("q", 0, output=None, error=error).success is (error is None)


def test_results_are_frozen_and_leave_the_context_alone():
    context = {"row": [1]}
    result = WorkItemResult("q", 0, context=context)
    assert result.context is context
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        result.output = "other"
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        BatchResult().seconds = 1.0


def test_a_batch_does_not_print_its_million_results():
    assert "q0" not in repr(BatchResult(results=(WorkItemResult("q0", 0),)))


# ---------------------------------------------------------------------------------------------- the summary

RESULTS = (
    WorkItemResult("q2", 2, output="yes", usage=TokenUsage(1_000, 200, 300)),
    WorkItemResult("q0", 0, error=Fault(FaultKind.REFUSED, "safety")),
    WorkItemResult("q1", 1, error=Fault(FaultKind.INVALID), usage=TokenUsage(500, 34)),
    WorkItemResult("q3", 3, error=Fault(FaultKind.INVALID)),
)


def test_the_summary_has_a_line_for_each_figure():
    batch = BatchResult(results=RESULTS, seconds=8.0, refusals=1_234, workers=(3, 40), most_in_flight=31)
    assert batch.summary().splitlines() == [
        "items     4: 1 succeeded, 3 failed",
        "            invalid: 2",
        "            refused: 1",
        "              1 × safety (q0)",
        "throttled 1,234 calls",
        "workers   3 to 40, at most 31 calls in flight",
        "tokens    1,500 in (300 cached), 234 out",
        "time      8.0 s, 0.1 items/s",
    ]


def test_the_messages_of_a_kind_add_up_to_its_number_and_no_kind_is_without_one():
    words = ("alpha", "beta", "gamma", "delta", "eps")
    many = [WorkItemResult(f"{word}{n}", 0, error=Fault(FaultKind.REJECTED, word)) for word in words for n in range(5)]
    lone = WorkItemResult(
        "q7", 0, error=Fault(FaultKind.THROTTLED, "refused 9 times in a row, whereas m served others: slow")
    )
    lines = BatchResult(results=(*many, lone)).summary().splitlines()
    start = lines.index("            rejected: 25")
    assert lines[start + 1] == "              5 × alpha (alpha0, alpha1, alpha2, ...)"
    assert lines[start + 4] == "              and 10 more of other messages"
    assert "              1 × refused 9 times in a row, whereas m served others: slow (q7)" in lines


def test_the_rate_is_said_to_be_that_of_the_run_if_results_were_recalled():
    batch = BatchResult(succeeded=30, recalled=10, seconds=2.0)
    assert batch.summary().splitlines()[-1] == "time      2.0 s, 10.0 items/s in this run, without those recalled"


def test_a_batch_that_left_items_names_the_faults_of_its_calls_that_no_item_names():
    named, other = FaultGroup(FaultKind.INVALID, 2, "no JSON"), FaultGroup(FaultKind.TRANSIENT, 9, "no choices")
    left = BatchResult(
        failures={FaultKind.PENDING: 30, FaultKind.INVALID: 2}, messages=(named,), faults=(other, named), cut_off=1_318
    )
    lines = left.summary().splitlines()
    assert "faults    9 × transient: no choices" in lines
    assert "cut off   1,318 calls cut off in flight; they may be billed" in lines
    assert left.summary().count("no JSON") == 1
    stopped = attrs.evolve(left, stopped=Fault(FaultKind.PENDING, "all 9 calls failed: no choices; run it again"))
    assert "faults" not in stopped.summary()
    complete = BatchResult(succeeded=3, failures={}, faults=(other,)).summary()
    assert "faults" not in complete
    assert "cut off" not in complete


def test_the_summary_has_the_reason_why_a_batch_was_stopped():
    stopped = Fault(FaultKind.DENIED, "the key is not valid")
    assert BatchResult(stopped=stopped).summary().splitlines()[-1] == "stopped   denied: the key is not valid"
    assert "stopped" not in BatchResult().summary()


@pytest.mark.parametrize("seconds", [0.0, math.inf])
def test_no_rate_is_shown_for_a_duration_that_is_zero_or_infinite(seconds):
    assert "a second" not in BatchResult(results=RESULTS, seconds=seconds).summary()


@given(batches())
def test_a_batch_whose_results_were_streamed_has_the_same_summary_from_its_sums(batch):
    streamed = BatchResult(
        succeeded=batch.succeeded,
        failures=batch.failures,
        usage=batch.usage,
        seconds=batch.seconds,
        refusals=batch.refusals,
        messages=batch.messages,
    )
    assert streamed.summary() == batch.summary()
    assert (streamed.total_items, streamed.failed) == (batch.total_items, batch.failed)
    for kind, count in batch.failures.items():
        words = f"{count} pending" if kind is FaultKind.PENDING else f"{kind.value}: {count}"
        assert words in streamed.summary()
