"""What a line of input asks for, or the one reason why it cannot be taken. Pure.

1. A blank line asks for nothing, in both kinds of input.
2. What is taken comes back in its result row as it was given. So what JSON cannot hold (NaN, a number beyond a float's
   range, half of a surrogate pair, a key given twice) is refused, though Python's reader would take it.
3. A reason quotes keys and ids, never a prompt.
"""

from __future__ import annotations

import enum
import json
import math
import re
from typing import Any, NoReturn

import attrs

_KEYS = ("id", "prompt", "context")
_DEEPEST = 100  # levels: deeper than any table, and far from what the interpreter's stack can write back
_LONGEST_QUOTE = 40  # characters
_BOM = "\ufeff"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class Kind(enum.StrEnum):
    """What the lines of an input are."""

    JSONL = "jsonl"
    """A JSON object a line: `{"id": ..., "prompt": ..., "context": ...}`."""
    TEXT = "text"
    """A prompt a line; its id is the line's number."""


@attrs.frozen
class Prompt:
    """What a line asks for."""

    id: str
    text: str = attrs.field(repr=False)
    context: Any = attrs.field(default=None, repr=False)


class LineError(ValueError):
    """A line cannot be taken; the message is the reason."""


def read_line(kind: Kind, number: int, line: bytes) -> Prompt | None:
    """Return what a line asks for; None for a blank one.

    Args:
        kind: of the input.
        number: the line's, from 1.
        line: its bytes, with or without the line's end.

    Raises:
        LineError: it cannot be taken.
    """
    text = _decoded(line).rstrip("\r\n")
    if number == 1:
        text = text.removeprefix(_BOM)
        if not text and line.strip():
            raise LineError("there is nothing but a byte order mark")
    if not text.strip():
        return None
    if text.strip() == _BOM:
        raise LineError("there is nothing but a byte order mark")
    if kind is Kind.TEXT:
        return Prompt(str(number), text)
    return _prompt_of(_object(line, text))


def _decoded(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        hint = " (it looks like UTF-16)" if line.startswith(_UTF_16) else ""
        raise LineError(f"not UTF-8 at byte {error.start + 1} of the line{hint}") from None


def _object(line: bytes, text: str) -> dict[str, Any]:
    if text.startswith(_BOM):
        raise LineError("a byte order mark stands before the JSON")
    try:
        value = _decoder.decode(text)
        if _ESCAPED_SURROGATE.search(line):
            json.dumps(value, ensure_ascii=False).encode()
    except LineError:
        raise
    except json.JSONDecodeError as error:
        raise LineError(f"not JSON: {error.msg} at column {error.colno}") from None
    except UnicodeEncodeError:
        raise LineError("a text has half of a surrogate pair, which is no character") from None
    except RecursionError:
        raise LineError(f"nested more than {_DEEPEST} levels deep") from None
    except ValueError:  # the interpreter's bound on digits
        raise LineError("a number has too many digits") from None
    if not isinstance(value, dict):
        raise LineError(f'must be a JSON object such as {{"id": "q1", "prompt": "..."}}, not {_name_of(value)}')
    if line.count(b"[") + line.count(b"{") > _DEEPEST and _depth(value) > _DEEPEST:
        raise LineError(f"nested more than {_DEEPEST} levels deep")
    return value


def _prompt_of(fields: dict[str, Any]) -> Prompt:
    for key in fields:
        if key not in _KEYS:
            raise LineError(f"unknown key {quoted(key)}; known are id, prompt and context")
    for key in ("id", "prompt"):
        if key not in fields:
            raise LineError(f"has no {key}")
        if not isinstance(fields[key], str):
            raise LineError(f"{key} must be a string, not {_name_of(fields[key])}")
    if not fields["id"].strip():
        raise LineError("id must not be empty")
    return Prompt(fields["id"], fields["prompt"], fields.get("context"))


def quoted(text: str) -> str:
    """Return a key or an id as a reason quotes it: in ASCII, shortened where it is long."""
    return ascii(text if len(text) <= _LONGEST_QUOTE else text[: _LONGEST_QUOTE - 3] + "...")


def _name_of(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return "a string"
        case int() | float():
            return "a number"
        case dict():
            return "an object"
        case _:
            return "an array"


def _depth(value: object) -> int:
    deepest, left = 0, [(value, 1)]
    while left:
        value, depth = left.pop()
        deepest = max(deepest, depth)
        children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        left.extend((child, depth + 1) for child in children if isinstance(child, (dict, list)))
    return deepest


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise LineError(f"the key {quoted(twice)} is given twice")
    return fields


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise LineError("a number is too large")
    return number


def _no_constant(name: str) -> NoReturn:
    raise LineError(f"not JSON: {name} is no number of JSON's")


_decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_no_constant)
