"""The JSON in the text of a model: found in fences, in sentences and behind thoughts; never guessed."""

from __future__ import annotations

import json
import re
import time
from typing import Any, Literal

import attrs
import pydantic
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from paceline import InvalidOutputError
from paceline.llm_strategies import OutputType
from paceline.llm_strategies.output_types.answer_text import _MARKS as MARKS
from paceline.llm_strategies.output_types.answer_text import read_json, root_kinds

RIGHT = {"name": "Ulm", "inhabitants": 128928}
TEXT = json.dumps(RIGHT)
DRAFT = '{"name": "Um", "inhabitants": 1}'


@attrs.frozen
class City:
    name: str
    inhabitants: int


class Town(pydantic.BaseModel):
    name: str
    inhabitants: int


@attrs.frozen
class Report:
    cities: list[City]
    tags: list[str]
    note: str = ""


def read(text: str, *, objects: bool = True, arrays: bool = False) -> Any:
    """Return the value of a text, or its problems."""
    answer = read_json(text, objects=objects, arrays=arrays)
    return [finding.problem.rule for finding in answer.findings] or answer.data


def rule(text: str, output_type: Any = City) -> str:
    """Return the one problem of an answer."""
    with pytest.raises(InvalidOutputError) as raised:
        OutputType.of(output_type).parse(text)
    (problem,) = raised.value.problems
    return problem.rule


# Thoughts


@pytest.mark.parametrize(("start", "end"), MARKS)
@pytest.mark.parametrize(
    "thoughts", ["", "hm", f"Draft: {DRAFT}", '{"name": ..., "a": "', "a } ] ``` { [", f"\n```\n{DRAFT}"]
)
def test_thoughts_before_an_answer_are_no_part_of_it(start, end, thoughts):
    assert read(f"{start}{thoughts}{end}\n\n{TEXT}") == RIGHT
    assert read(f"\n{start.upper()}{thoughts}{end.upper()}```json\n{TEXT}\n```") == RIGHT
    assert read(f"{thoughts}{end}{TEXT}") == RIGHT  # the chat template wrote the start
    assert read(f"{TEXT}\n{start}{thoughts}{end}") == RIGHT


@pytest.mark.parametrize(("start", "end"), MARKS)
def test_what_is_only_in_thoughts_is_not_taken(start, end):
    for text in (
        f"{start}{DRAFT}{end}",
        f"{start}{DRAFT}",
        f"{DRAFT}{end}",
        f"{start}\n{DRAFT}\n{end}\nDone.",
        f"{start}{end}",
    ):
        assert rule(text) == "must be JSON; the answer has none outside of the model's thoughts"


def test_thoughts_may_be_several_and_may_hold_others():
    assert read(f"<think>{DRAFT}</think> So: <think>{DRAFT}</think>{TEXT}") == RIGHT
    assert read(f"<think>a <think>{DRAFT}</think> {DRAFT} </think>{TEXT}") == RIGHT
    assert read(f"<think>use <reasoning>{DRAFT}</reasoning>? {DRAFT}</think>{TEXT}") == RIGHT


def test_marks_within_a_string_are_a_part_of_it():
    marked = {"name": "</think> <think>", "inhabitants": 1}
    for text in (json.dumps(marked), f"```\n{json.dumps(marked)}\n```", f"<think>x</think>{json.dumps(marked)}"):
        assert read(text) == marked


# Fences and sentences


@pytest.mark.parametrize(
    "text",
    [
        *(
            f"{fence}{word}\n{TEXT}\n{fence}"
            for fence in ("```", "````", "~~~", "`````")
            for word in ("", "json", " JSON ")
        ),
        *(f"```json\n{TEXT}", f"```json {TEXT}```", f"```{TEXT}```", f"`{TEXT}`", f"\r\n```json\r\n{TEXT}\r\n```\r\n"),
        *(
            f"{TEXT}\n```",
            f"```\n```json\n{TEXT}\n```\n```",
            f"```that is\n{TEXT}\n```",
            f"Here:\n\n```json\n{TEXT}\n```\nDone.",
        ),
        *(f"The city is {TEXT}.", f"{TEXT}\n\nI hope this helps!", f"<answer>{TEXT}</answer>", f"{TEXT}<|im_end|>"),
        *(
            f"\ufeff{TEXT}",
            f"\u200b\ufeff \n{TEXT}\ufeff",
            f"Set {{name}} and {{inhabitants: n}}: {TEXT}",
            f"As in [1] and [2]: {TEXT}",
        ),
        *(
            f"- [ ] open\n- [x] done\n{TEXT}",
            f'The form {{"name": ...}} gives {TEXT}',
            f"of [0, 1) {TEXT}",
            f"see [it](http://x) {TEXT}",
        ),
        f":-{{ {TEXT}",
    ],
)
def test_one_value_is_found_whatever_surrounds_it(text):
    assert read(text) == RIGHT
    assert OutputType.of(City).parse(text) == City(**RIGHT)
    assert OutputType.of(Town).parse(text) == Town(**RIGHT)
    assert OutputType.of_schema({"type": "object"}).parse(text) == RIGHT


@pytest.mark.parametrize(
    "text",
    [
        f"{DRAFT}\n{TEXT}",
        f"{TEXT} {TEXT}",
        f"```\n{DRAFT}\n```\n```\n{TEXT}\n```",
        f"From {DRAFT}:\n```json\n{TEXT}\n```",
    ],
)
def test_several_values_are_invalid(text):
    assert rule(text).startswith("must be one JSON value; the answer has several, the first two at line ")


def test_a_value_and_the_beginning_of_another_are_several():
    assert "several" in rule(f'{TEXT}\n{{"name": "Neu-Ulm", "inh')


@pytest.mark.parametrize(
    "text", ["", " ", "I cannot say.", "```", "a } b ] c", "5 of 7", "[1]", "see [it](x)", "\ufeff", "<b>x</b>"]
)
def test_a_text_without_an_object_is_invalid(text):
    assert rule(text) in {"must be JSON; the answer has none", "must be an object, not an array"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"name": "Ulm", "inhabitants": }', "line 1, column 32"),
        ('Here:\n{"name": {"name": "Ulm", "inhabitants": 1}, ', "line 2"),
        ('[{"name": "Ulm", "inhabitants": 1}, {"na', "line 1"),
        ("{'name': 'Ulm', 'inhabitants': 1}", "line 1, column 2"),
        (f"{{draft: {TEXT}", "line 1, column 2"),
        (f"{{draft: {TEXT}}}", "line 1, column 2"),
        (f"```json\n{TEXT[:-1]},\n}}\n```", "line "),  # the comma or the brace, as the version of Python has it
    ],
)
def test_a_part_of_a_value_that_is_not_json_is_never_the_answer(text, words):
    assert words in rule(text)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_json_cannot_hold_is_a_problem_in_a_fence_too(number):
    assert (
        rule(f'```json\n{{"name": "Ulm", "inhabitants": {number}}}\n```')
        == "must be a finite number, which JSON can hold"
    )


@pytest.mark.parametrize(
    ("output_type", "text", "value"),
    [
        *((int, text, 5) for text in ("5", "```json\n5\n```", "```5```", "<think>4</think>\n5", "Here:\n```\n5\n```")),
        *((Literal["a", "b"], text, "a") for text in ('"a"', '~~~\n"a"\n~~~', '3 < 4</think> "a"')),
        (bool, "```json\ntrue\n```", True),
        (int | None, "```json null ```", None),
        (list[int], "The primes: [2, 3].", [2, 3]),
        (list[City], f"<think>[1]</think>For {{x}}: ```[{TEXT}]```", [City(**RIGHT)]),
        (City | None, f"Yes: {TEXT}", City(**RIGHT)),
    ],
    ids=str,
)
def test_a_value_of_any_kind_is_found(output_type, text, value):
    assert OutputType.of(output_type).parse(text) == value


@pytest.mark.parametrize("text", ["The answer is 5.", "answer 5", "5 or 6", "json\n5", "```\n5\n```\n```\n6\n```"])
def test_a_number_in_a_sentence_is_not_taken(text):
    assert "must be JSON" in rule(text, int)


# Strings that hold JSON


@pytest.mark.parametrize("output_type", [City, Town, OutputType.of_schema({"type": "object", "required": ["name"]})])
@pytest.mark.parametrize("shell", ["{}", "```json\n{}\n```", "<think>x</think>{}"])
def test_an_answer_that_is_a_string_of_json_is_read(output_type, shell):
    value = OutputType.of(output_type).parse(shell.replace("{}", json.dumps(TEXT)))
    assert value in (City(**RIGHT), Town(**RIGHT), RIGHT)


def test_a_field_that_is_a_string_of_json_is_read_where_a_string_does_not_fit():
    document = {"cities": json.dumps([RIGHT]), "tags": '["a"]', "note": '["b"]'}
    assert OutputType.of(Report).parse(json.dumps(document)) == Report([City(**RIGHT)], ["a"], '["b"]')


def test_what_a_string_of_json_holds_must_be_valid_too():
    assert rule(json.dumps({"cities": '[{"name": 1}]', "tags": []}), Report) == "must be an array, not a string"
    assert rule(json.dumps("{}")) == "must be an object, not a string"


def test_a_string_is_not_read_as_a_number():
    assert rule('{"name": "Ulm", "inhabitants": "5"}') == "must be an integer, not a string"


# The kinds of a schema


@pytest.mark.parametrize(
    ("schema", "kinds"),
    [
        ({"type": "object"}, ["object"]),
        ({"type": ["array", "null"]}, ["array"]),
        ({"type": "string"}, []),
        ({"enum": ["a", [1]]}, ["array"]),
        ({"const": 5}, []),
        ({"anyOf": [{"type": "null"}, {"$ref": "#/$defs/A"}], "$defs": {"A": {"type": "object"}}}, ["object"]),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}, ["array", "object"]),
        ({"$ref": "https://example.com/x"}, ["array", "object"]),
        ({"oneOf": [{"type": "array"}, True]}, ["array", "object"]),
        ({}, ["array", "object"]),
    ],
    ids=str,
)
def test_the_kinds_at_the_root_of_a_schema(schema, kinds):
    assert sorted(root_kinds(schema)) == kinds


# Any text

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.text(max_size=4), json_values, max_size=3)
prose = st.text().filter(lambda text: not set(text) & set("{[<◁`~"))
texts = st.text(alphabet='{}[]",:0 anul\\`~\n') | st.text() | st.sampled_from([DRAFT, TEXT, '{"a": ', "[1, "])
marks = [mark.lower() for pair in MARKS for mark in pair]
unmarked = texts.filter(lambda text: not any(mark in text.lower() for mark in marks))


@st.composite
def wrapped(draw: st.DrawFn, value: Any) -> str:
    """Write a value as a model may: in a fence, in sentences, behind thoughts."""
    text = json.dumps(value, indent=draw(st.sampled_from([None, 1])), ensure_ascii=draw(st.booleans()))
    fence = draw(st.sampled_from(["", "`", "```", "````", "~~~"]))
    if fence:
        word = draw(st.sampled_from(["", "json", "JSON"])) if len(fence) > 1 else ""
        line = draw(st.sampled_from(["\n", "\r\n"])) if len(fence) > 1 else ""
        text = f"{fence}{word}{line}{text}{draw(st.sampled_from([line + fence, '']))}"
    text = draw(prose) + "\n" + text + "\n" + draw(prose)
    start, end = draw(st.sampled_from(MARKS))
    thoughts = draw(unmarked)
    forms = (
        ("", text),
        (start + thoughts + end, text),
        (draw(prose) + end, text),
        (text, start + thoughts + end),
        ("\ufeff", text),
    )
    return "".join(draw(st.sampled_from(forms)))


@given(objects.flatmap(lambda value: st.tuples(st.just(value), wrapped(value))))
def test_a_value_is_found_again_whatever_a_model_writes_around_it(pair):
    value, text = pair
    assert read(text) == value


@given(st.lists(json_values, max_size=3).flatmap(lambda value: st.tuples(st.just(value), wrapped(value))))
def test_so_is_an_array(pair):
    value, text = pair
    assert read(text, objects=False, arrays=True) == value


@given(prose, st.sampled_from([City, Town, Report]))
def test_prose_is_invalid(text, output_type):
    assert re.search("must be|should be", rule(text, output_type)), "a number alone is JSON, but no object"


@example("<think>" * 3, City)
@given(texts | st.lists(st.sampled_from([mark for pair in MARKS[:3] for mark in pair] + ["{", "}", "[", '"', "```", TEXT])).map("".join),
       st.sampled_from([City, Town, list[City], int, Literal["a"]]))  # fmt: skip
def test_no_text_raises_anything_but_invalid(text, output_type):
    problems: tuple[Any, ...] = ()
    try:
        OutputType.of(output_type).parse(text)
    except InvalidOutputError as invalid:
        problems = invalid.problems or ("an invalid answer without a problem",)
    assert all((str(problem) + (problem.value or "")).encode() for problem in problems)


@pytest.mark.parametrize(
    "unit",
    ["{", "[", "{ ", '{"a', "[1, ", "<think>", "</think>", "<think>{</think>", "{x}", '"', "`", '{"a": 1} ', "a < b "],
)
def test_a_long_text_is_read_in_time(unit):
    text = unit * (200_000 // len(unit))
    began = time.process_time()
    read(text)
    assert time.process_time() - began < 10  # seconds: a read that grows with the square takes minutes


@pytest.mark.parametrize(
    "text",
    [
        '{"a": "' + '\\"' * 100_000,
        "{" + ", ".join(f'"{number}": 0' for number in range(30_000)) + ', "29999": 0}',
        "so: {" + ", ".join(f'"{number // 2}": 0' for number in range(30_000)) + "}",
    ],
    ids=["escaped quotes without an end", "one name twice", "all names twice"],
)
def test_so_is_a_large_object_that_is_cut_off_or_ambiguous(text):
    began = time.process_time()
    answer = read_json(text, objects=True, arrays=True)
    assert answer.findings
    assert time.process_time() - began < 3
