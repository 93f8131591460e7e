"""One JSON array as an input: each entry is read as a line of JSONL."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline.files import InputKind, open_input
from paceline.files.json_array import JsonArrayFormat
from paceline.files.types import LineError, Reading

from .conftest import complaint, opened, prompts


def entries(content):
    return [(line, data) for _, line, data in JsonArrayFormat("in.json", Reading()).records(io.BytesIO(content))]


@pytest.mark.parametrize("name", ["in.json", "in.jsonl", "in.ndjson"])
def test_an_array_of_objects_is_recognised_by_its_first_bytes(file, name):
    path = file(b'\n [\n{"id": "a", "prompt": "x"},\n  {"id": 2,\n "prompt": "y"} ]\n', name)
    assert opened(path).kind is InputKind.JSON
    assert [(found.id, found.position, found.line, found.prompt) for found in prompts(path)] == [
        ("a", 1, 3, "x"),
        ("2", 2, 4, "y"),
    ]


def test_lines_of_json_in_a_file_named_json_are_read_as_lines(file):
    path = file(b'{"id": "a", "prompt": "x"}\n{"id": "b", "prompt": "y"}\n', "in.json")
    assert (opened(path).kind, opened(path).count) == (InputKind.JSONL, 2)


@pytest.mark.parametrize("content", [b'{\n  "data": [{"id": "a"}]\n}\n', b'{"data": [\n{"id": "a"}]}'])
def test_one_object_is_refused_with_what_to_do(file, content):
    path = file(content, "in.json")
    assert complaint(path).startswith(
        f"{path}: is one JSON object, not an array of objects or an object per line; take"
    )


def test_each_invalid_entry_is_reported_where_it_begins_and_the_others_survive(file):
    path = file(
        b'[{"id": "a", "prompt": "x"},\n{"id": "b" "prompt": "y"},\n 7, ,\n{"id": "a", "prompt": "z"},{"id": "c", "prompt": "w"}]',
        "in.json",
    )
    checked = opened(path)
    assert checked.complaints() == [
        f"{path}:2: entry 2: not JSON: Expecting ',' delimiter at column 12",
        f'{path}:3: entry 3: must be a JSON object such as {{"id": "q1", "prompt": "..."}}, not an integer',
        f"{path}:3: entry 4: is empty: there are two commas, or one before the first entry",
        f"{path}:4: entry 5: id 'a' is in entry 1 already",
    ]
    assert [found.id for found in prompts(path)] == ["a", "c"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'[{"id": "a", "prompt": "x"}', "the array is not closed: the file looks cut off"),
        (b'[{"id": "a", "prompt": "x}, {"id": "b"}]', "the array is not closed: the file looks cut off"),
        (b'[{"id": "a", "prompt": "x"}] {}', "text follows the end of the array; make it a part of the array"),
    ],
)
def test_an_array_that_cannot_be_read_to_its_end_is_refused(file, content, reason):
    path = file(content, "in.json")
    assert complaint(path).startswith(f"{path}:1: {reason}")


def test_an_array_has_batch_lines_as_well_and_its_limit_and_sample_are_those_of_its_entries(file):
    lines = [{"custom_id": str(n), "body": {"messages": [{"role": "user", "content": f"{n}"}]}} for n in range(9)]
    path = file(json.dumps(lines).encode(), "in.json")
    assert [found.prompt.text for found in prompts(path, limit=3)] == ["0", "1", "2"]
    assert len(prompts(path, sample=4)) == 4


def test_an_array_of_texts_is_an_array_of_prompts(file):
    path = file(b'["x", "\\u00e9", ""]', "in.json")
    assert [(found.id, found.prompt) for found in prompts(path, skip_empty=True)] == [("1", "x"), ("2", "é")]
    assert "must be a JSON object" in complaint(path, template="{text}")


def test_raw_entries_are_lines_of_jsonl(file):
    path = file(b'[{"id": "a",\n "prompt": "x"}, 7, {"id": "b", "prompt": "\\u00e9"}]', "in.json")
    with open_input(path) as source:
        assert b"".join(source.raw(lambda _: True)) == (
            b'{"id": "a", "prompt": "x"}\n{"id": "b", "prompt": "\xc3\xa9"}\n'
        )


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(plain, max_size=5), st.sampled_from([None, 1]), st.booleans())
def test_entries_are_found_whatever_brackets_and_quotes_are_in_them(values, indent, ascii_only):
    text = json.dumps(values, indent=indent, ensure_ascii=ascii_only)
    found = entries(text.encode())
    assert [json.loads(data) for _, data in found] == values
    lines = text.split("\n")
    assert all(data.splitlines()[0].decode() in lines[line - 1] for line, data in found)


@given(
    st.binary()
    | st.lists(st.sampled_from([b"[", b"]", b"{", b"}", b",", b'"', b"\\", b"\n", b" ", b"x"])).map(b"".join)
)
def test_any_bytes_after_a_bracket_are_entries_or_reasons(content):
    assert all(isinstance(data, bytes | LineError) for _, data in entries(b"[" + content))
