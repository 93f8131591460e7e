"""Rows of CSV, and the template that makes prompts of them."""

from __future__ import annotations

import csv
import io
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline import files
from paceline.files import InputError, InputKind, InputRecord, open_input

from .conftest import complaint, opened, prompts


def test_a_template_makes_the_prompt_of_a_row_and_the_row_is_the_context(file):
    path = file(b"id,text,n\na,Hello,1\nb,,2\n", "in.csv")
    assert opened(path, template="Say {text}{{}} {n}").kind is InputKind.CSV
    assert prompts(path, template="Say {text}{{}} {n}") == [
        InputRecord(1, "a", "Say Hello{} 1", {"id": "a", "text": "Hello", "n": "1"}),
        InputRecord(2, "b", "Say {} 2", {"id": "b", "text": "", "n": "2"}),
    ]


def test_without_ids_rows_are_named_by_their_numbers_and_without_a_template_the_column_prompt_is_used(file):
    assert prompts(file(b"prompt\nx\n\ny", "in.csv")) == [
        InputRecord(1, "1", "x", {"prompt": "x"}),
        InputRecord(2, "2", "y", {"prompt": "y"}),
    ]


@pytest.mark.parametrize("content", [b"a;b\n1;2,5\n", b"a\tb\r\n1\t2,5\r\n", b'"a","b"\n1,"2,5"\n'])
def test_the_header_shows_the_separator_of_the_fields(file, content):
    (prompt,) = prompts(file(content, "in.csv"), template="{b}")
    assert prompt.prompt == "2,5"


def test_a_quoted_field_may_hold_line_breaks_separators_and_quotes(file):
    text = 'one\n\ntwo\r\nthree, "four"\n'
    out = io.StringIO(newline="")
    csv.writer(out).writerows([["id", "text"], ["a", text], ["b", "x"]])
    path = file(out.getvalue().encode() + b"c\n", "in.csv")
    assert [prompt.prompt for prompt in prompts(path, template="{text}")] == [text, "x"]
    assert opened(path, template="{text}").complaints() == [f"{path}:8: has 1 field, and the header has 2"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"x", "has 1 field, and the header has 2"),
        (b"x,y,z", "has 3 fields, and the header has 2"),
        (b",y", "id must not be empty"),
        (b'b,"x"y', "a quote is closed before its field ends"),
        (b"b,x\ry", "a carriage return stands alone, outside of quotes"),
        (b"b,\0", "contains a NUL byte, which is not text"),
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


@pytest.mark.parametrize(
    ("rest", "reason"),
    [
        (b'b,"open\n' + b"c,line\n" * 2_000, "a quote is opened and not closed"),
        (b'b,"open\nc,line\n\nd,"x"\ne,y\n', "a quote is closed before its field ends"),
        (b'b,"open\nc,"x"\n', "a quote is closed before its field ends"),
    ],
)
@pytest.mark.parametrize("strict", [False, True])
def test_a_row_whose_quotes_are_wrong_over_several_lines_is_refused_as_the_rest_is_lost(file, rest, reason, strict):
    path = file(b"id,text\na,first\n" + rest, "in.csv")
    lost = f"{path}:3: {reason}, so that the rest of the file cannot be read; correct the quotes of this row"
    assert complaint(path, template="{text}", strict=strict) == lost
    with pytest.raises(InputError, match="the rest of the file cannot be read"):
        list(files.read(path, prompt="{text}", bad_lines="yield"))
    assert len(prompts(path, template="{text}", limit=1)) == 1  # the rest is not needed


def test_a_quote_that_is_opened_on_the_last_line_is_one_bad_row(file):
    path = file(b'id,text\na,first\nb,"open', "in.csv")
    assert opened(path, template="{text}").complaints() == [f"{path}:3: a quote is opened and not closed"]


def test_a_quote_that_is_not_closed_holds_no_more_than_the_longest_row(tmp_path):
    path = tmp_path / "in.csv"
    with path.open("wb") as out:
        out.write(b'text\nfirst\n"open\n')
        for _ in range(70):
            out.write(b"x" * 2**19 + b"\n")
    tracemalloc.start()
    message = complaint(str(path), template="{text}")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert message.startswith(f"{path}:3: longer than 32 MiB, or a quote is opened and not closed, so that the rest")
    assert peak < 256 * 2**20


def test_a_row_over_several_lines_that_is_not_utf_8_is_reported_where_it_begins(file):
    path = file(b'a,b\n1,"x\ncaf\xe9\nend"\n2,y\n', "in.csv")
    assert opened(path, template="{b}", encoding="utf-8").complaints() == [
        f"{path}:2: not UTF-8 at byte 4 of the line; set its encoding, such as --encoding cp1252 (line 3)"
    ]
    assert [prompt.prompt for prompt in prompts(path, template="{b}", encoding="utf-8")] == ["y"]


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
        ("no field", "names no column, so all prompts would be the same"),
        (
            None,
            "has no column prompt; set --prompt to a template such as 'Summarise {text}' (columns: 'id', 'text')",
        ),
    ],
)
def test_a_template_that_does_not_fit_is_refused_in_one_line(file, template, words):
    path = file(b"id,text\na,b\n", "in.csv")
    message = complaint(path, template=template)
    assert message.startswith(f"{path}: ")
    assert words in message
    assert "\n" not in message


def test_a_column_may_have_a_name_that_looks_like_a_format(file):
    (prompt,) = prompts(file(b"a.b,c:d\n1,2\n", "in.csv"), template="{a.b}{c:d}")
    assert prompt.prompt == "12"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "has no prompts"),
        (b"\n\n", "has no prompts"),
        (b"a,b\n", "has no prompts"),
        (b"a,a\n1,2\n", "has 2 columns 'a'; rename all but one"),
        (b'"a\n1,2\n', ":1: the header cannot be read: a quote is opened and not closed"),
        (b"\xff\xfea,b\n", "is UTF-16, not UTF-8; set --encoding utf-16"),
    ],
)
def test_a_header_that_is_not_usable_is_refused(file, content, words):
    assert words in complaint(file(content, "in.csv"), template="{a}")


def test_raw_rows_are_yielded_as_they_are_after_the_header(file):
    with open_input(file(b'\xef\xbb\xbfa,b\r\n1,"x\ny"\r\nbad\r\n3,z', "in.csv"), template="{b}") as source:
        assert list(source.raw(lambda position: position != 7)) == [b"a,b\r\n", b'1,"x\ny"\r\n', b"3,z\n"]
        assert [prompt.position for prompt in source.prompts(lambda position: position == 3)] == [3]


@given(
    st.lists(
        st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), min_size=2, max_size=2), min_size=1
    )
)
def test_rows_written_by_the_csv_module_are_read_unchanged(tmp_path_factory, rows):
    out = io.StringIO(newline="")
    csv.writer(out).writerows([["a", "b"], *rows])
    path = tmp_path_factory.mktemp("csv") / "in.csv"
    path.write_bytes(out.getvalue().encode())
    assert [list(prompt.context.values()) for prompt in prompts(str(path), template="{a}")] == rows
