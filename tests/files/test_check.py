"""Empty fields of prompts: sent and reported, or left out."""

from __future__ import annotations

import json

import pytest

from paceline import files
from paceline.files import InputRecord

from .conftest import complaint, opened, prompts

CSV = b"id,text,more\na,x,1\nb,,2\nc,  ,3\nd,y,\n"


def test_an_empty_field_is_sent_and_that_is_said_once(file):
    path = file(CSV, "in.csv")
    checked = opened(path, template="{text}")
    assert (checked.count, checked.bad_count) == (4, 0)
    assert checked.notes == (
        (
            f"{path}: 2 prompts have an empty field 'text' (rows 2, 3), and are sent all the same; "
            "--skip-empty leaves such prompts out"
        ),
    )


def test_with_skip_empty_such_prompts_are_left_out_and_are_not_invalid(file):
    path = file(CSV, "in.csv")
    checked = opened(path, template="{text}", skip_empty=True)
    assert (checked.count, checked.bad_count) == (2, 0)
    assert checked.notes == (f"{path}: 2 prompts have an empty field 'text' (rows 2, 3), and are skipped",)
    assert [one.id for one in prompts(path, template="{text}", skip_empty=True)] == ["a", "d"]
    assert [one.id for one in prompts(path, template="{text}", skip_empty=True, sample=1)] in (["a"], ["d"])
    found = list(files.read(path, prompt="{text}", skip_empty=True, bad_lines="yield"))
    assert [one.id for one in found if isinstance(one, InputRecord)] == ["a", "d"]
    assert len(found) == 2


def test_each_field_of_the_template_counts(file):
    assert [one.id for one in prompts(file(CSV, "in.csv"), template="{text}{more}", skip_empty=True)] == ["a"]


@pytest.mark.parametrize("value", ["", " \n", None])
def test_fields_of_json_may_be_empty_or_null(file, value):
    path = file("".join(json.dumps({"id": n, "t": t}) + "\n" for n, t in enumerate(["x", value, "y"])).encode())
    checked = opened(path, template="{t}")
    assert (checked.count, checked.bad_count) == (3, 0)
    assert checked.notes == (
        f"{path}: 1 prompt has an empty field 't' (line 2), and is sent all the same; --skip-empty leaves such prompts out",
    )
    assert [one.id for one in prompts(path, template="{t}", skip_empty=True)] == ["0", "2"]
    assert opened(path, template="{t}", skip_empty=True, strict=True).bad_count == 0


def test_an_empty_prompt_is_an_empty_field(file):
    path = file(b'{"id": "a", "prompt": " "}\n{"id": "b", "prompt": "x"}\n')
    assert [one.id for one in prompts(path, skip_empty=True)] == ["b"]
    assert opened(path).notes == (
        (
            f"{path}: 1 prompt has an empty field 'prompt' (line 1), and is sent all the same; "
            "--skip-empty leaves such prompts out"
        ),
    )


@pytest.mark.parametrize(
    "content", [b'{"id": 1, "prompt": null}\n{"id": 2, "prompt": "x"}\n', b'[{"prompt": null}, {"prompt": "x"}]']
)
def test_a_prompt_that_is_null_is_an_empty_field(file, content):
    path = file(content, "in.json" if content.startswith(b"[") else "in.jsonl")
    assert [one.prompt for one in prompts(path)] == ["", "x"]
    assert "1 prompt has an empty field 'prompt'" in "".join(opened(path).notes)
    assert [one.prompt for one in prompts(path, skip_empty=True)] == ["x"]


def test_an_input_of_which_nothing_is_left_is_refused(file):
    path = file(b"id,text\na,\nb,\n", "in.csv")
    assert complaint(path, template="{text}", skip_empty=True) == (
        f"{path}: has no prompts: a field of the prompt is empty in all 2 rows"
    )


def test_only_the_first_places_are_listed(file):
    path = file(b"text\n" + b'""\n' * 30 + b"x\n", "in.csv")
    (note,) = opened(path, template="{text}").notes
    assert "30 prompts have an empty field 'text' (rows 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ...)" in note
