"""Templates over columns and JSON fields, and what is said about wrong ones."""

from __future__ import annotations

import json

import pytest

from .conftest import complaint, opened, prompts

REVIEW = {"id": 1, "review": "Great!", "meta": {"lang": "en", "tags": ["x", "y"]}, "stars": 5, "a.b": "dotted"}


@pytest.fixture
def reviews(file):
    def write(*objects):
        return file("".join(json.dumps(one) + "\n" for one in objects).encode())

    return write


@pytest.mark.parametrize(
    ("template", "prompt"),
    [
        ("Classify: {review}", "Classify: Great!"),
        ("{review} {review}", "Great! Great!"),
        ("{meta.lang}/{meta.tags.1}", "en/y"),
        ("{a.b}", "dotted"),
        ("{stars} {meta}", '5 {"lang": "en", "tags": ["x", "y"]}'),
        ('{{"label": 1}} {review}', '{"label": 1} Great!'),
    ],
)
def test_a_field_is_a_key_or_a_path_of_keys(reviews, template, prompt):
    (found,) = prompts(reviews(REVIEW), template=template)
    assert (found.id, found.prompt, found.context) == ("1", prompt, REVIEW)


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ('Return {"label": 1} for {review}', "has the field '{\"label\": 1}'"),
        ("Return {} for {review}", "has the field '{}'"),
        ("Return } for {review}", "the prompt template cannot be read: single '}'"),
        ("Return { for {review}", "the prompt template"),
        ("no field", "the prompt template names no field, so all prompts would be the same"),
    ],
)
def test_braces_that_are_text_are_explained_and_the_fields_at_hand_listed(reviews, template, words):
    message = complaint(reviews(REVIEW), template=template)
    assert words in message
    assert "fields are 'id', 'review', 'meta', 'stars', 'a.b'" in message
    assert "braces that are text are written twice: {{ and }}" in message or "names no field" in message
    assert "\n" not in message


def test_a_field_that_only_some_objects_have_makes_only_the_others_invalid(reviews):
    path = reviews(REVIEW, {"id": 2, "reviews": "x"}, {"id": 3, "review": None}, {"id": 4, "review": "y"})
    assert opened(path, template="{review}").complaints() == [
        f"{path}:2: has no field 'review' (did you mean {{reviews}}?); it has 'id', 'reviews'",
    ]
    assert [one.prompt for one in prompts(path, template="{review}")][1:] == ["", "y"]


def test_a_field_that_no_object_has_is_one_sentence(reviews):
    path = reviews(*({"id": n, "review": "x"} for n in range(30)))
    assert complaint(path, template="{revue}") == (
        f"{path}:1: has no field 'revue' (did you mean {{review}}?); it has 'id', 'review' "
        "(there are 30 such lines, and no valid prompt)"
    )


def test_the_columns_of_csv_are_not_nested(file):
    path = file(b"id,a,b\n1,x,y\n", "in.csv")
    assert "has the field '{a.c}' (did you mean {a}?); columns are 'id', 'a', 'b'" in complaint(path, template="{a.c}")
