"""JSON: the strict decoder, and the names of the kinds of values."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline._core.json_values import (
    KIND_NAMES,
    SCHEMA_TYPE_NAMES,
    DuplicateKeyError,
    NonFiniteNumberError,
    decode_strict,
    kind_name,
)

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=10,
)


@given(values)
def test_every_json_document_is_decoded(value):
    assert decode_strict(json.dumps(value)) == value


@pytest.mark.parametrize("text", ['{"a": 1, "b": 2, "a": 1}', '[{"x": {"a": null, "a": null}}]'])
def test_a_duplicate_key_is_rejected_at_any_depth(text):
    with pytest.raises(DuplicateKeyError) as raised:
        decode_strict(text)
    assert (raised.value.key, str(raised.value)) == ("a", "the key 'a' is given twice")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_a_number_that_is_not_finite_is_rejected(number):
    assert not math.isfinite(float(number))
    with pytest.raises(NonFiniteNumberError) as raised:
        decode_strict(f'{{"x": [{number}]}}')
    assert (raised.value.text, str(raised.value)) == (number, f"{number} is not a finite number")


@pytest.mark.parametrize("text", ["", "{", "{'a': 1}", "[1,]", "1 2"])
def test_text_that_is_not_json_is_rejected(text):
    with pytest.raises(json.JSONDecodeError):
        decode_strict(text)


@given(values)
def test_every_json_value_has_the_name_of_its_kind(value):
    assert kind_name(value) == KIND_NAMES[type(value)]


def test_both_tables_have_the_same_names():
    assert sorted(SCHEMA_TYPE_NAMES.values()) == sorted(KIND_NAMES.values())


def test_a_value_that_is_not_json_is_named_after_its_type():
    assert kind_name(b"") == "bytes"
