"""Schemas as OpenAI and Anthropic can hold a model to them."""

from __future__ import annotations

import decimal
import json
from typing import Annotated, Any, Literal

import attrs
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline import TokenUsage
from paceline.llm_strategies.output_types.answer_format import AnswerFormat
from paceline.llm_strategies.output_types.provider_schema import SchemaSupport, enforced, open_schema

from ..garbage import anything, twisted

ANY = SchemaSupport()
PAID = TokenUsage(1, 2)


class Street(pydantic.BaseModel):
    name: Annotated[str, pydantic.Field(min_length=3, pattern="^[A-Z]")] = "Unknown"
    number: int | None = None


class Person(pydantic.BaseModel):
    name: str = pydantic.Field(description="as in the passport")
    street: Street = pydantic.Field(description="where they live")
    kind: Literal["a", "b"]


class Node(pydantic.BaseModel):
    children: list[Node] = []


class Tree(pydantic.BaseModel):
    name: str
    children: list[Tree]


class Left(pydantic.BaseModel):
    right: Right | None


class Right(pydantic.BaseModel):
    name: str
    left: Left


class Bill(pydantic.BaseModel):
    price: decimal.Decimal


class Free(pydantic.BaseModel):
    counts: dict[str, int]


class Extra(pydantic.BaseModel, extra="allow"):
    name: str


class Cat(pydantic.BaseModel):
    kind: Literal["cat"]


class Dog(pydantic.BaseModel):
    kind: Literal["dog"]


class Owner(pydantic.BaseModel):
    pet: Annotated[Cat | Dog, pydantic.Field(discriminator="kind")]


@attrs.frozen
class Town:
    size: int
    name: str = ""


def schema_of(tp):
    return AnswerFormat.of(tp).schema


def test_objects_are_closed_and_every_field_required_where_that_is_wanted():
    support = SchemaSupport(frozenset({"pattern"}), needs_every_field=True)
    assert enforced(schema_of(Person), support) == {
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": "as in the passport"},
            "street": {"anyOf": [{"$ref": "#/$defs/Street"}], "description": "where they live"},
            "kind": {"type": "string", "enum": ["a", "b"]},
        },
        "required": ["name", "street", "kind"],
        "additionalProperties": False,
        "$defs": {
            "Street": {
                "type": "object",
                "properties": {
                    "name": {"type": "string", "pattern": "^[A-Z]", "description": "minLength: 3"},
                    "number": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
                },
                "required": ["name", "number"],
                "additionalProperties": False,
            }
        },
    }


def test_what_may_be_left_out_stays_so_where_it_may():
    assert enforced(schema_of(Person), ANY)["$defs"]["Street"]["required"] == []
    assert enforced(schema_of(Town), ANY)["required"] == ["size"]


def test_the_order_of_the_fields_is_kept():
    assert list(enforced(schema_of(Person), ANY)["properties"]) == ["name", "street", "kind"]


def test_a_union_with_a_tag_is_any_of_its_members():
    pet = enforced(schema_of(Owner), ANY)["properties"]["pet"]
    assert pet == {"anyOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}]}


def test_a_format_that_is_not_known_is_reported():
    schema = {"type": "object", "properties": {"x": {"type": "string", "format": "date"}}}
    support = SchemaSupport(frozenset({"format"}), formats=frozenset({"date"}))
    assert enforced(schema, support)["properties"]["x"] == {"type": "string", "format": "date"}
    schema["properties"]["x"]["format"] = "iban"
    assert enforced(schema, support)["properties"]["x"] == {"type": "string", "description": "format: iban"}


@pytest.mark.parametrize("tp", [Free, Extra, dict[str, int], tuple[int, str], pydantic.BaseModel], ids=str)
def test_a_type_that_is_open_somewhere_cannot_be_enforced(tp):
    assert enforced(schema_of(tp), ANY) is None


@pytest.mark.parametrize(
    "field",
    [
        *({}, True, {"type": "object"}, {"type": "array"}, {"not": {}}, {"enum": [[1]]}, {"enum": []}),
        {"$ref": "https://example.com/schema"},
        {"allOf": [{"type": "string"}, {"type": "string", "minLength": 1}]},
        {"type": "object", "properties": {"x": {"type": "string"}}, "patternProperties": {"x": {}}},
    ],
    ids=json.dumps,
)
def test_nor_can_a_field(field):
    assert enforced({"type": "object", "properties": {"x": field}}, ANY) is None


def test_one_of_all_is_that_one():
    schema = {"type": "object", "properties": {"x": {"allOf": [{"type": "string"}]}}}
    assert enforced(schema, ANY)["properties"]["x"] == {"anyOf": [{"type": "string"}]}


@pytest.mark.parametrize("tp", [Node, list[Node]])
def test_a_type_that_contains_itself_is_for_those_who_can(tp):
    assert enforced(schema_of(tp), ANY) is not None
    assert enforced(schema_of(tp), SchemaSupport(recursion=False)) is None
    assert enforced(schema_of(Person), SchemaSupport(recursion=False)) is not None


def test_one_definition_in_two_places_is_no_recursion():
    class Pair(pydantic.BaseModel):
        left: Street
        right: Street

    assert enforced(schema_of(Pair), SchemaSupport(recursion=False)) is not None


def enforced_field(field, support=ANY):
    return enforced({"type": "object", "properties": {"x": field}}, support)["properties"]["x"]


@pytest.mark.parametrize(
    ("field", "sent"),
    [
        ({"enum": ["S", 3]}, {"anyOf": [{"type": "string", "enum": ["S"]}, {"type": "integer", "enum": [3]}]}),
        ({"enum": ["yes", None]}, {"anyOf": [{"type": "string", "enum": ["yes"]}, {"type": "null"}]}),
        ({"enum": [True, False, None]}, {"anyOf": [{"type": "boolean"}, {"type": "null"}]}),
        ({"enum": [True]}, {"type": "boolean", "enum": [True]}),
        ({"enum": [1, 2.5]}, {"type": "number", "enum": [2.5, 1]}),
        ({"const": "a"}, {"type": "string", "enum": ["a"]}),
        ({"type": "string", "enum": ["a", None]}, {"type": "string", "enum": ["a"]}),
        ({"type": "number", "enum": [1]}, {"type": "integer", "enum": [1]}),
        ({"type": "null"}, {"type": "null"}),
        ({"type": ["string"], "minLength": 1}, {"type": "string", "minLength": 1}),
        (
            {"type": ["string", "null"], "minLength": 1, "minimum": 2, "description": "d", "default": None},
            {"anyOf": [{"type": "string", "minLength": 1}, {"type": "null"}], "description": "d"},
        ),
    ],
    ids=str,
)
def test_each_choice_has_one_type(field, sent):
    assert enforced_field(field) == sent


@pytest.mark.parametrize("tp", [Literal["S", 3, None], Literal["yes", None], Literal[True]])  # noqa: PYI061 - as users write it
def test_a_literal_of_several_types_has_one_type_for_each(tp):
    made = enforced(schema_of(tp), ANY)["properties"]["value"]
    assert all("type" in choice for choice in made.get("anyOf", [made]))


def test_a_pattern_beyond_a_providers_grammar_is_put_in_words():
    support = SchemaSupport(frozenset({"pattern"}))
    assert enforced_field({"type": "string", "pattern": "^(?:a|b)$"}, support)["pattern"] == "^(?:a|b)$"
    assert enforced_field({"type": "string", "pattern": "^(?!a)"}, support) == {
        "type": "string",
        "description": "pattern: ^(?!a)",
    }
    price = enforced(schema_of(Bill), support)["properties"]["price"]
    assert "pattern" not in json.dumps([one.keys() - {"description"} for one in price["anyOf"]], default=list)


def test_definitions_of_older_drafts_are_found():
    schema = {
        "type": "object",
        "properties": {"x": {"$ref": "#/definitions/A"}},
        "definitions": {"A": {"type": "string"}},
    }
    made = enforced(schema | {"$schema": "http://json-schema.org/draft-07/schema#"}, ANY)
    assert made["properties"]["x"] == {"$ref": "#/$defs/A"}
    assert made["$defs"] == {"A": {"type": "string"}}
    assert not made.keys() & {"definitions", "$schema", "description"}


OPEN = SchemaSupport(frozenset({"format"}), frozenset({"date"}), open_objects=True, boolean_choices=False)


def test_open_objects_stay_open_where_they_may():
    schema = schema_of(Free)
    assert open_schema(schema, OPEN)["properties"]["counts"] == {
        "type": "object",
        "additionalProperties": {"type": "integer"},
    }
    assert open_schema(schema_of(dict[str, Any]), OPEN) == {"type": "object"}
    made = open_schema({"type": "array", "prefixItems": [{"type": "integer"}, {"const": True}], "items": False}, OPEN)
    boolean = {"type": "boolean", "description": "must be true"}
    assert made == {"type": "array", "prefixItems": [{"type": "integer"}, boolean]}
    assert open_schema({"type": "array", "items": {}}, OPEN) == {"type": "array", "items": {}}


def test_a_schema_that_cannot_be_adapted_is_sent_as_it_is():
    schema = {"type": "object", "properties": {"x": {"not": {"type": "string"}}}}
    assert open_schema(schema, OPEN) == schema


def test_a_field_that_leads_back_to_its_definition_is_not_required():
    made = open_schema(schema_of(Tree), OPEN)
    assert made["required"] == ["name"]
    assert made["$defs"]["Tree"]["required"] == ["name"]
    assert open_schema(schema_of(Person), OPEN)["required"] == ["name", "street", "kind"]
    (pair,) = [one for name, one in open_schema(schema_of(Left), OPEN)["$defs"].items() if name == "Right"]
    assert pair["required"] == ["name"]


def test_no_other_keyword_stands_beside_a_reference():
    street = open_schema(schema_of(Person), OPEN)["properties"]["street"]
    assert street == {"anyOf": [{"$ref": "#/$defs/Street"}], "description": "where they live"}


schemas = twisted(
    type=st.sampled_from(["object", "array", "string"]),
    properties=twisted(x=twisted(type=st.just("string"), minLength=st.integers(), description=st.text())),
    required=st.lists(st.just("x")),
    items=twisted(type=st.just("string")),
    anyOf=st.lists(twisted(type=st.just("string"))),
)


@given(schemas)
def test_no_object_that_is_enforced_is_open(schema):
    try:
        closed = enforced(schema, ANY)
    except Exception:  # noqa: BLE001 - no schema at all: whoever makes them never makes such
        return
    if closed is not None and closed.get("type") == "object":
        assert closed["additionalProperties"] is False


@given(anything)
def test_what_is_no_schema_is_none(schema):
    if not isinstance(schema, dict):
        assert enforced(schema, ANY) is None


def test_a_schema_whose_definitions_refer_to_each_other_often_is_looked_at_once_each():
    definitions = {
        f"a{level}": {
            "type": "object",
            "properties": {name: {"$ref": f"#/$defs/a{level + 1}"} for name in "xy"},
            "required": ["x", "y"],
            "additionalProperties": False,
        }
        for level in range(60)
    }
    schema = {**definitions["a0"], "$defs": {**definitions, "a60": {"type": "string"}}}
    found = enforced(schema, SchemaSupport(recursion=False))
    assert found is not None
    assert found["$defs"]["a60"] == {"type": "string"}
