"""Whatever a model writes: a value of the type, or what is wrong with it; and what was read fits the schema that was sent."""

from __future__ import annotations

import dataclasses
import enum
import json
from typing import Any, Literal, NotRequired, TypedDict

import attrs
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline import InvalidOutputError
from paceline.llm_strategies import OutputType


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@attrs.frozen
class Leaf:
    kind: Literal["leaf"]
    size: int = attrs.field(validator=attrs.validators.ge(0))


@dataclasses.dataclass(frozen=True)
class Branch:
    kind: Literal["branch"]
    parts: list[Leaf | Branch] = dataclasses.field(default_factory=list)
    colour: Colour | None = None


class Row(TypedDict):
    name: str
    score: float
    marks: NotRequired[tuple[int, ...]]


@attrs.frozen
class Record:
    id: int
    rows: dict[str, Row]
    tree: Branch
    flags: tuple[bool, str]
    extra: dict[str, Any] = attrs.field(factory=dict)


class Model(pydantic.BaseModel):
    id: int
    names: list[str]
    colour: Colour = Colour.RED


TYPES = [
    Record,
    Branch,
    Leaf | Branch,
    list[Row],
    dict[str, float],
    Colour,
    Literal["a", 1, True],
    tuple[int, str],
    int,
    Model,
]
SAFE_FLOATS = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | SAFE_FLOATS | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)

leaves = st.builds(Leaf, st.just("leaf"), st.integers(min_value=0))
trees = st.recursive(
    st.builds(Branch, st.just("branch"), st.just([]), st.sampled_from([None, *Colour])),
    lambda inner: st.builds(Branch, st.just("branch"), st.lists(leaves | inner, max_size=3), st.sampled_from([None, *Colour])),
    max_leaves=4,
)  # fmt: skip
rows = st.fixed_dictionaries(
    {"name": st.text(), "score": SAFE_FLOATS}, optional={"marks": st.lists(st.integers()).map(tuple)}
)
records = st.builds(
    Record, st.integers(), st.dictionaries(st.text(), rows, max_size=3), trees, st.tuples(st.booleans(), st.text()),
    st.dictionaries(st.text(), JSON, max_size=2),
)  # fmt: skip
models = st.builds(Model, id=st.integers(), names=st.lists(st.text()), colour=st.sampled_from(Colour))


def plain(value: Any) -> Any:
    """Write a value as JSON would have it; no code of the library's."""
    match value:
        case enum.Enum():
            return value.value
        case pydantic.BaseModel():
            return value.model_dump(mode="json")
        case dict():
            return {key: plain(one) for key, one in value.items()}
        case list() | tuple():
            return [plain(one) for one in value]
        case Leaf() | Branch() | Record():
            return {name: plain(getattr(value, name)) for name in type(value).__annotations__}
    return value


def fits(data: Any, schema: Any, root: Any) -> bool:
    """Say whether data fits a schema; an oracle for the keywords that are used."""
    if "$ref" in schema:
        return fits(data, root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root)
    if "anyOf" in schema and not any(fits(data, one, root) for one in schema["anyOf"]):
        return False
    if "enum" in schema and not any(type(one) is type(data) and one == data for one in schema["enum"]):
        return False
    return {
        None: lambda: True,
        "null": lambda: data is None,
        "boolean": lambda: isinstance(data, bool),
        "integer": lambda: isinstance(data, int) and not isinstance(data, bool),
        "number": lambda: isinstance(data, (int, float)) and not isinstance(data, bool),
        "string": lambda: isinstance(data, str),
        "array": lambda: isinstance(data, list) and _items_fit(data, schema, root),
        "object": lambda: isinstance(data, dict) and _fields_fit(data, schema, root),
    }[schema.get("type")]()


def _items_fit(data: list[Any], schema: Any, root: Any) -> bool:
    if "prefixItems" in schema:
        return len(data) == len(schema["prefixItems"]) and all(map(lambda one, of: fits(one, of, root), data, schema["prefixItems"]))  # fmt: skip
    return all(fits(one, schema.get("items", {}), root) for one in data)


def _fields_fit(data: dict[str, Any], schema: Any, root: Any) -> bool:
    known, rest = schema.get("properties", {}), schema.get("additionalProperties", {})
    if not set(schema.get("required", ())) <= set(data):
        return False
    return all(
        fits(one, known[key], root) if key in known else rest is not False and fits(one, rest, root)
        for key, one in data.items()
    )


def read(output_type: Any, text: str) -> Any:
    """Read an answer; None: it is invalid, and all that is reported of it holds."""
    try:
        return OutputType.of(output_type).parse(text)
    except InvalidOutputError as invalid:
        error = invalid
    assert error.problems
    assert len(str(error)) < 2_000
    for problem in error.problems:
        (str(problem) + (problem.value or "")).encode()
    assert not {problem.path for problem in error.problems} & set(error.right)
    return None


@given(records)
def test_what_is_written_is_read_back(record):
    assert read(Record, json.dumps(plain(record))) == record


@given(models)
def test_what_pydantic_writes_is_read_back(model):
    assert read(Model, model.model_dump_json()) == model


@given(trees, st.booleans())
def test_a_union_of_classes_is_read_back_as_the_member_that_was_meant(tree, fenced):
    text = json.dumps(plain(tree), indent=1)
    assert read(Leaf | Branch, f"```json\n{text}\n```" if fenced else text) == tree


@given(st.sampled_from(TYPES), st.text() | st.text(alphabet='{}[]",:0123eE.-truefalsnN`\n \\'))
def test_any_text_is_read_or_invalid(output_type, text):
    read(output_type, text)


@given(st.sampled_from(TYPES), JSON)
def test_any_json_is_read_or_invalid(output_type, data):
    read(output_type, json.dumps(data))


@given(records | trees | st.lists(rows), st.data())
def test_a_good_answer_that_was_tampered_with_is_read_or_invalid(value, data):
    text = json.dumps(plain(value))
    at = data.draw(st.integers(0, len(text)))
    cut = data.draw(st.integers(0, 5))
    put = data.draw(st.sampled_from(["", "0", '"', "[", "}", "null", "NaN", "1e999", ',"id":1', '{"kind":"leaf"}']))
    read(data.draw(st.sampled_from(TYPES)), text[:at] + put + text[at + cut :])


@given(records | trees, JSON, st.data())
def test_what_is_read_is_what_fits_the_schema(value, other, data):
    output_type = data.draw(st.sampled_from([Record, Branch, Leaf | Branch]))
    document = plain(value)
    spots = list(places(document))
    holder, key = data.draw(st.sampled_from(spots))
    match data.draw(st.sampled_from(["replace", "delete", "add", "leave"])):
        case "replace":
            holder[key] = other
        case "delete":
            del holder[key]
        case "add" if isinstance(holder, dict):
            holder["unknown"] = other
    schema = OutputType.of(output_type).schema
    parsed = read(output_type, json.dumps(document))
    if parsed is not None:
        assert fits(document, schema, schema)
    elif fits(document, schema, schema):  # no schema was sent for what validators ask for
        assert any("must be >= 0" in problem.rule for problem in problems(output_type, json.dumps(document)))


def places(document: Any) -> Any:
    """Yield every container of a document with each of its keys."""
    for key, one in list(document.items() if isinstance(document, dict) else enumerate(document)):
        yield document, key
        if isinstance(one, (dict, list)):
            yield from places(one)


def problems(output_type: Any, text: str) -> Any:
    with pytest.raises(InvalidOutputError) as raised:
        OutputType.of(output_type).parse(text)
    return raised.value.problems


@given(records, st.data())
def test_what_is_right_and_what_is_wrong_do_not_overlap(record, data):
    document = plain(record)
    document["flags"] = data.draw(JSON)
    document["id"] = "x"
    with pytest.raises(InvalidOutputError) as raised:
        OutputType.of(Record).parse(json.dumps(document))
    wrong = {problem.path for problem in raised.value.problems}
    assert "id" in wrong
    assert set(document) - {"id", "flags"} <= set(raised.value.right)
    assert not wrong & set(raised.value.right)


@given(st.sampled_from(TYPES), st.integers(0, 3_000))
def test_any_depth_is_read_or_invalid(output_type, depth):
    read(output_type, '{"kind":"branch","parts":[' * depth + "]}" * depth)
