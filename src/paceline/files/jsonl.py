"""What a line asks for, or the one reason why it cannot be taken. Pure.

1. A blank line asks for nothing, in all kinds of input.
2. What is taken comes back in its result row as it was given, or is sent as it is. So what JSON cannot hold (NaN, a number
   beyond a float's range, half of a surrogate pair, a key given twice) is refused, though Python's reader would take it.
3. A reason quotes keys and ids, never a prompt.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from .._core.exceptions import InvalidWorkItemError
from .._core.json_values import DuplicateKeyError, NonFiniteNumberError, decode_strict, kind_name
from .._core.request import Dialect, Request
from .lines import numbered
from .types import BOM, InputError, InputKind, InputRecord, Line, LineError, Lines, Record, quoted

_DEEPEST = 100  # levels: deeper than any table, and far from what the interpreter's stack can write back
_BOM = "\ufeff"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_CHAT = "/v1/chat/completions"


def read_line(kind: InputKind, number: int, line: bytes) -> InputRecord | None:
    """Return what a line asks for; None for a blank one.

    Args:
        kind: of the input: one whose lines are prompts.
        number: the line's, from 1.
        line: its bytes, with or without the line's end.

    Raises:
        LineError: it cannot be taken.
    """
    text = _text(number, line)
    if text is None:
        return None
    if kind is InputKind.TEXT:
        if "\0" in text:
            raise LineError("has a NUL byte, which no text has")
        return InputRecord(number, str(number), text)
    return _READERS[kind](number, _object(line, text))


def kind_of(number: int, line: bytes) -> InputKind | None:
    """Return whose form a line of JSON has; None: nobody's."""
    try:
        text = _text(number, line)
        fields = _object(line, text) if text is not None else {}
    except LineError:
        return None
    if "custom_id" in fields:
        return InputKind.ANTHROPIC if "params" in fields else InputKind.OPENAI
    if "key" in fields:
        return InputKind.GEMINI
    return InputKind.JSONL if "id" in fields or "prompt" in fields else None


def decoded(line: bytes) -> str:
    """Return a line as text.

    Raises:
        LineError: it is none.
    """
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        hint = " (it looks like UTF-16)" if line.startswith(_UTF_16) else ""
        raise LineError(f"not UTF-8 at byte {error.start + 1} of the line{hint}") from None


def is_blank(line: bytes) -> bool:
    """Whether a line that was taken before is a blank one."""
    begin = line.strip()[:1]
    if b"!" <= begin <= b"~":
        return False
    return not line.decode("utf-8", "replace").removeprefix(_BOM).strip()


def id_of(value: object, name: str) -> str:
    """Return an id.

    Raises:
        LineError: it is none.
    """
    if not isinstance(value, str):
        raise LineError(f"{name} must be a string, not {kind_name(value)}")
    if not value.strip():
        raise LineError(f"{name} must not be empty")
    return value


def _text(number: int, line: bytes) -> str | None:
    """Return a line without its end and the mark before the first; None: it is blank."""
    text = decoded(line).rstrip("\r\n")
    if number == 1:
        text = text.removeprefix(_BOM)
        if not text and line.strip():
            raise LineError("there is nothing but a byte order mark")
    stripped = text.strip()
    if not stripped:
        return None
    if stripped == _BOM:
        raise LineError("there is nothing but a byte order mark")
    return text


def _object(line: bytes, text: str) -> dict[str, Any]:
    if text.startswith(_BOM):
        raise LineError("a byte order mark stands before the JSON")
    try:
        value = decode_strict(text)
        if b"\\u" in line and _ESCAPED_SURROGATE.search(line):
            json.dumps(value, ensure_ascii=False).encode()
    except (DuplicateKeyError, NonFiniteNumberError) as error:
        raise LineError(_reason(error)) from None
    except json.JSONDecodeError as error:
        torn = "" if line.endswith(b"\n") else "; the line has no end: it looks cut off"
        raise LineError(f"not JSON: {error.msg.removesuffix(' at')} at column {error.colno}{torn}") from None
    except UnicodeEncodeError:
        raise LineError("a text has half of a surrogate pair, which is no character") from None
    except RecursionError:
        raise LineError(f"nested more than {_DEEPEST} levels deep") from None
    except ValueError:  # the interpreter's bound on digits
        raise LineError("a number has too many digits") from None
    if not isinstance(value, dict):
        raise LineError(f'must be a JSON object such as {{"id": "q1", "prompt": "..."}}, not {kind_name(value)}')
    if line.count(b"[") + line.count(b"{") > _DEEPEST and _depth(value) > _DEEPEST:
        raise LineError(f"nested more than {_DEEPEST} levels deep")
    return value


def _reason(error: DuplicateKeyError | NonFiniteNumberError) -> str:
    """Return why the strict decoder rejected a line."""
    if isinstance(error, DuplicateKeyError):
        return f"the key {quoted(error.key)} is given twice"
    return "a number is too large" if error.text[-1].isdigit() else f"not JSON: {error.text} is not a JSON number"


def _own(number: int, fields: dict[str, Any]) -> InputRecord:
    _check_keys(fields, ("id", "prompt"), ("context",))
    if not isinstance(fields["prompt"], str):
        raise LineError(f"prompt must be a string, not {kind_name(fields['prompt'])}")
    return InputRecord(number, id_of(fields["id"], "id"), fields["prompt"], fields.get("context"))


def _of_openai(number: int, fields: dict[str, Any]) -> InputRecord:
    _check_keys(fields, ("custom_id", "method", "url", "body"))
    name = id_of(fields["custom_id"], "custom_id")
    if fields["method"] != "POST":
        raise LineError("method must be POST")
    if fields["url"] != _CHAT:
        found = quoted(fields["url"]) if isinstance(fields["url"], str) else kind_name(fields["url"])
        raise LineError(f"url must be {_CHAT}, not {found}")
    return InputRecord(number, name, _request("openai", fields["body"], "body"))


def _of_gemini(number: int, fields: dict[str, Any]) -> InputRecord:
    _check_keys(fields, ("key", "request"))
    return InputRecord(number, id_of(fields["key"], "key"), _request("gemini", fields["request"], "request"))


def _of_anthropic(number: int, fields: dict[str, Any]) -> InputRecord:
    _check_keys(fields, ("custom_id", "params"))
    return InputRecord(
        number, id_of(fields["custom_id"], "custom_id"), _request("anthropic", fields["params"], "params")
    )


def _request(dialect: Dialect, body: object, name: str) -> Request:
    if not isinstance(body, dict):
        raise LineError(f"{name} must be an object, not {kind_name(body)}")
    try:
        return Request(dialect, body)
    except InvalidWorkItemError as error:
        raise LineError(f"{name}.{error}") from None


def _check_keys(fields: dict[str, Any], needed: tuple[str, ...], others: tuple[str, ...] = ()) -> None:
    for key in needed:
        if key not in fields:
            unknown = next((key for key in fields if key not in needed and key not in others), None)
            raise LineError(f"has no {key}" + ("" if unknown is None else f", but {quoted(unknown)}"))
    if len(fields) > len(needed):
        for key in fields:
            if key not in needed and key not in others:
                known = [*needed, *others]
                raise LineError(f"unknown key {quoted(key)}; known are {', '.join(known[:-1])} and {known[-1]}")


_READERS: Mapping[InputKind, Callable[[int, dict[str, Any]], InputRecord]] = MappingProxyType(
    {
        InputKind.JSONL: _own,
        InputKind.OPENAI: _of_openai,
        InputKind.GEMINI: _of_gemini,
        InputKind.ANTHROPIC: _of_anthropic,
    }
)


def _depth(value: object) -> int:
    deepest, left = 0, [(value, 1)]
    while left:
        value, depth = left.pop()
        deepest = max(deepest, depth)
        children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        left.extend((child, depth + 1) for child in children if isinstance(child, (dict, list)))
    return deepest


class LineFormat:
    """Lines, each a prompt; of what kind is found out by the first that tells."""

    header = b""

    def __init__(self, name: str, kind: InputKind | None, *, is_json: bool, may_guess: bool) -> None:
        """Take what is known.

        Args:
            name: of the input.
            kind: of the lines; None: not known.
            is_json: whether they are JSON, of any kind.
            may_guess: whether what begins with a brace is JSON, and the rest is text.
        """
        self._name = name
        self._kind = kind
        self._is_json = is_json
        self._may_guess = may_guess

    @property
    def kind(self) -> InputKind:
        """What the input is, as far as is known."""
        return self._kind or (InputKind.JSONL if self._is_json else InputKind.TEXT)

    @property
    def has_ids(self) -> bool:
        """Whether the lines name themselves."""
        return self.kind is not InputKind.TEXT

    def records(self, lines: Lines) -> Iterator[Record]:
        """Yield the lines."""
        for number, line in numbered(lines):
            yield number, number, line

    def read(self, position: int, data: Line) -> InputRecord | None:
        """Return what a line asks for; None: it is blank."""
        if isinstance(data, LineError):
            raise data
        if self._kind is None:
            self._look(position, data)
        return read_line(self.kind, position, data)

    def is_blank(self, data: Line) -> bool:
        """Whether a line that was taken before is blank."""
        return not isinstance(data, LineError) and is_blank(data)

    def raw(self, position: int, data: bytes) -> bytes:
        """Return the line, without a mark before it."""
        line = data.removeprefix(BOM) if position == 1 else data
        return line if line.endswith(b"\n") else line + b"\n"

    def _look(self, number: int, line: bytes) -> None:
        """Find out what the lines are, if this one tells.

        Raises:
            InputError: they may be JSON, but the user must say so.
        """
        begin = line.removeprefix(BOM).strip()
        if not begin:
            return
        if self._is_json:
            self._kind = kind_of(number, line)
        elif self._may_guess:
            self._is_json = begin.startswith(b"{")
            self._kind = kind_of(number, line) if self._is_json else InputKind.TEXT
        elif not begin.startswith((b"{", b"[")):
            self._kind = InputKind.TEXT
        else:
            found = kind_of(number, line)
            if found in {None, InputKind.JSONL}:
                raise InputError(f"{self._name}: begins like JSON; say --input-format jsonl or --input-format text")
            self._kind = found
