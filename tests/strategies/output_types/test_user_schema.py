"""A JSON schema as an output type."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline import InvalidOutputError
from paceline.exceptions import ConfigurationError
from paceline.llm_strategies.output_types.answer_format import AnswerFormat
from paceline.llm_strategies.output_types.output_type import OutputType

from .test_answer_format import read

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-5, 5) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=8,
)
SCHEMA = {
    "type": "object",
    "properties": {
        "a": {"type": "integer", "minimum": 0},
        "b": {"type": "array", "items": {"$ref": "#/$defs/item"}, "maxItems": 3},
        "c": {"enum": ["x", "y"]},
        "d": {"type": "string", "format": "date"},
    },
    "required": ["a"],
    "additionalProperties": False,
    "$defs": {
        "item": {
            "anyOf": [
                {"type": "string", "maxLength": 3},
                {"type": "object", "properties": {"q": {"type": "integer"}}, "required": ["q"]},
                {
                    "type": "object",
                    "properties": {"kind": {"const": "r"}, "r": {"type": "null"}},
                    "required": ["kind", "r"],
                },
            ]
        }
    },
}


def problems(schema, text):
    with pytest.raises(InvalidOutputError) as caught:
        OutputType.of_schema(schema).parse(text)
    return {str(problem) for problem in caught.value.problems}, caught.value.right


def test_what_fits_comes_back_as_json_has_it():
    text = '```json\n{"a": 1, "b": ["abc", {"q": 2}], "c": "x", "d": "2024-02-29"}\n```'
    assert OutputType.of_schema(SCHEMA).parse(text) == {"a": 1, "b": ["abc", {"q": 2}], "c": "x", "d": "2024-02-29"}


def test_all_that_is_wrong_is_reported_by_field_and_without_the_value():
    reported, right = problems(
        SCHEMA, '{"a": true, "b": ["abcd", {"q": "1"}, 7, "ok"], "c": "secret", "d": "today", "e": 1}'
    )
    assert reported == {
        "a: must be an integer",
        "b: must have 3 items or fewer",
        "b[0]: must have 3 characters or fewer",
        "b[1].q: must be an integer",
        "b[2]: must be a string or an object",
        'c: must be one of "x", "y"',
        "d: must be of the format date",
        "e: is not a field of this object",
    }
    assert right == ()


def test_what_is_missing_is_named_and_what_is_right_is_known():
    reported, right = problems({**SCHEMA, "required": ["a", "c"]}, '{"b": ["abc"]}')
    assert reported == {"a: is missing", "c: is missing"}
    assert right == ("b",)


def test_the_problems_are_those_of_the_alternative_that_was_meant():
    reported, _ = problems(SCHEMA, '{"a": 1, "b": [{"kind": "r", "r": 1}]}')
    assert reported == {"b[0].r: must be null"}


@pytest.mark.parametrize(
    ("schema", "text", "rule"),
    [
        ({"type": ["string", "null"]}, "1", "must be a string or null"),
        ({"const": {"x": 1}}, "1", 'must be {"x": 1}'),
        ({"exclusiveMinimum": 1}, "1", "must be more than 1"),
        ({"exclusiveMaximum": 1}, "1", "must be less than 1"),
        ({"maximum": 0}, "1", "must be 0 or less"),
        ({"multipleOf": 2}, "1", "must be a multiple of 2"),
        ({"minLength": 2}, '"a"', "must have 2 characters or more"),
        ({"pattern": "^b"}, '"a"', "must match the pattern ^b"),
        ({"minItems": 2}, "[]", "must have 2 items or more"),
        ({"uniqueItems": True}, "[1, 1]", "must not have an item twice"),
        ({"contains": {"type": "null"}}, "[1]", "must have an item of the kind that its schema asks for"),
        ({"minProperties": 1}, "{}", "must have 1 field or more"),
        ({"maxProperties": 0}, '{"a": 1}', "must have 0 fields or fewer"),
        (
            {"oneOf": [{"type": "integer"}, {"minimum": 0}]},
            "1",
            "must fit exactly one of the alternatives of its schema",
        ),
        ({"not": {"type": "integer"}}, "1", "must not fit what its schema excludes"),
        ({"dependentRequired": {"a": ["b"]}}, '{"a": 1}', "must fit the rule dependentRequired of its schema"),
        ({"enum": list(range(30))}, "99", "or another of 30 values"),
    ],
)
def test_every_rule_has_words_that_say_what_must_be(schema, text, rule):
    reported, _ = problems(schema, text)
    assert len(reported) == 1
    assert rule in reported.pop()


def test_fields_beside_patterns_and_of_no_subschema_are_named():
    reported, _ = problems({"patternProperties": {"^x": {}}, "additionalProperties": False}, '{"x1": 1, "y": 2}')
    assert reported == {"y: is not a field of this object"}
    reported, _ = problems({"allOf": [{"properties": {"a": {}}}], "unevaluatedProperties": False}, '{"a": 1, "b": 2}')
    assert reported == {"b: is not a field of this object"}


@given(JSON)
def test_an_answer_fits_or_has_problems_whatever_it_is(value):
    text = json.dumps(value)
    try:
        found = OutputType.of_schema(SCHEMA).parse(text)
    except InvalidOutputError as error:
        found, wrong = None, error.problems
    else:
        wrong = ()
    assert wrong or found == value


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "http://127.0.0.1:9/x"},
        {"properties": {"a": {"items": {"$ref": "other.json"}}}},
        {"$ref": "#/$defs/x", "$defs": {"y": {}}},
        {"type": 3},
        [],
        True,
    ],
)
def test_a_schema_that_is_not_whole_is_refused(schema):
    with pytest.raises(ConfigurationError, match=r"^Answer: "):
        OutputType.of_schema(schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"$ref": {"type": "string"}}},
        {"enum": [{"$ref": "http://127.0.0.1:9/x"}]},
        {"$id": "http://example.com/x", "$ref": "#/$defs/y", "$defs": {"y": {}}},
        {"$ref": "#y", "$defs": {"y": {"$anchor": "y"}}},
        {"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"y": {}}, "$ref": "#/definitions/y"},
    ],
)
def test_a_schema_that_is_whole_is_taken(schema):
    assert OutputType.of_schema(schema).schema == schema


def test_what_is_no_object_is_wrapped_with_its_references():
    inner = {"type": "array", "items": {"anyOf": [{"type": "integer"}, {"$ref": "#"}, {"$ref": "#/$defs/t"}]}}
    asked = AnswerFormat.of(OutputType.of_schema({**inner, "$defs": {"t": {"type": "boolean"}}}))
    assert asked.schema["properties"]["value"]["items"]["anyOf"][1:] == [
        {"$ref": "#/properties/value"},
        {"$ref": "#/$defs/t"},
    ]
    assert asked.schema["$defs"] == {"t": {"type": "boolean"}}
    assert OutputType.of_schema(asked.schema).parse('{"value": [1, [true]]}') == {"value": [1, [True]]}
    assert read(asked, '{"value": [1, [2, true]]}', None) == [1, [2, True]]
    for text, reported in [
        ('{"value": [1, ["x"]]}', "value[1][0]: must be an integer or an array or a boolean"),
        ("{}", "value: is missing"),
        ("[1]", "value: is missing"),
        ('{"value": [], "x": 1}', "x: is not a field of this object"),
    ]:
        with pytest.raises(InvalidOutputError) as caught:
            read(asked, text, None)
        assert [str(problem) for problem in caught.value.problems] == [reported]


def test_an_output_type_may_be_given_as_one():
    kind = OutputType.of(list[int])
    assert OutputType.of(kind) is kind
    assert read(AnswerFormat.of(kind), '{"value": [1, 2]}', None) == [1, 2]
