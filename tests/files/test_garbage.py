"""Any bytes: every line is blank, good or bad, and good lines around bad ones are used."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline.files import InputError, InputKind, open_input

from .test_batch_lines import ANTHROPIC, GEMINI, OPENAI

NAMES = {
    InputKind.JSONL: "id",
    InputKind.OPENAI: "custom_id",
    InputKind.GEMINI: "key",
    InputKind.ANTHROPIC: "custom_id",
}
LINES = {
    InputKind.JSONL: {"id": "", "prompt": "p"},
    InputKind.OPENAI: OPENAI,
    InputKind.GEMINI: GEMINI,
    InputKind.ANTHROPIC: ANTHROPIC,
}
HARSH = [
    b"\xff\xfe\x00",
    b"\xef\xbb\xbf",
    b"\xef\xbb\xbf{}",
    b"\x00",
    b"[" * 100_000,
    b'{"id": "x", "prompt": "x", "context": ' + b"9" * 5_000 + b"}",
    b'{"id": "x", "prompt": "x", "context": NaN}',
    b'{"id": "x", "id": "y", "prompt": "x"}',
    b"[]",
    b"7",
    b'{"prompt": "x"}',
    b'{"id": "", "prompt": "x"}',
    b'{"id": 7, "prompt": "x"}',
    b'{"id": "x", "prompt": "\\ud800"}',
    b'{"id": "x", "pro',
]
pieces = st.sampled_from(
    [*HARSH, b"", b" ", b"\r", b"\x1c", b"\xc2\xa0", b"\xe2\x80\xa8", b'{"id": "g0", "prompt": ""}']
)
garbage = pieces | st.binary(max_size=30).map(lambda line: line.replace(b"\n", b""))


def is_blank(number, line):
    text = line.decode("utf-8", "replace")
    if number == 1 and text.startswith("\ufeff"):
        return text != "\ufeff" and not text[1:].strip() and text[1:].rstrip("\r\n") != ""
    return not text.strip()


def read(content, name, **options):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        with open_input(str(path), encoding="utf-8", **options) as source:
            return list(source), source.bad_count, b"".join(source.raw(lambda _: True))


@given(st.lists(garbage, max_size=12), st.sampled_from([*LINES, InputKind.TEXT]), st.booleans())
def test_every_line_is_blank_good_or_bad(lines, kind, ended):
    content = b"\n".join(lines) + b"\n" * ended
    count = sum(not is_blank(number, line) for number, line in enumerate(content.split(b"\n"), 1))
    try:
        good, bad, raw = read(content, "in.jsonl", kind=kind)
    except InputError:
        return
    assert len(good) + bad == count
    assert raw.count(b"\n") == len(good)
    positions = [prompt.position for prompt in good]
    assert positions == sorted(set(positions))


@given(st.lists(garbage, min_size=1, max_size=6, unique=True), st.sampled_from(list(LINES)))
def test_good_lines_around_bad_ones_are_used(lines, kind):
    good = [json.dumps({**LINES[kind], NAMES[kind]: f"good {i}"}).encode() for i in range(len(lines) + 1)]
    content = good[0] + b"\n" + b"\n".join(line + b"\n" + other for line, other in zip(lines, good[1:], strict=True))
    found, _, _ = read(content, "in.jsonl")
    assert {f"good {i}" for i in range(len(good))} <= {prompt.id for prompt in found}


@given(st.lists(garbage, min_size=1, max_size=6, unique_by=lambda line: line.split(b",")[0].strip()), st.booleans())
def test_good_rows_around_bad_ones_without_quotes_are_used(lines, quoted):
    good = [f'good{i},"a\nb"'.encode() if quoted else f"good{i},x".encode() for i in range(len(lines) + 1)]
    tame = [line.replace(b'"', b"") for line in lines]
    content = (
        b"id,text\n"
        + good[0]
        + b"\n"
        + b"\n".join(line + b"\n" + other for line, other in zip(tame, good[1:], strict=True))
    )
    found, _, _ = read(content, "in.csv", template="{text}")
    assert {f"good{i}" for i in range(len(good))} <= {prompt.id for prompt in found}


@given(st.binary() | st.lists(st.sampled_from([b'"', b",", b"\n", b"a", b"\r", b"\xff", b'""', b";"])).map(b"".join))
def test_any_bytes_of_csv_are_read_or_raise_an_input_error(content):
    try:
        good, bad, raw = read(b"id,text\n" + content, "in.csv", template="{text}")
    except InputError:
        return
    assert len(good) + bad > 0
    again, worse, _ = read(raw, "in.csv", template="{text}")
    assert [(prompt.id, prompt.prompt, prompt.context) for prompt in again] == [
        (prompt.id, prompt.prompt, prompt.context) for prompt in good
    ]
    assert worse == 0


@given(st.binary(max_size=200))
def test_any_bytes_after_the_mark_of_parquet_raise_an_input_error(content):
    with pytest.raises(InputError):
        read(b"PAR1" + content, "in.parquet")


@given(st.binary(), st.sampled_from(["in", "in.json", "in.jsonl", "in.txt", "in.csv", "in.parquet"]), st.booleans())
def test_any_bytes_are_read_or_raise_an_input_error(content, name, strict):
    try:
        good, bad, _ = read(content, name, strict=strict)
    except InputError:
        return
    assert good
    assert not (strict and bad)
