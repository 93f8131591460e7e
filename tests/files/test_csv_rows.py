"""Rows of CSV, and the template that makes prompts of them."""

from __future__ import annotations

import csv
import io
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline.files import InputKind, InputRecord, open_input

from .conftest import complaint, opened, prompts


def test_a_row_is_a_prompt_by_a_template_and_comes_back_whole(file):
    path = file(b"id,text,n\na,Hello,1\nb,,2\n", "in.csv")
    assert opened(path, template="Say {text}{{}} {n}").kind is InputKind.CSV
    assert prompts(path, template="Say {text}{{}} {n}") == [
        InputRecord(1, "a", "Say Hello{} 1", {"id": "a", "text": "Hello", "n": "1"}),
        InputRecord(2, "b", "Say {} 2", {"id": "b", "text": "", "n": "2"}),
    ]


def test_without_ids_rows_are_named_by_their_numbers_and_without_a_template_there_is_a_column_prompt(file):
    assert prompts(file(b"prompt\nx\n\ny", "in.csv")) == [
        InputRecord(1, "1", "x", {"prompt": "x"}),
        InputRecord(2, "2", "y", {"prompt": "y"}),
    ]


@pytest.mark.parametrize("content", [b"a;b\n1;2,5\n", b"a\tb\r\n1\t2,5\r\n", b'"a","b"\n1,"2,5"\n'])
def test_the_header_tells_what_separates_fields(file, content):
    (prompt,) = prompts(file(content, "in.csv"), template="{b}")
    assert prompt.prompt == "2,5"


def test_a_quoted_field_may_hold_line_breaks_separators_and_quotes(file):
    text = 'one\n\ntwo\r\nthree, "four"\n'
    out = io.StringIO(newline="")
    csv.writer(out).writerows([["id", "text"], ["a", text], ["b", "x"]])
    path = file(out.getvalue().encode() + b"c\n", "in.csv")
    assert [prompt.prompt for prompt in prompts(path, template="{text}")] == [text, "x"]
    assert opened(path, template="{text}").complaints() == [f"{path}:8: has 1 fields, and the header 2"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"x", "has 1 fields, and the header 2"),
        (b"x,y,z", "has 3 fields, and the header 2"),
        (b",y", "id must not be empty"),
        (b'b,"x"y', "a quote is closed before its field ends"),
        (b'b,"x\nc,y\n', "a quote is opened and not closed"),
        (b"b,x\ry", "a carriage return stands alone, outside of quotes"),
        (b"b,caf\xe9", "not UTF-8 at byte 6 of the line"),
        (b"b,\0", "has a NUL byte, which no text has"),
        (b"a,x", "id 'a' is in row 1 already"),
    ],
)
def test_each_bad_row_has_one_reason_and_the_others_survive(file, row, reason):
    path = file(b"id,text\n" + b"a,first\n" + row + b"\n", "in.csv")
    checked = opened(path, template="{text}")
    assert checked.complaints() == [f"{path}:3: {reason}"]
    assert {"first"} <= {prompt.prompt for prompt in prompts(path, template="{text}")}
    after = [
        prompt.prompt
        for prompt in prompts(file(b"id,text\na,first\n" + row + b"\nz,last\n", "2.csv"), template="{text}")
    ]
    assert (after[0], after[-1]) == ("first", "last")


def test_a_quote_that_is_never_closed_swallows_nothing(file):
    path = file(b'text\n"open\n' + b"line\n" * 2_000, "in.csv")
    checked = opened(path, template="{text}")
    assert (checked.count, checked.bad_count) == (2_000, 1)
    assert checked.complaints() == [f"{path}:2: a quote is opened and not closed"]


def test_of_a_quote_that_is_opened_far_above_few_lines_are_held(tmp_path):
    path = tmp_path / "in.csv"
    path.write_bytes(b'text\n"open\n' + b"x\n" * 300_000)
    tracemalloc.start()
    checked = opened(str(path), template="{text}")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (checked.count, checked.bad_count) == (300_000, 1)
    assert "a quote is opened and not closed" in checked.complaints()[0]
    assert peak < 32 * 2**20


def test_a_row_over_several_lines_with_a_bad_one_is_told_where_it_begins(file):
    path = file(b'a,b\n1,"x\ncaf\xe9"\n2,y\n', "in.csv")
    assert opened(path, template="{b}").complaints()[0] == f"{path}:2: not UTF-8 at byte 4 of the line (line 3)"
    assert prompts(path, template="{b}")[-1].prompt == "y"


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("Summarise {txet}", "has the field '{txet}' (did you mean {text}?); columns are 'id', 'text'"),
        ("{text.upper}", "has the field '{text.upper}' (did you mean {text}?)"),
        ("{text[0]}", "has the field '{text[0]}' (did you mean {text}?)"),
        ("{text!r}", "has the field '{text!r}' (did you mean {text}?)"),
        ("{text:>99999999}", "has the field '{text:>99999999}'"),
        ("{}", "has the field '{}'"),
        ("{0}", "has the field '{0}'"),
        ("{text", "cannot be read"),
        ("text}", "cannot be read"),
        ("no field", "names no column, so that all prompts would be the same"),
        (None, "has no column prompt; say what is asked, such as --prompt 'Summarise {text}' (columns: 'id', 'text')"),
    ],
)
def test_a_template_that_does_not_fit_is_one_sentence(file, template, words):
    path = file(b"id,text\na,b\n", "in.csv")
    said = complaint(path, template=template)
    assert said.startswith(f"{path}: ")
    assert words in said
    assert "\n" not in said


def test_a_column_may_have_a_name_that_looks_like_a_format(file):
    (prompt,) = prompts(file(b"a.b,c:d\n1,2\n", "in.csv"), template="{a.b}{c:d}")
    assert prompt.prompt == "12"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "has no prompts"),
        (b"\n\n", "has no prompts"),
        (b"a,b\n", "has no prompts"),
        (b"a,a\n1,2\n", ":1: the column 'a' is twice in the header"),
        (b'"a\n1,2\n', ":1: the header cannot be read: a quote is opened and not closed"),
        (b"\xff\xfea,b\n", ":1: the header cannot be read: not UTF-8 at byte 1 of the line (it looks like UTF-16)"),
    ],
)
def test_a_header_that_is_none_is_refused(file, content, words):
    assert words in complaint(file(content, "in.csv"), template="{a}")


def test_rows_can_be_had_as_they_are_below_the_header(file):
    with open_input(file(b'\xef\xbb\xbfa,b\r\n1,"x\ny"\r\nbad\r\n3,z', "in.csv"), template="{b}") as source:
        assert list(source.raw(lambda position: position != 7)) == [b"a,b\r\n", b'1,"x\ny"\r\n', b"3,z\n"]
        assert [prompt.position for prompt in source.prompts(lambda position: position == 1)] == [3]


@given(
    st.lists(
        st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), min_size=2, max_size=2), min_size=1
    )
)
def test_what_python_writes_is_read_as_it_was(tmp_path_factory, rows):
    out = io.StringIO(newline="")
    csv.writer(out).writerows([["a", "b"], *rows])
    path = tmp_path_factory.mktemp("csv") / "in.csv"
    path.write_bytes(out.getvalue().encode())
    assert [list(prompt.context.values()) for prompt in prompts(str(path), template="{a}")] == rows
