"""Settings of models: their ranges, what counts as sampling, and how they are shown and joined."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline._core.model_settings import (
    REASONING_EFFORTS,
    ModelSettings,
    check_values,
    is_sampled,
    merged,
    nested,
    shown,
)
from paceline.exceptions import ConfigurationError

NAMES = st.sampled_from(["a", "temperature", "top_p", "extra_body", "effort", "stop"])
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
OPTIONS = st.dictionaries(NAMES, PLAIN, max_size=4)


def hash_of(value):
    return f"hash of {value!r}"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"temperature": 2.1}, "temperature must be a number from 0 to 2, not 2.1"),
        ({"temperature": True}, "temperature must be a number"),
        ({"max_tokens": 0}, "max_tokens must be a whole number, 1 or more, not 0"),
        ({"max_tokens": 1.5}, "max_tokens must be a whole number"),
        ({"reasoning_effort": "huge"}, "reasoning_effort must be one of none, minimal, low"),
        ({"seed": -1}, "seed must be a whole number, 0 or more"),
    ],
)
def test_a_setting_out_of_its_range_is_refused_with_its_name(settings, words):
    with pytest.raises(ConfigurationError, match=words):
        ModelSettings(**settings)


@given(
    st.none() | st.floats(0, 2),
    st.none() | st.integers(1, 10**6),
    st.none() | st.sampled_from(REASONING_EFFORTS),
    st.none() | st.integers(0, 2**31),
)
def test_only_settings_that_are_given_are_given(temperature, tokens, effort, seed):
    values = {"temperature": temperature, "max_tokens": tokens, "reasoning_effort": effort, "seed": seed}
    settings = ModelSettings(**values)
    assert settings.given == {name: value for name, value in values.items() if value is not None}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"top_p": 1.5}, r"top_p must be a number from 0 to 1, not 1\.5"),
        ({"topP": 1.5}, "topP must be"),
        ({"extra_body": {"min_p": -1}}, r"extra_body\.min_p must be"),
        ({"thinking": {"budget_tokens": "many"}}, r"thinking\.budget_tokens must be a whole number"),
        ({"max_completion_tokens": 0}, "max_completion_tokens must be"),
        ({"n": 2}, "n must be 1, not 2"),
        ({"frequency_penalty": 3}, "frequency_penalty must be a number from -2 to 2"),
    ],
)
def test_options_with_a_known_range_are_checked_at_any_depth(options, words):
    with pytest.raises(ConfigurationError, match=words):
        check_values(options)


@given(st.dictionaries(st.text().map("unknown {}".format), PLAIN))
def test_unknown_options_and_missing_values_are_left_to_the_provider(options):
    check_values({name: value for name, value in options.items() if not isinstance(value, dict)})
    check_values({"top_p": None})


@given(st.floats(-1, 2) | st.booleans() | st.none() | st.text())
def test_answers_are_sampled_at_a_temperature_above_0_wherever_it_stands(value):
    expected = isinstance(value, int | float) and value > 0
    assert is_sampled({"temperature": value}) is is_sampled({"extra_body": {"temperature": value}}) is expected
    assert not is_sampled({"top_p": 0.5, "extra_body": {}})


@given(OPTIONS)
def test_shown_options_are_plain_data_without_texts_that_may_be_private(options):
    made = shown(options, hash_of)
    assert made == json.loads(json.dumps(made))
    assert made == shown(dict(reversed(options.items())), hash_of)
    assert made.keys() == options.keys()
    for name, value in options.items():
        if isinstance(value, int | float):
            assert made[name] == value
        elif isinstance(value, str) and name != "effort":
            assert made[name] == hash_of(value)


def test_words_of_a_provider_and_whole_numbers_are_shown_as_they_are():
    assert shown({"reasoning_effort": "low", "temperature": 1.0, "user": "low"}, hash_of) == {
        "reasoning_effort": "low",
        "temperature": 1,
        "user": hash_of("low"),
    }
    assert json.dumps(shown({"temperature": 1.0}, hash_of)) == json.dumps(shown({"temperature": 1}, hash_of))


@given(OPTIONS, OPTIONS)
def test_options_in_two_places_are_joined_or_refused_as_given_twice(one, other):
    try:
        made = merged(one, other)
    except ConfigurationError:
        assert one.keys() & other.keys()
        return
    assert made.keys() == one.keys() | other.keys()
    for name in one.keys() & other.keys():
        assert isinstance(one[name], dict)
        assert isinstance(other[name], dict)


def test_a_setting_that_is_also_an_option_is_refused_with_its_own_name():
    with pytest.raises(ConfigurationError, match="max_output_tokens is given twice: as max_tokens and in options"):
        merged({"max_output_tokens": 5}, {"max_output_tokens": 6}, names={"max_output_tokens": "max_tokens"})


def test_dots_lead_into_an_object():
    assert nested("a.b.c", 1) == {"a": {"b": {"c": 1}}}
    assert nested(" a ", None) == {"a": None}
    for wrong in ("", ".", "a.", ".a", "a..b"):
        with pytest.raises(ConfigurationError, match="must not be empty"):
            nested(wrong, 1)
