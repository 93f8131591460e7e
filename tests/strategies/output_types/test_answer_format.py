"""An output type as a request asks for it, and the answers that come back."""

from __future__ import annotations

from typing import Any, Literal

import anyio
import pytest

from paceline import InvalidOutputError
from paceline.exceptions import ConfigurationError
from paceline.llm_strategies.output_types.answer_format import AnswerFormat

from .test_provider_schema import PAID, Cat, Dog, Node, Person, Town


def read(asked, text, usage):
    """Return the answer that `asked` reads in a text."""
    return anyio.run(asked.read, text, usage)


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
    assert read(asked, f'{{"value": {text}}}', PAID) == value


def test_what_is_wrong_in_it_is_reported_with_its_path_and_its_cost():
    with pytest.raises(InvalidOutputError) as caught:
        read(AnswerFormat.of(list[Town]), '{"value": [{"size": 1}, {"size": "x"}]}', PAID)
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
    assert (asked.schema, asked.instruction, read(asked, "x", PAID)) == (None, "", "x")


def test_a_type_without_a_schema_is_refused():
    with pytest.raises(ConfigurationError):
        AnswerFormat.of(Any)
