"""Simulated answers are valid under their schema, the same for the same prompt, and different for different prompts."""

from __future__ import annotations

import enum
import json

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline import model
from paceline.exceptions import ConfigurationError
from paceline.llm_strategies import OutputType
from paceline.testing.answers import AnswerMaker

TREE = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#"}}},
    "required": ["name", "children"],
}
CHAIN = {
    "$ref": "#/$defs/link",
    "$defs": {
        "link": {
            "type": "object",
            "properties": {"next": {"anyOf": [{"$ref": "#/$defs/link"}, {"type": "null"}]}},
            "required": ["next"],
            "additionalProperties": False,
        }
    },
}
SCHEMAS = [
    {"type": "string", "minLength": 30, "maxLength": 40},
    {"type": "string", "maxLength": 2},
    {"type": "string", "pattern": r"^[A-Z]{2}-\d{3,}( or (red|green))?$"},
    {"type": "string", "format": "date-time"},
    {"type": "string", "format": "email"},
    {"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 2},
    {"type": "integer", "minimum": -7, "maximum": -7},
    {"type": "integer", "multipleOf": 7, "minimum": 8},
    {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.001},
    {"type": "number", "maximum": -1e9},
    {"type": "number", "multipleOf": 0.25},
    {"type": ["null", "boolean"]},
    {"enum": ["a", None, 3]},
    {"const": {"x": [1]}},
    {"type": "array", "items": {"enum": [1, 2, 3]}, "uniqueItems": True, "minItems": 3},
    {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": False},
    {"type": "array", "contains": {"const": 5}, "minItems": 2},
    {"type": "array", "maxItems": 0},
    {"type": "object", "required": ["a"], "additionalProperties": {"type": "integer"}, "minProperties": 3},
    {"oneOf": [{"type": "string"}, {"type": "integer"}]},
    {"allOf": [{"properties": {"a": {"type": "integer"}}}, {"required": ["a"]}], "type": "object"},
    {"type": "object", "properties": {"a": {"type": "integer"}}, "not": {"required": ["b"]}},
    {"type": "integer", "minimum": 0, "maximum": 9, "not": {"enum": [1, 3, 5, 7, 9]}},
    {"minimum": 3, "maximum": 4},
    {"properties": {"label": {"enum": ["good", "bad"]}}, "required": ["label"]},
    {"type": "object", "properties": {"a/b": {"type": "string"}, "c": {"$ref": "#/properties/a~1b"}}},
    TREE,
    CHAIN,
    {},
]
KEYS = st.sampled_from(["a", "b", "c"])
NODES = st.recursive(
    st.one_of(
        st.builds(
            lambda low, span: {"type": "integer", "minimum": low, "maximum": low + span},
            st.integers(-9, 9),
            st.integers(0, 9),
        ),
        st.builds(
            lambda low, span: {"type": "number", "minimum": low, "exclusiveMaximum": low + span + 1},
            st.integers(-9, 9),
            st.integers(0, 9),
        ),
        st.builds(
            lambda low, more: {"type": "string", "minLength": low, "maxLength": low + more},
            st.integers(0, 30),
            st.integers(0, 9),
        ),
        st.builds(
            lambda words: {"enum": words},
            st.lists(st.none() | st.text(max_size=3) | st.integers(), min_size=1, max_size=4, unique=True),
        ),
        st.just({"type": ["boolean", "null"]}),
    ),
    lambda inner: st.one_of(
        st.builds(lambda items, least: {"type": "array", "items": items, "minItems": least}, inner, st.integers(0, 3)),
        st.builds(lambda one, other: {"anyOf": [one, other]}, inner, inner),
        st.builds(
            lambda fields, required: {
                "type": "object",
                "properties": fields,
                "required": sorted(required),
                "additionalProperties": required == set() or {"type": "null"},
            },
            st.dictionaries(KEYS, inner, max_size=3),
            st.sets(KEYS, max_size=2),
        ),
    ),
    max_leaves=6,
)


@pytest.mark.parametrize("schema", SCHEMAS, ids=json.dumps)
def test_every_answer_is_valid(schema):
    output_type = OutputType.of_schema(schema)
    maker = AnswerMaker(output_type)
    for number in range(40):
        output_type.parse(maker.make(f"prompt {number}"))


@given(NODES, st.text(max_size=5))
def test_answers_of_any_composed_schema_are_valid_and_repeatable(schema, prompt):
    output_type = OutputType.of_schema(schema)
    answer = AnswerMaker(output_type).make(prompt)
    output_type.parse(answer)
    assert AnswerMaker(output_type).make(prompt) == answer


def test_different_prompts_have_different_answers():
    maker = AnswerMaker(OutputType.of_schema({"enum": ["good", "bad", "mixed"]}))
    assert {maker.make(f"prompt {number}") for number in range(40)} == {'"good"', '"bad"', '"mixed"'}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer", "minimum": 5, "maximum": 4},
        {"type": "object", "required": ["next"], "properties": {"next": {"$ref": "#"}}},
        {"allOf": [{"type": "string"}, {"type": "integer"}]},
        False,
    ],
)
def test_a_schema_without_an_answer_is_refused(schema):
    with pytest.raises(ConfigurationError, match=r"finds no answer of the type|must be an object"):
        AnswerMaker(OutputType.of_schema(schema, "Impossible"))


class Label(enum.Enum):
    GOOD = "good"
    BAD = "bad"


@attrs.frozen
class Review:
    label: Label
    stars: int
    words: list[str]


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_a_simulated_model_answers_with_values_of_a_type(backend):
    import anyio  # noqa: PLC0415 - this test alone runs a loop of its own

    strategy = model("sim:latency=0,rate=none", output_type=Review, system_instruction="Be fair. " * 20)
    output, usage = anyio.run(strategy.execute, "x" * 40, 1, 9.0, backend=backend)
    assert isinstance(output, Review)
    assert usage.input_tokens == 55
    assert strategy.restore({"label": "bad", "stars": 1, "words": []}) == Review(Label.BAD, 1, [])
    plain = model("sim:latency=0,rate=none")
    assert strategy.identity.keys() - plain.identity.keys() == {"system_instruction", "output_type", "schema"}
