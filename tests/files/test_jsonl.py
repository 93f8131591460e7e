"""Lines: the prompts made of them, and the reasons why none can be made."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline import WorkItemResult
from paceline._codec import encode_row
from paceline.files import InputKind, InputRecord
from paceline.files.json_lines import is_blank
from paceline.files.jsonl import LineFormat
from paceline.files.types import LineError, Reading

PRIVATE = "the quick brown fox"
LINES = [kind for kind in InputKind if kind not in {InputKind.CSV, InputKind.PARQUET, InputKind.JSON}]


def read_line(kind, number, line, **options):
    reader = LineFormat("in.jsonl", Reading(kind=kind, **options), is_json=kind is not InputKind.TEXT, may_guess=False)
    return reader.read((number, number, line))


def reason(line, kind=InputKind.JSONL, number=7):
    with pytest.raises(LineError) as caught:
        read_line(kind, number, line)
    assert "\n" not in str(caught.value)
    assert str(caught.value).isascii()
    return str(caught.value)


def test_a_line_of_jsonl_has_an_id_a_prompt_and_an_optional_context():
    assert read_line(InputKind.JSONL, 1, b'{"id": "a", "prompt": "p"}\n') == InputRecord(1, "a", "p")
    assert read_line(InputKind.JSONL, 1, b' {"context": [1], "prompt": "", "id": "a"}\r\n') == InputRecord(
        1, "a", "", [1]
    )


def test_a_line_of_text_is_a_prompt_named_by_its_number():
    assert read_line(InputKind.TEXT, 12, b"  caf\xc3\xa9 \r\n") == InputRecord(12, "12", "  café ")


@pytest.mark.parametrize("kind", LINES)
@pytest.mark.parametrize("line", [b"", b"\x1c\n", b" \xc2\xa0\n", b"\n", b" \t\r\n", b"\xe2\x80\xa8\n"])
def test_a_blank_line_is_not_a_prompt(kind, line):
    assert read_line(kind, 3, line) is None
    assert is_blank(line)


@pytest.mark.parametrize("kind", [InputKind.JSONL, InputKind.TEXT])
def test_a_byte_order_mark_is_removed_from_the_first_line_only(kind):
    line = b'\xef\xbb\xbf{"id": "a", "prompt": "p"}\n'
    assert read_line(kind, 1, line) == read_line(kind, 1, line[3:])
    assert "byte order mark" in reason(b"\xef\xbb\xbf\n", kind, number=1)
    assert "byte order mark" in reason(b"\xef\xbb\xbf", kind, number=2)
    assert "byte order mark" in reason(line, InputKind.JSONL, number=2)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"{", "not JSON: Expecting property name enclosed in double quotes at column 2"),
        (b'{"id": "a", "prompt": "x"} {}', "not JSON: Extra data at column 28"),
        (b"[]", "not an array"),
        (b"null", "not null"),
        (b"true", "not a boolean"),
        (b"7", "not an integer"),
        (b'"text"', "not a string"),
        (b'{"id": null, "prompt": "x"}', "id must be a string or a number, not null"),
        (b'{"id": true, "prompt": "x"}', "id must be a string or a number, not a boolean"),
        (b'{"id": "", "prompt": "x"}', "id must not be empty"),
        (b'{"id": " \\n", "prompt": "x"}', "id must not be empty"),
        (b'{"id": "a"}', "has no prompt"),
        (b'{"id": "a", "prompt": {}}', "prompt must be a string, not an object"),
        (b'{"id": "a", "prompt": false}', "prompt must be a string, not a boolean"),
        (b'{"id": "a", "promt": "x"}', "has no prompt; set --prompt to a template such as 'Summarise {promt}'"),
        (b'{"id": "a", "messages": []}', "messages must be a list of messages; it is empty"),
        (b'{"id": "a", "prompt": "x", "context": NaN}', "NaN is not a JSON number"),
        (b'{"id": "a", "prompt": "x", "context": -Infinity}', "-Infinity is not a JSON number"),
        (b'{"id": "a", "prompt": "x", "context": 1e999}', "a number is too large"),
        (b'{"id": "a", "prompt": "x", "context": ' + b"1" * 5_000 + b"}", "too many digits"),
        (b'{"id": "a", "prompt": "\\ud83d"}', "half of a surrogate pair"),
        (b'{"id": "a", "prompt": "x", "context": ["\\uDE00"]}', "half of a surrogate pair"),
        (b'{"id": "a", "prompt": "x", "id": "b"}', "the key 'id' is given twice"),
        (b'{"id": "a", "prompt": "x", "context": {"k": 1, "k": 2}}', "the key 'k' is given twice"),
        (b'{"id": "a", "prompt": "x", "context": ' + b"[" * 100 + b"]" * 100 + b"}", "nested more than 100 levels"),
        (b"[" * 100_000, "nested more than 100 levels"),
        (b'{"id": "a", "prompt": "caf\xe9"}', "not UTF-8 at byte 27 of the line"),
        (b"\xff\xfe{\x00", "it looks like UTF-16"),
        (b"\x00", "not JSON"),
    ],
)
def test_each_bad_line_has_one_reason(line, words):
    assert words in reason(line)


def test_text_must_be_utf_8():
    assert "not UTF-8 at byte 2" in reason(b"a\xff", InputKind.TEXT)


def test_a_pair_of_surrogates_is_a_character():
    assert read_line(InputKind.JSONL, 1, b'{"id": "a", "prompt": "\\ud83d\\ude00"}') == InputRecord(
        1, "a", "\N{GRINNING FACE}"
    )


def test_a_reason_and_a_repr_never_show_a_prompt():
    prompt = json.dumps(PRIVATE).encode()
    lines = [
        b'{"id": "a", "prompt": %s',
        b'{"id": "a", "x": %s}',
        b'{"id": "a", "prompt": [%s]}',
        b'{"id": "", "prompt": %s}',
        b'{"id": "a", "prompt": %s, "prompt": ""}',
        b"%s",
    ]
    assert not [line for line in lines if PRIVATE in reason(line % prompt)]
    assert PRIVATE not in repr(InputRecord(1, "a", PRIVATE, PRIVATE))


def test_a_quoted_key_is_short_and_harmless():
    line = json.dumps({"id": "a", "\x1b[2J" + "x" * 1_000: 1}).encode()
    assert len(reason(line)) < 160
    assert "\x1b" not in reason(line)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.text(min_size=1).filter(str.strip), st.text(), plain, st.booleans())
def test_id_prompt_and_context_come_back_in_the_result_row_unchanged(name, text, context, ascii_only):
    line = json.dumps({"id": name, "prompt": text, "context": context}, ensure_ascii=ascii_only).encode()
    prompt = read_line(InputKind.JSONL, 1, line)
    assert (prompt.id, prompt.prompt, prompt.context) == (name, text, context)
    row = json.loads(encode_row(WorkItemResult(prompt.id, 0, prompt.prompt, context=prompt.context)))
    assert (row["id"], row["output"], row["context"]) == (name, text, context)


fragments = st.sampled_from(
    [
        b'{"id": "a", "prompt": "b"',
        b"}",
        b"[",
        b"]",
        b",",
        b'"',
        b":",
        b"\\ud800",
        b"1e999",
        b"NaN",
        b"\xef\xbb\xbf",
        b"\n",
    ]
)


@given(st.sampled_from(LINES), st.integers(1, 3), st.binary() | st.lists(fragments | st.binary()).map(b"".join))
def test_any_bytes_are_blank_a_prompt_or_a_line_error(kind, number, line):
    try:
        prompt = read_line(kind, number, line)
    except LineError:
        return
    assert (prompt is None) == is_blank(line)
    if prompt is not None:
        json.loads(encode_row(WorkItemResult(prompt.id, 0, prompt.prompt, context=prompt.context)))
