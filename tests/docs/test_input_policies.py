"""The reference of the input: each example of an invalid line has the reason that the page gives."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from paceline.files import open_input

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "input.md"
ROW = re.compile(r"^\| [^|]+ \| `([^|]*)` \| ([^|]+) \|$", re.MULTILINE)
BYTE = re.compile(rb"\\x([0-9a-f]{2})")


def examples():
    """Return each example of the page as bytes, with its reason."""
    text = PAGE.read_text("utf-8").partition("\n## Invalid lines")[2]
    return [
        (BYTE.sub(lambda match: bytes.fromhex(match[1].decode()), line.encode()), reason)
        for line, reason in ROW.findall(text)
        if line != "example"
    ]


def valid_line_like(line):
    """Return a valid line of the same kind."""
    if b"custom_id" in line:
        return (
            b'{"custom_id": "first", "params": {"messages": [{}]}}'
            if b"params" in line
            else (
                b'{"custom_id": "first", "method": "POST", "url": "/v1/chat/completions", "body": {"messages": [{}]}}'
            )
        )
    return b'{"key": "first", "request": {"contents": [{}]}}' if b'"key"' in line else b'{"id": "first", "prompt": "x"}'


@pytest.mark.parametrize(("line", "reason"), examples(), ids=lambda value: value if isinstance(value, str) else "")
def test_each_example_has_the_reason_of_the_page(tmp_path, line, reason):
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"\n".join([valid_line_like(line), line, valid_line_like(line).replace(b"first", b"last"), b""]))
    with open_input(str(path), encoding="utf-8") as source:
        ids = [prompt.id for prompt in source]
        complaints = source.complaints()
    if reason.startswith(("accepted", "skipped")):
        assert not complaints
        assert len(ids) == (3 if reason.startswith("accepted") else 2)
    else:
        assert complaints == [f"{path}:2: {reason}"]
        assert ids == ["first", "last"]


def test_the_page_has_examples():
    assert len(examples()) > 20
