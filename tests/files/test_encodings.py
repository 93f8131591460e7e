"""Inputs in other encodings than UTF-8."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline import files
from paceline._core.exceptions import ConfigurationError
from paceline.files import open_input

from .conftest import complaint, opened, prompts

TEXT = "id;text\r\na;Ärger, 5 € für \u0a0a\u010a\r\nb;\u201eso\u201c\r\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "gb18030"])
@pytest.mark.parametrize("name", ["in.csv", "in.tsv"])
def test_a_table_in_another_encoding_has_the_same_rows(file, encoding, name):
    path = file(TEXT.encode(encoding), name)
    found = prompts(path, template="{text}", encoding=encoding)
    assert [(one.id, one.prompt) for one in found] == [("a", "Ärger, 5 € für \u0a0a\u010a"), ("b", "\u201eso\u201c")]
    with open_input(path, template="{text}", encoding=encoding) as source:
        raw = b"".join(source.raw(lambda position: position == 2)).decode()
    assert raw == "id;text\r\nb;\u201eso\u201c\r\n"


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "utf-16"])
def test_lines_of_json_arrays_and_text_may_have_another_encoding(file, encoding):
    objects = [{"id": "a", "prompt": "é"}, {"id": "b", "prompt": "ü"}]
    lines = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in objects)
    array = json.dumps(objects, ensure_ascii=False, indent=1)
    for text, name in ((lines, "in.jsonl"), (array, "in.json"), ("é\nü", "in.txt")):
        assert [one.prompt for one in prompts(file(text.encode(encoding), name), encoding=encoding)] == ["é", "ü"]


def test_a_line_that_is_not_text_in_its_encoding_is_named_with_the_option(file):
    path = file(b"id,text\na,caf\xe9\nb,ok\n", "in.csv")
    reason = f"{path}:2: not UTF-8 at byte 6 of the line; set its encoding, such as --encoding cp1252"
    assert opened(path, template="{text}", encoding="utf-8").complaints() == [reason]
    assert opened(path, template="{text}", encoding="ascii").complaints() == [
        f"{path}:2: not ascii at character 6 of the line; --encoding names another encoding"
    ]
    assert [one.prompt for one in prompts(path, template="{text}", encoding="cp1252")] == ["café", "ok"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("in.csv", b"id,prompt\na,caf\xe9\nd,x\nb,caf\xe9\nc,ok\n"),
        ("in.jsonl", b'{"prompt": "caf\xe9"}\n\n\n{"prompt": "caf\xe9"}\n{"prompt": "ok"}\n'),
        ("in.json", b'[{"prompt": "caf\xe9"},\n\n\n{"prompt": "caf\xe9"}, {"prompt": "ok"}]'),
        ("in.txt", b"caf\xe9\n\n\ncaf\xe9\nok\n"),
    ],
)
@pytest.mark.parametrize("strict", [False, True])
def test_an_input_in_another_encoding_is_refused_at_its_second_such_line_and_not_thinned_out(
    file, name, content, strict
):
    path = file(content, name)
    message = complaint(path, strict=strict)
    assert message.startswith(f"{path}:4: not UTF-8 at byte ")
    assert "such as --encoding cp1252" in message
    assert "--encoding utf-8 skips such" in message
    assert "\n" not in message
    assert [one.prompt for one in prompts(path, encoding="cp1252")][-2:] == ["café", "ok"]
    assert opened(path, encoding="utf-8").bad_count == 2


def test_text_that_cannot_be_read_on_is_refused_with_its_line(file):
    path = file("id,text\na,x\n".encode("utf-16") + b"\0", "in.csv")
    assert complaint(path, template="{text}", encoding="utf-16") == (
        f"{path}:3: is not utf-16; --encoding names another encoding"
    )


@pytest.mark.parametrize("encoding", ["utf-9", "", "hex", "idna\0"])
def test_an_unknown_encoding_is_refused_with_examples(file, encoding):
    with pytest.raises(
        ConfigurationError, match="--encoding: must be the name of an encoding, such as utf-8, utf-16 or cp1252"
    ):
        files.read(file(b"x", "in.txt"), encoding=encoding)


@given(
    st.lists(
        st.text(st.characters(exclude_characters="\n\r\ufeff", exclude_categories=["Cs"])).filter(str.strip), min_size=1
    ),
    st.sampled_from(["utf-16", "utf-16-le", "utf-32", "utf-7", "gb18030"]),
)
def test_any_lines_come_back_from_any_encoding(tmp_path_factory, lines, encoding):
    lines = [line.replace("\0", "?") for line in lines]
    path = tmp_path_factory.mktemp("in") / "in.txt"
    path.write_bytes("\n".join(lines).encode(encoding))
    records = files.read(path, encoding=encoding, format="text")
    assert [record.prompt for record in records] == lines
