"""Schemas as OpenAI and Anthropic can hold a model to them."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

import attrs
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline import InvalidOutputError, TokenUsage
from paceline.exceptions import ConfigurationError
from paceline.llm_strategies.output_types.provider_schema import AnswerFormat, SchemaSupport, enforced

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
        *({}, True, {"type": "object"}, {"type": "array"}, {"type": ["string", "null"]}, {"not": {}}),
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


@pytest.mark.parametrize(
    ("tp", "text", "value"),
    [
        (int, "5", 5),
        (list[int], "[1, 2]", [1, 2]),
        (list[Town], '[{"size": 5}]', [Town(5)]),
        (Literal["a", "b"], '"a"', "a"),
        (int | None, "null", None),
        (Cat | Dog, '{"kind": "dog"}', Dog(kind="dog")),
    ],
    ids=str,
)
def test_what_is_no_object_is_the_one_field_of_one(tp, text, value):
    asked = AnswerFormat.of(tp)
    assert asked.schema["type"] == "object"
    assert list(asked.schema["properties"]) == ["value"]
    assert asked.read(f'{{"value": {text}}}', PAID) == value


def test_what_is_wrong_in_it_is_reported_with_its_path_and_its_cost():
    with pytest.raises(InvalidOutputError) as caught:
        AnswerFormat.of(list[Town]).read('{"value": [{"size": 1}, {"size": "x"}]}', PAID)
    assert [problem.path for problem in caught.value.problems] == ["value[1].size"]
    assert caught.value.usage == PAID


@pytest.mark.parametrize("tp", [Person, Town, Node])
def test_an_object_is_asked_for_as_it_is(tp):
    asked = AnswerFormat.of(tp)
    assert asked.name == tp.__name__
    assert "value" not in asked.schema["properties"]
    assert "$ref" not in asked.schema


def test_a_name_is_one_that_every_provider_takes():
    assert AnswerFormat.of(dict[str, int]).name == "dict_str__int_"
    assert len(AnswerFormat.of(dict[str, dict[str, dict[str, dict[str, dict[str, dict[str, int]]]]]]).name) <= 64


def test_free_text_is_asked_for_by_nothing():
    asked = AnswerFormat.of(str)
    assert (asked.schema, asked.instruction, asked.read("x", PAID)) == (None, "", "x")


def test_a_type_without_a_schema_is_refused():
    with pytest.raises(ConfigurationError):
        AnswerFormat.of(Any)


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
