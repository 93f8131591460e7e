"""Backoff: the wait before an item is called again is within its bounds."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from paceline._core.exceptions import ConfigurationError
from paceline._core.retry import Backoff, delay

chances = st.floats(0, 1)
failures = st.integers(1, 10**6)
hints = st.none() | st.floats(allow_nan=True, allow_infinity=True)


@st.composite
def policies(draw):
    base = draw(st.floats(1e-6, 1e6))
    return Backoff(base=base, longest=base * draw(st.floats(1, 1e6)))


@given(policies(), failures, chances, hints)
@example(Backoff(), 10**6, 1.0, None)
@example(Backoff(), 1, 0.0, math.inf)
@example(Backoff(), 1, 1.0, math.nan)
@example(Backoff(base=1e300, longest=1e300), 10**6, 1.0, None)
def test_a_wait_is_finite_and_between_zero_and_the_longest(policy, failed, chance, hint):
    assert 0 <= delay(policy, failed, chance, hint) <= policy.longest


@given(policies(), st.integers(1, 60), chances)
def test_a_wait_without_a_hint_is_the_chance_of_a_bound_that_doubles(policy, failed, chance):
    bound = policy.base
    for _ in range(failed - 1):
        bound = min(2 * bound, policy.longest)
    assert delay(policy, failed, chance) == pytest.approx(chance * bound)


@given(policies(), failures, failures, chances)
def test_more_failures_never_make_the_bound_shorter(policy, few, many, chance):
    few, many = sorted((few, many))
    assert delay(policy, few, chance) <= delay(policy, many, chance)


@given(policies(), failures, chances, chances)
def test_a_larger_chance_never_makes_the_wait_shorter(policy, failed, low, high):
    low, high = sorted((low, high))
    assert delay(policy, failed, low) <= delay(policy, failed, high)


@given(policies(), failures, chances, st.floats(0, 1e9))
def test_what_the_provider_asked_for_is_a_minimum_up_to_the_longest(policy, failed, chance, hint):
    waits = delay(policy, failed, chance, hint)
    assert waits >= min(hint, policy.longest)
    assert waits >= delay(policy, failed, chance)


@given(policies(), failures, chances, st.sampled_from([None, 0.0, -1.0, -math.inf, math.nan]))
def test_a_hint_that_is_not_a_positive_number_is_ignored(policy, failed, chance, hint):
    assert delay(policy, failed, chance, hint) == delay(policy, failed, chance)


def test_the_longest_is_reached_after_a_million_failures():
    assert delay(Backoff(base=1e-6, longest=60.0), 10**6, 1.0) == 60.0


@pytest.mark.parametrize("field", ["base", "longest"])
@pytest.mark.parametrize("value", [0, -1.0, math.nan, True, "1", None], ids=repr)
def test_an_invalid_bound_is_refused_by_name(field, value):
    with pytest.raises(ConfigurationError) as refusal:
        Backoff(**{field: value})
    assert str(refusal.value) == f"{field} must be a number of seconds above 0, not {value!r}"


@pytest.mark.parametrize(("base", "longest"), [(2.0, 1.0), (1.0, math.inf), (math.inf, math.inf)])
def test_the_longest_is_finite_and_not_below_the_base(base, longest):
    with pytest.raises(ConfigurationError, match=rf"longest \({longest}\) .* base \({base}\)"):
        Backoff(base=base, longest=longest)
