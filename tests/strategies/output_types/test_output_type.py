"""Output types: their schemas, parsing, and the problems that are reported."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import json
import pickle
import subprocess
import sys
import typing
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Generic, Literal, NotRequired, Optional, TypedDict, TypeVar, Union

import attrs
import cattrs
import msgspec
import pydantic
import pytest
from typing_extensions import Doc

from paceline import FaultKind, InvalidOutputError, TokenUsage
from paceline.exceptions import ConfigurationError
from paceline.llm_strategies import OutputType, Problem
from paceline.llm_strategies.output_types.output_type import problems_of

T = TypeVar("T")


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Word(enum.StrEnum):
    UP = "up"


@attrs.frozen
class Ranked:
    level: Level
    word: Word


@attrs.frozen
class Address:
    city: str
    zip: str = attrs.field(validator=attrs.validators.matches_re(r"\d{5}"))


@attrs.define
class Person:
    """Somebody."""

    name: str = attrs.field(validator=attrs.validators.max_len(10), metadata={"description": "In full."})
    age: int = attrs.field(validator=attrs.validators.le(150))
    address: Address | None = None
    tags: list[str] = attrs.field(factory=list)
    born: dt.date | None = None
    initials: str = attrs.field(init=False, default="")


@dataclasses.dataclass
class Tree:
    """A tree."""

    label: str
    children: list[Tree] = dataclasses.field(default_factory=list)
    colour: Colour = Colour.RED


class Row(TypedDict):
    b: int
    a: NotRequired[str]


@attrs.frozen
class Cat:
    kind: Literal["cat"]
    lives: int


@dataclasses.dataclass
class Dog:
    kind: Literal["dog"]
    name: str


@attrs.frozen
class Fish:
    fins: int
    name: str = ""


@attrs.frozen
class Bird:
    wings: int
    name: str = ""


@attrs.frozen
class Box(Generic[T]):
    value: T
    rest: list[T]


@dataclasses.dataclass(frozen=True)
class Range:
    low: int
    high: int

    def __post_init__(self):
        if self.high < self.low:
            raise ValueError("high must not be below low")


class Pydantic(pydantic.BaseModel):
    name: str
    age: int = pydantic.Field(ge=0)
    colour: Colour = Colour.RED
    tags: tuple[str, ...] = ()


class Nested(pydantic.BaseModel):
    person: Pydantic
    pet: Annotated[PCat | PDog, pydantic.Field(discriminator="kind")]


class PCat(pydantic.BaseModel):
    kind: Literal["cat"]
    lives: int


class PDog(pydantic.BaseModel):
    kind: Literal["dog"]
    name: str


class Plain:
    pass


def a_function() -> None: ...


GOOD = [
    (str, "anything { at all", "anything { at all"),
    (int, "3", 3),
    (float, "3", 3.0),
    (float, " 3.5\n", 3.5),
    (bool, "true", True),
    (dict, '{"a": [1, null]}', {"a": [1, None]}),
    (list, "[1, {}]", [1, {}]),
    (dict[str, int], '{"a": 1}', {"a": 1}),
    (dict[str, Any], '{"a": [1]}', {"a": [1]}),
    (Mapping[str, float], '{"a": 1}', {"a": 1.0}),
    (list[int], "[1, 2]", [1, 2]),
    (Sequence[int], "[1, 2]", [1, 2]),
    (tuple[int, ...], "[1, 2]", (1, 2)),
    (tuple[int, str], '[1, "x"]', (1, "x")),
    (set[str], '["a", "b"]', {"a", "b"}),
    (Literal["a", 1], "1", 1),
    (Colour, '"blue"', Colour.BLUE),
    (Level, "2", Level.HIGH),
    (dict[str, Level], '{"a": 2}', {"a": Level.HIGH}),
    (list[Level | None], "[2, null]", [Level.HIGH, None]),
    (tuple[Level, ...], "[2]", (Level.HIGH,)),
    (tuple[Level, Word], '[2, "up"]', (Level.HIGH, Word.UP)),
    (Ranked, '{"level": 1, "word": "up"}', Ranked(Level.LOW, Word.UP)),
    (dt.datetime, '"2024-05-06T07:08:09"', dt.datetime(2024, 5, 6, 7, 8, 9)),  # noqa: DTZ001 - as it is written
    (uuid.UUID, '"00000000-0000-0000-0000-000000000001"', uuid.UUID(int=1)),
    (Optional[int], "null", None),  # noqa: UP045 - the older form counts too
    (Union[int, str, None], '"x"', "x"),  # noqa: UP007 - as above
    (int | float, "1", 1),
    (int | float, "1.5", 1.5),
    (float | str, "1", 1.0),
    (Row, '{"b": 1}', {"b": 1}),
    (Row, '{"b": 1, "a": "x"}', {"b": 1, "a": "x"}),
    (Tree, '{"label": "r", "children": [{"label": "c", "colour": "blue"}]}', Tree("r", [Tree("c", [], Colour.BLUE)])),
    (
        Person,
        '{"name": "Ada", "age": 36, "born": "1815-12-10", "address": {"city": "L", "zip": "12345"}}',
        Person("Ada", 36, Address("L", "12345"), [], dt.date(1815, 12, 10)),
    ),
    (list[Cat | Dog], '[{"kind": "dog", "name": "x"}, {"kind": "cat", "lives": 9}]', [Dog("dog", "x"), Cat("cat", 9)]),
    (Fish | Bird | None, '{"wings": 2, "name": "x"}', Bird(2, "x")),
    (Box[int], '{"value": 1, "rest": [2]}', Box(1, [2])),
    (dict[str, list[Row]], '{"x": [{"b": 1}]}', {"x": [{"b": 1}]}),
    (Annotated[int, "a note"], "1", 1),
    (
        Pydantic,
        '{"name": "Ada", "age": 3, "colour": "blue", "tags": ["x"]}',
        Pydantic(name="Ada", age=3, colour=Colour.BLUE, tags=("x",)),
    ),
    (list[Pydantic | None], '[null, {"name": "Ada", "age": 3}]', [None, Pydantic(name="Ada", age=3)]),
    (Annotated[int, pydantic.Field(gt=0)], "1", 1),
]


@pytest.mark.parametrize(("output_type", "text", "value"), GOOD, ids=[str(index) for index in range(len(GOOD))])
def test_an_answer_of_the_type_is_read_as_a_value_of_it(output_type, text, value):
    parsed = OutputType.of(output_type).parse(text)
    assert parsed == value
    assert type(parsed) is type(value)


BAD = [
    (int, '"3"', [("", "must be an integer, not a string", '"3"')]),
    (int, "1.0", [("", "must be an integer, not a number", "1.0")]),
    (int, "true", [("", "must be an integer, not a boolean", "true")]),
    (float, "true", [("", "must be a number, not a boolean", "true")]),
    (float, "1" + "0" * 400, [("", "must be a number that a float can hold", None)]),
    (bool, "1", [("", "must be a boolean, not an integer", "1")]),
    (list[str], '["a", 1, null]', [("[1]", "must be a string, not an integer", "1"), ("[2]", "must be a string, not null", "null")]),
    (list[str], '"ab"', [("", "must be an array, not a string", '"ab"')]),
    (tuple[int, str], "[1]", [("", "must have 2 items, not 1", "[1]")]),
    (set[int], "[1, 1]", [("", "must not have an item twice", "[1, 1]")]),
    (set, "[[]]", [("", "must have only items that a set can hold", "[[]]")]),
    (dict[str, int], '{"a b": "x"}', [('["a b"]', "must be an integer, not a string", '"x"')]),
    (dict, "[]", [("", "must be an object, not an array", "[]")]),
    (Literal["a", 1], "true", [("", 'must be one of "a", 1', "true")]),
    (Literal["a"], "[]", [("", 'must be "a"', "[]")]),
    (Level, "true", [("", "must be one of 1, 2", "true")]),
    (Colour, '"RED"', [("", 'must be one of "red", "blue"', '"RED"')]),
    (dt.date, '"10.12.1815"', [("", "must be a date such as 2024-12-31", '"10.12.1815"')]),
    (dt.date, "1", [("", "must be a string, a date such as 2024-12-31, not an integer", "1")]),
    (int | None, '"x"', [("", "must be an integer or null, not a string", '"x"')]),
    (Row, '{"a": 1}', [("a", "must be a string, not an integer", "1"), ("b", "is missing", None)]),
    (Row, '{"b": 1, "c": 2}', [("c", "is not a field of this object", "2")]),
    (Tree, "3", [("", "must be an object, not an integer", "3")]),
    (
        Tree,
        '{"label": "r", "children": [{"label": "c"}, {"colour": "red", "children": [{"label": 5}]}]}',
        [("children[1].label", "is missing", None), ("children[1].children[0].label", "must be a string, not an integer", "5")],
    ),
    (Range, '{"low": 2, "high": 1}', [("", "high must not be below low", '{"low": 2, "high": 1}')]),
    (Cat | Dog, '{"kind": "cow"}', [("kind", 'must be one of "cat", "dog"', '"cow"')]),
    (Cat | Dog, '{"kind": []}', [("kind", 'must be one of "cat", "dog"', "[]")]),
    (Cat | Dog, '{"kind": "dog"}', [("name", "is missing", None)]),
    (Cat | Dog, '{"lives": 9}', [("kind", "is missing", None)]),
    (Cat | Dog, "[]", [("", "must be an object, not an array", "[]")]),
    (Fish | Bird, '{"wings": "x", "name": ""}', [("wings", "must be an integer, not a string", '"x"')]),
    (Pydantic, '{"name": 1, "age": -1}', [
        ("name", "Input should be a valid string", "1"),
        ("age", "Input should be greater than or equal to 0", "-1"),
    ]),
    (Pydantic, '{"name": "x", "age": "3"}', [("age", "Input should be a valid integer", '"3"')]),
    (Annotated[int, pydantic.Field(gt=0)], "-1", [("", "Input should be greater than 0", "-1")]),
    (Nested, '{"person": {"name": "x"}, "pet": {"kind": "cat", "lives": []}}', [
        ("person.age", "Field required", None),
        ("pet.lives", "Input should be a valid integer", "[]"),
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("output_type", "text", "problems"), BAD, ids=[str(index) for index in range(len(BAD))])
def test_what_is_wrong_is_reported_with_its_place_its_rule_and_its_value(output_type, text, problems):
    with pytest.raises(InvalidOutputError) as raised:
        OutputType.of(output_type).parse(text, TokenUsage(3, 4))
    reported = [(problem.path, problem.rule, problem.value) for problem in raised.value.problems]
    assert sorted(reported, key=str) == sorted(
        ((path, rule, given or reported[0][2]) if "float can hold" in rule else (path, rule, given) for path, rule, given in problems),
        key=str,
    )  # fmt: skip
    assert raised.value.usage == TokenUsage(3, 4)
    assert raised.value.kind is FaultKind.INVALID
    assert raised.value.text == text


def problems(output_type, text):
    with pytest.raises(InvalidOutputError) as raised:
        OutputType.of(output_type).parse(text)
    return [(problem.path, problem.rule) for problem in raised.value.problems]


def right(output_type, text):
    with pytest.raises(InvalidOutputError) as raised:
        OutputType.of(output_type).parse(text)
    return raised.value.right


# Validators


def test_every_validator_of_an_attrs_class_that_objects_is_heard_with_its_field():
    text = '{"name": "Augusta Ada King", "age": 200, "address": {"city": "L", "zip": "x"}}'
    assert problems(Person, text) == [("address.zip", r"'zip' must match regex '\\d{5}'"), ("name", "Length of 'name' must be <= 10: 16"), ("age", "'age' must be <= 150")]  # fmt: skip


def test_a_validators_objection_is_heard_beside_fields_that_are_not_of_their_type():
    assert problems(Person, '{"name": 1, "age": 200}') == [
        ("name", "must be a string, not an integer"),
        ("age", "'age' must be <= 150"),
    ]
    assert problems(Person, '{"name": "x", "age": 200, "foo": 1}') == [
        ("age", "'age' must be <= 150"),
        ("foo", "is not a field of this object"),
    ]


def test_a_validator_that_compares_fields_is_not_blamed_for_those_that_are_missing():
    @attrs.define
    class Interval:
        low: int
        high: int = attrs.field()

        @high.validator
        def _above(self, attribute, value):
            if value < self.low:
                raise ValueError("high must not be below low")

    assert problems(Interval, '{"low": 3, "high": 2}') == [("high", "high must not be below low")]
    assert problems(Interval, '{"low": "x", "high": 2}') == [("low", "must be an integer, not a string")]
    assert right(Interval, '{"low": 3, "high": 2}') == ("low",)


def test_a_validator_that_fails_at_the_whole_is_a_problem_of_the_whole():
    @attrs.define
    class Whole:
        low: int

        def __attrs_post_init__(self):
            if self.low:
                raise RuntimeError("not today")

    assert problems(Whole, '{"low": 3}') == [("", "RuntimeError: not today")]
    assert right(Whole, '{"low": 3}') == ()


def test_a_converter_that_fails_is_a_problem_of_its_field():
    @attrs.define
    class Parsed:
        number: str = attrs.field(converter=int)
        other: int = 0

    assert OutputType.of(Parsed).parse('{"number": "7"}').number == 7
    (problem,) = problems(Parsed, '{"number": "x", "other": 1}')
    assert problem[0] == "number"


def test_a_mistake_in_a_validator_of_pydantics_becomes_a_problem_too():
    class Broken(pydantic.BaseModel):
        name: str

        @pydantic.field_validator("name")
        @classmethod
        def _check(cls, value):
            raise KeyError(value)

    assert problems(Broken, '{"name": "x"}') == [("", "KeyError: x")]


# JSON


@pytest.mark.parametrize("output_type", [Person, Pydantic, dict, list[Row]])
def test_a_text_that_is_no_json_is_reported_with_the_place(output_type):
    with pytest.raises(InvalidOutputError, match="line 3, column 8") as raised:
        OutputType.of(output_type).parse('{\n"name": "Ada",\n"age": unknown\n}')
    (problem,) = raised.value.problems
    assert problem.path == ""
    assert "unknown" in problem.value
    assert raised.value.right == ()


def test_the_place_counts_from_the_top_of_the_answer_not_of_the_fence():
    assert "line 3, column 1" in problems(dict, "```json\n{\n]\n```")[0][1]


@pytest.mark.parametrize(
    "text",
    ['```json\n{"b": 1}\n```', '```\n{"b": 1}\n```', '  \n```JSON\r\n{"b": 1}\r\n```\n ', '{"b": 1}', '\n {"b": 1} \n'],
)
def test_one_fence_around_the_whole_is_no_part_of_it(text):
    assert OutputType.of(Row).parse(text) == {"b": 1}


@pytest.mark.parametrize("text", ["```json\n{}\n```", "<think>hm</think>5", "\ufeff5"])
def test_free_text_is_given_as_it_is(text):
    assert OutputType.of(str).parse(text) == text


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize(("output_type", "path"), [(dict, "a"), (dict[str, float], "a"), (list[Pydantic], "[0].a")])
def test_what_json_has_no_number_for_is_a_problem(number, output_type, path):
    text = f'{{"a": {number}}}' if path == "a" else f'[{{"a": {number}}}]'
    assert problems(output_type, text) == [(path, "must be a finite number, which JSON can hold")]


@pytest.mark.parametrize("output_type", [dict, Person, Pydantic, dict[str, Any]])
def test_a_name_twice_in_one_object_is_a_problem(output_type):
    text = '{"name": "Ada", "age": 3, "age": 4}'
    assert problems(output_type, text) == [("age", "occurs twice in one object")]
    assert problems(list[output_type], f"[{text}]") == [("[0].age", "occurs twice in one object")]


@pytest.mark.parametrize("output_type", [dict, list, Tree, Pydantic, Person, list[Pydantic]])
@pytest.mark.parametrize("text", ["[" * 100_000, '{"children":[' * 50_000, "[" * 50_000 + "]" * 50_000])
def test_an_answer_that_is_nested_without_end_is_invalid(output_type, text):
    with pytest.raises(InvalidOutputError):
        OutputType.of(output_type).parse(text)


def test_a_tree_that_is_too_deep_to_be_built_is_invalid():
    text = '{"label": "x", "children": [' * 300 + '{"label": 1}' + "]}" * 300
    with pytest.raises(InvalidOutputError):
        OutputType.of(Tree).parse(text)


def test_a_number_of_too_many_digits_is_invalid():
    assert problems(int, "9" * 5_000) == [("", "must not have a number with that many digits")]


@pytest.mark.parametrize(
    "text", ["", " ", "null", "\ufeff{}", "\x00", '"\\ud800"', "\ud800", '{"name": "\ud800", "age": 1}']
)
@pytest.mark.parametrize("output_type", [Pydantic, Tree, int, list[Row], Cat | Dog])
def test_odd_texts_are_invalid(output_type, text):
    with pytest.raises(InvalidOutputError) as raised:
        OutputType.of(output_type).parse(text)
    assert all((str(problem) + (problem.value or "")).encode() for problem in raised.value.problems)


# Reported problems


def test_what_is_right_is_reported_down_to_the_fields_beside_those_that_are_wrong():
    text = '{"name": "Ada", "age": "x", "address": {"city": "L", "zip": 3}, "tags": ["a", 1, "b"]}'
    assert right(Person, text) == ("name", "address.city", "tags[0]", "tags[2]")
    assert right(Pydantic, '{"name": "Ada", "age": "x", "tags": ["x"]}') == ("name", "tags")


def test_a_field_that_is_unknown_or_missing_makes_no_other_wrong():
    assert right(Row, '{"a": "x", "c": 1}') == ("a",)


def test_problems_are_reported_without_their_values_and_the_values_are_short():
    secret = "s3cret" * 100
    for output_type in (Row, Pydantic, Person):
        with pytest.raises(InvalidOutputError) as raised:
            OutputType.of(output_type).parse(json.dumps({"a": secret, "b": secret, "name": "x", "age": secret}))
        assert "s3cret" not in str(raised.value)
        assert "s3cret" not in repr(raised.value.problems)
        assert raised.value.__cause__ is None
        assert raised.value.__context__ is None
        assert all(len(problem.value or "") <= 120 for problem in raised.value.problems)


def test_a_million_problems_are_reported_as_a_hundred():
    with pytest.raises(InvalidOutputError) as raised:
        OutputType.of(list[int]).parse(json.dumps(["x"] * 10_000))
    assert len(raised.value.problems) == 100


def test_the_error_can_be_pickled():
    with pytest.raises(InvalidOutputError) as raised:
        OutputType.of(Row).parse("{}")
    again = pickle.loads(pickle.dumps(raised.value))  # noqa: S301 - our own
    assert (again.problems, again.text) == (raised.value.problems, "{}")


# Schemas


def test_the_schema_of_a_class_has_its_fields_in_order_and_no_others():
    schema = OutputType.of(Person).schema
    assert list(schema["properties"]) == ["name", "age", "address", "tags", "born"]
    assert schema["required"] == ["name", "age"]
    assert schema["additionalProperties"] is False
    assert schema["description"] == "Somebody."
    assert schema["properties"]["name"] == {"type": "string", "description": "In full."}
    assert schema["properties"]["born"] == {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]}
    assert schema["properties"]["address"] == {"anyOf": [{"$ref": "#/$defs/Address"}, {"type": "null"}]}
    assert list(schema["$defs"]) == ["Address"]


def test_the_schema_of_a_class_that_contains_itself_has_it_among_the_definitions():
    schema = OutputType.of(Tree).schema
    assert schema["properties"]["children"]["items"] == {"$ref": "#/$defs/Tree"}
    assert schema["$defs"]["Tree"]["properties"] == schema["properties"]
    assert schema["description"] == "A tree."
    assert "description" not in OutputType.of(Dog).schema  # what dataclasses write there is no description


def test_the_schema_of_a_typed_dict_requires_what_it_requires():
    schema = OutputType.of(Row).schema
    assert list(schema["properties"]) == ["b", "a"]
    assert schema["required"] == ["b"]


def test_classes_of_one_name_are_two_definitions():
    def another():
        @attrs.define
        class Fish:
            scales: int

        return Fish

    schema = OutputType.of(tuple[Fish, another()]).schema
    assert list(schema["$defs"]) == ["Fish", "Fish__2"]


def test_a_doc_of_a_field_is_its_description():
    @attrs.define
    class Described:
        name: Annotated[str, Doc("As in the passport.")]
        age: Annotated[int, msgspec.Meta(description="In years.")]

    assert [one["description"] for one in OutputType.of(Described).schema["properties"].values()] == ["As in the passport.", "In years."]  # fmt: skip


@pytest.mark.parametrize(
    "output_type",
    [int, float, bool, list[int], tuple[int, ...], dict[str, int], Literal["a"], Optional[int], tuple[int, str], set[str], dt.date],  # noqa: UP045
)  # fmt: skip
def test_the_schema_of_a_simple_type_is_the_one_that_msgspec_makes(output_type):
    ours = dict(OutputType.of(output_type).schema)
    theirs = msgspec.json.schema(output_type)
    if "enum" in theirs:
        theirs["type"] = "string"
    assert ours == theirs


def test_free_text_has_no_schema():
    assert OutputType.of(str).schema is None
    assert OutputType.of(str).name == "str"


def test_the_schema_of_pydantics_types_is_pydantics():
    assert OutputType.of(Pydantic).schema == Pydantic.model_json_schema()
    assert OutputType.of(list[Pydantic]).schema["items"] == {"$ref": "#/$defs/Pydantic"}


def test_a_schema_is_json():
    for output_type, _, _ in GOOD:
        schema = OutputType.of(output_type).schema
        assert schema is None or json.loads(json.dumps(schema)) == schema


@attrs.define
class WithPydantic:
    model: list[Pydantic]


@dataclasses.dataclass
class DataclassWithPydantic:
    model: Pydantic


@attrs.define
class WithPlain:
    inner: list[Plain]


@dataclasses.dataclass
class WithInitVar:
    x: dataclasses.InitVar[int]


@attrs.define
class Constrained:
    x: Annotated[int, msgspec.Meta(ge=3)]


@attrs.define
class Unknown:
    x: NoSuchName  # noqa: F821 - this is the point


@attrs.define
class SameA:
    x: int


@attrs.define
class SameB:
    x: int
    y: int = 0


@attrs.define
class OverlapA:
    kind: Literal["a", "b"]


@attrs.define
class OverlapB:
    kind: Literal["b", "c"]


REFUSED = [
    (Any, "Any has no JSON schema, as any value fits"),
    (object, "object has no JSON schema"),
    (Plain, "Plain has no JSON schema"),
    (a_function, "the function a_function has no JSON schema"),
    (Callable[[], int], "Callable"),
    (set[Callable], r"set\[.*Callable\] has no JSON schema: its items"),
    (3, "3 has no JSON schema"),
    ("Person", "'Person' has no JSON schema"),
    (complex, "complex has no JSON schema"),
    (bytes, "bytes has no JSON schema"),
    (T, "~T has no JSON schema"),
    (Box, r"Box has no JSON schema: value: ~T"),
    (dict[int, str], "the keys of .* must be strings"),
    (int | Any, "Any is a member"),
    (Colour | str, "more than one member of .* is a string"),
    (list[int] | tuple[str, ...], "more than one member of .* is an array"),
    (dict[str, int] | Cat, "more than one member of .* is an object"),
    (Cat | dict[str, int], "more than one member of .* is an object"),
    (OverlapA | OverlapB, "OverlapA and OverlapB cannot be distinguished"),
    (SameA | SameB, "SameA and SameB cannot be distinguished"),
    (WithPlain, r"WithPlain has no JSON schema: inner\[\]: Plain"),
    (WithPydantic, r"model\[\]: a pydantic type in the attrs class WithPydantic"),
    (list[Person | Pydantic], "pydantic says"),
    (WithInitVar, "InitVar"),
    (Constrained, "x: msgspec's constraints"),
    (Unknown, "NoSuchName"),
    (Literal[b"a"], "must be strings"),
]


@pytest.mark.parametrize(("output_type", "why"), REFUSED, ids=[why[:40] for _, why in REFUSED])
def test_a_type_without_a_schema_is_refused_with_one_sentence(output_type, why):
    with pytest.raises(ConfigurationError, match=why) as raised:
        OutputType.of(output_type)
    assert "\n" not in str(raised.value)


def test_a_pydantic_model_in_a_dataclass_is_pydantics():
    value = OutputType.of(DataclassWithPydantic).parse('{"model": {"name": "x", "age": 1}}')
    assert value == DataclassWithPydantic(Pydantic(name="x", age=1))


def test_free_text_imports_neither_cattrs_nor_pydantic():
    program = (
        "import sys; from paceline.llm_strategies import OutputType; OutputType.of(str);"
        "sys.exit(bool({'cattrs', 'pydantic', 'msgspec'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


# problems_of


def reported(exception):
    report = problems_of(exception)
    return None if report is None else ([(one.path, one.rule, one.value) for one in report[0]], report[1], report[2])


def raised_by(function, *args):
    with pytest.raises(Exception) as raised:  # noqa: PT011 - whatever it is
        function(*args)
    return raised.value


def test_problems_are_read_from_our_own_error():
    error = InvalidOutputError("text", [Problem("a", "rule", "1")], right=["b"])
    assert reported(error) == ([("a", "rule", "1")], ("b",), "text")


def test_problems_are_read_from_pydantics_error():
    error = raised_by(Pydantic.model_validate_json, '{"name": "x", "age": "old"}')
    assert reported(error)[0] == [
        ("age", "Input should be a valid integer, unable to parse string as an integer", '"old"')
    ]
    assert reported(raised_by(Nested.model_validate, {"person": {"name": 1}, "pet": {"kind": "cat", "lives": 1}}))[
        0
    ] == [
        ("person.name", "Input should be a valid string", "1"),
        ("person.age", "Field required", None),
    ]


def test_the_answer_in_pydantics_error_is_found_where_a_field_is_missing():
    error = raised_by(Pydantic.model_validate_json, '{"name": "x", "colour": "green"}')
    problems, right, answer = problems_of(error)
    assert {problem.path for problem in problems} == {"age", "colour"}
    assert right == ("name",)
    assert json.loads(answer) == {"name": "x", "colour": "green"}
    assert problems_of(raised_by(Pydantic.model_validate_json, "{no"))[2] == "{no"


def test_problems_are_read_from_the_first_version_of_pydantic():
    class ValidationError(ValueError):
        def errors(self):
            return [{"loc": ("a", 0), "msg": "field required", "type": "value_error.missing"}]

    ValidationError.__module__ = "pydantic.v1.error_wrappers"
    ValidationError.__qualname__ = "ValidationError"
    assert reported(ValidationError()) == ([("a[0]", "field required", None)], (), None)


def test_problems_are_read_from_cattrs_errors():
    converter = cattrs.Converter(forbid_extra_keys=True)
    error = raised_by(converter.structure, {"name": "x", "tags": 3, "address": {"zip": "1"}, "no": 1}, Person)
    assert reported(error) == (
        [
            ("age", "is missing", None),
            ("address.city", "is missing", None),
            ("tags", "invalid value for type, expected list", None),
            ("no", "is not a field of this object", None),
        ],
        ("name",),
        None,
    )
    assert reported(raised_by(converter.structure, ["1", "x"], list[int]))[0] == [("[1]", "invalid value for type, expected int", None)]  # fmt: skip
    assert reported(raised_by(converter.structure, {"low": 2, "high": 1}, Range))[:2] == ([("", "high must not be below low", None)], ())  # fmt: skip
    assert reported(raised_by(converter.structure, {"name": "x", "age": 200}, Person))[0][0][0] == ""
    error = raised_by(converter.structure, {"city": "L", "zip": "s3cret"}, Address)
    assert reported(error)[0] == [("zip", r"'zip' must match regex '\\d{5}'", '"s3cret"')]


def test_problems_are_read_from_errors_of_json_and_msgspec():
    problems, right, answer = problems_of(raised_by(json.loads, '{"a": }'))
    assert problems[0].rule == "must be JSON: Expecting value at line 1, column 7"
    assert (right, answer) == ((), '{"a": }')
    error = raised_by(lambda: msgspec.json.decode(b'{"name": "x", "age": 1, "tags": ["a", 2]}', type=Person))
    assert reported(error) == ([("tags[1]", "Expected `str`, got `int`", None)], (), None)
    assert reported(raised_by(lambda: msgspec.json.decode(b"{", type=Person)))[0] == [
        ("", "Input data was truncated", None)
    ]


def test_a_problem_alone_in_a_group_is_read():
    error = raised_by(json.loads, "no")
    assert problems_of(ExceptionGroup("", [error]))[2] == "no"
    assert problems_of(ExceptionGroup("", [error, OSError()])) is None


def test_other_exceptions_have_no_problems_and_nothing_raises():
    class ValidationError(Exception):
        def errors(self, **_):
            raise RuntimeError

    ValidationError.__module__ = "pydantic_core._pydantic_core"
    ValidationError.__qualname__ = "ValidationError"
    for error in (ValueError("x"), KeyError("x"), OSError(), ValidationError(), KeyboardInterrupt()):
        assert problems_of(error) is None


def test_the_kinds_of_types_that_are_known_are_all_tested():
    assert {typing.get_origin(one) or one for one, _, _ in GOOD} >= {dict, list, tuple, set, Literal, Union, Box}
