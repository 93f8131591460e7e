"""An item's own copy of its strategy is what `copy.copy` makes, however the class says that it is copied."""

from __future__ import annotations

import copy
import copyreg

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline._engine.calls.own_copies import shallow_copy
from paceline.llm_strategies import CallableStrategy


class Plain:
    """Has attributes, and leaves it to `object` how it is copied."""

    shared = "of the class"

    def __init__(self, **values):
        self.__dict__.update(values)


def copied_by(self):
    return type(self)(**vars(self) | {"by": "copy"})


def state_of(self):
    return {**vars(self), "by": "state"}


def set_state(self, state):
    self.__dict__.update(state, by="set state")


def reduced(self, _protocol=None):
    return Plain, (), {"by": "reduced"}


def new_object(cls, *_args, **_values):
    made = object.__new__(cls)
    made.by = "new"
    return made


def any_attribute(self, name):
    if name.startswith("__"):
        raise AttributeError(name)
    return name


def attribute(self, name):
    return object.__getattribute__(self, name)


WAYS = {
    "__copy__": copied_by,
    "__getstate__": state_of,
    "__setstate__": set_state,
    "__reduce__": reduced,
    "__reduce_ex__": reduced,
    "__getnewargs__": lambda _: ("an argument",),
    "__getnewargs_ex__": lambda _: (("an argument",), {}),
    "__new__": new_object,
    "__getattr__": any_attribute,
    "__getattribute__": attribute,
    "__slots__": ("slot",),
}
"""All that says how objects of a class are copied."""


@given(st.sets(st.sampled_from(sorted(WAYS))), st.booleans(), st.dictionaries(st.sampled_from("abc"), st.integers()))
def test_a_copy_is_what_copy_makes_of_objects_of_any_class(ways, inherited, values):
    def init(self, *_args, **values):
        self.__dict__.update(values)

    cls = type("Special", (Plain,), {"__init__": init} | {way: WAYS[way] for way in ways})
    if inherited:
        cls = type("Inheriting", (cls,), {})
    one = cls(**values)
    if "__slots__" in ways:
        one.slot = "set"
    made, expected = shallow_copy(one), copy.copy(one)
    assert type(made) is type(expected)
    assert vars(made) == vars(expected)
    assert made is not one
    assert getattr(made, "slot", None) == getattr(expected, "slot", None)


def test_what_is_assigned_to_a_copy_stays_with_it():
    one = Plain(own="first")
    other = shallow_copy(one)
    other.own = "second"
    assert (one.own, other.own) == ("first", "second")


@pytest.mark.parametrize("value", [["a list"], {"a": "dictionary"}, ("a tuple",), "a text", {1}])
def test_a_built_in_value_is_copied_as_ever(value):
    assert shallow_copy(value) == value


def test_an_attrs_class_with_slots_is_copied_as_ever():
    @attrs.define
    class Slotted:
        value: int

    assert shallow_copy(Slotted(3)) == Slotted(3)


def test_a_class_with_a_registered_reducer_is_copied_by_it():
    class Registered(Plain):
        pass

    copyreg.pickle(Registered, lambda _: (Plain, (), {"by": "its reducer"}))
    try:
        assert vars(shallow_copy(Registered(by="itself"))) == {"by": "its reducer"}
    finally:
        del copyreg.dispatch_table[Registered]


def test_the_strategy_of_a_function_is_copied_with_all_its_values():
    async def answer(prompt: str) -> str:
        return prompt

    strategy = CallableStrategy(answer)
    assert vars(shallow_copy(strategy)) == vars(copy.copy(strategy)) == vars(strategy)
