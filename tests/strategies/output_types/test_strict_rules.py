"""What is sent keeps the rules of each provider, for every kind of type; the rules are checked by a small reader of schemas."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import json
import uuid
from typing import Annotated, Any, Literal

import anthropic
import attrs
import pydantic
import pytest

from paceline.llm_strategies.anthropic import _SCHEMAS as ANTHROPIC
from paceline.llm_strategies.gemini.request import _SCHEMAS as GEMINI
from paceline.llm_strategies.openai import _STRICT as OPENAI
from paceline.llm_strategies.output_types.answer_format import AnswerFormat
from paceline.llm_strategies.output_types.provider_schema import enforced, open_schema


class Number(enum.IntEnum):
    ONE = 1
    TWO = 2


class Mixed(enum.Enum):
    TEXT = "a"
    NUMBER = 2
    NOTHING = None


class Car(pydantic.BaseModel):
    vehicle: Literal["car"]


class Bike(pydantic.BaseModel):
    vehicle: Literal["bike"]
    gears: Annotated[int, pydantic.Field(ge=1, le=30)]


class Everything(pydantic.BaseModel):
    price: decimal.Decimal
    cheaper: decimal.Decimal | None = None
    span: dt.timedelta
    day: dt.date
    at: dt.time
    when: dt.datetime
    key: uuid.UUID
    raw: bytes
    url: pydantic.HttpUrl
    mark: Literal["a", 1, None, True] = None  # noqa: PYI061 - as users write it
    numbers: set[int] = set()
    nothing: None = None
    pair: Annotated[list[int], pydantic.Field(min_length=2, max_length=3)]
    share: Annotated[float, pydantic.Field(gt=0, multiple_of=0.5)]
    one_of: int | str | None
    secret: pydantic.SecretStr
    item: Annotated[Car | Bike, pydantic.Field(discriminator="vehicle", description="what was sold")]


@attrs.frozen
class Node:
    parent: Node | None = None
    number: Number = Number.ONE
    mixed: Mixed = Mixed.NOTHING
    choice: Literal["a", 1, None] = None  # noqa: PYI061 - as above
    day: dt.date | None = None
    flag: Literal[True, False, "x"] = "x"
    children: list[Node] = attrs.field(factory=list)


TYPES: list[Any] = [
    *(Everything, Node, list[Everything], Node | None, Mixed, Literal["a", 1, None], list[Literal[1, "b"]]),  # noqa: PYI061
    *(int | None, str | int, bool, dt.date, None | Car),
]
STRICT = {
    *(
        "type",
        "enum",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "$ref",
        "$defs",
        "anyOf",
        "description",
    ),
    *("pattern", "format", "multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    *("minItems", "maxItems"),
}
OPEN = (STRICT | {"prefixItems"}) - {"pattern", "multipleOf", "exclusiveMinimum", "exclusiveMaximum"}


def broken(node: Any, allowed: set[str], place: str = "$") -> list[str]:
    """Return what is wrong in a schema by the rules that OpenAI's strict mode and Gemini share."""
    found = [f"{place}: {key}" for key in node.keys() - allowed]
    if "$ref" in node:
        return found + [f"{place}: {key} beside $ref" for key in node.keys() - {"$ref"}]
    if not isinstance(node.get("type", ""), str) or not {"type", "anyOf"} & node.keys():
        found.append(f"{place}: no type")
    if "(?" in node.get("pattern", ""):
        found.append(f"{place}: a pattern that looks ahead")
    kinds = {"string": str, "integer": int, "number": (int, float), "boolean": bool}
    found += [f"{place}: {one!r}" for one in node.get("enum", ()) if not isinstance(one, kinds[node["type"]])]
    below = {**node.get("properties", {}), **node.get("$defs", {}), **dict(enumerate(node.get("anyOf", ())))}
    below |= {"[]": node["items"]} if "items" in node else {}
    return found + [one for name, child in below.items() for one in broken(child, allowed, f"{place}.{name}")]


def unlisted(node: Any) -> list[Any]:
    """Return the objects whose fields are not all required, or not all listed."""
    if not isinstance(node, (dict, list)):
        return []
    found = [one for child in (node.values() if isinstance(node, dict) else node) for one in unlisted(child)]
    if isinstance(node, dict) and node.get("type") == "object":
        closed = node.get("additionalProperties") is False
        return found + ([] if closed and node["required"] == [*node["properties"]] else [node])
    return found


@pytest.mark.parametrize("tp", TYPES, ids=str)
def test_openais_strict_rules_are_kept(tp):
    schema = enforced(AnswerFormat.of(tp).schema, OPENAI)
    assert schema["type"] == "object"
    assert not broken(schema, STRICT)
    assert not unlisted(schema)


@pytest.mark.parametrize("tp", TYPES, ids=str)
def test_geminis_rules_are_kept(tp):
    schema = open_schema(AnswerFormat.of(tp).schema, GEMINI)
    assert not broken(schema, OPEN)
    assert json.dumps(schema).find('"enum": [true') == -1


@pytest.mark.parametrize("tp", TYPES, ids=str)
def test_anthropics_package_accepts_what_is_enforced(tp):
    schema = enforced(AnswerFormat.of(tp).schema, ANTHROPIC)
    assert schema is None or anthropic.transform_schema(schema)["type"] == "object"
    assert (schema is None) is ("Node" in str(tp))  # a class that contains itself becomes a tool
