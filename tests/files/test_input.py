"""An input is checked to its last line before anything is called."""

from __future__ import annotations

import os
import tempfile
import tracemalloc
from contextlib import nullcontext
from hashlib import blake2b
from itertools import pairwise, product
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from paceline.files import InputError, InputKind, InputRecord, open_input, reopen_input

from .conftest import complaint, opened, prompts

CUT_OFF = "not JSON: Expecting property name enclosed in double quotes at column 2; the line has no line end: it looks cut off"


def row(name, text="p"):
    return f'{{"id": "{name}", "prompt": "{text}"}}\n'.encode()


@pytest.mark.parametrize("name", ["in.jsonl", "IN.NDJSON"])
def test_the_suffix_shows_that_the_lines_are_json(file, name):
    assert prompts(file(row("a") + b"\n" + row("b"), name)) == [InputRecord(1, "a", "p"), InputRecord(3, "b", "p")]


@pytest.mark.parametrize("name", ["in.txt", "in.md", "in"])
def test_any_other_file_is_text_whose_ids_are_the_lines_numbers(file, name):
    assert prompts(file(b"one\n\n \ntwo", name)) == [InputRecord(1, "1", "one"), InputRecord(4, "4", "two")]


def test_the_caller_may_give_the_format(file):
    assert prompts(file(row("a"), "in.txt"), kind=InputKind.JSONL) == [InputRecord(1, "a", "p")]
    assert prompts(file(row("a"), "in.jsonl"), kind=InputKind.TEXT) == [InputRecord(1, "1", row("a").decode().rstrip())]


@pytest.mark.parametrize("content", [b'{"id": "a"}', b'\n\n [{"id": "a"}]', b"\xef\xbb\xbf{"])
def test_a_file_that_only_begins_like_json_is_not_guessed_at(file, content):
    path = file(content, "in.dat")
    assert complaint(path) == f"{path}: begins like JSON; set --input-format to jsonl, json or text"
    assert prompts(file(b"{braces} in a text", "in.txt")) == [InputRecord(1, "1", "{braces} in a text")]


@pytest.mark.parametrize(
    ("content", "first"),
    [
        (b"\n  " + row("a"), InputRecord(2, "a", "p")),
        (b"\n one\n", InputRecord(2, "2", " one")),
        (b"[INST] x", InputRecord(1, "1", "[INST] x")),
    ],
)
def test_the_format_of_a_pipe_is_shown_by_its_first_character_and_it_can_be_read_again(content, first):
    reading, writing = os.pipe()
    os.write(writing, content)
    os.close(writing)
    try:
        assert prompts(f"/dev/fd/{reading}") == [first]
    finally:
        os.close(reading)


def test_a_byte_order_mark_at_the_beginning_of_the_file_is_not_part_of_the_first_line(file):
    assert prompts(file(b"\xef\xbb\xbf" + row("a"))) == [InputRecord(1, "a", "p")]


def test_a_blank_line_with_a_byte_order_mark_is_not_a_prompt(file):
    assert prompts(file(b"\xef\xbb\xbf \n" + row("a") + row("b"))) == [
        InputRecord(2, "a", "p"),
        InputRecord(3, "b", "p"),
    ]


def test_a_limit_ends_the_input_early(file):
    path = file(row("a") + b"\n" + row("b") + b"broken")
    assert prompts(path, limit=2) == [InputRecord(1, "a", "p"), InputRecord(3, "b", "p")]
    assert opened(path, limit=2).bad == ()
    assert opened(path, limit=3).bad_count == 1


def test_bad_lines_are_reported_with_their_places_and_the_good_ones_are_used(file):
    path = file(row("a") + b"broken\n" + row("b") + row("a") + row("c") + b"{")
    checked = opened(path)
    assert (checked.count, checked.bad_count) == (3, 3)
    assert [bad.position for bad in checked.bad] == [2, 4, 6]
    assert checked.complaints() == [
        f"{path}:2: not JSON: Expecting value at column 1",
        f"{path}:4: id 'a' is on line 1 already",
        f"{path}:6: {CUT_OFF}",
    ]
    assert [prompt.id for prompt in prompts(path)] == ["a", "b", "c"]


def test_a_strict_check_refuses_an_input_with_one_bad_line(file):
    path = file(row("a") + b"\n" + row("b") + row("a"))
    assert complaint(path, strict=True) == f"{path}:4: id 'a' is on line 1 already"
    assert len(prompts(file(row("a")), strict=True)) == 1


@pytest.mark.parametrize("good", [b"", row("a")])
def test_the_first_problems_are_listed_and_the_others_counted(file, good):
    lines = complaint(file(b"[]\n" + b"x\n" * 1_233 + good), strict=bool(good)).splitlines()
    assert len(lines) == 11
    assert ":10: not JSON" in lines[9]
    assert lines[10] == "and 1,224 more problems"


def test_an_input_whose_lines_have_all_the_same_problem_is_refused_in_one_line(file):
    path = file(b"x\n" * 1_234)
    assert complaint(path) == (
        f"{path}:1: not JSON: Expecting value at column 1 (there are 1,234 such lines, and no valid prompt)"
    )


def test_a_last_line_without_a_line_end_is_used_if_it_is_complete(file):
    assert [prompt.id for prompt in prompts(file(row("a") + row("b").rstrip()))] == ["a", "b"]


def test_every_good_prompt_is_visited_once_before_the_input_is_yielded(file):
    seen = []
    with open_input(file(row("a") + b"x\n" + row("b") + row("c")), limit=2, visit=seen.append) as source:
        assert seen == list(source)
    assert [prompt.id for prompt in seen] == ["a", "b"]


def test_a_prompt_that_the_caller_objects_to_is_a_bad_line(file):
    path = file(row("a") + row("b"))
    checked = opened(path, objection=lambda prompt: "no b" if prompt.id == "b" else None)
    assert (checked.count, checked.complaints()) == (1, [f"{path}:2: no b"])


def test_a_larger_sample_contains_each_smaller_one(file):
    path = file(b"".join(row(f"q{i}") for i in range(40)))
    samples = [[prompt.position for prompt in prompts(path, sample=size)] for size in range(1, 42)]
    for size, (small, large) in enumerate(pairwise(samples), start=1):
        assert set(small) <= set(large)
        assert (len(set(small)), small) == (size, sorted(small))
    assert samples[-1] == [*range(1, 41)]
    assert len({tuple(sample) for sample in (samples[9], [*range(1, 11)], [*range(31, 41)])}) == 3


@pytest.mark.parametrize(("sample", "count"), [(1, 1), (10, 10), (500, 50)])
def test_a_sample_is_the_same_for_the_same_input(file, sample, count):
    path = file(b"".join(row(f"q{i}") + b"broken\n" for i in range(50)))
    seen = []
    with open_input(path, sample=sample, visit=seen.append) as source:
        drawn = list(source)
        assert len(source) == len(drawn) == count
        assert seen == drawn
        assert b"".join(source.raw(lambda _: True)).count(b"\n") == count
    assert drawn == prompts(path, sample=sample)
    assert [prompt.position for prompt in drawn] == sorted(prompt.position for prompt in drawn)


def test_a_sample_is_drawn_from_what_the_limit_leaves(file):
    drawn = prompts(file(b"".join(row(f"q{i}") for i in range(50))), limit=10, sample=5)
    assert len({prompt.id for prompt in drawn} & {f"q{i}" for i in range(10)}) == 5


def test_only_wanted_positions_are_yielded_as_prompts_or_as_raw_lines(file):
    with open_input(
        file(b"\xef\xbb\xbf" + row("a") + b"\n" + row("b") + b"x\n" + row("a") + row("c").rstrip())
    ) as source:
        assert [prompt.id for prompt in source.prompts(lambda position: position != 3)] == ["a", "c"]
        assert list(source.raw(lambda position: position != 3)) == [row("a"), row("c")]


def test_an_input_may_be_read_by_several_iterators_at_a_time(file):
    with open_input(file(row("a") + row("b"))) as source:
        assert [(one.id, other.id) for one in source for other in source] == [*product("ab", "ab")]


def test_the_digest_is_of_the_bytes_that_were_read(file):
    content = row("a") + b"broken\n" + row("b")
    digest = blake2b(content, digest_size=16).digest()
    assert opened(file(content)).digest == digest
    assert opened(file(content + row("c")), limit=2).digest == digest
    assert opened(file(content + row("c"))).digest != digest


def test_repeated_ids_are_found_among_many_short_and_long_ones(file):
    names = [f"{i:x}" for i in range(3_000)] + ["x" * 40 + str(i) for i in range(3_000)]
    checked = opened(file(b"".join(row(name) for name in [*names, *names[2_700:3_300]])))
    assert (checked.count, checked.bad_count) == (6_000, 600)


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_an_input_without_prompts_is_refused(file, content):
    assert complaint(file(content)).endswith(": has no prompts")


def test_a_byte_order_mark_alone_is_refused(file):
    assert complaint(file(b"\xef\xbb\xbf")).endswith(":1: contains only a byte order mark")


@pytest.mark.parametrize("name", ["in.txt", "in.jsonl"])
def test_a_line_that_is_too_long_is_bad_and_what_follows_it_is_read(tmp_path, name):
    path = tmp_path / name
    with path.open("wb") as out:
        out.truncate(100 * 2**20)
        out.seek(0, os.SEEK_END)
        out.write(b"\n" + row("a"))
    tracemalloc.start()
    checked = opened(str(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert checked.complaints() == [f"{path}:1: longer than 32 MiB"]
    assert [prompt.position for prompt in prompts(str(path))] == [2]
    assert peak < 72 * 2**20


def test_a_path_that_cannot_be_read_is_refused(tmp_path):
    assert complaint(str(tmp_path / "none.txt")).endswith(": cannot be read: No such file or directory")
    assert complaint(str(tmp_path)).endswith(": cannot be read: Is a directory")


@pytest.mark.parametrize("change", [row("a"), row("a") + b"broken\n" + row("c"), b""])
def test_a_change_after_the_check_is_detected(file, change):
    path = file(row("a") + row("b") + row("c"))
    with open_input(path) as source:
        Path(path).write_bytes(change)
        with pytest.raises(InputError, match="has changed since it was checked"):
            list(source)


def aged(path):
    """Give a file an old time of change, so that the next change has another one."""
    os.utime(path, (0, 0))
    return path


MANY = b"".join(row(f"q{i}", "x" * 100) for i in range(10_000))


def edit_in_place(path):
    with Path(path).open("r+b") as out:
        out.seek(-5, os.SEEK_END)
        out.write(b"!")


def read_until_refused(records):
    """Return the prompts that were read before the input was refused."""
    texts = []
    with pytest.raises(InputError) as caught:
        texts.extend(str(record.prompt) for record in records)
    return texts, str(caught.value)


@pytest.mark.parametrize("wanted", [lambda _: True, lambda position: position > 9_000])
@pytest.mark.parametrize("knows_digest", [None, False, True])
def test_a_text_edited_in_place_while_the_input_is_read_is_never_yielded(file, wanted, knows_digest):
    path = aged(file(MANY))
    with open_input(path) as source:
        known = {"digest": source.digest, "size": source.size} if knows_digest else {}
        again = nullcontext(source) if knows_digest is None else reopen_input(path, kind=InputKind.JSONL, **known)
        with again as reading:
            records = reading.prompts(wanted)
            next(records)
            edit_in_place(path)
            texts, message = read_until_refused(records)
    assert message == f"{path}: has changed since it was checked; nothing more is called; run it again"
    assert not any("!" in text for text in texts)


def test_an_edited_row_of_parquet_is_refused(tmp_path):
    path = tmp_path / "in.parquet"
    parquet.write_table(pa.table({"prompt": ["x" * 1_000 + str(i) for i in range(5_000)]}), path, compression="none")
    with open_input(aged(str(path))) as source:
        content = path.read_bytes()
        with path.open("r+b") as out:
            out.write(content.replace(b"x4999", b"x!999"))
        texts, message = read_until_refused(source)
    assert message.startswith(f"{path}: has changed since it was checked")
    assert texts == []


def test_a_file_that_is_only_touched_is_read_on(file):
    path = aged(file(MANY))
    with open_input(path) as source:
        records = iter(source)
        next(records)
        Path(path).touch()
        assert len(list(records)) == 9_999


def test_lines_added_while_the_input_is_read_are_not_read(file):
    path = aged(file(MANY))
    with open_input(path) as source:
        records = iter(source)
        next(records)
        with Path(path).open("ab") as out:
            out.write(row("b"))
        assert len(list(records)) == 9_999


def test_lines_added_after_the_check_are_not_read(file):
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
    st.none() | st.sampled_from(list(InputKind)),
    st.none() | st.integers(1, 3),
)
def test_any_bytes_are_read_the_same_twice_or_raise_an_input_error(content, name, kind, limit):
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
