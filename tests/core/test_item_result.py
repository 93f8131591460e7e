"""The result of an item: its output, or its fault as an exception."""

from __future__ import annotations

import pickle

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline import WorkItemResult
from paceline._core.exceptions import CallError, InvalidOutputError, PacelineError, RateLimitError
from paceline._core.fault import Fault, FaultKind
from paceline._core.item_result import is_result
from paceline._core.provider_answers.classify import classify
from paceline._core.quota import QuotaHint
from paceline._core.usage import TokenUsage
from paceline.typing import make_result

CLASSES = dict.fromkeys(FaultKind, CallError) | {
    FaultKind.THROTTLED: RateLimitError,
    FaultKind.INVALID: InvalidOutputError,
}
USAGE = TokenUsage(30, 4)


def failure(kind, **fields):
    return WorkItemResult("q7", 6, error=Fault(kind, "why", **fields), usage=USAGE)


def raised_by(result):
    with pytest.raises(PacelineError) as caught:
        result.unwrap()
    return caught.value


@given(st.none() | st.integers() | st.text() | st.lists(st.integers()))
def test_the_output_of_a_success_is_returned_whatever_it_is(output):
    assert WorkItemResult("q7", 6, output).unwrap() is output


@pytest.mark.parametrize("kind", FaultKind)
def test_a_fault_of_every_kind_is_raised_as_its_exception_with_the_item_and_the_fault(kind):
    result = failure(kind, retry_after=2.5, quota=QuotaHint())
    error = raised_by(result)
    assert type(error) is CLASSES[kind]
    assert (error.kind, error.item_id, error.usage) == (kind, "q7", USAGE)
    assert error.fault is result.error
    assert (error.retry_after, error.quota) == (2.5, QuotaHint())
    assert str(error) == f"item 'q7': {kind}: why"


@pytest.mark.parametrize("kind", FaultKind)
def test_a_fault_without_a_message_is_named_by_its_kind(kind):
    assert str(raised_by(WorkItemResult("q7", 6, error=Fault(kind)))) == f"item 'q7': {kind}"


@pytest.mark.parametrize("kind", FaultKind)
def test_each_unwrap_raises_an_exception_of_its_own_that_can_be_pickled(kind):
    error = raised_by(failure(kind))
    assert raised_by(failure(kind)) is not error
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - made a line ago
    assert (type(copy), str(copy), copy.item_id, copy.fault) == (type(error), str(error), "q7", error.fault)


@pytest.mark.parametrize("kind", FaultKind)
def test_a_strategy_that_unwraps_an_inner_result_has_its_fault(kind):
    result = failure(kind, retry_after=2.5, is_unreached=True)
    fault = classify(raised_by(result), wall_time=0.0)
    assert (fault, fault.is_unreached) == (result.error, True)


def test_the_exceptions_of_a_strategy_name_no_item():
    assert (CallError("no", kind=FaultKind.REFUSED).item_id, RateLimitError().fault) == (None, None)


def test_a_result_is_made_of_the_same_fields_for_a_type_checker():
    fields = {"output": "yes", "context": {"row": 1}, "usage": USAGE, "refusals": 2, "model": "m"}
    assert make_result("q7", 6, **fields) == WorkItemResult("q7", 6, **fields)
    assert make_result("q7", 6, error=Fault(FaultKind.BUG)).success is False


def test_a_result_is_one_class_at_run_time():
    result = make_result("q7", 6, "yes")
    assert type(result) is WorkItemResult
    assert attrs.evolve(result, output=None, error=Fault(FaultKind.BUG)).success is False
    assert pickle.loads(pickle.dumps(result)) == result  # noqa: S301 - made above
    assert (is_result(result), is_result(WorkItemResult), is_result(None)) == (True, False, False)


@pytest.mark.parametrize("kind", [FaultKind.INVALID, FaultKind.TRUNCATED, FaultKind.REFUSED])
def test_an_answer_that_was_not_accepted_goes_with_the_exception(kind):
    fault = Fault(kind, "no", answer='{"a": ', reason="policy")
    with pytest.raises(CallError) as caught:
        WorkItemResult("q7", 6, error=fault).unwrap()
    assert (caught.value.answer, caught.value.reason) == ('{"a": ', "policy")
    assert '{"a": ' not in str(caught.value)
