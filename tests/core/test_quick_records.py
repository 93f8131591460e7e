"""Quick records: an object that is made quickly is in nothing different from one that its class makes."""

from __future__ import annotations

import copy
import pickle
import sys
import weakref

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline import CallableStrategy
from paceline._core.item_result import Attempt, WorkItemResult
from paceline._core.quick_records import quick
from paceline.abc import LLMWorkItem

quick_attempt, quick_result, quick_item = quick(Attempt), quick(WorkItemResult), quick(LLMWorkItem)


async def answer(prompt):
    return prompt, None


@given(st.integers(), st.floats(allow_nan=False), st.text(), st.none() | st.text())
def test_it_is_equal_to_one_that_its_class_makes_also_where_fields_are_left_out(number, seconds, quota, model):
    assert quick_attempt(number, seconds, 1.0, quota) == Attempt(number, seconds, 1.0, quota)
    assert quick_attempt(number, 0.0, seconds, quota, model=model) == Attempt(number, 0.0, seconds, quota, model=model)
    assert repr(quick_result(quota, number)) == repr(WorkItemResult(quota, number))


def made_quickly():
    strategy = CallableStrategy(answer)
    return [quick_attempt(1, 0.0, 1.0, "q"), quick_result("1", 0, "text"), quick_item("1", strategy, "why?")]


@pytest.mark.parametrize("made", made_quickly())
def test_it_is_of_the_class_and_frozen(made):
    field = attrs.fields(type(made))[0].name
    assert type(made) in {Attempt, WorkItemResult, LLMWorkItem}
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(made, field, "other")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        delattr(made, field)


@pytest.mark.parametrize("made", made_quickly()[:2])
def test_it_can_be_pickled_copied_evolved_hashed_and_referred_to_weakly(made):
    again = pickle.loads(pickle.dumps(made))  # noqa: S301 - our own
    assert again == copy.copy(made) == attrs.evolve(made) == made
    assert hash(again) == hash(made)
    assert weakref.ref(made)() is made


def test_it_takes_no_more_memory_than_one_that_its_class_makes():
    assert sys.getsizeof(quick_attempt(1, 0.0, 1.0, "q")) == sys.getsizeof(Attempt(1, 0.0, 1.0, "q"))


def test_a_field_that_is_missing_or_unknown_raises_as_the_class_does():
    with pytest.raises(TypeError, match="started"):
        quick_attempt(1)
    with pytest.raises(TypeError, match="colour"):
        quick_attempt(1, 0.0, 1.0, "q", colour="red")
