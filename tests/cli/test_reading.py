"""An input is checked to its last line before anything is called."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline.cli.lines import Kind, Prompt
from paceline.cli.reading import InputError, open_input


@pytest.fixture
def file(tmp_path):
    def write(content, name="in.jsonl"):
        path = tmp_path / name
        path.write_bytes(content)
        return str(path)

    return write


def prompts(path, **options):
    with open_input(path, **options) as source:
        assert len(source) == len(list(source))
        return list(source)


def complaint(path, **options):
    with pytest.raises(InputError) as caught, open_input(path, **options):
        pass
    return str(caught.value)


def row(name, text="p"):
    return f'{{"id": "{name}", "prompt": "{text}"}}\n'.encode()


@pytest.mark.parametrize("name", ["in.jsonl", "IN.NDJSON"])
def test_the_suffix_says_that_the_lines_are_json(file, name):
    assert prompts(file(row("a") + b"\n" + row("b"), name)) == [Prompt("a", "p"), Prompt("b", "p")]


@pytest.mark.parametrize("name", ["in.txt", "in.md", "in"])
def test_any_other_file_is_text_whose_ids_are_the_lines_numbers(file, name):
    assert prompts(file(b"one\n\n \ntwo", name)) == [Prompt("1", "one"), Prompt("4", "two")]


def test_the_caller_may_say_what_the_lines_are(file):
    assert prompts(file(row("a"), "in.txt"), kind=Kind.JSONL) == [Prompt("a", "p")]
    assert prompts(file(row("a"), "in.jsonl"), kind=Kind.TEXT) == [Prompt("1", row("a").decode().rstrip())]


@pytest.mark.parametrize("content", [b'{"id": "a"}', b'\n\n [{"id": "a"}]', b"\xef\xbb\xbf{"])
def test_a_file_that_only_begins_like_json_is_not_guessed_at(file, content):
    assert (
        complaint(file(content, "in.json"))
        == f"{file(content, 'in.json')}: begins like JSON; say --format jsonl or --format text"
    )
    assert prompts(file(b"{braces} in a text", "in.txt")) == [Prompt("1", "{braces} in a text")]


@pytest.mark.parametrize(
    ("content", "first"),
    [
        (b"\n  " + row("a"), Prompt("a", "p")),
        (b"\n one\n", Prompt("2", " one")),
        (b"[INST] x", Prompt("1", "[INST] x")),
    ],
)
def test_what_comes_through_a_pipe_is_told_by_its_first_character_and_can_be_read_again(content, first):
    reading, writing = os.pipe()
    os.write(writing, content)
    os.close(writing)
    try:
        assert prompts(f"/dev/fd/{reading}") == [first]
    finally:
        os.close(reading)


def test_a_mark_at_the_beginning_of_the_file_is_no_part_of_the_first_row(file):
    assert prompts(file(b"\xef\xbb\xbf" + row("a"))) == [Prompt("a", "p")]


def test_a_limit_ends_the_input_early(file):
    path = file(row("a") + b"\n" + row("b") + b"broken")
    assert prompts(path, limit=2) == [Prompt("a", "p"), Prompt("b", "p")]
    assert ":4: not JSON" in complaint(path, limit=3)


def test_a_complaint_names_the_file_the_line_and_the_reason(file):
    path = file(row("a") + b"\n" + row("b") + row("a"))
    assert complaint(path) == f"{path}:4: id 'a' is on line 1 already"


def test_the_first_problems_are_told_and_the_others_counted(file):
    lines = complaint(file(b"x\n" * 1_234)).splitlines()
    assert len(lines) == 11
    assert ":10: not JSON" in lines[9]
    assert lines[10] == "and 1,224 more problems"


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_an_input_without_prompts_is_refused(file, content):
    assert complaint(file(content)).endswith(": has no prompts")


def test_a_lone_mark_is_refused(file):
    assert complaint(file(b"\xef\xbb\xbf")).endswith(":1: there is nothing but a byte order mark")


def test_a_line_that_no_model_reads_is_refused(tmp_path):
    path = tmp_path / "in.txt"
    with path.open("wb") as out:
        out.truncate(2**26 + 1)
    assert complaint(str(path)).endswith(":1: longer than 64 MiB")


def test_what_cannot_be_read_is_refused(tmp_path):
    assert complaint(str(tmp_path / "none.txt")).endswith(": cannot be read: No such file or directory")
    assert complaint(str(tmp_path)).endswith(": cannot be read: Is a directory")


@pytest.mark.parametrize("change", [row("a"), row("a") + b"broken\n" + row("c"), b""])
def test_an_input_that_changes_after_the_check_is_found_out(file, change):
    path = file(row("a") + row("b") + row("c"))
    with open_input(path) as source:
        Path(path).write_bytes(change)
        with pytest.raises(InputError, match="changed while it was read"):
            list(source)


def test_what_is_added_after_the_check_is_not_read(file):
    path = file(row("a"))
    with open_input(path) as source:
        with Path(path).open("ab") as out:
            out.write(row("b"))
        assert [prompt.id for prompt in source] == ["a"]


def test_a_file_that_is_replaced_after_the_check_is_read_as_it_was(file):
    path = file(row("a"))
    with open_input(path) as source:
        Path(path).rename(f"{path}.old")
        file(b"other")
        assert [prompt.id for prompt in source] == ["a"]


pieces = st.sampled_from(
    [b'{"id": "a", "prompt": "b"}', b'{"id": "b", "prompt": ""}', b"\n", b"\r\n", b"{", b"\xff", b"\xef\xbb\xbf"]
)


@given(
    st.binary() | st.lists(pieces | st.binary(max_size=3)).map(b"".join),
    st.sampled_from(["in.jsonl", "in.txt", "in"]),
    st.none() | st.sampled_from(list(Kind)),
    st.none() | st.integers(1, 3),
)
def test_no_bytes_raise_anything_but_a_complaint_and_what_passes_is_read_the_same_twice(content, name, kind, limit):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        try:
            found = prompts(str(path), kind=kind, limit=limit)
        except InputError as error:
            complaints = str(error).splitlines()
        else:
            complaints = []
            assert len({prompt.id for prompt in found}) == len(found) > 0
    assert all(line.startswith((str(path), "and ")) for line in complaints)
