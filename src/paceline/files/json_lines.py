"""JSON in lines: decodes a line, and parses it as an object.

1. A blank line is not a record, in all formats.
2. Values come back in the result row as they were given, or are sent as they are. What JSON cannot hold (NaN, a number beyond the
   range of a float, half of a surrogate pair, a repeated key) is therefore refused, though Python's reader would accept it.
3. A reason may quote keys and ids, never a prompt.
"""

from __future__ import annotations

import json
import re
from typing import Any

from .._core.json_values import DuplicateKeyError, NonFiniteNumberError, decode_strict, kind_name
from .types import LineError, WrongEncodingError, quote

_DEEPEST = 100  # levels of nesting: deeper than real data, and far below the interpreter's recursion limit
_BOM = "\ufeff"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def decode_line(line: bytes, encoding: str | None = None) -> str:
    """Return a line as text.

    Args:
        line: Bytes of the line, in UTF-8; what could not be converted to it is left as it was.
        encoding: Encoding that it was converted from, for the message; None: UTF-8, not converted.

    Raises:
        WrongEncodingError: It is not text in that encoding.
    """
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        if encoding is not None:
            place = len(line[: error.start].decode("utf-8", "replace")) + 1
            raise WrongEncodingError(
                f"not {encoding} at character {place} of the line; --encoding names another encoding"
            ) from None
        hint = " (it looks like UTF-16)" if line.startswith(_UTF_16) else ""
        raise WrongEncodingError(
            f"not UTF-8 at byte {error.start + 1} of the line{hint}; set its encoding, such as --encoding cp1252"
        ) from None


def is_blank(line: bytes) -> bool:
    """Whether a line that passed its check is blank."""
    if b"!" <= line[:1] <= b"~":
        return False
    begin = line.strip()[:1]
    if b"!" <= begin <= b"~":
        return False
    return not line.decode("utf-8", "replace").removeprefix(_BOM).strip()


def strip_line(number: int, line: bytes, encoding: str | None = None) -> str | None:
    """Return a line without its line end, the first also without its byte order mark; None if it is blank.

    Raises:
        LineError: It is not text, or only a byte order mark.
    """
    text = decode_line(line, encoding).rstrip("\r\n")
    if number == 1:
        text = text.removeprefix(_BOM)
        if not text and line.strip():
            raise LineError("contains only a byte order mark")
    stripped = text.strip()
    if not stripped:
        return None
    if stripped == _BOM:
        raise LineError("contains only a byte order mark")
    return text


def parse_object(line: bytes, text: str) -> dict[str, Any]:
    """Return a line as an object.

    Args:
        line: Bytes of the line, with its line end if it has one.
        text: The line as text.

    Raises:
        LineError: It is not a JSON object that a result row can hold.
    """
    try:
        value = decode_strict(text)
        if "\\" in text and _ESCAPED_SURROGATE.search(line):
            json.dumps(value, ensure_ascii=False).encode()
    except (DuplicateKeyError, NonFiniteNumberError) as error:
        raise LineError(_reason(error)) from None
    except json.JSONDecodeError as error:
        if text.startswith(_BOM):
            raise LineError("has a byte order mark before its JSON") from None
        hint = "" if line.endswith(b"\n") else "; the line has no line end: it looks cut off"
        raise LineError(f"not JSON: {error.msg.removesuffix(' at')} at column {error.colno}{hint}") from None
    except UnicodeEncodeError:
        raise LineError("a text has half of a surrogate pair, which is not a character") from None
    except RecursionError:
        raise LineError(f"nested more than {_DEEPEST} levels deep") from None
    except ValueError:  # the interpreter limits the digits of an integer
        raise LineError("a number has too many digits") from None
    if not isinstance(value, dict):
        raise LineError(f'must be a JSON object such as {{"id": "q1", "prompt": "..."}}, not {kind_name(value)}')
    may_be_nested = "[" in text or "{" in text[1:]  # most lines are not, and to count takes four times as long
    if may_be_nested and line.count(b"[") + line.count(b"{") > _DEEPEST and _depth(value) > _DEEPEST:
        raise LineError(f"nested more than {_DEEPEST} levels deep")
    return value


def _reason(error: DuplicateKeyError | NonFiniteNumberError) -> str:
    """Return why the strict decoder rejected a line."""
    if isinstance(error, DuplicateKeyError):
        return f"the key {quote(error.key)} is given twice"
    return "a number is too large" if error.text[-1].isdigit() else f"not JSON: {error.text} is not a JSON number"


def _depth(value: object) -> int:
    deepest, left = 0, [(value, 1)]
    while left:
        value, depth = left.pop()
        deepest = max(deepest, depth)
        children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        left.extend((child, depth + 1) for child in children if isinstance(child, (dict, list)))
    return deepest
