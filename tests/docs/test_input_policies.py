"""What the reference says of lines that cannot be taken is what becomes of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from paceline.files import open_input

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "input.md"
ROW = re.compile(r"^\| [^|]+ \| `([^|]*)` \| ([^|]+) \|$", re.MULTILINE)
BYTE = re.compile(rb"\\x([0-9a-f]{2})")


def policies():
    text = PAGE.read_text("utf-8").partition("\n## Lines that")[2]
    return [
        (BYTE.sub(lambda found: bytes.fromhex(found[1].decode()), line.encode()), told)
        for line, told in ROW.findall(text)
    ]


def first_of(line):
    if b"custom_id" in line:
        return (
            b'{"custom_id": "first", "params": {"messages": [{}]}}'
            if b"params" in line
            else (
                b'{"custom_id": "first", "method": "POST", "url": "/v1/chat/completions", "body": {"messages": [{}]}}'
            )
        )
    return b'{"key": "first", "request": {"contents": [{}]}}' if b'"key"' in line else b'{"id": "first", "prompt": "x"}'


@pytest.mark.parametrize(("line", "told"), policies(), ids=lambda value: value if isinstance(value, str) else "")
def test_an_example_of_the_reference_is_what_it_says(tmp_path, line, told):
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"\n".join([first_of(line), line, first_of(line).replace(b"first", b"last"), b""]))
    with open_input(str(path)) as source:
        ids = [prompt.id for prompt in source]
        complaints = source.complaints()
    if told.startswith(("taken", "passed over")):
        assert not complaints
        assert len(ids) == (3 if told.startswith("taken") else 2)
    else:
        assert complaints == [f"{path}:2: {told}"]
        assert ids == ["first", "last"]


def test_there_are_examples():
    assert len(policies()) > 20
