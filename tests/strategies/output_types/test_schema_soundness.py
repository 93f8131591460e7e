"""Soundness of a JSON schema: what could hold up a batch or lead elsewhere is refused before the first call."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline import InvalidOutputError
from paceline.exceptions import ConfigurationError
from paceline.llm_strategies.output_types.output_type import OutputType


def chain(keyword, levels, width=2):
    """Return a schema whose definitions each apply the next one `width` times to the same value."""
    definitions = {f"a{level}": {keyword: [{"$ref": f"#/$defs/a{level + 1}"}] * width} for level in range(levels)}
    return {"$ref": "#/$defs/a0", "$defs": {**definitions, f"a{levels}": {"type": "string"}}}


def nested(levels):
    schema = {}
    for _ in range(levels):
        schema = {"items": schema}
    return schema


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (chain("allOf", 20), "more than 10,000 times to one value"),
        (chain("anyOf", 40), "more than 10,000 times to one value"),
        (chain("oneOf", 5, width=10), "more than 10,000 times to one value"),
        ({"$ref": "#"}, "refers to itself for the same value"),
        ({"allOf": [{"not": {"$ref": "#"}}]}, "refers to itself for the same value"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}, "refers to itself"),
        (
            {"$schema": "https://json-schema.org/draft/2019-09/schema", "anyOf": [{"$recursiveRef": "#"}]},
            "refers to itself",
        ),
        ({"$dynamicRef": "#nowhere"}, "$dynamicRef '#nowhere' does not resolve"),
        ({"$dynamicRef": "http://127.0.0.1:9/x"}, "points to another document"),
        (nested(101), "more than 100 levels"),
        ({"properties": {f"p{n}": {} for n in range(20_001)}}, "more than 20,000 parts"),
        ({"pattern": "(a"}, "the pattern '(a' is not valid"),
        ({"patternProperties": {"[": {}}}, "the pattern '[' is not valid"),
        ({"pattern": "(" * 5_000 + ")" * 5_000}, "is not valid"),
        ({"items": {"$schema": "http://json-schema.org/draft-07/schema#", "pattern": "a"}}, "$schema stands below"),
        ({"patternProperties": {"a": {}}, "unevaluatedProperties": False}, "use additionalProperties"),
        ({"allOf": [{"patternProperties": {"a": {}}}], "unevaluatedProperties": False}, "use additionalProperties"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else None,
)
def test_a_schema_that_is_not_sound_is_refused_with_the_reason(schema, words):
    with pytest.raises(ConfigurationError) as caught:
        OutputType.of_schema(schema, "Answer")
    assert str(caught.value).startswith("Answer: ")
    assert words in str(caught.value)
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"$ref": "#"}},
        {"properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}},
        chain("allOf", 8),
        nested(99),
        {"properties": {"$schema": {"type": "string"}, "pattern": {"type": "string"}}},
        {"enum": [{"$schema": "x", "pattern": "("}]},
        {"pattern": r"^\p{Lu}"},
        {"$dynamicRef": "#node", "$defs": {"x": {"$dynamicAnchor": "node", "type": "integer"}}},
    ],
)
def test_a_schema_that_is_sound_is_taken(schema):
    assert OutputType.of_schema(schema).schema == schema


SCHEMAS = st.recursive(
    st.sampled_from(
        [{}, True, {"type": "string"}, {"$ref": "#"}, {"$ref": "#/$defs/a"}, {"pattern": "^(a+)+$"}, 3, None]
    ),
    lambda inner: st.dictionaries(
        st.sampled_from(
            ["allOf", "anyOf", "items", "properties", "$defs", "not", "if", "a", "pattern", "patternProperties", "enum"]
        ),
        inner | st.lists(inner, max_size=3),
        max_size=3,
    ),
    max_leaves=12,
)


@given(
    SCHEMAS,
    st.recursive(st.text("ab", max_size=30) | st.integers(), lambda inner: st.lists(inner, max_size=3), max_leaves=5),
)
def test_any_schema_is_refused_or_its_checks_end(schema, answer):
    try:
        kind = OutputType.of_schema(schema)
    except ConfigurationError as refusal:
        assert str(refusal).startswith("Answer: ")  # noqa: PT017
        return
    try:
        assert kind.parse(json.dumps(answer)) == answer
    except InvalidOutputError as invalid:
        assert invalid.problems  # noqa: PT017
