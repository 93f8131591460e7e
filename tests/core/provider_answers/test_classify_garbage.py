"""Classification never raises, even if an exception's attributes do."""

from __future__ import annotations

import enum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline import CallError, Fault, FaultKind
from paceline._core.provider_answers.classify import classify, describe

NOW = 1_800_000_000.0
LOOKED_AT = [
    *["code", "status", "status_code", "http_status", "response", "headers", "retry_after", "details"],
    *["body", "error", "errors", "type", "error_code", "reason", "content", "text"],
]


class Hostile:
    """Raises at whatever is asked of it."""

    def _refuse(self, *_):
        raise RuntimeError("no")

    __getattribute__ = __iter__ = __str__ = __repr__ = __eq__ = __hash__ = __bool__ = __len__ = _refuse
    __call__ = __int__ = __index__ = __float__ = __lt__ = __getitem__ = __contains__ = _refuse


class HostileText(str):
    __slots__ = ()

    def __hash__(self):
        raise RuntimeError("no")

    def __eq__(self, other):
        raise RuntimeError("no")

    def encode(self, *_):
        raise RuntimeError("no")


class Liar:
    @property
    def __class__(self):
        raise RuntimeError("no")


class Odd(enum.Enum):
    A = object()


def classified(error):
    fault = classify(error, wall_time=NOW)
    assert isinstance(fault, Fault)
    assert fault.retry_after is None or 0 < fault.retry_after < float("inf")
    assert fault.message.encode()
    return fault


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.sampled_from([429, 503, "429", "RESOURCE_EXHAUSTED", "slow_down", Odd.A, int, dict, len])
    | st.builds(pow, st.just(10), st.just(5_000))  # too long an integer to be printed
    | st.builds(Hostile)
    | st.builds(HostileText)
    | st.builds(Liar)
)


def holders(values):
    def hold(attributes):
        holder = type("Holder", (), {})()
        vars(holder).update(attributes)
        return holder

    return st.dictionaries(st.sampled_from(LOOKED_AT), values).map(hold)


anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text() | st.integers(), inner)
        | holders(inner)
        | inner.map(lambda value: lambda: value)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(LOOKED_AT), anything), st.text())
def test_no_attribute_of_an_exception_does_any_harm(attributes, message):
    error = Exception(message)
    vars(error).update(attributes)
    classified(error)


@given(anything, anything)
def test_no_content_of_a_call_error_does_any_harm(kind, hint):
    error = CallError("x", kind=FaultKind.BUG)
    error.kind, error.retry_after = kind, hint
    classified(error)


def test_a_call_error_that_was_never_initialised_is_a_bug():
    own = type("Own", (CallError,), {"__init__": lambda _: None})
    assert classified(own()).kind is FaultKind.BUG


def raising(_self):
    raise RuntimeError("no")


@pytest.mark.parametrize("name", LOOKED_AT)
def test_a_property_that_raises_counts_as_missing(name):
    error = type("Own", (TimeoutError,), {name: property(raising)})()
    assert classified(error).kind is FaultKind.TIMEOUT


def test_an_exception_that_cannot_be_printed_is_described_by_its_type():
    own = type("Own", (Exception,), {"__str__": raising})
    assert describe(own()) == "Own"
    assert classified(own()).message == "Own"


def test_an_exception_of_an_odd_class_is_classified_all_the_same():
    own = type("Own", (TimeoutError,), {"__module__": 5, "__qualname__": "a.b"})
    assert classified(own()).kind is FaultKind.TIMEOUT


def test_a_class_without_a_name_is_described():
    class Meta(type):
        def __getattribute__(cls, name):
            raise RuntimeError(name)

    assert classified(Meta("Own", (Exception,), {})("x")).kind is FaultKind.BUG


def test_an_exception_that_lies_about_its_class_is_a_bug():
    own = type("Own", (Exception,), {"__class__": property(raising)})
    assert classified(own()).kind is FaultKind.BUG


def test_an_exception_in_a_providers_rules_is_a_bug_fault():
    fault = classify(TimeoutError(), wall_time=NOW, read=raising)
    assert fault.kind is FaultKind.BUG
    assert "TimeoutError" in fault.message
