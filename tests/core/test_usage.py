"""Usage: token counts add up, and are converted from any form that a strategy may return."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline._core.usage import NO_USAGE, TOKEN_COUNTS, TokenUsage, UsageSum, token_counts, usage_data

NAMES = [
    *("input_tokens", "output_tokens", "cached_input_tokens", "total_tokens"),
    *("cache_written_tokens", "cache_written_1h_tokens"),
]

counts = st.integers(0, 10**12)
usages = st.builds(TokenUsage, *[counts] * 6) | st.builds(TokenUsage, counts, counts)


@given(usages, usages, usages)
def test_adding_is_associative_and_commutes(a, b, c):
    assert (a + b) + c == a + (b + c)
    assert a + b == b + a


@given(usages)
def test_no_usage_is_the_identity_of_adding(usage):
    assert usage + NO_USAGE == usage == NO_USAGE + usage
    assert TokenUsage() == NO_USAGE


@given(st.lists(usages))
def test_sum_adds_each_count_by_itself(several):
    total = sum(several, TokenUsage())
    for name in NAMES:
        assert getattr(total, name) == sum(getattr(usage, name) for usage in several)


@given(counts, counts, counts)
def test_the_total_is_input_and_output_by_default(sent, made, cached):
    assert TokenUsage(sent, made, cached).total_tokens == sent + made
    assert TokenUsage(sent, made, cached, 7).total_tokens == 7


@pytest.mark.parametrize("other", [1, None, {"input_tokens": 1}, (1, 1, 0, 2)], ids=repr)
def test_only_a_usage_can_be_added(other):
    with pytest.raises(TypeError):
        TokenUsage(1, 1) + other


def test_a_usage_never_changes():
    usage = TokenUsage(1, 2)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        usage.input_tokens = 5


# ---------------------------------------------------------------------------------------------- reading


@given(usages)
def test_a_usage_is_read_as_itself(usage):
    assert TokenUsage.of(usage) is usage


@given(usages)
def test_a_mapping_of_all_four_is_read_back_exactly(usage):
    assert TokenUsage.of(attrs.asdict(usage)) == usage


def test_none_is_no_usage():
    assert TokenUsage.of(None) == NO_USAGE


@given(st.dictionaries(st.sampled_from(NAMES), st.none() | counts))
def test_missing_keys_of_a_mapping_are_zero_or_the_sum(counted):
    usage = TokenUsage.of(counted)
    known = {name: count for name, count in counted.items() if count is not None}
    for name in NAMES[:3]:
        assert getattr(usage, name) == known.get(name, 0)
    assert usage.total_tokens == known.get("total_tokens", known.get("input_tokens", 0) + known.get("output_tokens", 0))


@given(st.dictionaries(st.text() | st.integers() | st.none(), st.integers() | st.text() | st.none()))
def test_other_keys_are_ignored_whatever_they_hold(others):
    assert TokenUsage.of({key: value for key, value in others.items() if key not in NAMES}) == NO_USAGE


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [-1, 1.5, 1.0, "12", [12], True, float("nan")], ids=repr)
def test_an_invalid_count_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"^{name} must be a whole number of tokens, 0 or more, not ") as refusal:
        TokenUsage.of({name: value})
    assert repr(value) in str(refusal.value)


@pytest.mark.parametrize("value", [3, "12 tokens", [("input_tokens", 1)], (1, 2), {1, 2}, TokenUsage], ids=repr)
def test_a_value_that_is_neither_usage_nor_mapping_is_refused(value):
    with pytest.raises(TypeError, match=r"^tokens must be a TokenUsage, a mapping or None, not "):
        TokenUsage.of(value)


@given(st.lists(usages, max_size=5))
def test_a_running_sum_is_the_sum(added):
    total = UsageSum()
    for usage in added:
        total.add(usage)
    assert total.usage == sum(added, TokenUsage())


def test_the_data_of_a_usage_has_each_of_its_counts_by_name():
    usage = TokenUsage(1, 20, 1, 21, 0, 0)
    assert usage_data(usage) == dict(zip(TOKEN_COUNTS, token_counts(usage), strict=True))
    assert tuple(usage_data(usage)) == TOKEN_COUNTS
